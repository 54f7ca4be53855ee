/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz.h"
#include "libvfioctl-virt.h"

/* What a hook gets on its standard input: the test before parsing, then the definition and our metadata. */

static bool passes_through(const struct vfioctl_domain *domain, const struct vfioctl_address *address,
                           bool *ret_ours)
{
        for (size_t i = 0; i < vfioctl_domain_hostdev_count(domain); i++)
                if (vfioctl_address_compare(vfioctl_domain_hostdev(domain, i), address) == 0) {
                        *ret_ours = vfioctl_domain_hostdev_is_ours(domain, i);
                        return true;
                }
        return false;
}

static void check_entry(const struct vfioctl_domain *domain, const struct vfioctl_domain_entry *entry)
{
        require(entry && entry->name && entry->identity && entry->functions && entry->n_functions <= 8);
        require(entry->n_functions > 0 || entry->is_edited);
        for (size_t i = 0; i < entry->n_functions; i++) {
                bool is_ours = true;
                bool there = passes_through(domain, &entry->functions[i], &is_ours);
                require(is_ours);
                require(there || entry->is_edited);
        }
}

/* Every GPU that can be moved, to a place that no seed names and back: nothing else has changed. */
static void move_and_back(struct vfioctl_domain *domain, const char *before)
{
        struct vfioctl_address there[64][8], here[64][8];
        struct vfioctl_domain_move moves[64], back[64];
        _cleanup_free_ char *between = NULL, *again = NULL;
        bool any_edited = false;
        size_t n = 0;

        for (size_t i = 0; i < vfioctl_domain_gpu_count(domain) && n < ELEMENTSOF(moves); i++) {
                const struct vfioctl_domain_entry *entry = vfioctl_domain_gpu_entry(domain, i);
                if (entry->is_edited) {
                        const struct vfioctl_domain_move move = {i, entry->functions, 1};
                        require(vfioctl_domain_move_gpus(domain, &move, 1) == -EINVAL);
                        any_edited = true;
                        continue;
                }
                for (size_t k = 0; k < entry->n_functions; k++) {
                        here[n][k] = entry->functions[k];
                        there[n][k] = (struct vfioctl_address){0xfedcba98, (uint8_t)n, (uint8_t)k, 0};
                        there[n][k].function = here[n][k].function;
                }
                moves[n] = (struct vfioctl_domain_move){i, there[n], entry->n_functions};
                back[n] = (struct vfioctl_domain_move){i, here[n], entry->n_functions};
                n++;
        }
        size_t hostdevs = vfioctl_domain_hostdev_count(domain), gpus = vfioctl_domain_gpu_count(domain);
        require(vfioctl_domain_move_gpus(domain, moves, n) == 0);
        require(vfioctl_domain_hostdev_count(domain) == hostdevs);
        require(vfioctl_domain_gpu_count(domain) == gpus);
        for (size_t i = 0; i < n; i++) {
                const struct vfioctl_domain_entry *entry = vfioctl_domain_gpu_entry(domain, moves[i].index);
                require(!entry->is_edited && entry->n_functions == moves[i].n_functions);
                require(vfioctl_address_compare(&entry->functions[0], &there[i][0]) == 0);
        }
        require(vfioctl_domain_format(domain, &between) == 0);
        require(n == 0 || strcmp(between, before) != 0);
        /* The rest of an edited one may stand in the way back, or be dropped on it. */
        int r = vfioctl_domain_move_gpus(domain, back, n);
        require(r == 0 || (r == -EEXIST && any_edited));
        if (any_edited)
                return;
        /* The numbers may have been written otherwise, so what is compared is a second way there. */
        require(vfioctl_domain_move_gpus(domain, moves, n) == 0);
        require(vfioctl_domain_format(domain, &again) == 0);
        require(strcmp(again, between) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_free_ char *before = NULL;
        struct vfioctl_domain *domain = NULL;

        bool may_have = vfioctl_domain_text_has_hostdev((const char *)data, size);
        int r = vfioctl_domain_parse((const char *)data, size, &domain, NULL);
        require(r == 0 || r == -EINVAL || r == -E2BIG);
        if (r < 0) {
                require(!domain);
                return 0;
        }
        require(may_have || vfioctl_domain_hostdev_count(domain) == 0);
        require(vfioctl_domain_name(domain) != NULL);
        require(vfioctl_domain_gpu_entry(domain, vfioctl_domain_gpu_count(domain)) == NULL);
        for (size_t i = 0; i < vfioctl_domain_gpu_count(domain); i++)
                check_entry(domain, vfioctl_domain_gpu_entry(domain, i));
        require(vfioctl_domain_format(domain, &before) == 0);
        /* What a parser accepts is written as UTF-8: there the test must see what there is. */
        require(vfioctl_domain_text_has_hostdev(before, strlen(before)) ||
                vfioctl_domain_hostdev_count(domain) == 0);
        move_and_back(domain, before);
        (void)vfioctl_domain_free(domain);
        return 0;
}
