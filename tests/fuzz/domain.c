/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz.h"
#include "libvfioctl-virt.h"

#define PLACE_MAX 64

/* Adding and then removing leaves the document as it was: the promise of the header. */
static void there_and_back(struct vfioctl_domain *domain, const char *before)
{
        const struct vfioctl_address functions[] = {{.domain = 7, .bus = 0xee, .device = 3},
                                                    {.domain = 7, .bus = 0xee, .device = 3, .function = 1}};
        const struct vfioctl_domain_gpu gpu = {.name = "2a",
                                               .identity = "0000 \\_SB_.PC00/0 02.0/00.0 1002:6864",
                                               .functions = functions,
                                               .n_functions = 2};
        _cleanup_free_ char *between = NULL, *after = NULL;
        size_t count = vfioctl_domain_hostdev_count(domain);

        int r = vfioctl_domain_add_gpu(domain, &gpu);
        require(r == 0 || r == -EEXIST || r == -ENOSPC);
        require(vfioctl_domain_format(domain, &between) == 0);
        if (r < 0) {
                require(strcmp(between, before) == 0);
                return;
        }
        require(vfioctl_domain_hostdev_count(domain) == count + 2);
        require(vfioctl_domain_remove_gpu(domain, functions, 2) == 2);
        require(vfioctl_domain_hostdev_count(domain) == count);
        require(vfioctl_domain_format(domain, &after) == 0);
        require(strcmp(after, before) == 0);
}

/* Whatever can be a template becomes a VM, and one that can be read. */
static void make_of(struct vfioctl_domain *domain, const char *before)
{
        static const char *const isos[] = {"/a.iso", "/b.iso"};
        static const char *const evdevs[] = {"/dev/input/by-id/a-event-kbd"};
        const struct vfioctl_address usb = {.domain = 7, .bus = 0xef};
        const struct vfioctl_make make = {.name = "<vm>",
                                          .uuid = "11111111-2222-3333-4444-555555555555",
                                          .type = "kvm",
                                          .guest = VFIOCTL_GUEST_WINDOWS,
                                          .disk = "/d",
                                          .disk_format = "raw",
                                          .isos = isos,
                                          .n_isos = 2,
                                          .bridge = "br0",
                                          .queues = 2,
                                          .evdevs = evdevs,
                                          .n_evdevs = 1,
                                          .shared_memory = 64,
                                          .usb = &usb};
        _cleanup_free_ char *error = NULL, *summary = NULL, *made = NULL;
        struct vfioctl_domain *again = NULL;

        int r = vfioctl_domain_check_template(domain, &error);
        require(r == 0 || (r == -EINVAL && error));
        require(vfioctl_domain_summary(domain, &summary) == 0);
        r = vfioctl_domain_make(domain, &make);
        require(r == 0 || r == -ENOSPC);
        require(vfioctl_domain_format(domain, &made) == 0);
        if (r < 0) {
                require(strcmp(made, before) == 0);
                return;
        }
        require(strcmp(vfioctl_domain_name(domain), make.name) == 0);
        require(vfioctl_domain_guest(domain) == VFIOCTL_GUEST_WINDOWS);
        require(vfioctl_domain_parse(made, strlen(made), &again, NULL) == 0);
        require(strcmp(vfioctl_domain_name(again), make.name) == 0);
        require(strcmp(vfioctl_domain_uuid(again), make.uuid) == 0);
        (void)vfioctl_domain_free(again);
}

/* Whatever it is like: all or nothing, and the second time nothing. */
static void tune(const char *before, const struct vfioctl_tuning *how)
{
        const char *cpus[PLACE_MAX];
        struct vfioctl_place place = {
                .is_strict = true, .threads = 2, .vcpus = cpus, .services = "0", .nodes = "0,2"};
        _cleanup_free_ char *once = NULL, *twice = NULL, *pinned = NULL;
        struct vfioctl_tuning tuning = *how;
        struct vfioctl_domain *domain = NULL;
        struct vfioctl_vm_share share;

        require(vfioctl_domain_parse(before, strlen(before), &domain, NULL) == 0);
        require(vfioctl_domain_share(domain, &share, &pinned) == 0);
        for (size_t i = 0; i < PLACE_MAX; i++)
                cpus[i] = i % 2 ? "1" : "5";
        place.n_vcpus = tuning.vcpus > 0 ? tuning.vcpus : share.vcpus;
        place.page = tuning.kvm ? 2048 : 0;
        if (place.n_vcpus <= PLACE_MAX)
                tuning.place = &place;
        int r = vfioctl_domain_tune(domain, &tuning, NULL);
        require(r == 0 || r == -EINVAL || r == -EPERM);
        require(vfioctl_domain_format(domain, &once) == 0);
        require(r == 0 || strcmp(once, before) == 0);
        if (r == 0) {
                require(vfioctl_domain_tune(domain, &tuning, NULL) == 0);
                require(vfioctl_domain_format(domain, &twice) == 0);
                require(strcmp(once, twice) == 0);
        }
        (void)vfioctl_domain_free(domain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_free_ char *text = fuzz_text(data, size), *error = NULL, *before = NULL, *again = NULL;
        struct vfioctl_domain *domain = NULL, *second = NULL;

        int r = vfioctl_domain_parse(text, size, &domain, &error);
        require(r == 0 || r == -EINVAL || r == -E2BIG);
        require((r == 0) == (domain != NULL));
        if (r < 0)
                return 0;
        require(vfioctl_domain_name(domain) != NULL);
        (void)vfioctl_domain_uuid(domain);
        require(vfioctl_domain_numa_node(domain) >= -1);
        for (size_t i = 0; i < vfioctl_domain_hostdev_count(domain); i++) {
                require(vfioctl_domain_hostdev(domain, i) != NULL);
                (void)vfioctl_domain_hostdev_guest(domain, i);
        }
        require(vfioctl_domain_format(domain, &before) == 0);
        require(vfioctl_domain_parse(before, strlen(before), &second, NULL) == 0);
        require(vfioctl_domain_format(second, &again) == 0);
        require(strcmp(before, again) == 0);
        there_and_back(domain, before);
        make_of(domain, before);
        (void)vfioctl_domain_guest(domain);
        tune(before, &(struct vfioctl_tuning){.kvm = true,
                                              .guest = VFIOCTL_GUEST_WINDOWS,
                                              .display = VFIOCTL_DISPLAY_RESCUE,
                                              .large_bars = 1ull << 36,
                                              .hides_kvm = true,
                                              .keeps_hypervisor = true,
                                              .topoext = true,
                                              .rom = "on",
                                              .has_audio = true});
        tune(before,
             &(struct vfioctl_tuning){.vcpus = 3, .memory = 1 << 20, .display = VFIOCTL_DISPLAY_NONE});
        (void)vfioctl_domain_free(second);
        (void)vfioctl_domain_free(domain);
        return 0;
}
