/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json.h"
#include "table.h"
#include "templates.h"

enum column_id { COLUMN_NAME, COLUMN_OS, COLUMN_FROM, COLUMN_SUMMARY };

static const struct column columns[] = {
        [COLUMN_NAME] = {"NAME", "NAME", 0, 0, true},
        [COLUMN_OS] = {"OS", "OS", 0, 0, true},
        [COLUMN_FROM] = {"FROM", "FROM", 0, 0, true},
        [COLUMN_SUMMARY] = {"SUMMARY", "SUMMARY", 0.3, SCOLS_FL_TRUNC, true},
};

static const char *os_of(const struct templates *templates, const struct template *template)
{
        return template->domain ? guest_name(templates->calls->domain_guest(template->domain)) : NULL;
}

static int cell_text(const void *userdata, size_t row, size_t column, char **ret)
{
        const struct templates *templates = userdata;
        const struct template *template = &templates->items[row];
        const char *os = os_of(templates, template);
        char text[80];

        switch (column) {
        case COLUMN_NAME:
                return util_copy(printable(template->name, text, sizeof(text)), ret);
        case COLUMN_OS:
                return util_copy(os ? os : "-", ret);
        case COLUMN_FROM:
                return util_copy(template->path, ret);
        case COLUMN_SUMMARY:
                return util_copy(template->error     ? "broken"
                                 : template->summary ? template->summary
                                                     : "-",
                                 ret);
        default:
                return -EINVAL;
        }
}

static int print_json(const struct templates *templates)
{
        struct json_object *object = json_object_new_object(), *list = json_object_new_array();

        for (size_t i = 0; i < templates->count; i++) {
                const struct template *template = &templates->items[i];
                struct json_object *item = json_object_new_object();
                json_put(item, "name", json_string(template->name));
                json_put(item, "os", json_string(os_of(templates, template)));
                json_put(item, "path", json_string(template->path));
                json_put(item, "own", json_object_new_boolean(template->is_own));
                json_put(item, "summary", json_string(template->summary));
                json_put(item, "error", json_string(template->error));
                json_append(list, item);
        }
        json_put(object, "templates", list);
        return json_print(object);
}

int verb_templates(struct cli *cli)
{
        _cleanup_templates_ struct templates templates = {.count = 0};
        struct selection selection = {.count = 0};
        struct virt_calls calls;
        bool broken = false;

        int code = table_select(cli->options.columns, columns, ELEMENTSOF(columns), SIZE_MAX, &selection);
        if (code != 0)
                return code;
        if (virt_load(&calls) < 0 || templates_read(cli, &calls, &templates) < 0)
                return CODE_FAILED;
        code = cli->options.json
                       ? print_json(&templates)
                       : table_print(cli, columns, &selection, templates.count, cell_text, &templates);
        for (size_t i = 0; i < templates.count; i++)
                if (templates.items[i].error) {
                        complain("%s: %s", templates.items[i].path, templates.items[i].error);
                        broken = true;
                }
        return code == CODE_DONE && broken ? CODE_REFUSED : code;
}
