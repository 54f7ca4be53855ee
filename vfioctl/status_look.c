/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "status.h"

#include <time.h>

/* All that libvirt gets: a screen that does not come is worth nothing. */
#define LIBVIRT_MS 5000

static void refused_clear(struct refused_start *start)
{
        free(start->uuid);
        free(start->vm);
        free(start->reason);
}

void status_clear(struct status *status)
{
        for (size_t i = 0; i < status->n_refused; i++)
                refused_clear(&status->refused[i]);
        free(status->refused);
        parts_clear(&status->parts);
        free(status->reconcile_problems);
        (void)vfioctl_findings_free(status->findings);
        (void)vfioctl_vms_free(status->vms);
        (void)vfioctl_snapshot_free(status->snapshot);
        (void)vfioctl_ctx_free(status->cli.ctx);
        memset(status, 0, sizeof(*status));
}

int status_code(const struct status *status)
{
        return vfioctl_findings_have_refusal(status->findings) ? CODE_REFUSED : CODE_DONE;
}

/* A configuration that cannot stay so is told like any other problem. */
static int read_config(struct status *status)
{
        _cleanup_free_ char *error = NULL;

        vfioctl_ctx_set_log(status->cli.ctx, NULL, NULL);
        int r = vfioctl_ctx_read_config(status->cli.ctx, &error);
        status->config_is_bad = r < 0;
        const struct vfioctl_findings *found = vfioctl_ctx_config_findings(status->cli.ctx);
        if (r >= 0 || (found && vfioctl_findings_have_refusal(found)))
                return 0;
        return vfioctl_findings_add(status->findings,
                                    &(struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                              .code = "config-unreadable",
                                                              .text = error ? error : strerror(-r),
                                                              .fix = "vfioctl config --check"});
}

static int ask_libvirt(struct status *status)
{
        struct vfioctl_virt *virt = NULL;
        struct virt_calls calls;

        /* A simulated host has no libvirt, unless it is told which. */
        if (!virt_uri(&status->cli) && !vfioctl_ctx_is_live(status->cli.ctx))
                return 0;
        status->libvirt_asked = true;
        size_t before = vfioctl_findings_count(status->findings);
        int r = virt_load(&calls);
        if (r >= 0) {
                r = calls.open_within(virt_uri(&status->cli), true, LIBVIRT_MS, status->findings, &virt);
                if (r >= 0)
                        r = calls.list(virt, status->findings, &status->vms);
                (void)calls.free(virt);
        }
        if (r >= 0 || vfioctl_findings_count(status->findings) > before)
                return 0;
        return vfioctl_findings_add(status->findings, &(struct vfioctl_finding){.severity = VFIOCTL_REFUSAL,
                                                                                .code = "libvirt-failed",
                                                                                .text = strerror(-r)});
}

static int note_refusal(void *userdata, const char *uuid, const char *vm, const char *reason, int64_t when)
{
        struct status *status = userdata;
        struct refused_start start = {.when = when};

        int r = util_grow(&status->refused, &status->allocated_refused, status->n_refused + 1,
                          sizeof(*status->refused));
        if (r >= 0)
                r = util_copy(uuid, &start.uuid);
        if (r >= 0)
                r = util_copy(vm, &start.vm);
        if (r >= 0)
                r = util_copy(reason, &start.reason);
        if (r < 0) {
                refused_clear(&start);
                return r;
        }
        status->refused[status->n_refused++] = start;
        return 0;
}

static int compare_starts(const void *a, const void *b)
{
        const struct refused_start *first = a, *second = b;

        if (first->when != second->when)
                return first->when < second->when ? 1 : -1;
        return strcmp(first->vm, second->vm);
}

/* What hook, boot step and reconcile have noted; after libvirt was asked, which may have started it. */
static int read_records(struct status *status)
{
        const struct vfioctl_ctx *ctx = status->cli.ctx;
        struct vfioctl_stamp stamp;
        bool known;

        int r = parts_look(ctx, &status->parts);
        if (r < 0)
                return r;
        status->has_timer = vfioctl_part_is_enabled(ctx, VFIOCTL_PART_TIMER);
        status->has_cron = vfioctl_part_is_enabled(ctx, VFIOCTL_PART_CRON);
        status->has_reconciled =
                vfioctl_stamp_read(ctx, &stamp, &known, &status->reconcile_code, &status->reconcile_when,
                                   &status->reconcile_problems) >= 0;
        r = vfioctl_refusals_each(ctx, note_refusal, status);
        if (r >= 0 && status->n_refused > 1)
                qsort(status->refused, status->n_refused, sizeof(*status->refused), compare_starts);
        return r;
}

static int look(struct status *status)
{
        int r = vfioctl_findings_new(&status->findings);
        if (r >= 0)
                r = vfioctl_ctx_new(status->cli.options.root, &status->cli.ctx);
        if (r >= 0)
                r = read_config(status);
        if (r < 0)
                return complain_errno(r, "cannot look");
        int code = take_snapshot(&status->cli, REPORT_SNAPSHOT, false, &status->snapshot);
        if (code != 0)
                return code;
        r = ask_libvirt(status);
        if (r >= 0)
                r = read_records(status);
        if (r >= 0)
                r = status_judge(status);
        return r < 0 ? complain_errno(r, "cannot look") : 0;
}

int status_look(const struct cli *cli, struct status *ret)
{
        *ret = (struct status){.cli = *cli, .now = (int64_t)time(NULL)};
        ret->cli.ctx = NULL;
        return look(ret);
}
