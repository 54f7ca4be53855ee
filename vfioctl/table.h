/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_TABLE_H
#define VFIOCTL_TABLE_H

#include <libsmartcols.h>

#include "cli.h"

/* A table with columns to choose (-o), for the verbs that list. */
struct column {
        const char *name; /* for -o */
        const char *heading;
        double width; /* as libsmartcols takes it */
        int flags;
        bool usual;
};

#define COLUMNS_MAX 64

struct selection {
        size_t ids[COLUMNS_MAX];
        size_t count;
};

/* Reads -o (NULL: the usual ones, and `also` if that is a column). Complains and returns an exit code, or 0.
 */
int table_select(const char *list, const struct column *columns, size_t n_columns, size_t also,
                 struct selection *ret);

/* The text of a cell, which the table frees. 0 or a negative errno. */
typedef int (*cell_fn)(const void *userdata, size_t row, size_t column, char **ret);

/* Prints it. Returns an exit code. */
int table_print(const struct cli *cli, const struct column *columns, const struct selection *selection,
                size_t n_rows, cell_fn cell, const void *userdata);

#endif
