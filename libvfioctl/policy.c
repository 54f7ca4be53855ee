/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy.h"
#include "model.h"

#include <ctype.h>

#define SEPARATORS ", \t\r\n"

/* Longer words than any selector are cut where they are told. */
static void explain(char why[WHY_SIZE], const char *word, size_t length, const char *what)
{
        (void)snprintf(why, WHY_SIZE, "'%.*s%s' %s", length > 40 ? 40 : (int)length, word,
                       length > 40 ? "..." : "", what);
}

#define NO_SELECTOR "is no short name (2a), address (05:00.0), vendor:device (1002:6864) or alias"

/* ---- reading ---- */

static bool is_alias_name(const char *text)
{
        size_t length = strlen(text);

        return isalpha((unsigned char)text[0]) && length <= ALIAS_MAX &&
               strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == length &&
               !util_equal(text, "all");
}

static bool parse_ids(const char *text, struct selector *ret)
{
        uint64_t vendor, device;
        char half[5] = "";

        if (strlen(text) != 9 || text[4] != ':')
                return false;
        memcpy(half, text, 4);
        if (util_parse_u64(half, 16, 0xffff, &vendor) < 0 ||
            util_parse_u64(text + 5, 16, 0xffff, &device) < 0 || strpbrk(text, "xX"))
                return false;
        ret->kind = SELECTOR_IDS;
        ret->vendor = (uint16_t)vendor;
        ret->device = (uint16_t)device;
        (void)snprintf(ret->text, sizeof(ret->text), "%04x:%04x", ret->vendor, ret->device);
        return true;
}

static bool parse_selector(const char *word, size_t length, struct selector *ret)
{
        struct selector selector = {.kind = SELECTOR_ALIAS};
        char address[VFIOCTL_ADDRESS_SIZE];

        if (length == 0 || length >= sizeof(selector.text))
                return false;
        memcpy(selector.text, word, length);
        selector.text[length] = '\0';
        if (util_equal(selector.text, "all")) {
                selector.kind = SELECTOR_ALL;
        } else if (looks_like_name(selector.text)) {
                selector.kind = SELECTOR_NAME;
        } else if (vfioctl_address_parse(selector.text, &selector.address) == 0) {
                selector.kind = SELECTOR_ADDRESS;
                strcpy(selector.text, vfioctl_address_format(&selector.address, address));
        } else if (!parse_ids(selector.text, &selector) && !is_alias_name(selector.text)) {
                return false;
        }
        *ret = selector;
        return true;
}

int policy_parse_list(const char *text, struct selectors *list, char why[WHY_SIZE])
{
        struct selectors found = {.count = 0};
        int r = 0;

        for (const char *at = text + strspn(text, SEPARATORS); r == 0 && *at;) {
                size_t length = strcspn(at, SEPARATORS);
                if (found.count == POLICY_MAX) {
                        explain(why, at, length, "is one too many: a list has at most 1024");
                        r = -EINVAL;
                        break;
                }
                r = util_grow(&found.items, &found.allocated, found.count + 1, sizeof(*found.items));
                if (r < 0)
                        break;
                if (!parse_selector(at, length, &found.items[found.count])) {
                        explain(why, at, length, NO_SELECTOR);
                        r = -EINVAL;
                }
                found.count++;
                at += length;
                at += strspn(at, SEPARATORS);
        }
        for (size_t i = 0; r == 0 && found.count > 1 && i < found.count; i++)
                if (found.items[i].kind == SELECTOR_ALL) {
                        explain(why, "all", 3, "stands alone; name exceptions in 'except'");
                        r = -EINVAL;
                }
        if (r < 0) {
                free(found.items);
                return r;
        }
        free(list->items);
        *list = found;
        return 0;
}

static const struct alias *find_alias(const struct alias *aliases, size_t count, const char *name)
{
        for (size_t i = 0; i < count; i++)
                if (util_equal(aliases[i].name, name))
                        return &aliases[i];
        return NULL;
}

/* Reads name=GPU at *at, and moves behind it. */
static int parse_alias(const char **at, struct alias *ret, char why[WHY_SIZE])
{
        const char *name = *at;
        size_t length = strcspn(name, SEPARATORS "=");
        const char *sign = name + length + strspn(name + length, " \t");
        const char *target = *sign == '=' ? sign + 1 + strspn(sign + 1, " \t") : sign;
        size_t target_length = strcspn(target, SEPARATORS "=");

        if (*sign != '=' || length == 0 || target_length == 0) {
                explain(why, name, strcspn(name, SEPARATORS), "is not name=GPU");
                return -EINVAL;
        }
        if (length <= ALIAS_MAX) {
                memcpy(ret->name, name, length);
                ret->name[length] = '\0';
        }
        if (length > ALIAS_MAX || !is_alias_name(ret->name)) {
                explain(why, name, length,
                        "is no name for a GPU: a letter, then letters, digits and - _ . (at most 32)");
                return -EINVAL;
        }
        if (!parse_selector(target, target_length, &ret->target) ||
            (ret->target.kind != SELECTOR_NAME && ret->target.kind != SELECTOR_ADDRESS)) {
                explain(why, target, target_length,
                        "is not one GPU: a short name (2a) or an address (05:00.0)");
                return -EINVAL;
        }
        *at = target + target_length;
        return 0;
}

int policy_parse_aliases(const char *text, struct policy *policy, char why[WHY_SIZE])
{
        _cleanup_free_ struct alias *aliases = NULL;
        size_t count = 0, allocated = 0;

        for (const char *at = text + strspn(text, SEPARATORS); *at; at += strspn(at, SEPARATORS)) {
                struct alias alias = {.name = ""};
                int r = parse_alias(&at, &alias, why);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < count; i++) {
                        bool same = util_equal(aliases[i].name, alias.name);
                        if (!same && !util_equal(aliases[i].target.text, alias.target.text))
                                continue;
                        explain(why, same ? alias.name : alias.target.text,
                                strlen(same ? alias.name : alias.target.text),
                                same ? "is there twice" : "has two names");
                        return -EINVAL;
                }
                if (count == POLICY_MAX) {
                        explain(why, alias.name, strlen(alias.name),
                                "is one too many: a list has at most 1024");
                        return -EINVAL;
                }
                r = util_grow(&aliases, &allocated, count + 1, sizeof(*aliases));
                if (r < 0)
                        return r;
                aliases[count++] = alias;
        }
        free(policy->aliases);
        policy->aliases = util_steal(aliases);
        policy->n_aliases = count;
        policy->allocated_aliases = allocated;
        return 0;
}

/* What stands for the selector: an alias's GPU, else itself. NULL: there is no such alias. */
static const struct selector *resolve(const struct policy *policy, const struct selector *selector)
{
        if (selector->kind != SELECTOR_ALIAS)
                return selector;
        const struct alias *alias = find_alias(policy->aliases, policy->n_aliases, selector->text);
        return alias ? &alias->target : NULL;
}

int policy_resolve(const struct policy *policy, const struct selectors *list, char why[WHY_SIZE])
{
        for (size_t i = 0; i < list->count; i++)
                if (!resolve(policy, &list->items[i])) {
                        explain(why, list->items[i].text, strlen(list->items[i].text), NO_SELECTOR);
                        return -EINVAL;
                }
        return 0;
}

int policy_check_idle(const struct policy *policy, char why[WHY_SIZE])
{
        for (size_t i = 0; i < policy->idle_vm.count; i++) {
                const struct selector *one = resolve(policy, &policy->idle_vm.items[i]);
                for (size_t k = 0; one && k < policy->idle_host.count; k++) {
                        const struct selector *other = resolve(policy, &policy->idle_host.items[k]);
                        if (!other || !util_equal(one->text, other->text))
                                continue;
                        explain(why, policy->idle_vm.items[i].text, strlen(policy->idle_vm.items[i].text),
                                "is in idle-host and in idle-vm");
                        return -EINVAL;
                }
        }
        return 0;
}

/* ---- matching ---- */

static bool same_slot(const struct vfioctl_address *a, const struct vfioctl_address *b)
{
        return a->domain == b->domain && a->bus == b->bus && a->device == b->device;
}

static bool matches(const struct selector *selector, const struct vfioctl_gpu *gpu)
{
        switch (selector->kind) {
        case SELECTOR_ALL:
                return !gpu->on_board;
        case SELECTOR_NAME:
                return gpu->has_short_name && util_equal(selector->text, gpu->name);
        case SELECTOR_ADDRESS:
                for (size_t i = 0; i < gpu->n_functions; i++)
                        if (vfioctl_address_compare(&selector->address, &gpu->functions[i]->address) == 0)
                                return true;
                return false;
        case SELECTOR_IDS:
                return gpu->functions[0]->vendor == selector->vendor &&
                       gpu->functions[0]->device == selector->device;
        case SELECTOR_ALIAS:
                return false;
        }
        return false;
}

enum fit { FIT_NONE, FIT_KIND /* one of many */, FIT_SINGLE /* this GPU and no other */ };

static enum fit fit_list(const struct policy *policy, const struct selectors *list,
                         const struct vfioctl_gpu *gpu)
{
        enum fit best = FIT_NONE;

        for (size_t i = 0; i < list->count; i++) {
                const struct selector *selector = resolve(policy, &list->items[i]);
                if (!selector || !matches(selector, gpu))
                        continue;
                if (selector->kind != SELECTOR_ALL && selector->kind != SELECTOR_IDS)
                        return FIT_SINGLE;
                best = FIT_KIND;
        }
        return best;
}

static enum vfioctl_mode idle_mode(const struct policy *policy, const struct vfioctl_gpu *gpu)
{
        enum fit host = fit_list(policy, &policy->idle_host, gpu);
        enum fit vm = fit_list(policy, &policy->idle_vm, gpu);

        if (host == vm)
                return policy->idle;
        return host > vm ? VFIOCTL_MODE_HOST : VFIOCTL_MODE_VM;
}

static bool any_selector(const struct policy *policy,
                         bool (*is_it)(const struct selector *selector, const struct vfioctl_gpu *gpu),
                         const struct vfioctl_gpu *gpu)
{
        const struct selectors *const lists[] = {&policy->gpus, &policy->except, &policy->idle_host,
                                                 &policy->idle_vm};

        for (size_t i = 0; i < ELEMENTSOF(lists); i++)
                for (size_t k = 0; k < lists[i]->count; k++)
                        if (is_it(&lists[i]->items[k], gpu))
                                return true;
        for (size_t i = 0; i < policy->n_aliases; i++)
                if (is_it(&policy->aliases[i].target, gpu))
                        return true;
        return false;
}

static bool is_ids(const struct selector *selector, const struct vfioctl_gpu *gpu)
{
        (void)gpu;
        return selector->kind == SELECTOR_IDS;
}

static bool is_companion(const struct selector *selector, const struct vfioctl_gpu *gpu)
{
        const struct vfioctl_address *own = &gpu->functions[0]->address;

        return selector->kind == SELECTOR_ADDRESS && same_slot(&selector->address, own) &&
               vfioctl_address_compare(&selector->address, own) != 0;
}

bool policy_uses_ids(const struct policy *policy)
{
        return any_selector(policy, is_ids, NULL);
}

bool policy_names_companion(const struct policy *policy, const struct vfioctl_gpu *gpu)
{
        return any_selector(policy, is_companion, gpu);
}

int policy_apply(const struct policy *policy, struct vfioctl_snapshot *snapshot)
{
        for (size_t i = 0; i < snapshot->n_gpus; i++) {
                struct vfioctl_gpu *gpu = snapshot->gpus[i];
                gpu->is_ours = !gpu->on_board && fit_list(policy, &policy->gpus, gpu) != FIT_NONE &&
                               fit_list(policy, &policy->except, gpu) == FIT_NONE;
                gpu->idle = gpu->is_ours ? idle_mode(policy, gpu) : VFIOCTL_MODE_NONE;
                for (size_t k = 0; !gpu->alias && k < policy->n_aliases; k++) {
                        if (!matches(&policy->aliases[k].target, gpu))
                                continue;
                        int r = util_copy(policy->aliases[k].name, &gpu->alias);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

/* ---- the boot step's text ---- */

static int compare_texts(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, each once, and with what aliases stand for: a list has no order, and names no meaning. */
static int add_line(const struct policy *policy, const char *key, const struct selectors *list, char **text)
{
        _cleanup_free_ const char **words = calloc(list->count + 1, sizeof(*words));
        _cleanup_free_ char *line = NULL;

        if (!words)
                return -ENOMEM;
        for (size_t i = 0; i < list->count; i++) {
                const struct selector *selector = resolve(policy, &list->items[i]);
                words[i] = selector ? selector->text : list->items[i].text;
        }
        qsort(words, list->count, sizeof(*words), compare_texts);
        line = calloc(1, strlen(key) + 5 + list->count * (SELECTOR_SIZE + 2));
        if (!line)
                return -ENOMEM;
        char *end = stpcpy(stpcpy(line, key), " =");
        for (size_t i = 0; i < list->count; i++)
                if (i == 0 || !util_equal(words[i], words[i - 1]))
                        end = stpcpy(stpcpy(end, i == 0 ? " " : ", "), words[i]);
        char *longer;
        int r = util_format(&longer, "%s%s\n", *text ? *text : "", line);
        if (r < 0)
                return r;
        free(*text);
        *text = longer;
        return 0;
}

int policy_boot_text(const struct policy *policy, char **ret)
{
        _cleanup_free_ char *text = NULL, *whole = NULL;

        int r = add_line(policy, "gpus", &policy->gpus, &text);
        /* Where no GPU is ours, the rest says nothing. */
        if (r >= 0 && policy->gpus.count > 0) {
                r = add_line(policy, "except", &policy->except, &text);
                if (r >= 0)
                        r = util_format(&whole, "%sidle = %s\n", text, vfioctl_mode_name(policy->idle));
                if (r >= 0) {
                        free(text);
                        text = util_steal(whole);
                        r = add_line(policy, "idle-host", &policy->idle_host, &text);
                }
                if (r >= 0)
                        r = add_line(policy, "idle-vm", &policy->idle_vm, &text);
        }
        if (r < 0)
                return r;
        *ret = util_steal(text);
        return 0;
}

/* ---- what makes no sense on this host ---- */

static bool any_name(const struct vfioctl_snapshot *snapshot)
{
        bool found = false;

        for (size_t i = 0; !found && i < snapshot->n_gpus; i++)
                found = snapshot->gpus[i]->has_short_name;
        return found;
}

static int check_selector(const struct policy *policy, const struct selector *written, const char *key,
                          const char *where, const struct vfioctl_snapshot *snapshot,
                          struct vfioctl_findings *findings)
{
        const struct selector *selector = resolve(policy, written);
        const struct vfioctl_gpu *found = NULL;

        for (size_t i = 0; selector && !found && i < snapshot->n_gpus; i++)
                if (matches(selector, snapshot->gpus[i]))
                        found = snapshot->gpus[i];
        struct vfioctl_finding finding = {.severity = VFIOCTL_WARNING,
                                          .code = "config-no-match",
                                          .culprit = where,
                                          .fix = "vfioctl list"};
        if (selector && !found && selector->kind == SELECTOR_NAME && !any_name(snapshot)) {
                finding.severity = VFIOCTL_NOTE;
                finding.fix = NULL;
                return finding_addf(findings, finding, "%s: %s = %s: short names are not known without root",
                                    where, key, written->text);
        }
        if (selector && !found)
                return finding_addf(findings, finding, "%s: %s = %s matches no GPU of this host", where, key,
                                    written->text);
        bool single = selector && selector->kind != SELECTOR_ALL && selector->kind != SELECTOR_IDS;
        if (!single || !util_equal(key, "gpus") || !(found->on_board || vfioctl_gpu_is_boot_display(found)))
                return 0;
        finding = (struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                           .code = "config-display",
                                           .gpu = vfioctl_gpu_address(found),
                                           .culprit = where};
        return finding_addf(findings, finding, "%s: %s = %s is the host's display and never handed out",
                            where, key, written->text);
}

int policy_check(const struct policy *policy, const struct selectors *list, const char *key,
                 const char *where, const struct vfioctl_snapshot *snapshot,
                 struct vfioctl_findings *findings)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < list->count; i++)
                r = check_selector(policy, &list->items[i], key, where, snapshot, findings);
        return r;
}

int policy_check_aliases(const struct policy *policy, const char *where,
                         const struct vfioctl_snapshot *snapshot, struct vfioctl_findings *findings)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < policy->n_aliases; i++) {
                struct vfioctl_finding finding = {
                        .severity = VFIOCTL_WARNING, .code = "config-no-match", .culprit = where};
                const struct alias *alias = &policy->aliases[i];
                const struct vfioctl_gpu *found = NULL;
                for (size_t k = 0; !found && k < snapshot->n_gpus; k++)
                        if (matches(&alias->target, snapshot->gpus[k]))
                                found = snapshot->gpus[k];
                if (!found)
                        r = finding_addf(findings, finding, "%s: alias = %s=%s matches no GPU of this host",
                                         where, alias->name, alias->target.text);
                else if (!util_equal(found->alias, alias->name))
                        r = finding_addf(findings, finding, "%s: %s is called %s already, and %s is ignored",
                                         where, alias->target.text, found->alias ? found->alias : "so",
                                         alias->name);
        }
        return r;
}

void policy_clear(struct policy *policy)
{
        free(policy->gpus.items);
        free(policy->except.items);
        free(policy->idle_host.items);
        free(policy->idle_vm.items);
        free(policy->aliases);
        memset(policy, 0, sizeof(*policy));
}
