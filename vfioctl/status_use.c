/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "status.h"

#define NAME_SIZE 64

static int add_word(char **text, const char *word)
{
        char *longer;

        /* A service with many processes is one user. */
        if (*text && strstr(*text, word))
                return 0;
        int r = *text ? util_format(&longer, "%s, %s", *text, word) : util_copy(word, &longer);
        if (r < 0)
                return r;
        free(*text);
        *text = longer;
        return 0;
}

static int add_vm(struct use *use, const char *name, const char *how)
{
        _cleanup_free_ char *word = NULL;
        char shown[NAME_SIZE];

        int r = util_format(&word, "%s (%s)", printable(name, shown, sizeof(shown)), how);
        return r < 0 ? r : add_word(&use->text, word);
}

static void set_kind(struct use *use, enum use_kind kind, const char *vm)
{
        if (kind < use->kind)
                use->kind = kind;
        if (vm && !use->vm)
                use->vm = vm;
}

static int add_running(const struct status *status, const struct vfioctl_gpu *gpu, struct use *use)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && status->vms && i < vfioctl_vms_count(status->vms); i++)
                if (vfioctl_vms_runs_gpu(status->vms, i, gpu)) {
                        set_kind(use, USE_RUNNING, vfioctl_vms_name(status->vms, i));
                        r = add_vm(use, vfioctl_vms_name(status->vms, i), "running");
                }
        const char *name = vfioctl_gpu_claim_name(gpu);
        if (r < 0 || use->kind == USE_RUNNING || !name || !vfioctl_gpu_is_in_use(gpu, NULL) ||
            vfioctl_gpu_claim_is_stale(gpu, status->vms))
                return r;
        /* Whether it still starts is libvirt's to tell. */
        bool known = status->vms;
        set_kind(use, known || vfioctl_gpu_holder_count(gpu) == 0 ? USE_STARTING : USE_RUNNING, name);
        return add_vm(use, name, known ? "starting" : "starting or running");
}

static int add_holders(const struct vfioctl_gpu *gpu, struct use *use)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < vfioctl_gpu_holder_count(gpu); i++) {
                const struct vfioctl_holder *holder = vfioctl_gpu_holder(gpu, i);
                const char *unit = vfioctl_holder_unit(holder);
                _cleanup_free_ char *word = NULL;
                char shown[NAME_SIZE];
                (void)printable(unit ? unit : vfioctl_holder_command(holder), shown, sizeof(shown));
                r = unit ? util_copy(shown, &word)
                         : util_format(&word, "%s (pid %d)", shown, vfioctl_holder_pid(holder));
                set_kind(use, USE_HELD, NULL);
                if (r >= 0)
                        r = add_word(&use->text, word);
        }
        return r;
}

static int add_assigned(const struct status *status, const struct vfioctl_gpu *gpu, struct use *use)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && status->vms && i < vfioctl_vms_count(status->vms); i++) {
                if (!vfioctl_vms_defines_gpu(status->vms, i, gpu) ||
                    vfioctl_vms_runs_gpu(status->vms, i, gpu))
                        continue;
                set_kind(use, USE_ASSIGNED, vfioctl_vms_name(status->vms, i));
                r = add_vm(use, vfioctl_vms_name(status->vms, i),
                           vfioctl_vms_is_running(status->vms, i) ? "running without it" : "off");
        }
        return r;
}

int status_use(const struct status *status, const struct vfioctl_gpu *gpu, struct use *ret)
{
        struct use use = {.kind = USE_FREE};
        bool known = vfioctl_gpu_holders_known(gpu) && (status->vms || !status->libvirt_asked);
        int r = 0;

        if (vfioctl_gpu_is_stuck(gpu)) {
                set_kind(&use, USE_STUCK, NULL);
                r = add_word(&use.text, "stuck");
        }
        if (r >= 0)
                r = add_running(status, gpu, &use);
        if (r >= 0 && (vfioctl_gpu_is_boot_display(gpu) || vfioctl_gpu_is_on_board(gpu))) {
                set_kind(&use, USE_DISPLAY, NULL);
                r = add_word(&use.text,
                             vfioctl_gpu_is_boot_display(gpu) ? "boot display" : "the board's display");
        }
        /* The QEMU of a running VM is the VM, told already. */
        if (r >= 0 && !use.vm)
                r = add_holders(gpu, &use);
        if (r >= 0 && use.kind != USE_RUNNING && use.kind != USE_STARTING)
                r = add_assigned(status, gpu, &use);
        if (r >= 0 && !use.text) {
                use.kind = known ? USE_FREE : USE_UNKNOWN;
                r = add_word(&use.text, known ? "free" : "?");
        }
        if (r < 0) {
                free(use.text);
                return r;
        }
        *ret = use;
        return 0;
}

const char *status_use_name(enum use_kind kind)
{
        static const char *const names[] = {
                [USE_STUCK] = "stuck",     [USE_RUNNING] = "running", [USE_STARTING] = "starting",
                [USE_DISPLAY] = "display", [USE_HELD] = "held",       [USE_ASSIGNED] = "assigned",
                [USE_UNKNOWN] = "unknown", [USE_FREE] = "free",
        };

        return kind <= USE_FREE ? names[kind] : NULL;
}

int status_count(const struct status *status, struct status_count *ret)
{
        struct status_count count = {.all = vfioctl_snapshot_gpu_count(status->snapshot)};

        for (size_t i = 0; i < count.all; i++) {
                const struct vfioctl_gpu *gpu = vfioctl_snapshot_gpu(status->snapshot, i);
                struct use use;
                int r = status_use(status, gpu, &use);
                if (r < 0)
                        return r;
                free(use.text);
                bool held = vfioctl_gpu_holder_count(gpu) > 0;
                switch (vfioctl_gpu_mode(gpu)) {
                case VFIOCTL_MODE_VM:
                        count.vm++;
                        count.running += use.kind == USE_RUNNING || use.kind == USE_STARTING || held;
                        break;
                case VFIOCTL_MODE_HOST:
                        count.host++;
                        count.used += use.kind == USE_DISPLAY || held;
                        break;
                case VFIOCTL_MODE_NONE:
                        count.none++;
                        break;
                }
        }
        *ret = count;
        return 0;
}
