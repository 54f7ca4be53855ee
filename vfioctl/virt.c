/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virt.h"

#include <dlfcn.h>

#define LIBRARY "libvfioctl-virt.so.0"

static bool resolve(void *library, const char *name, void *ret)
{
        void *symbol = dlsym(library, name);
        if (!symbol) {
                complain("%s has no %s; it does not fit this vfioctl", LIBRARY, name);
                return false;
        }
        memcpy(ret, &symbol, sizeof(symbol));
        return true;
}

int virt_load(struct virt_calls *ret)
{
        struct virt_calls calls = {.library = load_own("../libvfioctl/virt/" LIBRARY, LIBRARY)};

        if (!calls.library) {
                complain("libvirt support cannot be loaded: %s", dlerror());
                return -ENOENT;
        }
        if (!resolve(calls.library, "vfioctl_virt_open", &calls.open) ||
            !resolve(calls.library, "vfioctl_virt_open_within", &calls.open_within) ||
            !resolve(calls.library, "vfioctl_virt_set_deadline", &calls.set_deadline) ||
            !resolve(calls.library, "vfioctl_virt_free", &calls.free) ||
            !resolve(calls.library, "vfioctl_virt_list", &calls.list) ||
            !resolve(calls.library, "vfioctl_virt_read", &calls.read) ||
            !resolve(calls.library, "vfioctl_virt_look", &calls.look) ||
            !resolve(calls.library, "vfioctl_virt_define", &calls.define) ||
            !resolve(calls.library, "vfioctl_virt_start", &calls.start) ||
            !resolve(calls.library, "vfioctl_virt_create", &calls.create) ||
            !resolve(calls.library, "vfioctl_virt_destroy", &calls.destroy) ||
            !resolve(calls.library, "vfioctl_virt_versions", &calls.versions) ||
            !resolve(calls.library, "vfioctl_domain_parse", &calls.domain_parse) ||
            !resolve(calls.library, "vfioctl_domain_free", &calls.domain_free) ||
            !resolve(calls.library, "vfioctl_domain_format", &calls.domain_format) ||
            !resolve(calls.library, "vfioctl_domain_name", &calls.domain_name) ||
            !resolve(calls.library, "vfioctl_domain_uuid", &calls.domain_uuid) ||
            !resolve(calls.library, "vfioctl_domain_numa_node", &calls.domain_numa_node) ||
            !resolve(calls.library, "vfioctl_domain_guest", &calls.domain_guest) ||
            !resolve(calls.library, "vfioctl_domain_share", &calls.domain_share) ||
            !resolve(calls.library, "vfioctl_domain_hugepages", &calls.domain_hugepages) ||
            !resolve(calls.library, "vfioctl_domain_tune", &calls.domain_tune) ||
            !resolve(calls.library, "vfioctl_domain_hostdev_count", &calls.hostdev_count) ||
            !resolve(calls.library, "vfioctl_domain_hostdev", &calls.hostdev) ||
            !resolve(calls.library, "vfioctl_domain_hostdev_place", &calls.hostdev_place) ||
            !resolve(calls.library, "vfioctl_domain_guest_facts", &calls.guest_facts) ||
            !resolve(calls.library, "vfioctl_domain_hostdev_is_ours", &calls.hostdev_is_ours) ||
            !resolve(calls.library, "vfioctl_domain_add_gpu", &calls.add_gpu) ||
            !resolve(calls.library, "vfioctl_domain_remove_gpu", &calls.remove_gpu) ||
            !resolve(calls.library, "vfioctl_domain_gpu_count", &calls.gpu_count) ||
            !resolve(calls.library, "vfioctl_domain_gpu_entry", &calls.gpu_entry) ||
            !resolve(calls.library, "vfioctl_domain_move_gpus", &calls.move_gpus) ||
            !resolve(calls.library, "vfioctl_domain_check_template", &calls.check_template) ||
            !resolve(calls.library, "vfioctl_domain_summary", &calls.domain_summary) ||
            !resolve(calls.library, "vfioctl_domain_network", &calls.domain_network) ||
            !resolve(calls.library, "vfioctl_domain_is_name", &calls.is_vm_name) ||
            !resolve(calls.library, "vfioctl_domain_is_path", &calls.is_path) ||
            !resolve(calls.library, "vfioctl_shared_memory", &calls.shared_memory) ||
            !resolve(calls.library, "vfioctl_domain_make", &calls.domain_make) ||
            !resolve(calls.library, "vfioctl_virt_define_new", &calls.define_new) ||
            !resolve(calls.library, "vfioctl_virt_undefine", &calls.undefine) ||
            !resolve(calls.library, "vfioctl_virt_disk_user", &calls.disk_user) ||
            !resolve(calls.library, "vfioctl_virt_find_network", &calls.find_network))
                return -ENOSYS;
        /* Never closed: libvirt leaves threads and atexit handlers behind. */
        *ret = calls;
        return 0;
}

const char *virt_uri(const struct cli *cli)
{
        return cli->options.connect ? cli->options.connect : vfioctl_ctx_connect_uri(cli->ctx);
}

int virt_ask(const struct cli *cli, struct vfioctl_findings *findings, struct vfioctl_vms **ret)
{
        struct vfioctl_virt *virt = NULL;
        struct virt_calls calls;

        if (!virt_uri(cli) && !vfioctl_ctx_is_live(cli->ctx))
                return 0;
        if (virt_load(&calls) < 0)
                return -ELIBACC;
        int r = calls.open(virt_uri(cli), true, findings, &virt);
        if (r >= 0)
                r = calls.list(virt, findings, ret);
        (void)calls.free(virt);
        return r;
}

int virt_report(struct cli *cli, struct vfioctl_vms **ret)
{
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;

        int r = vfioctl_findings_new(&findings);
        if (r >= 0)
                r = virt_ask(cli, findings, ret);
        if (findings && (r < 0 || !cli->options.quiet))
                print_findings(NULL, findings, VFIOCTL_WARNING);
        return r < 0 && cli->options.connect ? CODE_FAILED : 0;
}
