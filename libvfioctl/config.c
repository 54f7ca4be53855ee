/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"
#include "host.h"
#include "lazy.h"

#include <libeconf.h>
#include <unistd.h>

struct econf_calls {
        LAZY_MEMBER(econf_errLocation);
        LAZY_MEMBER(econf_errString);
        LAZY_MEMBER(econf_freeArray);
        LAZY_MEMBER(econf_freeFile);
        LAZY_MEMBER(econf_getGroups);
        LAZY_MEMBER(econf_getKeys);
        LAZY_MEMBER(econf_getPath);
        LAZY_MEMBER(econf_getStringValue);
        LAZY_MEMBER(econf_readDirsHistory);
};

static const struct lazy_symbol econf_symbols[] = {
        LAZY_SYMBOL(struct econf_calls, econf_errLocation),
        LAZY_SYMBOL(struct econf_calls, econf_errString),
        LAZY_SYMBOL(struct econf_calls, econf_freeArray),
        LAZY_SYMBOL(struct econf_calls, econf_freeFile),
        LAZY_SYMBOL(struct econf_calls, econf_getGroups),
        LAZY_SYMBOL(struct econf_calls, econf_getKeys),
        LAZY_SYMBOL(struct econf_calls, econf_getPath),
        LAZY_SYMBOL(struct econf_calls, econf_getStringValue),
        LAZY_SYMBOL(struct econf_calls, econf_readDirsHistory),
};

int config_parse_time(const char *text, unsigned int *ret_ms)
{
        char number[24];
        uint64_t value, factor = 1000;

        size_t length = strspn(text, "0123456789");
        if (length == 0 || length >= sizeof(number))
                return -EINVAL;
        memcpy(number, text, length);
        number[length] = '\0';
        if (util_equal(text + length, "ms"))
                factor = 1;
        else if (text[length] && !util_equal(text + length, "s"))
                return -EINVAL;
        int r = util_parse_u64(number, 10, 3600 * 1000, &value);
        if (r < 0)
                return r;
        if (value == 0 || value * factor > 3600 * 1000)
                return -ERANGE;
        *ret_ms = (unsigned int)(value * factor);
        return 0;
}

static int set_time(struct vfioctl_ctx *ctx, const char *value, size_t offset)
{
        unsigned int ms;

        int r = config_parse_time(value, &ms);
        if (r < 0)
                return r;
        memcpy((char *)ctx + offset, &ms, sizeof(ms));
        return 0;
}

static int set_placement(struct vfioctl_ctx *ctx, const char *value, size_t offset)
{
        (void)offset;
        if (util_equal(value, "pack"))
                ctx->placement = VFIOCTL_PLACEMENT_PACK;
        else if (util_equal(value, "spread"))
                ctx->placement = VFIOCTL_PLACEMENT_SPREAD;
        else
                return -EINVAL;
        return 0;
}

static int set_connect(struct vfioctl_ctx *ctx, const char *value, size_t offset)
{
        char *copy;

        (void)offset;
        if (!*value)
                return -EINVAL;
        int r = util_copy(value, &copy);
        if (r < 0)
                return r;
        free(ctx->connect_uri);
        ctx->connect_uri = copy;
        return 0;
}

static const struct key {
        const char *name;
        int (*set)(struct vfioctl_ctx *ctx, const char *value, size_t offset);
        size_t offset;
        const char *expects;
} keys[] = {
        {"placement", set_placement, 0, "pack or spread"},
        {"connect", set_connect, 0, "a libvirt URI"},
        {"step-deadline", set_time, offsetof(struct vfioctl_ctx, step_deadline),
         "a time such as 30s or 500ms"},
        {"read-deadline", set_time, offsetof(struct vfioctl_ctx, read_deadline), "a time such as 300ms"},
        {"settle-deadline", set_time, offsetof(struct vfioctl_ctx, settle_deadline), "a time such as 2s"},
        {"lock-deadline", set_time, offsetof(struct vfioctl_ctx, lock_deadline), "a time such as 30s"},
};

static const struct key *find_key(const char *name)
{
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (util_equal(keys[i].name, name))
                        return &keys[i];
        return NULL;
}

static int fail(char **ret_error, const char *format, ...) _printf_(2, 3);

static int fail(char **ret_error, const char *format, ...)
{
        va_list arguments;
        char *text = NULL;

        if (ret_error) {
                va_start(arguments, format);
                int r = vasprintf(&text, format, arguments);
                va_end(arguments);
                if (r < 0)
                        return -ENOMEM;
                *ret_error = text;
        }
        return -EINVAL;
}

/*
 * libeconf 0.5 keeps a key's file but not its line, which a person wants to be told. 0: not found. Of a key
 * that is there twice it takes the first.
 */
static unsigned long find_line(const char *path, const char *name)
{
        char line[1024];
        unsigned long number = 0;
        bool found = false;

        FILE *file = path ? fopen(path, "re") : NULL;
        if (!file)
                return 0;
        while (!found && fgets(line, sizeof(line), file)) {
                const char *at = line + strspn(line, " \t");
                number++;
                found = util_has_prefix(at, name) && strchr(" \t=\n", at[strlen(name)]);
        }
        (void)fclose(file);
        return found ? number : 0;
}

static int apply_key(struct vfioctl_ctx *ctx, const struct econf_calls *econf, econf_file *file,
                     const char *name, char **ret_error)
{
        _cleanup_free_ char *value = NULL, *path = econf->econf_getPath(file);
        const struct key *key = find_key(name);
        const char *where = path ? path : CONFIG_NAME "." CONFIG_SUFFIX;

        if (!key) {
                ctx_log(ctx, VFIOCTL_LOG_WARNING, "%s:%lu: unknown key '%s' is ignored", where,
                        find_line(path, name), name);
                return 0;
        }
        econf_err e = econf->econf_getStringValue(file, NULL, name, &value);
        if (e != ECONF_SUCCESS && e != ECONF_KEY_HAS_NULL_VALUE)
                return fail(ret_error, "%s: %s: %s", where, name, econf->econf_errString(e));
        int r = key->set(ctx, value ? value : "", key->offset);
        if (r < 0 && r != -ENOMEM)
                r = fail(ret_error, "%s:%lu: %s = '%s' is not %s", where, find_line(path, name), name,
                         value ? value : "", key->expects);
        return r;
}

/* libeconf knows of no root: it follows a link out of a simulated host, which then is not to count. */
static bool is_inside(const struct vfioctl_ctx *ctx, const char *path)
{
        struct stat inside, true_file;

        return ctx->is_live ||
               (path && util_has_prefix(path, ctx->root) &&
                host_stat(ctx, path + strlen(ctx->root), &inside) == 0 && stat(path, &true_file) == 0 &&
                inside.st_dev == true_file.st_dev && inside.st_ino == true_file.st_ino);
}

static int apply_file(struct vfioctl_ctx *ctx, const struct econf_calls *econf, econf_file *file,
                      char **ret_error)
{
        _cleanup_free_ char *path = econf->econf_getPath(file);
        char **names = NULL, **groups = NULL;
        size_t count = 0;

        if (!is_inside(ctx, path))
                return fail(ret_error, "%s: leads out of %s", path ? path : CONFIG_NAME, ctx->root);

        /* One flat file: a [section] would hide its keys, so it is said. */
        if (econf->econf_getGroups(file, &count, &groups) == ECONF_SUCCESS) {
                for (size_t i = 0; i < count; i++)
                        ctx_log(ctx, VFIOCTL_LOG_WARNING, "%s.%s: section '%s' is ignored", CONFIG_NAME,
                                CONFIG_SUFFIX, groups[i]);
                econf->econf_freeArray(groups);
        }
        econf_err e = econf->econf_getKeys(file, NULL, &count, &names);
        if (e == ECONF_NOKEY)
                return 0;
        if (e != ECONF_SUCCESS)
                return fail(ret_error, CONFIG_NAME "." CONFIG_SUFFIX ": %s", econf->econf_errString(e));
        int r = 0;
        for (size_t i = 0; r == 0 && i < count; i++)
                r = apply_key(ctx, econf, file, names[i], ret_error);
        econf->econf_freeArray(names);
        return r;
}

/* libeconf would wait for somebody to write into it. */
static int refuse_fifo(const struct vfioctl_ctx *ctx, const char *path, char **ret_error)
{
        struct stat status;

        if (host_stat(ctx, path, &status) < 0 || !S_ISFIFO(status.st_mode))
                return 0;
        return fail(ret_error, "%s%s: is a FIFO and no file", ctx->root, path);
}

static int refuse_fifos(const struct vfioctl_ctx *ctx, const char *folder, char **ret_error)
{
        char path[PATH_MAX];
        int r = 0;

        if (path_format(path, "%s/" CONFIG_NAME "." CONFIG_SUFFIX, folder))
                r = refuse_fifo(ctx, path, ret_error);
        if (r < 0 || !path_format(path, "%s/" CONFIG_NAME "." CONFIG_SUFFIX ".d", folder))
                return r;
        _cleanup_dir_ DIR *dir = host_opendir(ctx, path);
        for (struct dirent *entry; dir && r >= 0 && (entry = readdir(dir));)
                if (path_format(path, "%s/" CONFIG_NAME "." CONFIG_SUFFIX ".d/%s", folder, entry->d_name))
                        r = refuse_fifo(ctx, path, ret_error);
        return r;
}

static bool any_config(const struct vfioctl_ctx *ctx)
{
        static const char *const places[] = {
                PATH_ETC_DIR "/" CONFIG_NAME "/" CONFIG_NAME "." CONFIG_SUFFIX,
                PATH_ETC_DIR "/" CONFIG_NAME "/" CONFIG_NAME "." CONFIG_SUFFIX ".d",
                PATH_LIB_DIR "/" CONFIG_NAME "/" CONFIG_NAME "." CONFIG_SUFFIX,
                PATH_LIB_DIR "/" CONFIG_NAME "/" CONFIG_NAME "." CONFIG_SUFFIX ".d",
        };
        for (size_t i = 0; i < ELEMENTSOF(places); i++)
                if (host_exists(ctx, places[i]))
                        return true;
        return false;
}

VFIOCTL_EXPORT int vfioctl_ctx_read_config(struct vfioctl_ctx *ctx, char **ret_error)
{
        _cleanup_free_ char *vendor = NULL, *local = NULL;
        _cleanup_free_ econf_file **files = NULL;
        size_t count = 0;

        if (!any_config(ctx))
                return 0;
        struct econf_calls loaded, *econf = &loaded;
        if (lazy_open("libeconf.so.0", econf_symbols, ELEMENTSOF(econf_symbols), econf) < 0)
                return fail(ret_error, "the configuration cannot be read: libeconf is missing");
        int r = refuse_fifos(ctx, PATH_LIB_DIR "/" CONFIG_NAME, ret_error);
        if (r >= 0)
                r = refuse_fifos(ctx, PATH_ETC_DIR "/" CONFIG_NAME, ret_error);
        if (r < 0)
                return r;
        r = util_format(&vendor, "%s" PATH_LIB_DIR "/" CONFIG_NAME, ctx->root);
        if (r < 0)
                return r;
        r = util_format(&local, "%s" PATH_ETC_DIR "/" CONFIG_NAME, ctx->root);
        if (r < 0)
                return r;
        econf_err e = econf->econf_readDirsHistory(&files, &count, vendor, local, CONFIG_NAME, CONFIG_SUFFIX,
                                                   "=", "#");
        if (e == ECONF_NOFILE)
                return 0;
        if (e != ECONF_SUCCESS) {
                _cleanup_free_ char *path = NULL;
                uint64_t line = 0;
                /* Freed already in there; the pointer is what is left of it. */
                (void)util_steal(files);
                econf->econf_errLocation(&path, &line);
                return fail(ret_error, "%s:%llu: %s", path ? path : local, (unsigned long long)line,
                            econf->econf_errString(e));
        }
        for (size_t i = 0; i < count; i++) {
                if (r >= 0)
                        r = apply_file(ctx, econf, files[i], ret_error);
                econf->econf_freeFile(files[i]);
        }
        return r;
}
