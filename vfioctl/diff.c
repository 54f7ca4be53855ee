/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "diff.h"

#define CONTEXT 2
#define CELLS_MAX                                                                                            \
        (1u << 23) /* of the table; where more were needed, all between the equal ends is taken for new */

struct line {
        const char *text;
        size_t length;
};

struct marked {
        struct line line;
        char mark; /* ' ', '-' or '+' */
};

struct diff {
        struct marked *lines;
        size_t n;
};

struct lines {
        struct line *items;
        size_t n, allocated;
};

static int split(const char *text, struct lines *ret)
{
        while (*text) {
                size_t length = strcspn(text, "\n");
                int r = util_grow(&ret->items, &ret->allocated, ret->n + 1, sizeof(*ret->items));
                if (r < 0)
                        return r;
                ret->items[ret->n++] = (struct line){.text = text, .length = length};
                text += length + (text[length] == '\n');
        }
        return 0;
}

static bool are_equal(const struct line *a, const struct line *b)
{
        return a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
}

static void put(struct diff *diff, const struct line *line, char mark)
{
        diff->lines[diff->n++] = (struct marked){.line = *line, .mark = mark};
}

static void put_all(struct diff *diff, const struct lines *old, const struct lines *new)
{
        for (size_t i = 0; i < old->n; i++)
                put(diff, &old->items[i], '-');
        for (size_t i = 0; i < new->n; i++)
                put(diff, &new->items[i], '+');
}

/* The longest common subsequence, from a table of what the rests have in common. */
static int compare(struct diff *diff, const struct lines *old, const struct lines *new)
{
        size_t width = new->n + 1, i = 0, k = 0;

        if (old->n == 0 || new->n == 0 || width > CELLS_MAX / (old->n + 1)) {
                put_all(diff, old, new);
                return 0;
        }
        _cleanup_free_ unsigned int *common = calloc((old->n + 1) * width, sizeof(*common));
        if (!common)
                return -ENOMEM;
        for (size_t a = old->n; a-- > 0;)
                for (size_t b = new->n; b-- > 0;) {
                        unsigned int down = common[(a + 1) * width + b], right = common[a * width + b + 1];
                        common[a * width + b] = are_equal(&old->items[a], &new->items[b])
                                                        ? common[(a + 1) * width + b + 1] + 1
                                                : down > right ? down
                                                               : right;
                }
        while (i < old->n && k < new->n) {
                if (are_equal(&old->items[i], &new->items[k])) {
                        put(diff, &old->items[i++], ' ');
                        k++;
                } else if (common[(i + 1) * width + k] >= common[i * width + k + 1]) {
                        put(diff, &old->items[i++], '-');
                } else {
                        put(diff, &new->items[k++], '+');
                }
        }
        while (i < old->n)
                put(diff, &old->items[i++], '-');
        while (k < new->n)
                put(diff, &new->items[k++], '+');
        return 0;
}

static int fill(struct diff *diff, const struct lines *old, const struct lines *new)
{
        size_t shorter = old->n < new->n ? old->n : new->n, head = 0, tail = 0;

        diff->lines = calloc(old->n + new->n + 1, sizeof(*diff->lines));
        if (!diff->lines)
                return -ENOMEM;
        while (head < shorter && are_equal(&old->items[head], &new->items[head]))
                put(diff, &old->items[head++], ' ');
        while (tail < shorter - head &&
               are_equal(&old->items[old->n - 1 - tail], &new->items[new->n - 1 - tail]))
                tail++;
        const struct lines old_middle = {.items = old->items + head, .n = old->n - head - tail};
        const struct lines new_middle = {.items = new->items + head, .n = new->n - head - tail};
        int r = compare(diff, &old_middle, &new_middle);
        for (size_t i = old->n - tail; r >= 0 && i < old->n; i++)
                put(diff, &old->items[i], ' ');
        return r;
}

int diff_new(const char *before, const char *after, struct diff **ret)
{
        _cleanup_(diff_freep) struct diff *diff = calloc(1, sizeof(*diff));
        struct lines old = {.items = NULL}, new = {.items = NULL};

        int r = diff ? split(before, &old) : -ENOMEM;
        if (r >= 0)
                r = split(after, &new);
        if (r >= 0)
                r = fill(diff, &old, &new);
        free(old.items);
        free(new.items);
        if (r >= 0)
                *ret = util_steal(diff);
        return r;
}

struct diff *diff_free(struct diff *diff)
{
        if (diff)
                free(diff->lines);
        free(diff);
        return NULL;
}

bool diff_is_empty(const struct diff *diff)
{
        for (size_t i = 0; i < diff->n; i++)
                if (diff->lines[i].mark != ' ')
                        return false;
        return true;
}

/* ---- showing it ---- */

/* Without the passwords of displays; and what would be a control character (C1, in UTF-8) is none. */
static char *shown(const struct line *line)
{
        static const char password[] = " passwd=\"";
        char *text = strndup(line->text, line->length);

        for (char *at = text ? strstr(text, password) : NULL; at; at = strstr(at, password)) {
                at += strlen(password);
                size_t length = strcspn(at, "\"");
                memset(at, '*', length);
        }
        for (char *at = text; at && *at; at++) {
                bool is_control = (unsigned char)at[0] == 0xc2 && (unsigned char)at[1] >= 0x80 &&
                                  (unsigned char)at[1] <= 0x9f;
                if (is_control)
                        at[0] = at[1] = '?';
                else if (*at == '\x7f' || *at == '\r')
                        *at = '?';
        }
        return text;
}

/* Whether it is a change, or near one. */
static bool is_shown(const struct diff *diff, size_t index)
{
        size_t first = index > CONTEXT ? index - CONTEXT : 0;

        for (size_t i = first; i < diff->n && i <= index + CONTEXT; i++)
                if (diff->lines[i].mark != ' ')
                        return true;
        return false;
}

static void print_hunk(const struct diff *diff, size_t from, size_t to, size_t old, size_t new)
{
        size_t removed = 0, added = 0;

        for (size_t i = from; i < to; i++) {
                removed += diff->lines[i].mark != '+';
                added += diff->lines[i].mark != '-';
        }
        printf("@@ -%zu,%zu +%zu,%zu @@\n", old, removed, new, added);
        for (size_t i = from; i < to; i++) {
                _cleanup_free_ char *text = shown(&diff->lines[i].line);
                printf("%c%s\n", diff->lines[i].mark, text ? text : "");
        }
}

void diff_print(const struct diff *diff)
{
        size_t old = 1, new = 1;

        for (size_t i = 0; i < diff->n;) {
                size_t end = i;
                while (end < diff->n && is_shown(diff, end))
                        end++;
                if (end > i)
                        print_hunk(diff, i, end, old, new);
                else
                        end = i + 1;
                for (; i < end; i++) {
                        old += diff->lines[i].mark != '+';
                        new += diff->lines[i].mark != '-';
                }
        }
}

struct json_object *diff_json(const struct diff *diff)
{
        struct json_object *changes = json_object_new_array();
        size_t old = 1;

        for (size_t i = 0; i < diff->n;) {
                if (diff->lines[i].mark == ' ') {
                        old++;
                        i++;
                        continue;
                }
                struct json_object *change = json_object_new_object(), *removed = json_object_new_array(),
                                   *added = json_object_new_array();
                json_put(change, "line", json_object_new_int64((int64_t)old));
                for (; i < diff->n && diff->lines[i].mark != ' '; i++) {
                        _cleanup_free_ char *text = shown(&diff->lines[i].line);
                        bool is_old = diff->lines[i].mark == '-';
                        json_append(is_old ? removed : added, json_string(text));
                        old += is_old;
                }
                json_put(change, "removed", removed);
                json_put(change, "added", added);
                json_append(changes, change);
        }
        return changes;
}
