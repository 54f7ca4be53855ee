/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json.h"
#include "report.h"

#include <libvfioctl-hardware.h>

struct reset {
        const struct vfioctl_gpu *gpu;
        struct vfioctl_snapshot *snapshot;
        struct vfioctl_plan *plan;
        uint64_t took; /* milliseconds */
};

static void reset_clear(struct reset *reset)
{
        reset->plan = vfioctl_plan_free(reset->plan);
        reset->snapshot = vfioctl_snapshot_free(reset->snapshot);
}

static int prepare(struct cli *cli, struct reset *reset)
{
        _cleanup_intent_ struct vfioctl_intent *intent = NULL;

        int code =
                take_snapshot(cli, VFIOCTL_SNAPSHOT_HOLDERS | VFIOCTL_SNAPSHOT_HOST | VFIOCTL_SNAPSHOT_CHANGE,
                              true, &reset->snapshot);
        if (code == 0)
                code = find_gpu(reset->snapshot, cli->arguments[0], &reset->gpu);
        if (code != 0)
                return code;
        int r = vfioctl_intent_new(&intent);
        if (r >= 0)
                r = vfioctl_intent_reset(intent, reset->gpu);
        if (r >= 0)
                r = vfioctl_plan_new(reset->snapshot, NULL, intent, 0, &reset->plan);
        return r < 0 ? complain_errno(r, "cannot plan") : 0;
}

static int print_json(const struct reset *reset, const struct vfioctl_findings *busy, bool done)
{
        struct json_object *object = plan_json(reset->plan, busy);

        json_put(object, "gpu", json_string(vfioctl_gpu_name(reset->gpu)));
        json_put(object, "address", json_string(vfioctl_gpu_address(reset->gpu)));
        json_put(object, "method", json_string(vfioctl_gpu_reset_used(reset->gpu)));
        json_put(object, "done", json_object_new_boolean(done));
        json_put(object, "milliseconds", done ? json_object_new_int64((int64_t)reset->took) : NULL);
        return json_print(object);
}

static int carry_out(struct cli *cli, struct reset *reset)
{
        uint64_t began = clock_ms();
        int code = run_plan(cli, reset->snapshot, reset->plan, NULL);

        reset->took = clock_ms() - began;
        if (code == CODE_DONE && !cli->options.json && !cli->options.quiet)
                printf("%s (%s) was reset by %s in %u.%02u s, and answers\n", vfioctl_gpu_name(reset->gpu),
                       vfioctl_gpu_address(reset->gpu), vfioctl_gpu_reset_used(reset->gpu),
                       (unsigned int)(reset->took / 1000), (unsigned int)(reset->took % 1000 / 10));
        return code;
}

static int try_once(struct cli *cli, struct reset *reset)
{
        _cleanup_findings_ struct vfioctl_findings *busy = NULL;

        int code = prepare(cli, reset);
        if (code != 0)
                return code;
        int r = vfioctl_findings_new(&busy);
        if (r >= 0)
                r = vfioctl_probe_busy(cli->ctx, reset->plan, busy);
        if (r < 0)
                return complain_errno(r, "cannot look for users of the GPU");
        const struct vfioctl_findings *findings = vfioctl_plan_findings(reset->plan);
        bool refused = vfioctl_findings_have_refusal(findings) || vfioctl_findings_have_refusal(busy);
        if (refused) {
                print_findings(reset->snapshot, findings, VFIOCTL_WARNING);
                print_findings(reset->snapshot, busy, VFIOCTL_WARNING);
                complain("it was not reset");
                code = CODE_REFUSED;
        } else if (cli->options.dry_run) {
                if (!cli->options.json)
                        print_steps(reset->plan);
        } else {
                code = carry_out(cli, reset);
        }
        bool done = code == CODE_DONE && !cli->options.dry_run;
        if (cli->options.json && code != -EAGAIN && print_json(reset, busy, done) != CODE_DONE)
                return code == CODE_DONE ? CODE_FAILED : code;
        return code;
}

int verb_reset(struct cli *cli)
{
        int code = -EAGAIN;

        for (int i = 0; code == -EAGAIN && i < TRIES_MAX; i++) {
                struct reset reset = {.gpu = NULL};
                code = try_once(cli, &reset);
                reset_clear(&reset);
        }
        return code == -EAGAIN ? complain_errno(-EBUSY, "it was not reset") : code;
}
