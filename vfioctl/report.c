/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "report.h"

VFIOCTL_EXPORT report_fn vfioctl_report(struct cli *cli)
{
        static const struct {
                const char *name;
                report_fn run;
        } verbs[] = {
                {"list", verb_list},
                {"show", verb_show},
                {"check", verb_check},
                {"assign", verb_assign},
                {"unassign", verb_unassign},
                {"reconcile", verb_reconcile},
                {"config", verb_config},
                {"setup", verb_setup},
                {"undo", verb_undo},
                {"status", verb_status},
                {"capture", verb_capture},
                {"try", verb_try},
                {"tree", verb_tree},
                {"reset", verb_reset},
                {"create", verb_create},
                {"tune", verb_tune},
                {"templates", verb_templates},
                {"fit", verb_fit},
                {"guest-notes", verb_guest_notes},
                {"env", verb_env},
        };

        cli->print_plan_json = print_plan_json;
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (util_equal(verbs[i].name, cli->verb->name))
                        return verbs[i].run;
        return NULL;
}
