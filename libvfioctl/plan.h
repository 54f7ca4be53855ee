/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_PLAN_H
#define VFIOCTL_PLAN_H

#include "model.h"

/* Common to the files that make a plan. All pure. */

struct vfioctl_step *step_free(struct vfioctl_step *step);
DEFINE_CLEANUP(struct vfioctl_step, step_free)

/* ---- plan_step.c: the steps ---- */

int step_new(enum step_kind kind, const struct vfioctl_gpu *gpu, const struct vfioctl_function *function,
             struct vfioctl_step **ret);
/* Takes the step over. */
int plan_add(struct vfioctl_plan *plan, struct vfioctl_step **step);
int step_set_write(struct vfioctl_step *step, const char *attribute, const char *value, enum wait_kind wait,
                   const char *wait_value);
int step_add_undo(struct vfioctl_step *step, const char *attribute, const char *value, enum wait_kind wait,
                  const char *wait_value);

int plan_add_load(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu,
                  const struct vfioctl_function *function, const char *module, bool optional);
/* NULL: clears it. */
int plan_add_override(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu,
                      const struct vfioctl_function *function, const char *driver);
int plan_add_unbind(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu,
                    const struct vfioctl_function *function, bool override_stays);
int plan_add_probe(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu,
                   const struct vfioctl_function *function, enum wait_kind wait, const char *driver);
int plan_add_claim(struct vfioctl_plan *plan, const struct intent_item *item);
int plan_add_define(struct vfioctl_plan *plan, const struct intent_item *item);
/* Writes a setting of the function, which then reads so; `old` undoes it. NULL: what undoes the bind does. */
int plan_add_setting(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu,
                     const struct vfioctl_function *function, const char *name, const char *value,
                     const char *old);

/* Locks what the address names while the plan is carried out. */
int plan_add_lock(struct vfioctl_plan *plan, const char *address, enum vfioctl_mode mode, bool is_bridge);

/* ---- plan_power.c: what mode vm needs besides a driver, and its end ---- */

/* Before the bind: an idle vfio-pci device sleeps at once, and must not go to D3cold. */
int plan_hold_bridges(struct vfioctl_plan *plan, const struct vfioctl_snapshot *snapshot,
                      const struct vfioctl_gpu *gpu);
int plan_hold(struct vfioctl_plan *plan, const struct vfioctl_snapshot *snapshot,
              const struct vfioctl_gpu *gpu);
/* After it, for a bind sets power/control anew; and some reset methods show without the host driver alone. */
int plan_wake(struct vfioctl_plan *plan, const struct vfioctl_snapshot *snapshot,
              const struct vfioctl_gpu *gpu);
int plan_release(struct vfioctl_plan *plan, const struct vfioctl_snapshot *snapshot,
                 const struct vfioctl_gpu *gpu);
int plan_release_bridges(struct vfioctl_plan *plan, const struct vfioctl_snapshot *snapshot,
                         const struct vfioctl_gpu *gpu);

/* ---- plan_reset.c ---- */

/* Writes reset_method as the card needs it. */
int plan_choose_reset(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu);
int plan_reset(struct vfioctl_plan *plan, const struct vfioctl_gpu *gpu);

#endif
