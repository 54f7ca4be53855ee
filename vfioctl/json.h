/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_JSON_H
#define VFIOCTL_JSON_H

#include <json-c/json.h>

#include "report.h"

/* json-c with this program's habits: NULL is null, what cannot be added is dropped and freed. */
struct json_object *json_string(const char *text);
struct json_object *json_hex(unsigned long value, int digits);
struct json_object *json_number_or_null(int value);
void json_put(struct json_object *object, const char *key, struct json_object *value);
void json_append(struct json_object *array, struct json_object *value);
void json_add_findings(struct json_object *array, const struct vfioctl_findings *findings);
/* "alias", "ours" and "idle": what the configuration says of it. */
void json_add_policy(struct json_object *object, const struct vfioctl_gpu *gpu);
/* true or false as the last try on this kernel ended, or null. */
struct json_object *json_proof(const struct vfioctl_gpu *gpu);
/* {"changes":[...],"findings":[...],"exit_code":N} on stdout. */
void print_reconcile_json(const struct vfioctl_findings *changes, const struct vfioctl_findings *problems,
                          int code);
/* {"steps":[...],"findings":[...]}; `plan` may be NULL. */
struct json_object *plan_json(const struct vfioctl_plan *plan, const struct vfioctl_findings *more);
/* Prints and frees; returns an exit code. */
int json_print(struct json_object *object);

/* {"steps":[...],"findings":[...]}; `plan` may be NULL. */
struct json_object *plan_json(const struct vfioctl_plan *plan, const struct vfioctl_findings *more);

#endif
