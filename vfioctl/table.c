/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "table.h"

#include <strings.h>

static int refuse_column(const char *name, size_t length, const struct column *columns, size_t n_columns)
{
        char text[80], all[400] = "";
        size_t at = 0;

        for (size_t i = 0; i < n_columns && at < sizeof(all); i++)
                at += (size_t)snprintf(all + at, sizeof(all) - at, " %s", columns[i].name);
        complain("-o: there is no column '%.*s'; there are%s", length > 40 ? 40 : (int)length,
                 printable(name, text, sizeof(text)), all);
        return CODE_USAGE;
}

static int select_column(struct selection *selection, const char *name, size_t length,
                         const struct column *columns, size_t n_columns)
{
        for (size_t i = 0; i < n_columns; i++) {
                if (strlen(columns[i].name) != length || strncasecmp(columns[i].name, name, length) != 0)
                        continue;
                if (selection->count == COLUMNS_MAX) {
                        complain("-o: at most %d columns", COLUMNS_MAX);
                        return CODE_USAGE;
                }
                selection->ids[selection->count++] = i;
                return 0;
        }
        return refuse_column(name, length, columns, n_columns);
}

int table_select(const char *list, const struct column *columns, size_t n_columns, size_t also,
                 struct selection *ret)
{
        if (!list || *list == '+') {
                for (size_t i = 0; i < n_columns; i++)
                        if (columns[i].usual || i == also)
                                ret->ids[ret->count++] = i;
                if (!list)
                        return 0;
                list++;
        }
        for (const char *at = list;;) {
                size_t length = strcspn(at, ",");
                int code = select_column(ret, at, length, columns, n_columns);
                if (code != 0)
                        return code;
                if (!at[length])
                        return 0;
                at += length + 1;
        }
}

static int fill(struct libscols_table *table, const struct column *columns, const struct selection *selection,
                size_t n_rows, cell_fn cell, const void *userdata)
{
        for (size_t i = 0; i < selection->count; i++) {
                const struct column *column = &columns[selection->ids[i]];
                if (!scols_table_new_column(table, column->heading, column->width, column->flags))
                        return -ENOMEM;
        }
        for (size_t i = 0; i < n_rows; i++) {
                struct libscols_line *line = scols_table_new_line(table, NULL);
                if (!line)
                        return -ENOMEM;
                for (size_t k = 0; k < selection->count; k++) {
                        char *text;
                        int r = cell(userdata, i, selection->ids[k], &text);
                        if (r < 0)
                                return r;
                        r = scols_line_refer_data(line, k, text);
                        if (r < 0) {
                                free(text);
                                return r;
                        }
                }
        }
        return 0;
}

int table_print(const struct cli *cli, const struct column *columns, const struct selection *selection,
                size_t n_rows, cell_fn cell, const void *userdata)
{
        struct libscols_table *table = scols_new_table();

        int r = table ? fill(table, columns, selection, n_rows, cell, userdata) : -ENOMEM;
        if (r >= 0) {
                (void)scols_table_enable_noheadings(table, cli->options.no_headings);
                r = scols_print_table(table);
        }
        scols_unref_table(table);
        return r < 0 ? complain_errno(r, "cannot print the table") : CODE_DONE;
}
