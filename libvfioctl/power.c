/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model.h"

/*
 * What is noted of settings that GPUs in mode vm need otherwise, and who needs them. A vfio-pci device that
 * is idle may sleep (power/control auto, which a bind sets: vfio_pci_core_register_device()), and with it the
 * bridges above; some never wake from D3cold.
 */

void hold_clear(struct hold *hold)
{
        free(hold->text);
        free(hold->control);
        free(hold->d3cold);
        free(hold->reset);
        for (size_t i = 0; i < hold->n_users; i++)
                free(hold->users[i]);
        free(hold->users);
        memset(hold, 0, sizeof(*hold));
}

bool hold_has_user(const struct hold *hold, const char *gpu)
{
        for (size_t i = 0; i < hold->n_users; i++)
                if (util_equal(hold->users[i], gpu))
                        return true;
        return false;
}

int hold_add_user(struct hold *hold, const char *gpu)
{
        if (hold_has_user(hold, gpu))
                return 0;
        int r = util_grow(&hold->users, &hold->allocated_users, hold->n_users + 1, sizeof(*hold->users));
        if (r >= 0)
                r = util_copy(gpu, &hold->users[hold->n_users]);
        if (r >= 0)
                hold->n_users++;
        return r;
}

void hold_drop_user(struct hold *hold, const char *gpu)
{
        size_t kept = 0;

        for (size_t i = 0; i < hold->n_users; i++) {
                if (util_equal(hold->users[i], gpu))
                        free(hold->users[i]);
                else
                        hold->users[kept++] = hold->users[i];
        }
        hold->n_users = kept;
}

bool hold_is_noted(const struct hold *hold)
{
        return hold->control || hold->d3cold || hold->reset;
}

/* ---- its text: "ids VENDOR:DEVICE", then a line for each setting and each GPU ---- */

static int note(char **place, const char *value)
{
        free(*place);
        *place = NULL;
        return util_copy(value, place);
}

static bool is_method_list(const char *text)
{
        return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_ ") == strlen(text);
}

static int parse_line(struct hold *hold, const char *name, const char *value)
{
        struct vfioctl_address address;

        if (util_equal(name, "control") && (util_equal(value, "on") || util_equal(value, "auto")))
                return note(&hold->control, value);
        if (util_equal(name, "d3cold_allowed") && (util_equal(value, "0") || util_equal(value, "1")))
                return note(&hold->d3cold, value);
        if (util_equal(name, "reset_method") && is_method_list(value))
                return note(&hold->reset, value);
        if (util_equal(name, "gpu") && vfioctl_address_parse(value, &address) == 0)
                return hold_add_user(hold, value);
        return 0;
}

static void ids_of(const struct vfioctl_function *function, char ids[16])
{
        (void)snprintf(ids, 16, "%04x:%04x", function->vendor, function->device);
}

int hold_parse(struct vfioctl_function *function)
{
        _cleanup_free_ char *copy = NULL;
        char ids[16], *rest;
        bool is_same = false;

        ids_of(function, ids);
        int r = util_copy(function->hold.text, &copy);
        rest = copy;
        for (char *line; r >= 0 && (line = strsep(&rest, "\n"));) {
                char *value = strchr(line, ' ');
                if (!value)
                        continue;
                *value++ = '\0';
                /* Another device came to this address since: nothing in it is about this one. */
                if (util_equal(line, "ids"))
                        is_same = util_equal(value, ids);
                else if (is_same)
                        r = parse_line(&function->hold, line, value);
        }
        return r;
}

int hold_format(const struct hold *hold, const struct vfioctl_function *function, char **ret)
{
        _cleanup_free_ char *text = NULL;
        char ids[16];

        if (!hold_is_noted(hold) || hold->n_users == 0) {
                *ret = NULL;
                return 0;
        }
        ids_of(function, ids);
        const char *const lines[][2] = {
                {"control ", hold->control},
                {"d3cold_allowed ", hold->d3cold},
                {"reset_method ", hold->reset},
        };
        int r = util_format(&text, "ids %s\n", ids);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(lines) + hold->n_users; i++) {
                _cleanup_free_ char *before = util_steal(text);
                bool is_user = i >= ELEMENTSOF(lines);
                const char *name = is_user ? "gpu " : lines[i][0];
                const char *value = is_user ? hold->users[i - ELEMENTSOF(lines)] : lines[i][1];
                r = value ? util_format(&text, "%s%s%s\n", before, name, value) : util_copy(before, &text);
        }
        if (r < 0)
                return r;
        *ret = util_steal(text);
        return 0;
}

/* ---- what a GPU in mode vm needs ---- */

bool power_is_right(const struct vfioctl_function *function)
{
        return (!function->power_control || util_equal(function->power_control, "on")) &&
               function->d3cold != SETTING_ON;
}

bool power_is_left(const struct vfioctl_gpu *gpu)
{
        return util_equal(gpu_known(gpu, CARD_POWER), "leave");
}

static bool lacks_hold(const struct vfioctl_gpu *gpu, const struct vfioctl_function *function)
{
        /* Another GPU's note has to name this one too, or it goes with the other. */
        return function->has_change &&
               (!power_is_right(function) || (function->hold.n_users > 0 && hold_is_noted(&function->hold) &&
                                              !hold_has_user(&function->hold, gpu->functions[0]->text)));
}

bool power_needs_hold(const struct vfioctl_gpu *gpu)
{
        if (power_is_left(gpu))
                return false;
        for (size_t i = 0; i < gpu->n_functions; i++)
                if (lacks_hold(gpu, gpu->functions[i]))
                        return true;
        for (size_t i = 0; i < gpu->n_path; i++)
                if (lacks_hold(gpu, gpu->path[i]))
                        return true;
        return false;
}

bool power_holds(const struct vfioctl_gpu *gpu)
{
        for (size_t i = 0; i < gpu->n_functions; i++)
                if (hold_has_user(&gpu->functions[i]->hold, gpu->functions[0]->text))
                        return true;
        for (size_t i = 0; i < gpu->n_path; i++)
                if (hold_has_user(&gpu->path[i]->hold, gpu->functions[0]->text))
                        return true;
        return false;
}
