/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "facts.h"

#define FILE_LIMIT 65536

static int add(struct host_facts *facts, enum rival_kind kind, const char *path, const char *value)
{
        int r = util_grow(&facts->rivals, &facts->allocated_rivals, facts->n_rivals + 1,
                          sizeof(*facts->rivals));
        if (r < 0)
                return r;
        struct rival *rival = &facts->rivals[facts->n_rivals];
        *rival = (struct rival){.kind = kind};
        r = util_copy(path, &rival->path);
        if (r >= 0)
                r = util_copy(value, &rival->value);
        if (r >= 0 && rival->value)
                util_make_printable(rival->value);
        facts->n_rivals++;
        return r;
}

/* Each file of a folder, in no order. What is closed to us is noted, other trouble is as good as no file. */
static int each_file(const struct vfioctl_ctx *ctx, struct host_facts *facts, const char *folder,
                     int (*look)(const struct vfioctl_ctx *ctx, struct host_facts *facts, const char *path))
{
        char path[PATH_MAX];
        int r = 0;

        _cleanup_dir_ DIR *dir = host_opendir(ctx, folder);
        if (!dir) {
                facts->rivals_unseen |= errno == EACCES;
                return host_is_shortage(-errno) ? -errno : 0;
        }
        for (struct dirent *entry; r >= 0 && (entry = readdir(dir));)
                /* Names reach a terminal. */
                if (entry->d_name[0] != '.' && facts_is_printable(entry->d_name) &&
                    path_format(path, "%s/%s", folder, entry->d_name))
                        r = look(ctx, facts, path);
        return r;
}

static int read_file(const struct vfioctl_ctx *ctx, struct host_facts *facts, const char *path, char **ret)
{
        int r = host_read_file(ctx, path, FILE_LIMIT, ret, NULL);

        facts->rivals_unseen |= r == -EACCES;
        return host_is_shortage(r) ? r : 0;
}

/* ---- modprobe.d(5) ---- */

#define BLANKS " \t"

/* Dash and underscore are the same in the name of a module. */
static bool is_module(const char *word, const char *name)
{
        if (!word)
                return false;
        for (; *word && *name; word++, name++)
                if (*word != *name && !(strchr("-_", *word) && strchr("-_", *name)))
                        return false;
        return *word == *name;
}

static int read_options(struct host_facts *facts, const char *path, const char *module, char *rest)
{
        int r = 0;

        for (char *word; r >= 0 && (word = strtok_r(NULL, BLANKS, &rest));)
                if (is_module(module, "vfio-pci") && util_has_prefix(word, "ids=") && word[4])
                        r = add(facts, RIVAL_IDS, path, word + 4);
                else if (is_module(module, "vfio_iommu_type1") &&
                         (util_equal(word, "allow_unsafe_interrupts") ||
                          (util_has_prefix(word, "allow_unsafe_interrupts=") &&
                           strpbrk(strchr(word, '='), "1yY"))))
                        r = add(facts, RIVAL_UNSAFE, path, NULL);
        return r;
}

static int read_line(struct host_facts *facts, const char *path, char *line)
{
        char *rest = NULL, *word = strtok_r(line, BLANKS, &rest);
        char *module = word ? strtok_r(NULL, BLANKS, &rest) : NULL;
        int r = 0;

        if (!module || word[0] == '#')
                return 0;
        if (util_equal(word, "options"))
                return read_options(facts, path, module, rest);
        if (!is_module(module, "vfio-pci"))
                return 0;
        if (util_equal(word, "blacklist"))
                return add(facts, RIVAL_BLACKLIST, path, NULL);
        if (util_equal(word, "install")) {
                const char *program = strtok_r(NULL, BLANKS, &rest);
                return program && (strstr(program, "/false") || strstr(program, "/true"))
                               ? add(facts, RIVAL_BLACKLIST, path, NULL)
                               : 0;
        }
        if (util_equal(word, "softdep"))
                while (r >= 0 && (word = strtok_r(NULL, BLANKS, &rest)))
                        if (!util_equal(word, "pre:") && !util_equal(word, "post:"))
                                r = add(facts, RIVAL_SOFTDEP, path, word);
        return r;
}

static int read_modprobe_file(const struct vfioctl_ctx *ctx, struct host_facts *facts, const char *path)
{
        _cleanup_free_ char *text = NULL;
        char *next = NULL;
        size_t length = strlen(path);

        if (length < 5 || !util_equal(path + length - 5, ".conf"))
                return 0;
        int r = read_file(ctx, facts, path, &text);
        if (!text)
                return r;
        for (char *at = text; (at = strstr(at, "\\\n"));)
                at[0] = at[1] = ' ';
        for (char *line = strtok_r(text, "\n", &next); r >= 0 && line; line = strtok_r(NULL, "\n", &next))
                r = read_line(facts, path, line);
        return r;
}

/* The first folder that has a file of a name has the word: modprobe.d(5). */
static int read_modprobe(const struct vfioctl_ctx *ctx, struct host_facts *facts)
{
        static const char *const folders[] = {PATH_MODPROBE_ETC, PATH_MODPROBE_RUN, PATH_MODPROBE_USR,
                                              PATH_MODPROBE_LIB};
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(folders); i++) {
                size_t before = facts->n_rivals;
                r = each_file(ctx, facts, folders[i], read_modprobe_file);
                for (size_t k = before; k < facts->n_rivals; k++) {
                        char path[PATH_MAX];
                        for (size_t above = 0; above < i; above++)
                                if (path_format(path, "%s/%s", folders[above],
                                                path_last(facts->rivals[k].path)) &&
                                    host_exists(ctx, path)) {
                                        free(facts->rivals[k].path);
                                        free(facts->rivals[k].value);
                                        facts->rivals[k--] = facts->rivals[--facts->n_rivals];
                                        break;
                                }
                }
        }
        return r;
}

/* ---- other managers ---- */

/* driverctl keeps the driver's name in a file "pci-ADDRESS". */
static int read_driverctl_file(const struct vfioctl_ctx *ctx, struct host_facts *facts, const char *path)
{
        _cleanup_free_ char *driver = NULL, *value = NULL;
        const char *name = path_last(path);

        if (!util_has_prefix(name, "pci-"))
                return 0;
        int r = read_file(ctx, facts, path, &driver);
        if (!driver)
                return r;
        r = util_format(&value, "%s %s", name + 4, util_trim(driver));
        return r < 0 ? r : add(facts, RIVAL_DRIVERCTL, path, value);
}

/* "hostpci0: 0000:06:00.0,pcie=1" of a VM; "map node=pve,path=0000:06:00.0;0000:06:00.1,id=1002:6864". */
static int read_proxmox_line(struct host_facts *facts, const char *path, char *line)
{
        char *rest = NULL, *word;
        int r = 0;

        line += strspn(line, BLANKS);
        if (util_has_prefix(line, "hostpci"))
                word = strchr(line, ':') ? strchr(line, ':') + 1 : NULL;
        else
                word = util_has_prefix(line, "map ") ? strstr(line, "path=") : NULL;
        if (!word)
                return 0;
        word += util_has_prefix(word, "path=") ? strlen("path=") : 0;
        word += strspn(word, BLANKS);
        word[strcspn(word, ",")] = '\0';
        for (word = strtok_r(word, ";", &rest); r >= 0 && word; word = strtok_r(NULL, ";", &rest))
                if (strchr(word, ':'))
                        r = add(facts, RIVAL_PROXMOX, path, word);
        return r;
}

static int read_proxmox_file(const struct vfioctl_ctx *ctx, struct host_facts *facts, const char *path)
{
        _cleanup_free_ char *text = NULL;
        char *next = NULL;

        int r = read_file(ctx, facts, path, &text);
        for (char *line = text ? strtok_r(text, "\n", &next) : NULL; r >= 0 && line;
             line = strtok_r(NULL, "\n", &next))
                r = read_proxmox_line(facts, path, line);
        return r;
}

/* ---- libvirt's hooks ---- */

/* libvirt runs what is an executable file, and passes over the rest: virHookCall(). */
static int read_hook_file(const struct vfioctl_ctx *ctx, struct host_facts *facts, const char *path)
{
        static const char *const words[] = {"driver_override", "vfio-pci", "nodedev-detach", "driverctl"};
        _cleanup_free_ char *text = NULL;
        char target[PATH_MAX];
        struct stat status;

        if (util_equal(path, PATH_HOOK_QEMU) || host_stat(ctx, path, &status) < 0 ||
            !S_ISREG(status.st_mode) || !(status.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
                return 0;
        /* Another link to this program says of itself what it does. */
        if (host_readlink(ctx, path, target, sizeof(target)) >= 0 && util_equal(path_last(target), "vfioctl"))
                return 0;
        int r = read_file(ctx, facts, path, &text);
        for (size_t i = 0; text && i < ELEMENTSOF(words); i++)
                if (strstr(text, words[i]))
                        return add(facts, RIVAL_HOOK, path, words[i]);
        return r;
}

static int compare_rivals(const void *a, const void *b)
{
        const struct rival *first = a, *second = b;

        if (first->kind != second->kind)
                return first->kind < second->kind ? -1 : 1;
        int r = strcmp(first->path, second->path);
        return r != 0 ? r : strcmp(first->value ? first->value : "", second->value ? second->value : "");
}

int facts_read_rivals(const struct vfioctl_ctx *ctx, struct host_facts *facts)
{
        int r = read_modprobe(ctx, facts);
        if (r >= 0)
                r = each_file(ctx, facts, PATH_DRIVERCTL, read_driverctl_file);
        if (r >= 0)
                r = read_proxmox_file(ctx, facts, PATH_PVE_MAPPING);
        if (r >= 0)
                r = each_file(ctx, facts, PATH_PVE_VMS, read_proxmox_file);
        if (r >= 0)
                r = each_file(ctx, facts, PATH_HOOKS_QEMU, read_hook_file);
        if (r >= 0)
                r = read_hook_file(ctx, facts, PATH_HOOKS "/qemu");
        if (r >= 0 && facts->n_rivals > 1)
                qsort(facts->rivals, facts->n_rivals, sizeof(*facts->rivals), compare_rivals);
        return r;
}
