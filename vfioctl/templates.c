/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "templates.h"

#include "paths.h"

#include <unistd.h>

#define SUFFIX          ".xml"
#define NAME_MAX_LENGTH 64
#define LETTERS         "abcdefghijklmnopqrstuvwxyz0123456789._-"

static void template_clear(const struct templates *templates, struct template *template)
{
        free(template->name);
        free(template->path);
        free(template->summary);
        free(template->error);
        if (template->domain)
                (void)templates->calls->domain_free(template->domain);
}

void templates_clear(struct templates *templates)
{
        for (size_t i = 0; i < templates->count; i++)
                template_clear(templates, &templates->items[i]);
        free(templates->items);
        *templates = (struct templates){.count = 0};
}

const struct template *templates_find(const struct templates *templates, const char *name)
{
        for (size_t i = 0; i < templates->count; i++)
                if (util_equal(templates->items[i].name, name))
                        return &templates->items[i];
        return NULL;
}

const char *guest_name(enum vfioctl_guest guest)
{
        switch (guest) {
        case VFIOCTL_GUEST_LINUX:
                return "linux";
        case VFIOCTL_GUEST_WINDOWS:
                return "windows";
        case VFIOCTL_GUEST_OTHER:
                break;
        }
        return NULL;
}

static const char *read_error(int r)
{
        switch (r) {
        case -EFBIG:
                return "larger than 64 KiB, or no text";
        case -EISDIR:
                return "is a folder";
        case -EINVAL:
                return "is no file";
        default:
                return strerror(-r);
        }
}

/* What is wrong with it goes to `error`; a negative errno is ours. */
static int read_domain(const struct templates *templates, const struct rootfs *fs, const char *path,
                       struct template *template)
{
        _cleanup_free_ char *text = NULL;

        int r = rootfs_read(fs, path, &text);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return util_copy(read_error(r), &template->error);
        r = templates->calls->domain_parse(text, strlen(text), &template->domain, &template->error);
        if (r >= 0)
                r = templates->calls->check_template(template->domain, &template->error);
        if (r >= 0)
                return templates->calls->domain_summary(template->domain, &template->summary);
        if (template->domain)
                template->domain = templates->calls->domain_free(template->domain);
        if (r == -ENOMEM)
                return r;
        return template->error ? 0 : util_copy(strerror(-r), &template->error);
}

static int add(struct templates *templates, const struct rootfs *fs, const char *folder, const char *file,
               bool is_own)
{
        size_t length = strlen(file) - strlen(SUFFIX);
        struct template template = {.is_own = is_own};

        int r = util_copy(file, &template.name);
        if (r >= 0)
                template.name[length] = '\0';
        if (r >= 0 && templates_find(templates, template.name)) {
                template_clear(templates, &template);
                return 0;
        }
        if (r >= 0)
                r = util_format(&template.path, "%s/%s", folder, file);
        if (r >= 0 && (length > NAME_MAX_LENGTH || strspn(template.name, LETTERS) != length))
                r = util_copy("its name is none for a template: a-z, 0-9, '.', '_' and '-'", &template.error);
        else if (r >= 0)
                r = read_domain(templates, fs, template.path, &template);
        if (r >= 0)
                r = util_grow(&templates->items, &templates->allocated, templates->count + 1,
                              sizeof(*templates->items));
        if (r < 0)
                template_clear(templates, &template);
        else
                templates->items[templates->count++] = template;
        return r;
}

static int add_folder(struct templates *templates, const char *root, const char *folder, bool is_own)
{
        struct rootfs fs;
        char **names = NULL;
        size_t count = 0;

        int r = rootfs_open(root, &fs);
        if (r < 0)
                return r;
        fs.is_live = !root;
        r = rootfs_list(&fs, folder, &names, &count);
        for (size_t i = 0; r >= 0 && i < count; i++) {
                size_t length = strlen(names[i]);
                if (*names[i] != '.' && length > strlen(SUFFIX) &&
                    util_equal(names[i] + length - strlen(SUFFIX), SUFFIX))
                        r = add(templates, &fs, folder, names[i], is_own);
        }
        rootfs_free_list(names, count);
        rootfs_close(&fs);
        return r;
}

static int compare(const void *a, const void *b)
{
        return strcmp(((const struct template *)a)->name, ((const struct template *)b)->name);
}

int templates_read(const struct cli *cli, const struct virt_calls *calls, struct templates *ret)
{
        _cleanup_templates_ struct templates templates = {.calls = calls};
        char folder[PATH_MAX];

        int r = add_folder(&templates, cli->options.root, PATH_TEMPLATES, true);
        /* Ours are part of the program, whatever the root is. */
        if (r >= 0)
                r = add_folder(&templates, NULL, find_own("../xml-templates", VFIOCTL_TEMPLATES_DIR, folder),
                               false);
        if (r < 0) {
                (void)complain_errno(r, "cannot read the templates");
                return r;
        }
        if (templates.count > 0)
                qsort(templates.items, templates.count, sizeof(*templates.items), compare);
        *ret = templates;
        templates = (struct templates){.count = 0};
        return 0;
}
