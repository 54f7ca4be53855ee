/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"
#include "finding.h"
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

int config_parse_size(const char *text, uint64_t *ret_kib)
{
        char number[16];
        uint64_t value;

        size_t length = strspn(text, "0123456789");
        if (length == 0 || length >= sizeof(number))
                return -EINVAL;
        memcpy(number, text, length);
        number[length] = '\0';
        const char *unit = text + length;
        unsigned int shift = *unit == 'M' ? 10 : *unit == 'G' ? 20 : *unit == 'T' ? 30 : 0;
        if (shift == 0 || (unit[1] && !util_equal(unit + 1, "iB") && !util_equal(unit + 1, "B")))
                return -EINVAL;
        int r = util_parse_u64(number, 10, 1 << 20, &value);
        if (r < 0)
                return r;
        if (value == 0)
                return -ERANGE;
        *ret_kib = value << shift;
        return 0;
}

#define WHERE_SIZE      (PATH_MAX + 24)
#define HOST_CORES_MAX  4096
#define HOST_MEMORY_MAX (16ull << 30) /* KiB */

static int set_time(struct vfioctl_ctx *ctx, const char *value, size_t offset, char why[WHY_SIZE])
{
        unsigned int ms;

        (void)why;
        int r = config_parse_time(value, &ms);
        if (r < 0)
                return r;
        memcpy((char *)ctx + offset, &ms, sizeof(ms));
        return 0;
}

static int set_placement(struct vfioctl_ctx *ctx, const char *value, size_t offset, char why[WHY_SIZE])
{
        (void)offset, (void)why;
        if (util_equal(value, "pack"))
                ctx->placement = VFIOCTL_PLACEMENT_PACK;
        else if (util_equal(value, "spread"))
                ctx->placement = VFIOCTL_PLACEMENT_SPREAD;
        else
                return -EINVAL;
        return 0;
}

static int set_host_cores(struct vfioctl_ctx *ctx, const char *value, size_t offset, char why[WHY_SIZE])
{
        uint64_t cores = 0;

        (void)offset, (void)why;
        if (!util_equal(value, "auto") &&
            (util_parse_u64(value, 10, HOST_CORES_MAX, &cores) < 0 || cores == 0))
                return -EINVAL;
        ctx->host_cores = (unsigned int)cores;
        return 0;
}

static int set_host_memory(struct vfioctl_ctx *ctx, const char *value, size_t offset, char why[WHY_SIZE])
{
        uint64_t kib = 0;

        (void)offset, (void)why;
        if (!util_equal(value, "auto") && (config_parse_size(value, &kib) < 0 || kib > HOST_MEMORY_MAX))
                return -EINVAL;
        ctx->host_memory = kib;
        return 0;
}

static int set_connect(struct vfioctl_ctx *ctx, const char *value, size_t offset, char why[WHY_SIZE])
{
        char *copy;

        (void)offset, (void)why;
        if (!*value)
                return -EINVAL;
        int r = util_copy(value, &copy);
        if (r < 0)
                return r;
        free(ctx->connect_uri);
        ctx->connect_uri = copy;
        return 0;
}

static int set_idle(struct vfioctl_ctx *ctx, const char *value, size_t offset, char why[WHY_SIZE])
{
        (void)offset, (void)why;
        if (util_equal(value, "vm"))
                ctx->policy.idle = VFIOCTL_MODE_VM;
        else if (util_equal(value, "host"))
                ctx->policy.idle = VFIOCTL_MODE_HOST;
        else
                return -EINVAL;
        return 0;
}

static struct selectors *list_at(struct vfioctl_ctx *ctx, size_t offset)
{
        return (struct selectors *)(void *)((char *)ctx + offset);
}

static int set_list(struct vfioctl_ctx *ctx, const char *value, size_t offset, char why[WHY_SIZE])
{
        return policy_parse_list(value, list_at(ctx, offset), why);
}

static int set_aliases(struct vfioctl_ctx *ctx, const char *value, size_t offset, char why[WHY_SIZE])
{
        (void)offset;
        return policy_parse_aliases(value, &ctx->policy, why);
}

static const struct key {
        const char *name;
        int (*set)(struct vfioctl_ctx *ctx, const char *value, size_t offset, char why[WHY_SIZE]);
        size_t offset;
        const char *usual;   /* its default */
        const char *expects; /* where set() gives no reason of its own */
} keys[] = {
        {"gpus", set_list, offsetof(struct vfioctl_ctx, policy.gpus), "", NULL},
        {"except", set_list, offsetof(struct vfioctl_ctx, policy.except), "", NULL},
        {"idle", set_idle, 0, "vm", "vm or host"},
        {"idle-host", set_list, offsetof(struct vfioctl_ctx, policy.idle_host), "", NULL},
        {"idle-vm", set_list, offsetof(struct vfioctl_ctx, policy.idle_vm), "", NULL},
        {"alias", set_aliases, 0, "", NULL},
        {"placement", set_placement, 0, "pack", "pack or spread"},
        {"host-cores", set_host_cores, 0, "auto", "auto, or a number from 1 to 4096"},
        {"host-memory", set_host_memory, 0, "auto", "auto, or a size such as 8G"},
        {"connect", set_connect, 0, "qemu:///system", "a libvirt URI"},
        {"hook-deadline", set_time, offsetof(struct vfioctl_ctx, hook_deadline), "10s", "a time such as 10s"},
        {"step-deadline", set_time, offsetof(struct vfioctl_ctx, step_deadline), "30s",
         "a time such as 30s or 500ms"},
        {"read-deadline", set_time, offsetof(struct vfioctl_ctx, read_deadline), "300ms",
         "a time such as 300ms"},
        {"settle-deadline", set_time, offsetof(struct vfioctl_ctx, settle_deadline), "2s",
         "a time such as 2s"},
        {"lock-deadline", set_time, offsetof(struct vfioctl_ctx, lock_deadline), "30s", "a time such as 30s"},
};

#define KEY_COUNT ELEMENTSOF(keys)

static size_t find_key(const char *name)
{
        size_t i = 0;

        while (i < KEY_COUNT && !util_equal(keys[i].name, name))
                i++;
        return i;
}

/* ---- where each value is from ---- */

void settings_free(struct setting *settings)
{
        for (size_t i = 0; settings && i < KEY_COUNT; i++) {
                free(settings[i].value);
                free(settings[i].file);
        }
        free(settings);
}

/* On one line: a list may have been given on several. */
static void squeeze(char *text)
{
        char *to = text;

        for (const char *at = text; *at; at++) {
                bool is_blank = strchr(" \t\r\n", *at);
                if (!is_blank)
                        *to++ = *at;
                else if (to > text && to[-1] != ' ')
                        *to++ = ' ';
        }
        *to = '\0';
        (void)util_trim(text);
}

static int note_setting(struct vfioctl_ctx *ctx, size_t index, const char *value, const char *file,
                        unsigned long line)
{
        struct setting fresh = {.line = line};

        int r = util_copy(value, &fresh.value);
        if (r >= 0)
                r = util_copy(file, &fresh.file);
        if (r < 0) {
                free(fresh.value);
                return r;
        }
        squeeze(fresh.value);
        free(ctx->settings[index].value);
        free(ctx->settings[index].file);
        ctx->settings[index] = fresh;
        return 0;
}

static const struct setting *setting_at(const struct vfioctl_ctx *ctx, size_t index)
{
        return ctx->settings && index < KEY_COUNT && ctx->settings[index].file ? &ctx->settings[index] : NULL;
}

VFIOCTL_EXPORT size_t vfioctl_ctx_setting_count(const struct vfioctl_ctx *ctx)
{
        (void)ctx;
        return KEY_COUNT;
}

VFIOCTL_EXPORT const char *vfioctl_ctx_setting_name(const struct vfioctl_ctx *ctx, size_t index)
{
        (void)ctx;
        return index < KEY_COUNT ? keys[index].name : NULL;
}

VFIOCTL_EXPORT const char *vfioctl_ctx_setting_value(const struct vfioctl_ctx *ctx, size_t index)
{
        const struct setting *setting = setting_at(ctx, index);
        return setting ? setting->value : index < KEY_COUNT ? keys[index].usual : NULL;
}

VFIOCTL_EXPORT const char *vfioctl_ctx_setting_file(const struct vfioctl_ctx *ctx, size_t index)
{
        const struct setting *setting = setting_at(ctx, index);
        return setting ? setting->file : NULL;
}

VFIOCTL_EXPORT unsigned long vfioctl_ctx_setting_line(const struct vfioctl_ctx *ctx, size_t index)
{
        const struct setting *setting = setting_at(ctx, index);
        return setting ? setting->line : 0;
}

static const char *where_is(const struct vfioctl_ctx *ctx, size_t index, char buffer[WHERE_SIZE])
{
        const struct setting *setting = setting_at(ctx, index);

        (void)snprintf(buffer, WHERE_SIZE, "%s:%lu", setting ? setting->file : CONFIG_NAME "." CONFIG_SUFFIX,
                       setting ? setting->line : 0);
        return buffer;
}

/* ---- what is wrong with it ---- */

static int note_problem(struct vfioctl_ctx *ctx, enum vfioctl_severity severity, const char *code,
                        const char *where, const char *format, ...) _printf_(5, 6);

/* Reading goes on, so that all that is wrong can be told at once. */
static int note_problem(struct vfioctl_ctx *ctx, enum vfioctl_severity severity, const char *code,
                        const char *where, const char *format, ...)
{
        struct vfioctl_finding finding = {.severity = severity, .code = code, .culprit = where};
        _cleanup_free_ char *text = NULL;
        va_list arguments;

        va_start(arguments, format);
        int length = vasprintf(&text, format, arguments);
        va_end(arguments);
        if (length < 0) {
                text = NULL;
                return -ENOMEM;
        }
        if (severity == VFIOCTL_WARNING)
                ctx_log(ctx, VFIOCTL_LOG_WARNING, "%s: %s", where, text);
        return finding_addf(ctx->config_findings, finding, "%s: %s", where, text);
}

static const char *first_refusal(const struct vfioctl_ctx *ctx)
{
        for (size_t i = 0; i < vfioctl_findings_count(ctx->config_findings); i++) {
                const struct vfioctl_finding *finding = vfioctl_findings_get(ctx->config_findings, i);
                if (finding->severity == VFIOCTL_REFUSAL)
                        return finding->text;
        }
        return NULL;
}

VFIOCTL_EXPORT const struct vfioctl_findings *vfioctl_ctx_config_findings(const struct vfioctl_ctx *ctx)
{
        return ctx->config_findings;
}

/* ---- lines: libeconf 0.5 keeps a key's file but not its line, which a person wants to be told ---- */

struct place {
        unsigned long first, again; /* 0: not there */
};

/* A key begins a line, up to the first [section]. `other` is one that is none of ours, or NULL. */
static void find_lines(const char *path, const char *other, struct place places[KEY_COUNT + 1])
{
        unsigned long number = 0;
        bool begins = true;
        char line[1024];

        memset(places, 0, (KEY_COUNT + 1) * sizeof(*places));
        FILE *file = path ? fopen(path, "re") : NULL;
        if (!file)
                return;
        while (fgets(line, sizeof(line), file)) {
                const char *at = line + strspn(line, " \t");
                bool is_start = begins;
                begins = strchr(line, '\n');
                if (!is_start)
                        continue;
                number++;
                if (*at == '[')
                        break;
                for (size_t i = 0; i <= KEY_COUNT; i++) {
                        const char *name = i < KEY_COUNT ? keys[i].name : other;
                        if (!name || !util_has_prefix(at, name) || !strchr(" \t=\n", at[strlen(name)]))
                                continue;
                        if (!places[i].first)
                                places[i].first = number;
                        else if (!places[i].again)
                                places[i].again = number;
                }
        }
        (void)fclose(file);
}

static int apply_unknown(struct vfioctl_ctx *ctx, const char *path, const char *name)
{
        struct place places[KEY_COUNT + 1];
        char where[WHERE_SIZE];

        find_lines(path, name, places);
        (void)snprintf(where, sizeof(where), "%s:%lu", path, places[KEY_COUNT].first);
        return note_problem(ctx, VFIOCTL_WARNING, "config-key", where, "unknown key '%s' is ignored", name);
}

static int apply_key(struct vfioctl_ctx *ctx, const struct econf_calls *econf, econf_file *file,
                     const char *path, const struct place *places, const char *name)
{
        _cleanup_free_ char *value = NULL;
        char why[WHY_SIZE] = "", where[WHERE_SIZE];

        size_t index = find_key(name);
        if (index == KEY_COUNT)
                return apply_unknown(ctx, path, name);
        const struct key *key = &keys[index];
        (void)snprintf(where, sizeof(where), "%s:%lu", path, places[index].first);
        econf_err e = econf->econf_getStringValue(file, NULL, name, &value);
        if (e != ECONF_SUCCESS && e != ECONF_KEY_HAS_NULL_VALUE)
                return note_problem(ctx, VFIOCTL_REFUSAL, "config-value", where, "%s: %s", name,
                                    econf->econf_errString(e));
        const char *text = value ? value : "";
        int r = key->set(ctx, text, key->offset, why);
        if (r >= 0)
                r = note_setting(ctx, index, text, path, places[index].first);
        else if (r != -ENOMEM && *why)
                r = note_problem(ctx, VFIOCTL_REFUSAL, "config-value", where, "%s: %s", name, why);
        else if (r != -ENOMEM)
                r = note_problem(ctx, VFIOCTL_REFUSAL, "config-value", where, "%s = '%.200s' is not %s", name,
                                 text, key->expects);
        if (r >= 0 && places[index].again) {
                (void)snprintf(where, sizeof(where), "%s:%lu", path, places[index].again);
                r = note_problem(ctx, VFIOCTL_WARNING, "config-twice", where,
                                 "'%s' is there a second time and is ignored; line %lu counts", name,
                                 places[index].first);
        }
        return r;
}

/* Once all files are read, for an alias may be in any of them. */
static int resolve_lists(struct vfioctl_ctx *ctx)
{
        char why[WHY_SIZE], where[WHERE_SIZE];
        int r = 0;

        for (size_t i = 0; r >= 0 && i < KEY_COUNT; i++)
                if (keys[i].set == set_list &&
                    policy_resolve(&ctx->policy, list_at(ctx, keys[i].offset), why) < 0)
                        r = note_problem(ctx, VFIOCTL_REFUSAL, "config-value", where_is(ctx, i, where),
                                         "%s: %s", keys[i].name, why);
        if (r >= 0 && policy_check_idle(&ctx->policy, why) < 0) {
                size_t index = find_key("idle-vm");
                r = note_problem(ctx, VFIOCTL_REFUSAL, "config-value", where_is(ctx, index, where), "%s: %s",
                                 keys[index].name, why);
        }
        return r;
}

VFIOCTL_EXPORT int vfioctl_ctx_boot_policy(const struct vfioctl_ctx *ctx, char **ret)
{
        return policy_boot_text(&ctx->policy, ret);
}

VFIOCTL_EXPORT int vfioctl_check_config(const struct vfioctl_ctx *ctx,
                                        const struct vfioctl_snapshot *snapshot,
                                        struct vfioctl_findings *findings)
{
        char where[WHERE_SIZE];
        int r = 0;

        if (ctx->config_findings)
                r = findings_merge(findings, ctx->config_findings);
        for (size_t i = 0; r >= 0 && i < KEY_COUNT; i++) {
                if (keys[i].set == set_list)
                        r = policy_check(&ctx->policy,
                                         list_at((struct vfioctl_ctx *)(uintptr_t)ctx, keys[i].offset),
                                         keys[i].name, where_is(ctx, i, where), snapshot, findings);
                else if (keys[i].set == set_aliases)
                        r = policy_check_aliases(&ctx->policy, where_is(ctx, i, where), snapshot, findings);
        }
        return r;
}

/* libeconf names a key that is there twice once, or twice. */
static bool is_among(char *const *names, size_t count, const char *name)
{
        bool found = false;

        if (find_key(name) < KEY_COUNT)
                for (size_t i = 0; !found && i < count; i++)
                        found = util_equal(names[i], name);
        return found;
}

static int apply_file(struct vfioctl_ctx *ctx, const struct econf_calls *econf, econf_file *file,
                      char **ret_error)
{
        _cleanup_free_ char *path = econf->econf_getPath(file);
        struct place places[KEY_COUNT + 1];
        char **names = NULL, **groups = NULL, where[WHERE_SIZE];
        size_t count = 0;
        int r = 0;

        if (!path)
                return -ENOMEM;
        if (!config_is_inside(ctx, path))
                return config_fail(ret_error, "%s: leads out of %s", path, ctx->root);

        /* One flat file: a [section] would hide its keys, so it is said. */
        if (econf->econf_getGroups(file, &count, &groups) == ECONF_SUCCESS) {
                (void)snprintf(where, sizeof(where), "%s", path);
                for (size_t i = 0; r >= 0 && i < count; i++)
                        r = note_problem(ctx, VFIOCTL_WARNING, "config-key", where,
                                         "section '%s' is ignored, and all keys in it", groups[i]);
                econf->econf_freeArray(groups);
        }
        if (r < 0)
                return r;
        econf_err e = econf->econf_getKeys(file, NULL, &count, &names);
        if (e == ECONF_NOKEY)
                return 0;
        if (e != ECONF_SUCCESS)
                return config_fail(ret_error, CONFIG_NAME "." CONFIG_SUFFIX ": %s",
                                   econf->econf_errString(e));
        find_lines(path, NULL, places);
        for (size_t i = 0; r >= 0 && i < count; i++)
                if (!is_among(names, i, names[i]))
                        r = apply_key(ctx, econf, file, path, places, names[i]);
        econf->econf_freeArray(names);
        return r;
}

VFIOCTL_EXPORT int vfioctl_ctx_read_config(struct vfioctl_ctx *ctx, char **ret_error)
{
        _cleanup_free_ char *vendor = NULL, *local = NULL;
        _cleanup_free_ econf_file **files = NULL;
        size_t count = 0;

        ctx->config_findings = vfioctl_findings_free(ctx->config_findings);
        if (!config_exists(ctx))
                return 0;
        if (!ctx->settings)
                ctx->settings = calloc(KEY_COUNT, sizeof(*ctx->settings));
        if (!ctx->settings || vfioctl_findings_new(&ctx->config_findings) < 0)
                return -ENOMEM;
        int r = config_refuse_odd(ctx, PATH_LIB_DIR "/" CONFIG_NAME, &count, ret_error);
        if (r >= 0)
                r = config_refuse_odd(ctx, PATH_ETC_DIR "/" CONFIG_NAME, &count, ret_error);
        if (r < 0 || count == 0)
                return r;
        struct econf_calls loaded, *econf = &loaded;
        if (lazy_open("libeconf.so.0", econf_symbols, ELEMENTSOF(econf_symbols), econf) < 0)
                return config_fail(ret_error, "the configuration cannot be read: libeconf is missing");
        r = util_format(&vendor, "%s" PATH_LIB_DIR "/" CONFIG_NAME, ctx->root);
        if (r < 0)
                return r;
        r = util_format(&local, "%s" PATH_ETC_DIR "/" CONFIG_NAME, ctx->root);
        if (r < 0)
                return r;
        econf_err e = econf->econf_readDirsHistory(&files, &count, vendor, local, CONFIG_NAME, CONFIG_SUFFIX,
                                                   "=", "#");
        /* There was a file, but it cannot be read: freed already in there, and the pointer is what is left.
         */
        if (e != ECONF_SUCCESS)
                (void)util_steal(files);
        if (e == ECONF_NOFILE)
                return 0;
        if (e != ECONF_SUCCESS) {
                _cleanup_free_ char *path = NULL;
                uint64_t line = 0;
                econf->econf_errLocation(&path, &line);
                return config_fail(ret_error, "%s:%llu: %s", path ? path : local, (unsigned long long)line,
                                   econf->econf_errString(e));
        }
        for (size_t i = 0; i < count; i++) {
                if (r >= 0)
                        r = apply_file(ctx, econf, files[i], ret_error);
                econf->econf_freeFile(files[i]);
        }
        if (r >= 0)
                r = resolve_lists(ctx);
        const char *refusal = r >= 0 ? first_refusal(ctx) : NULL;
        return refusal ? config_fail(ret_error, "%s", refusal) : r;
}
