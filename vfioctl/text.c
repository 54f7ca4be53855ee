/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

const char *gpu_label(const struct vfioctl_snapshot *snapshot, const char *address)
{
        struct vfioctl_address parsed;

        if (!address)
                return NULL;
        const struct vfioctl_gpu *gpu = snapshot && vfioctl_address_parse(address, &parsed) == 0
                                                ? vfioctl_snapshot_gpu_at(snapshot, &parsed)
                                                : NULL;
        return gpu ? vfioctl_gpu_name(gpu) : address;
}

const char *typed_vm(const char *name, const char *uuid)
{
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+";

        return uuid && (*name == '-' || name[strspn(name, plain)]) ? uuid : name;
}

char *finding_line(const struct vfioctl_snapshot *snapshot, const struct vfioctl_finding *finding)
{
        const char *label = gpu_label(snapshot, finding->gpu);
        bool both = label && !util_equal(label, finding->gpu);
        char *line;

        int r = util_format(&line, "%s%s%s%s%s%s: %s%s%s", label ? label : "", both ? " (" : "",
                            both ? finding->gpu : "", both ? ")" : "", label ? ": " : "", finding->code,
                            finding->text, finding->fix ? "; to mend it: " : "",
                            finding->fix ? finding->fix : "");
        return r < 0 ? NULL : line;
}

void print_findings(const struct vfioctl_snapshot *snapshot, const struct vfioctl_findings *findings,
                    enum vfioctl_severity least)
{
        for (size_t i = 0; i < vfioctl_findings_count(findings); i++) {
                const struct vfioctl_finding *finding = vfioctl_findings_get(findings, i);
                if (finding->severity > least)
                        continue;
                _cleanup_free_ char *line = finding_line(snapshot, finding);
                complain("%s", line ? line : strerror(ENOMEM));
        }
}

void print_steps(const struct vfioctl_plan *plan)
{
        if (vfioctl_plan_step_count(plan) == 0)
                printf("nothing to do\n");
        for (size_t i = 0; i < vfioctl_plan_step_count(plan); i++) {
                const struct vfioctl_step *step = vfioctl_plan_step(plan, i);
                printf("%s\n", vfioctl_step_text(step));
        }
}

/* Digits, at most one point, and a letter for the unit. */
int parse_size(const char *text, uint64_t *ret_kib)
{
        static const char units[] = "KMGT";
        uint64_t whole = 0, tenths = 0, scale = 1;
        const char *at = text;

        if (*at < '0' || *at > '9')
                return -EINVAL;
        for (; *at >= '0' && *at <= '9'; at++) {
                if (whole > 1ull << 40)
                        return -ERANGE;
                whole = whole * 10 + (uint64_t)(*at - '0');
        }
        if (*at == '.') {
                at++;
                if (*at < '0' || *at > '9')
                        return -EINVAL;
                tenths = (uint64_t)(*at++ - '0');
        }
        const char *unit = *at ? strchr(units, *at) : NULL;
        if (!unit && *at == 'P')
                return -ERANGE;
        if (!unit)
                return -EINVAL;
        at++;
        if (at[0] == 'i' && at[1] == 'B')
                at += 2;
        else if (at[0] == 'B')
                at++;
        if (*at)
                return -EINVAL;
        for (; unit > units; unit--)
                scale *= 1024;
        if (whole > UINT64_MAX / scale / 2)
                return -ERANGE;
        *ret_kib = whole * scale + tenths * scale / 10;
        return 0;
}
