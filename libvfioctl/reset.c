/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model.h"

/* Which reset a GPU gets, and what else it hits. */

static const struct vfioctl_function *port_above(const struct vfioctl_gpu *gpu)
{
        const struct vfioctl_function *port = gpu->n_path > 0 ? gpu->path[gpu->n_path - 1] : NULL;

        return port && port->secondary_bus == gpu->functions[0]->address.bus ? port : NULL;
}

unsigned int reset_last_bus(const struct vfioctl_gpu *gpu)
{
        const struct vfioctl_function *port = port_above(gpu);
        unsigned int bus = gpu->functions[0]->address.bus;

        return port && port->subordinate_bus > bus ? port->subordinate_bus : bus;
}

/*
 * pci_parent_bus_reset() wants the function to be alone on its bus. The list is made when the function is
 * found (pci_device_add()), so that the first of several has `bus` in it for ever, and the kernel fails with
 * ENOTTY when it comes to that.
 */
static bool is_stale(const struct vfioctl_snapshot *snapshot, const struct vfioctl_function *function)
{
        if (!words_have(function->reset_method, "bus", 3))
                return false;
        for (size_t i = 0; i < snapshot->n_functions; i++) {
                const struct vfioctl_address *other = &snapshot->functions[i]->address;
                if (snapshot->functions[i] != function && other->domain == function->address.domain &&
                    other->bus == function->address.bus)
                        return true;
        }
        return false;
}

static bool is_word(const char *word, size_t length, const char *what)
{
        return length == strlen(what) && strncmp(word, what, length) == 0;
}

/* Adds to `*list` what `words` has, among `among` (NULL: any), not among `except`, and not there yet. */
static int add_words(char **list, const char *words, const char *among, const char *except)
{
        for (const char *at = words ? words : ""; *(at += strspn(at, " "));) {
                _cleanup_free_ char *before = util_steal(*list);
                size_t length = strcspn(at, " ");
                bool adds = (!among || words_have(among, at, length)) && !words_have(except, at, length) &&
                            !words_have(before, at, length);
                int r = adds ? util_format(list, "%s%s%.*s", before, *before ? " " : "", (int)length, at)
                             : util_copy(before, list);
                if (r < 0)
                        return r;
                at += length;
        }
        return 0;
}

int reset_true_list(const struct vfioctl_gpu *gpu, char **ret)
{
        _cleanup_free_ char *list = NULL;

        int r = util_copy("", &list);
        if (r >= 0)
                r = add_words(&list, gpu->functions[0]->reset_method, NULL,
                              gpu->reset_is_stale ? "bus" : NULL);
        if (r >= 0)
                *ret = util_steal(list);
        return r;
}

int reset_wanted_list(const struct vfioctl_gpu *gpu, char **ret)
{
        _cleanup_free_ char *list = NULL, *offered = NULL;
        const char *lies = gpu_known(gpu, CARD_RESET_LIES);

        int r = reset_true_list(gpu, &offered);
        if (r >= 0)
                r = util_copy("", &list);
        if (r >= 0)
                r = add_words(&list, gpu_known(gpu, CARD_RESET), offered, lies);
        if (r >= 0)
                r = add_words(&list, offered, NULL, lies);
        if (r >= 0)
                *ret = util_steal(list);
        return r;
}

int reset_needs_choice(const struct vfioctl_gpu *gpu, bool *ret)
{
        const struct vfioctl_function *function = gpu->functions[0];
        _cleanup_free_ char *wanted = NULL;

        *ret = false;
        /* Once for each stay in mode vm: what an admin writes after that stays. */
        if (!function->has_change || !function->reset_method || function->hold.reset)
                return 0;
        int r = reset_wanted_list(gpu, &wanted);
        if (r >= 0)
                *ret = !util_equal(wanted, function->reset_method);
        return r;
}

/* ---- found once, when the snapshot is taken ---- */

static int find_used(struct vfioctl_gpu *gpu)
{
        _cleanup_free_ char *list = NULL;

        int r = reset_true_list(gpu, &list);
        if (r < 0 || !*list)
                return r;
        list[strcspn(list, " ")] = '\0';
        gpu->reset_used = util_steal(list);
        return 0;
}

/*
 * All methods but those that reset the bus act on one function. Without any, vfio resets the bus
 * (VFIO_DEVICE_PCI_HOT_RESET).
 */
static bool hits_bus(const char *method)
{
        return !method || is_word(method, strlen(method), "bus") ||
               is_word(method, strlen(method), "cxl_bus");
}

static int find_scope(const struct vfioctl_snapshot *snapshot, struct vfioctl_gpu *gpu)
{
        const struct vfioctl_address *own = &gpu->functions[0]->address;
        unsigned int last = reset_last_bus(gpu);
        size_t allocated = 0;

        for (size_t i = 0; hits_bus(gpu->reset_used) && i < snapshot->n_functions; i++) {
                struct vfioctl_function *function = snapshot->functions[i];
                if (function->gpu == gpu || function->address.domain != own->domain ||
                    function->address.bus < own->bus || function->address.bus > last)
                        continue;
                int r = util_grow(&gpu->scope, &allocated, gpu->n_scope + 1, sizeof(*gpu->scope));
                if (r < 0)
                        return r;
                gpu->scope[gpu->n_scope++] = function;
        }
        return 0;
}

int reset_find_scopes(struct vfioctl_snapshot *snapshot)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < snapshot->n_gpus; i++) {
                struct vfioctl_gpu *gpu = snapshot->gpus[i];
                if (!gpu->is_deep)
                        continue;
                gpu->reset_is_stale = is_stale(snapshot, gpu->functions[0]);
                r = find_used(gpu);
                if (r >= 0)
                        r = find_scope(snapshot, gpu);
        }
        return r;
}
