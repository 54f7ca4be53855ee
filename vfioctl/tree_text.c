/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tree.h"
#include "use.h"

#define CELLS_MAX 6
/* Host, node, the bridges of the longest chain, card, GPU. */
#define DEPTH_MAX 48

#define BOLD   "\033[1m"
#define RED    "\033[31m"
#define GREEN  "\033[32m"
#define YELLOW "\033[33m"
#define PLAIN  "\033[0m"

struct cell {
        char *text;
        const char *color; /* NULL: plain */
};

struct line {
        size_t depth;
        bool is_last; /* of its parent's */
        bool is_gpu;  /* its cells are columns */
        struct cell cells[CELLS_MAX];
        size_t n_cells;
};

struct lines {
        struct line *items;
        size_t count, allocated;
};

static void lines_clear(struct lines *lines)
{
        for (size_t i = 0; i < lines->count; i++)
                for (size_t k = 0; k < lines->items[i].n_cells; k++)
                        free(lines->items[i].cells[k].text);
        free(lines->items);
}

static int add_line(struct lines *lines, size_t depth, bool is_gpu)
{
        int r = util_grow(&lines->items, &lines->allocated, lines->count + 1, sizeof(*lines->items));
        if (r < 0)
                return r;
        lines->items[lines->count++] =
                (struct line){.depth = depth < DEPTH_MAX ? depth : DEPTH_MAX - 1, .is_gpu = is_gpu};
        return 0;
}

/* To the line that was added last. Takes `text`, which may be NULL for a lack of memory. */
static int take_cell(struct lines *lines, char *text, const char *color)
{
        struct line *line = &lines->items[lines->count - 1];

        if (!text)
                return -ENOMEM;
        if (line->n_cells == CELLS_MAX) {
                free(text);
                return -ENOSPC;
        }
        line->cells[line->n_cells++] = (struct cell){.text = text, .color = color};
        return 0;
}

static int add_cell(struct lines *lines, const char *text, const char *color)
{
        return take_cell(lines, strdup(text), color);
}

/* ---- what is told ---- */

/* " 83:00.0 +83:00.1": what its name does not tell. */
static int functions_text(const struct vfioctl_gpu *gpu, bool has_name, char **ret)
{
        _cleanup_free_ char *text = NULL;

        int r = util_copy("", &text);
        for (size_t i = has_name ? 0 : 1; r >= 0 && i < vfioctl_gpu_function_count(gpu); i++) {
                char *longer;
                r = util_format(&longer, "%s %s%s", text, i ? "+" : "",
                                short_address(vfioctl_function_address(vfioctl_gpu_function(gpu, i))));
                if (r < 0)
                        return r;
                free(text);
                text = longer;
        }
        if (r >= 0)
                *ret = util_steal(text);
        return r;
}

static int add_gpu(struct lines *lines, size_t depth, const struct tree_gpu *item, bool all)
{
        const struct vfioctl_gpu *gpu = item->gpu;
        const struct vfioctl_group *group = vfioctl_gpu_group(gpu);
        const char *alias = vfioctl_gpu_alias(gpu), *address = short_address(vfioctl_gpu_address(gpu));
        const char *name = vfioctl_gpu_has_short_name(gpu) ? vfioctl_gpu_name(gpu) : address;
        bool narrow = tree_link_is_narrow(&item->link);
        _cleanup_free_ char *functions = NULL;
        char link[48], number[24] = "no group";
        char *text;

        int r = add_line(lines, depth, true);
        if (r < 0)
                return r;
        r = all ? functions_text(gpu, vfioctl_gpu_has_short_name(gpu), &functions) : 0;
        if (r >= 0)
                r = util_format(&text, "%s%s%s%s%s", name, alias ? " (" : "", alias ? alias : "",
                                alias ? ")" : "", functions ? functions : "");
        if (r >= 0)
                r = take_cell(lines, text, BOLD);
        if (group)
                (void)snprintf(number, sizeof(number), "group %d", vfioctl_group_number(group));
        if (r >= 0)
                r = add_cell(lines, number, NULL);
        if (r >= 0)
                r = add_cell(lines, vfioctl_mode_name(vfioctl_gpu_mode(gpu)), NULL);
        /* Nobody has what nobody can have. */
        if (r >= 0 && !(item->broken && (item->use.kind == USE_FREE || item->use.kind == USE_STUCK)))
                r = add_cell(lines, item->use.text, item->use.kind == USE_RUNNING ? GREEN : NULL);
        if (r >= 0 && item->broken) {
                r = util_format(&text, "broken: %s", item->broken);
                if (r >= 0)
                        r = take_cell(lines, text, RED);
        }
        if (r >= 0 && narrow)
                r = add_cell(lines, tree_link_text(&item->link, link), YELLOW);
        return r;
}

static int add_card(struct lines *lines, size_t depth, const struct tree_card *card, bool all)
{
        bool label = all && card->slot && !util_equal(card->slot, card->place);
        char name[96], slot[96] = "", link[48];
        char *text;

        int r = add_line(lines, depth, false);
        if (r < 0)
                return r;
        r = util_format(&text, "%s%s%s%s", card->place, label ? " (" : "",
                        label ? printable(card->slot, slot, sizeof(slot)) : "", label ? ")" : "");
        if (r >= 0)
                r = take_cell(lines, text, BOLD);
        if (r >= 0)
                r = add_cell(lines, printable(card->name, name, sizeof(name)), NULL);
        if (r >= 0 && *tree_link_text(&card->link, link))
                r = add_cell(lines, link, tree_link_is_narrow(&card->link) ? YELLOW : NULL);
        return r;
}

static int add_bridge(struct lines *lines, size_t depth, const struct vfioctl_function *bridge)
{
        enum vfioctl_pcie_type type = vfioctl_function_pcie_type(bridge);
        const char *known = vfioctl_function_name(bridge);
        struct vfioctl_link link = vfioctl_function_link(bridge);
        char name[96], width[48];
        char *text;

        int r = add_line(lines, depth, false);
        if (r >= 0)
                r = add_cell(lines, short_address(vfioctl_function_address(bridge)), NULL);
        if (r >= 0)
                r = add_cell(lines, type == VFIOCTL_PCIE_UNKNOWN ? "bridge" : vfioctl_pcie_type_name(type),
                             NULL);
        if (r >= 0 && *tree_link_text(&link, width))
                r = add_cell(lines, width, tree_link_is_narrow(&link) ? YELLOW : NULL);
        if (r >= 0 && vfioctl_function_group_number(bridge) >= 0) {
                r = util_format(&text, "group %d", vfioctl_function_group_number(bridge));
                if (r >= 0)
                        r = take_cell(lines, text, NULL);
        }
        if (r >= 0) {
                r = util_format(&text, "%04x:%04x%s%s", vfioctl_function_vendor(bridge),
                                vfioctl_function_device(bridge), known ? " " : "",
                                known ? printable(known, name, sizeof(name)) : "");
                if (r >= 0)
                        r = take_cell(lines, text, NULL);
        }
        return r;
}

/* ---- from the tree to lines ---- */

/* What stands open below a node: the bridges and the card that the next GPU may be below as well. */
struct trail {
        const void *items[DEPTH_MAX];
        size_t length;
};

/* Goes one level down, and adds a line unless the GPU before went there too. */
static bool enter(struct trail *now, const struct trail *before, bool *same, const void *what)
{
        size_t at = now->length;

        if (at == DEPTH_MAX)
                return false;
        now->items[now->length++] = what;
        *same = *same && at < before->length && before->items[at] == what;
        return !*same;
}

static int add_path(struct lines *lines, const struct tree_card *card, const struct tree_gpu *item,
                    struct trail *before, bool all)
{
        size_t count = vfioctl_gpu_path_count(item->gpu), boards = tree_board_bridges(card, item->gpu);
        struct trail now = {.length = 0};
        bool same = true;
        int r = 0;

        for (size_t i = 0; r >= 0 && i <= count; i++) {
                if (r >= 0 && i == boards && enter(&now, before, &same, card))
                        r = add_card(lines, now.length + 1, card, all);
                if (r >= 0 && all && i < count && enter(&now, before, &same, vfioctl_gpu_path(item->gpu, i)))
                        r = add_bridge(lines, now.length + 1, vfioctl_gpu_path(item->gpu, i));
        }
        *before = now;
        return r < 0 ? r : add_gpu(lines, now.length + 2, item, all);
}

static int add_node(struct lines *lines, const struct tree_socket *socket, const struct tree_node *node,
                    bool all)
{
        struct trail trail = {.length = 0};
        char cpu[24] = "", number[24] = "unknown";
        char *text;

        if (node->n_cards == 0)
                return 0;
        if (socket->count > 0)
                (void)snprintf(cpu, sizeof(cpu), "CPU%u ", socket->count);
        if (node->number >= 0)
                (void)snprintf(number, sizeof(number), "%d", node->number);
        int r = add_line(lines, 1, false);
        if (r >= 0)
                r = util_format(&text, "%snode %s", cpu, number);
        if (r >= 0)
                r = take_cell(lines, text, NULL);
        for (size_t i = 0; r >= 0 && i < node->n_cards; i++)
                for (size_t k = 0; r >= 0 && k < node->cards[i].n_gpus; k++)
                        r = add_path(lines, &node->cards[i], &node->cards[i].gpus[k], &trail, all);
        return r;
}

static int add_tree(struct lines *lines, const struct tree *tree, bool all)
{
        int r = add_line(lines, 0, false);
        if (r >= 0)
                r = add_cell(lines, tree->host, BOLD);
        if (r >= 0 && tree->board)
                r = add_cell(lines, tree->board, NULL);
        for (size_t i = 0; r >= 0 && i < tree->n_sockets; i++)
                for (size_t k = 0; r >= 0 && k < tree->sockets[i].n_nodes; k++)
                        r = add_node(lines, &tree->sockets[i], &tree->sockets[i].nodes[k], all);
        return r;
}

/* ---- drawing ---- */

/* Characters, each taken for one column wide. */
static size_t width_of(const char *text)
{
        size_t width = 0;

        for (; *text; text++)
                width += ((unsigned char)*text & 0xc0) != 0x80;
        return width;
}

static void find_last(struct lines *lines)
{
        bool more[DEPTH_MAX] = {false};

        for (size_t i = lines->count; i-- > 0;) {
                struct line *line = &lines->items[i];
                line->is_last = !more[line->depth];
                more[line->depth] = true;
                for (size_t k = line->depth + 1; k < DEPTH_MAX; k++)
                        more[k] = false;
        }
}

static void put_branches(const struct line *line, const bool *goes_on, bool utf8, FILE *file)
{
        for (size_t k = 1; k < line->depth; k++)
                (void)fputs(!goes_on[k] ? "   " : utf8 ? "│  " : "|  ", file);
        if (line->depth > 0)
                (void)fputs(line->is_last ? (utf8 ? "└─ " : "`- ") : (utf8 ? "├─ " : "|- "), file);
}

static void put_cells(const struct line *line, const size_t *widths, bool color, FILE *file)
{
        for (size_t k = 0; k < line->n_cells; k++) {
                const struct cell *cell = &line->cells[k];
                bool paint = color && cell->color;
                (void)fprintf(file, "%s%s%s", paint ? cell->color : "", cell->text, paint ? PLAIN : "");
                if (k + 1 == line->n_cells)
                        break;
                for (size_t width = width_of(cell->text); line->is_gpu && width < widths[k]; width++)
                        (void)fputc(' ', file);
                (void)fputs("  ", file);
        }
        (void)fputc('\n', file);
}

static void put_lines(struct lines *lines, unsigned int flags, FILE *file)
{
        size_t widths[CELLS_MAX] = {0};
        bool goes_on[DEPTH_MAX] = {false};

        find_last(lines);
        for (size_t i = 0; i < lines->count; i++)
                /* Of the last cell nothing hangs on its width. */
                for (size_t k = 0; lines->items[i].is_gpu && k + 1 < lines->items[i].n_cells; k++) {
                        size_t width = width_of(lines->items[i].cells[k].text);
                        if (width > widths[k])
                                widths[k] = width;
                }
        for (size_t i = 0; i < lines->count; i++) {
                const struct line *line = &lines->items[i];
                put_branches(line, goes_on, flags & TREE_TEXT_UTF8, file);
                put_cells(line, widths, flags & TREE_TEXT_COLOR, file);
                goes_on[line->depth] = !line->is_last;
        }
}

int tree_print(const struct tree *tree, unsigned int flags, FILE *file)
{
        _cleanup_(lines_clear) struct lines lines = {.count = 0};

        int r = add_tree(&lines, tree, flags & TREE_TEXT_ALL);
        if (r < 0)
                return r;
        put_lines(&lines, flags, file);
        return 0;
}
