/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checks.h"
#include "text.h"

/* "ollama.service, pid 4711" or "pid 4711 (blender)". */
static int holder_text(const struct vfioctl_holder *holder, char **ret)
{
        return holder->unit ? util_format(ret, "%s, pid %d (%s)", holder->unit, holder->pid, holder->command)
                            : util_format(ret, "pid %d (%s)", holder->pid, holder->command);
}

static int holder_fix(const struct vfioctl_holder *holder, char **ret)
{
        size_t length = holder->unit ? strlen(holder->unit) : 0;

        if (length > 8 && util_equal(holder->unit + length - 8, ".service"))
                return util_format(ret, "systemctl stop %s", holder->unit);
        if (holder->unit && util_has_prefix(holder->unit, "container "))
                return util_format(ret, "docker stop %s", holder->unit + strlen("container "));
        if ((holder->unit && util_has_prefix(holder->unit, "machine-qemu")) ||
            util_has_prefix(holder->command, "qemu-"))
                return util_format(ret, "shut its VM down (virsh list)");
        return util_format(ret, "kill %d", holder->pid);
}

int check_holders(const struct vfioctl_gpu *gpu, enum vfioctl_severity severity,
                  struct vfioctl_findings *findings)
{
        for (size_t i = 0; i < gpu->n_holders; i++) {
                const struct vfioctl_holder *holder = &gpu->holders[i];
                _cleanup_free_ char *culprit = NULL, *fix = NULL;
                int r = holder_text(holder, &culprit);
                if (r >= 0)
                        r = holder_fix(holder, &fix);
                if (r >= 0)
                        r = finding_addf(findings,
                                         (struct vfioctl_finding){.severity = severity,
                                                                  .code = "in-use",
                                                                  .gpu = gpu->functions[0]->text,
                                                                  .culprit = culprit,
                                                                  .fix = fix},
                                         "%s has %s open", culprit, holder->node);
                if (r < 0)
                        return r;
        }
        return 0;
}

int check_assigned(const struct vfioctl_gpu *gpu, const struct vfioctl_vms *vms, const char *vm,
                   enum vfioctl_severity severity, struct vfioctl_findings *findings)
{
        for (size_t i = 0; vms && i < vfioctl_vms_count(vms); i++) {
                const char *name = vfioctl_vms_name(vms, i);
                bool running = vfioctl_vms_is_running(vms, i);
                _cleanup_free_ char *culprit = NULL, *fix = NULL, *options = NULL;
                if (util_equal(name, vm) || !vfioctl_vms_has_gpu(vms, i, gpu))
                        continue;
                int r = util_format(&culprit, "%s (%s)", name, running ? "running" : "shut off");
                bool frees = running || !vm;
                if (r >= 0)
                        r = util_format(&options, "%s--gpu %s", frees ? "" : "--share ", gpu->name);
                if (r >= 0)
                        r = text_command(frees ? "unassign" : "assign", frees ? name : vm, options, &fix);
                if (r >= 0)
                        r = finding_addf(
                                findings,
                                (struct vfioctl_finding){.severity = severity,
                                                         .code = "assigned",
                                                         .gpu = gpu->functions[0]->text,
                                                         .culprit = culprit,
                                                         .fix = severity == VFIOCTL_NOTE ? NULL : fix},
                                "it is assigned to %s", culprit);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Another VM's claim counts while the daemon that made it is there: it will tell of the VM's end. */
int check_claimed(const struct vfioctl_gpu *gpu, const char *uuid, enum vfioctl_severity severity,
                  struct vfioctl_findings *findings)
{
        _cleanup_free_ char *fix = NULL, *word = NULL;

        if (!gpu->claim.is_live || util_equal(gpu->claim.uuid, uuid))
                return 0;
        int r = text_shell_word(gpu->claim.name, &word);
        if (r >= 0)
                r = util_format(&fix, "virsh shutdown %s (or vfioctl reconcile, when it does not run)", word);
        return r < 0 ? r
                     : finding_addf(findings,
                                    (struct vfioctl_finding){.severity = severity,
                                                             .code = "claimed",
                                                             .gpu = gpu->functions[0]->text,
                                                             .culprit = gpu->claim.name,
                                                             .fix = severity == VFIOCTL_NOTE ? NULL : fix},
                                    "VM %s is starting or running with it", gpu->claim.name);
}
