/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "choose.h"
#include "checks/checks.h"
#include "text.h"

static size_t gpu_index(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu)
{
        size_t i = 0;
        while (i < snapshot->n_gpus && snapshot->gpus[i] != gpu)
                i++;
        return i;
}

/* Nothing in use, nothing assigned, and no refusal when all of `intent` goes along. */
static int gpu_is_free(const struct choice *choice, const struct vfioctl_gpu *gpu,
                       const struct vfioctl_intent *intent, struct vfioctl_findings *findings)
{
        int r = check_hardware(choice->snapshot, gpu, intent, findings);
        if (r >= 0)
                r = check_tried(gpu, findings);
        if (r >= 0)
                r = check_assigned(gpu, choice->vms, NULL, VFIOCTL_REFUSAL, findings);
        if (r >= 0)
                r = check_holders(gpu, VFIOCTL_REFUSAL, findings);
        if (r >= 0)
                r = check_claimed(gpu, NULL, VFIOCTL_REFUSAL, findings);
        return r;
}

static int unit_is_free(const struct choice *choice, const struct unit *unit, bool *ret)
{
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;

        int r = vfioctl_findings_new(&findings);
        if (r < 0)
                return r;
        struct vfioctl_intent *intent = NULL;
        r = vfioctl_intent_new(&intent);
        for (size_t i = 0; r >= 0 && i < unit->count; i++)
                r = vfioctl_intent_set_mode(intent, unit->gpus[i], VFIOCTL_MODE_VM);
        for (size_t i = 0; r >= 0 && i < unit->count; i++)
                r = gpu_is_free(choice, unit->gpus[i], intent, findings);
        vfioctl_intent_free(intent);
        if (r < 0)
                return r;
        *ret = !vfioctl_findings_have_refusal(findings);
        return 0;
}

/* A GPU alone if that is viable; else, from the first GPU of its group, the whole group. */
static int add_units(struct choice *choice)
{
        for (size_t i = 0; i < choice->snapshot->n_gpus; i++) {
                const struct vfioctl_gpu *gpu = choice->snapshot->gpus[i];
                /* One may be asked for by name, but is nothing to be handed out by surprise. */
                if (gpu->functions[0]->is_virtual)
                        continue;
                struct unit unit = {.gpus = {gpu}, .count = 1};
                bool is_free;
                int r = unit_is_free(choice, &unit, &is_free);
                if (r < 0)
                        return r;
                if (!is_free && gpu->group) {
                        unit.count = 0;
                        for (size_t k = 0; k < choice->snapshot->n_gpus; k++)
                                if (choice->snapshot->gpus[k]->group == gpu->group &&
                                    unit.count < ELEMENTSOF(unit.gpus))
                                        unit.gpus[unit.count++] = choice->snapshot->gpus[k];
                        if (unit.count < 2 || unit.gpus[0] != gpu)
                                continue;
                        r = unit_is_free(choice, &unit, &is_free);
                        if (r < 0)
                                return r;
                }
                if (is_free)
                        choice->units[choice->n_units++] = unit;
        }
        return 0;
}

size_t choice_used_on_card(const struct choice *choice, const struct vfioctl_gpu *of)
{
        size_t used = 0;

        for (size_t i = 0; i < choice->snapshot->n_gpus; i++) {
                const struct vfioctl_gpu *gpu = choice->snapshot->gpus[i];
                if (gpu->card_index != of->card_index)
                        continue;
                bool is_used = choice->taken_by[i] != NULL;
                for (size_t k = 0; choice->vms && !is_used && k < vfioctl_vms_count(choice->vms); k++)
                        is_used = vfioctl_vms_has_gpu(choice->vms, k, gpu);
                used += is_used;
        }
        return used;
}

static bool on_node(const struct unit *unit, int node)
{
        for (size_t i = 0; node >= 0 && i < unit->count; i++) {
                int theirs = vfioctl_gpu_numa_node(unit->gpus[i]);
                if (theirs >= 0 && theirs != node)
                        return false;
        }
        return true;
}

/*
 * The other VM that has a GPU of this group, or gets one in this call: vfio opens a group for one VM. NULL:
 * none.
 */
static const char *group_owner(const struct choice *choice, const struct vfioctl_group *group, const char *vm)
{
        for (size_t i = 0; group && i < choice->snapshot->n_gpus; i++) {
                const struct vfioctl_gpu *gpu = choice->snapshot->gpus[i];
                if (gpu->group != group)
                        continue;
                if (choice->taken_by[i] && !util_equal(choice->taken_by[i], vm))
                        return choice->taken_by[i];
                for (size_t k = 0; choice->vms && k < vfioctl_vms_count(choice->vms); k++)
                        if (vfioctl_vms_has_gpu(choice->vms, k, gpu) &&
                            !util_equal(vfioctl_vms_name(choice->vms, k), vm))
                                return vfioctl_vms_name(choice->vms, k);
        }
        return NULL;
}

static struct unit *pick_unit(const struct choice *choice, const struct vfioctl_request *request, size_t room)
{
        struct unit *best = NULL;
        size_t best_used = 0;

        for (size_t i = 0; i < choice->n_units; i++) {
                struct unit *unit = &choice->units[i];
                if (unit->taken || unit->count > room || !on_node(unit, request->numa_node) ||
                    group_owner(choice, unit->gpus[0]->group, request->vm))
                        continue;
                size_t used = choice_used_on_card(choice, unit->gpus[0]);
                bool better =
                        choice->placement == VFIOCTL_PLACEMENT_PACK ? used > best_used : used < best_used;
                /* Larger units first: the small ones fit anywhere. */
                if (!best || unit->count > best->count || (unit->count == best->count && better)) {
                        best = unit;
                        best_used = used;
                }
        }
        return best;
}

bool choice_serve(struct choice *choice, const struct vfioctl_request *request,
                  const struct vfioctl_gpu **ret)
{
        size_t done = 0;

        while (done < request->count) {
                struct unit *unit = pick_unit(choice, request, request->count - done);
                if (!unit)
                        return false;
                unit->taken = true;
                for (size_t i = 0; i < unit->count; i++) {
                        choice->taken_by[gpu_index(choice->snapshot, unit->gpus[i])] = request->vm;
                        ret[done++] = unit->gpus[i];
                }
        }
        return true;
}

void choice_release(struct choice *choice, const char *vm)
{
        for (size_t i = 0; i < choice->n_units; i++)
                if (util_equal(choice->taken_by[gpu_index(choice->snapshot, choice->units[i].gpus[0])], vm))
                        choice->units[i].taken = false;
        for (size_t i = 0; i < choice->snapshot->n_gpus; i++)
                if (util_equal(choice->taken_by[i], vm))
                        choice->taken_by[i] = NULL;
}

/* What stands against it by itself; a group that is short of nothing but a larger --count is told that. */
static int explain_own(const struct choice *choice, const struct vfioctl_request *request,
                       const struct vfioctl_gpu *gpu, const struct vfioctl_finding *own,
                       struct vfioctl_findings *findings)
{
        struct vfioctl_finding finding = *own;
        _cleanup_free_ char *fix = NULL;

        for (size_t i = 0; util_equal(own->code, "group-shared") && i < choice->n_units; i++) {
                const struct unit *unit = &choice->units[i];
                if (unit->gpus[0]->group != gpu->group || unit->taken)
                        continue;
                char options[32];
                (void)snprintf(options, sizeof(options), "--count %zu", unit->count);
                int r = text_command("assign", request->vm, options, &fix);
                if (r < 0)
                        return r;
                finding.fix = fix;
                break;
        }
        return vfioctl_findings_add(findings, &finding);
}

static int take_by_name(const char *vm, const struct vfioctl_gpu *gpu, char **ret)
{
        _cleanup_free_ char *options = NULL;

        int r = util_format(&options, "--gpu %s", gpu->name);
        return r < 0 ? r : text_command("assign", vm, options, ret);
}

int choice_explain(const struct choice *choice, const struct vfioctl_request *request,
                   struct vfioctl_findings *findings)
{
        for (size_t i = 0; i < choice->snapshot->n_gpus; i++) {
                const struct vfioctl_gpu *gpu = choice->snapshot->gpus[i];
                struct vfioctl_finding finding = {.severity = VFIOCTL_REFUSAL,
                                                  .gpu = gpu->functions[0]->text};
                _cleanup_findings_ struct vfioctl_findings *own = NULL;
                _cleanup_free_ char *fix = NULL;
                const char *owner = group_owner(choice, gpu->group, request->vm);
                int node = vfioctl_gpu_numa_node(gpu);

                int r = vfioctl_findings_new(&own);
                if (r >= 0)
                        r = check_hardware(choice->snapshot, gpu, NULL, own);
                if (r >= 0)
                        r = check_tried(gpu, own);
                if (r >= 0)
                        r = check_assigned(gpu, choice->vms, request->vm, VFIOCTL_REFUSAL, own);
                if (r >= 0)
                        r = check_holders(gpu, VFIOCTL_REFUSAL, own);
                if (r >= 0)
                        r = check_claimed(gpu, NULL, VFIOCTL_REFUSAL, own);
                if (r < 0)
                        return r;
                if (vfioctl_findings_count(own) > 0) {
                        r = explain_own(choice, request, gpu, vfioctl_findings_get(own, 0), findings);
                } else if (choice->taken_by[i] && !util_equal(choice->taken_by[i], request->vm)) {
                        finding.code = "taken";
                        finding.culprit = choice->taken_by[i];
                        r = finding_addf(findings, finding, "it would go to %s in the same call",
                                         choice->taken_by[i]);
                } else if (owner) {
                        finding.code = "group-shared";
                        finding.culprit = owner;
                        r = finding_addf(findings, finding,
                                         "IOMMU group %d goes to one VM as a whole, and %s has a part of it",
                                         gpu->group->number, owner);
                } else if (request->numa_node >= 0 && node >= 0 && node != request->numa_node) {
                        r = take_by_name(request->vm, gpu, &fix);
                        finding.code = "other-node";
                        finding.culprit = request->vm;
                        finding.fix = fix;
                        if (r >= 0)
                                r = finding_addf(findings, finding,
                                                 "it is on NUMA node %d, and %s is bound to node %d", node,
                                                 request->vm, request->numa_node);
                } else if (gpu->functions[0]->is_virtual) {
                        r = take_by_name(request->vm, gpu, &fix);
                        finding.code = "virtual-function";
                        finding.culprit = gpu->functions[0]->text;
                        finding.fix = fix;
                        if (r >= 0)
                                r = finding_addf(findings, finding,
                                                 "a virtual function is taken only by name");
                } else {
                        finding.code = "not-enough";
                        finding.culprit = request->vm;
                        r = finding_addf(findings, finding, "it is free, but %s wants %u", request->vm,
                                         request->count);
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Whoever is bound to a node, and whoever wants most, chooses first: the others fit in more places. */
static bool goes_before(const struct vfioctl_request *a, const struct vfioctl_request *b)
{
        if ((a->numa_node >= 0) != (b->numa_node >= 0))
                return a->numa_node >= 0;
        return a->count > b->count;
}

static int run(struct choice *choice, const struct vfioctl_request *requests, size_t n_requests,
               struct vfioctl_findings *findings, const struct vfioctl_gpu **ret_gpus)
{
        _cleanup_free_ size_t *order = calloc(n_requests ? n_requests : 1, sizeof(*order));
        if (!order)
                return -ENOMEM;
        for (size_t i = 0; i < n_requests; i++) {
                size_t at = i;
                for (; at > 0 && goes_before(&requests[i], &requests[order[at - 1]]); at--)
                        order[at] = order[at - 1];
                order[at] = i;
        }
        for (size_t i = 0; i < n_requests; i++) {
                size_t offset = 0;
                for (size_t k = 0; k < order[i]; k++)
                        offset += requests[k].count;
                if (choice_serve(choice, &requests[order[i]], ret_gpus + offset))
                        continue;
                int r = choice_explain(choice, &requests[order[i]], findings);
                return r < 0 ? r : -EBUSY;
        }
        return 0;
}

int choice_open(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                enum vfioctl_placement placement, struct choice *ret)
{
        size_t room = snapshot->n_gpus ? snapshot->n_gpus : 1;
        struct choice choice = {.snapshot = snapshot, .vms = vms, .placement = placement};

        choice.units = calloc(room, sizeof(*choice.units));
        choice.taken_by = calloc(room, sizeof(*choice.taken_by));
        int r = choice.units && choice.taken_by ? add_units(&choice) : -ENOMEM;
        if (r < 0)
                choice_close(&choice);
        else
                *ret = choice;
        return r;
}

void choice_close(struct choice *choice)
{
        free(choice->units);
        free(choice->taken_by);
        choice->units = NULL;
        choice->taken_by = NULL;
}

VFIOCTL_EXPORT int vfioctl_choose(const struct vfioctl_snapshot *snapshot, const struct vfioctl_vms *vms,
                                  enum vfioctl_placement placement, const struct vfioctl_request *requests,
                                  size_t n_requests, struct vfioctl_findings *findings,
                                  const struct vfioctl_gpu **ret_gpus)
{
        struct choice choice;
        size_t total = 0;

        for (size_t i = 0; i < n_requests; i++)
                total += requests[i].count;
        _cleanup_free_ const struct vfioctl_gpu **chosen = calloc(total ? total : 1, sizeof(*chosen));
        if (!chosen)
                return -ENOMEM;
        int r = choice_open(snapshot, vms, placement, &choice);
        if (r < 0)
                return r;
        r = run(&choice, requests, n_requests, findings, chosen);
        choice_close(&choice);
        if (r < 0)
                return r;
        memcpy(ret_gpus, chosen, total * sizeof(*chosen));
        return 0;
}
