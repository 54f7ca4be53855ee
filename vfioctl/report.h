/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_REPORT_H
#define VFIOCTL_REPORT_H

#include "cli.h"

/*
 * The verbs that report or talk to libvirt are in a module of their own, which brings libsmartcols and json-c
 * along: a change of mode takes less time than loading those. The module's one function is this; it sets what
 * --json needs in `cli`, and gives the verb to run (NULL for one that the program itself holds).
 */
#define REPORT_MODULE   "vfioctl-report.so"
#define REPORT_FUNCTION "vfioctl_report"

typedef int (*report_fn)(struct cli *cli);
report_fn vfioctl_report(struct cli *cli);

int verb_list(struct cli *cli);
int verb_show(struct cli *cli);
int verb_check(struct cli *cli);
int verb_assign(struct cli *cli);
int verb_unassign(struct cli *cli);
int verb_reconcile(struct cli *cli);
int verb_config(struct cli *cli);
int verb_setup(struct cli *cli);
int verb_undo(struct cli *cli);
int verb_reset(struct cli *cli);
int verb_status(struct cli *cli);
int verb_capture(struct cli *cli);
int verb_try(struct cli *cli);
int verb_tree(struct cli *cli);
int verb_create(struct cli *cli);
int verb_tune(struct cli *cli);
int verb_templates(struct cli *cli);
int verb_fit(struct cli *cli);
int verb_guest_notes(struct cli *cli);
int verb_env(struct cli *cli);

int print_plan_json(const struct vfioctl_plan *plan, const struct vfioctl_findings *more);

#endif
