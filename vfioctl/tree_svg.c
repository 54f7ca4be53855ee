/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tree.h"
#include "use.h"

/*
 * One drawing: the sockets side by side, below each its nodes, and in these the cards with their GPUs.
 * Lengths are in pixels. Fonts are whatever "sans-serif" is, so widths of text are estimated, with some room.
 */
#define MARGIN        24
#define TITLE_HEIGHT  52
#define PANEL_PAD     16
#define PANEL_HEAD    34
#define NODE_HEAD     26
#define CARD_WIDTH    412
#define CARD_GAP      18
#define CARD_PAD      10
#define CARD_HEAD     28
#define LABEL_HEIGHT  20 /* of the slot, above its card */
#define GROUP_HEAD    18 /* the outline's own label */
#define GROUP_PAD     7
#define GPU_HEIGHT    80
#define GPU_GAP       8
#define CELL_HEIGHT   (GROUP_HEAD + GPU_HEIGHT + GROUP_PAD)
#define LEGEND_HEIGHT 22
#define PER_ROW       2 /* GPUs of a card side by side */

static const struct paint {
        const char *fill, *stroke, *legend;
} paints[] = {
        [TREE_FREE] = {"#e2f3e2", "#2e7d32", "free"},
        [TREE_VM] = {"#dce8fb", "#1f5fb0", "VM"},
        [TREE_HOST] = {"#f8ecd2", "#94680f", "host"},
        [TREE_BROKEN] = {"#fbdcda", "#b3261e", "broken"},
        [TREE_UNKNOWN] = {"#ececec", "#6b6b6b", "not known"},
};

#define NARROW "#b45309"

/* ---- text ---- */

/* Of characters as wide as those of the widest of the usual fonts, in hundredths of the font's size. */
static unsigned int character_width(unsigned char c)
{
        if (strchr("iljtfrI.,:;'|!()[]/- ", c))
                return 40;
        if (c >= 0x80 || strchr("mwMW@%", c))
                return 100;
        if ((c >= 'A' && c <= 'Z') || strchr("#&+<=>~", c))
                return 76;
        return 64;
}

/* The length of the UTF-8 character at `at`; 0 for a byte that is none, or that XML 1.0 does not take. */
static size_t character_length(const char *at)
{
        unsigned char c = (unsigned char)*at;
        size_t length = c < 0x80                ? 1
                        : c >= 0xc2 && c < 0xe0 ? 2
                        : c >= 0xe0 && c < 0xf0 ? 3
                        : c >= 0xf0 && c < 0xf5 ? 4
                                                : 0;
        unsigned char second = length > 1 ? (unsigned char)at[1] : 0;

        for (size_t i = 1; i < length; i++)
                if (((unsigned char)at[i] & 0xc0) != 0x80)
                        return 0;
        /* Too long a form, a surrogate, beyond the last: Unicode, table 3-7; and U+FFFE, U+FFFF. */
        if ((c == 0xe0 && second < 0xa0) || (c == 0xed && second >= 0xa0) || (c == 0xf0 && second < 0x90) ||
            (c == 0xf4 && second >= 0x90) || (c == 0xef && second == 0xbf && (unsigned char)at[2] >= 0xbe))
                return 0;
        return length == 1 && (c < ' ' || c == 127) ? 0 : length;
}

static void put_character(const char *at, size_t length, FILE *file)
{
        switch (length == 1 ? *at : 'x') {
        case '&':
                (void)fputs("&amp;", file);
                return;
        case '<':
                (void)fputs("&lt;", file);
                return;
        case '>':
                (void)fputs("&gt;", file);
                return;
        case '"':
                (void)fputs("&quot;", file);
                return;
        default:
                if (length == 0)
                        (void)fputc('?', file);
                else
                        (void)fwrite(at, 1, length, file);
        }
}

static unsigned int text_width(const char *text, unsigned int size)
{
        unsigned int width = 0;

        for (size_t length; *text; text += length ? length : 1) {
                length = character_length(text);
                width += character_width(length > 1 ? 0x80 : (unsigned char)*text);
        }
        return width * size / 100;
}

/* As much of it as `room` holds. */
static void put_text(const char *text, unsigned int size, unsigned int room, FILE *file)
{
        bool cut = text_width(text, size) > room;
        unsigned int width = cut ? 100 : 0;

        for (size_t length; *text; text += length ? length : 1) {
                length = character_length(text);
                width += character_width(length > 1 ? 0x80 : (unsigned char)*text);
                if (cut && width * size / 100 > room)
                        break;
                put_character(text, length, file);
        }
        if (cut)
                (void)fputs("…", file);
}

struct style {
        unsigned int size;
        const char *color; /* NULL: as all text */
        bool bold;
        bool from_right;
};

static void draw_text(FILE *file, unsigned int x, unsigned int y, unsigned int room, struct style style,
                      const char *text)
{
        if (!*text)
                return;
        (void)fprintf(file, "<text x=\"%u\" y=\"%u\" font-size=\"%u\"", x, y, style.size);
        if (style.color)
                (void)fprintf(file, " fill=\"%s\"", style.color);
        (void)fputs(style.bold ? " font-weight=\"bold\"" : "", file);
        (void)fputs(style.from_right ? " text-anchor=\"end\">" : ">", file);
        put_text(text, style.size, room, file);
        (void)fputs("</text>\n", file);
}

static void draw_box(FILE *file, unsigned int x, unsigned int y, unsigned int width, unsigned int height,
                     const char *fill, const char *stroke, const char *more)
{
        (void)fprintf(file,
                      "<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" rx=\"5\" fill=\"%s\" "
                      "stroke=\"%s\"%s/>\n",
                      x, y, width, height, fill, stroke, more);
}

/* ---- sizes ---- */

static unsigned int larger(unsigned int a, unsigned int b)
{
        return a > b ? a : b;
}

static unsigned int card_height(const struct tree_card *card)
{
        unsigned int rows = (unsigned int)(card->n_gpus + PER_ROW - 1) / PER_ROW;

        return CARD_HEAD + rows * CELL_HEIGHT + (rows - 1) * GPU_GAP + CARD_PAD;
}

/* A node of many slots gets wider, not only longer. */
static unsigned int node_columns(const struct tree_node *node)
{
        return node->n_cards <= 4 ? 1 : node->n_cards <= 12 ? 2 : node->n_cards <= 24 ? 3 : 4;
}

static unsigned int row_height(const struct tree_node *node, size_t first)
{
        unsigned int height = 0;

        for (size_t i = first; i < node->n_cards && i < first + node_columns(node); i++)
                height = larger(height, card_height(&node->cards[i]));
        return LABEL_HEIGHT + height + CARD_GAP;
}

static unsigned int node_height(const struct tree_node *node)
{
        unsigned int height = NODE_HEAD;

        for (size_t i = 0; i < node->n_cards; i += node_columns(node))
                height += row_height(node, i);
        return height;
}

static bool has_cards(const struct tree_socket *socket)
{
        for (size_t i = 0; i < socket->n_nodes; i++)
                if (socket->nodes[i].n_cards > 0)
                        return true;
        return false;
}

/* Nodes without a GPU are told only where the whole socket has none. */
static bool shows_node(const struct tree_socket *socket, const struct tree_node *node)
{
        return node->n_cards > 0 || !has_cards(socket);
}

static unsigned int panel_width(const struct tree_socket *socket)
{
        unsigned int columns = 1;

        for (size_t i = 0; i < socket->n_nodes; i++)
                columns = larger(columns, node_columns(&socket->nodes[i]));
        if (!has_cards(socket))
                return 2 * PANEL_PAD + CARD_WIDTH / 2;
        return 2 * PANEL_PAD + columns * CARD_WIDTH + (columns - 1) * CARD_GAP;
}

static unsigned int panel_height(const struct tree_socket *socket)
{
        unsigned int height = PANEL_HEAD + PANEL_PAD;

        for (size_t i = 0; i < socket->n_nodes; i++)
                if (shows_node(socket, &socket->nodes[i]))
                        height += node_height(&socket->nodes[i]);
        return height;
}

/* ---- groups ---- */

static bool in_group(const struct tree_gpu *item, const struct vfioctl_group *group)
{
        return vfioctl_gpu_group(item->gpu) == group;
}

/* The first of the row's GPUs from `at` on that is of another group. */
static size_t group_end(const struct tree_card *card, size_t at)
{
        size_t row_end = (at / PER_ROW + 1) * PER_ROW, end = at + 1;

        while (end < card->n_gpus && end < row_end &&
               in_group(&card->gpus[end], vfioctl_gpu_group(card->gpus[at].gpu)))
                end++;
        return end;
}

/* What another member of the group is called, or NULL for one inside of the outline, and for bridges. */
static int member_text(const struct tree *tree, const struct tree_card *card, size_t first, size_t end,
                       const struct vfioctl_function *member, char **ret)
{
        const char *address = vfioctl_function_address(member), *driver = vfioctl_function_driver(member);
        const struct vfioctl_gpu *owner = NULL;
        struct vfioctl_address parsed;

        if (vfioctl_function_is_bridge(member))
                return 0;
        if (vfioctl_address_parse(address, &parsed) == 0)
                owner = vfioctl_snapshot_gpu_at(tree->snapshot, &parsed);
        if (!owner)
                return util_format(ret, "%s%s%s%s", short_address(address), driver ? " (" : "",
                                   driver ? driver : "", driver ? ")" : "");
        for (size_t i = first; i < end; i++)
                if (owner == card->gpus[i].gpu)
                        return 0;
        /* Of another GPU its first function will do. */
        return vfioctl_gpu_function(owner, 0) != member
                       ? 0
                       : util_copy(short_address(vfioctl_gpu_name(owner)), ret);
}

/* "group 2 with 02:00.1 (switchtec), 1b": who else is in it, outside of this outline. */
static int group_text(const struct tree *tree, const struct tree_card *card, size_t first, size_t end,
                      char **ret)
{
        const struct vfioctl_group *group = vfioctl_gpu_group(card->gpus[first].gpu);
        _cleanup_free_ char *text = NULL;
        const char *before = " with ";

        int r = util_format(&text, "group %d", vfioctl_group_number(group));
        for (size_t i = 0; r >= 0 && i < vfioctl_group_member_count(group); i++) {
                _cleanup_free_ char *word = NULL;
                char *longer;
                r = member_text(tree, card, first, end, vfioctl_group_member(group, i), &word);
                if (r < 0 || !word)
                        continue;
                r = util_format(&longer, "%s%s%s", text, before, word);
                if (r < 0)
                        return r;
                free(text);
                text = longer;
                before = ", ";
        }
        if (r < 0)
                return r;
        *ret = util_steal(text);
        return 0;
}

/* ---- drawing ---- */

/* Who has it; the state of a VM with a long name goes into the line below, where that is free. */
static void draw_use(FILE *file, unsigned int x, unsigned int y, unsigned int room, const char *text,
                     bool has_line)
{
        const struct style style = {.size = 12};
        const char *last = NULL;
        char name[160];

        for (const char *at = text; (at = strstr(at, " (")); at++)
                last = at;
        if (!has_line || !last || text_width(text, style.size) <= room ||
            (size_t)(last - text) >= sizeof(name)) {
                draw_text(file, x, y, room, style, text);
                return;
        }
        (void)snprintf(name, sizeof(name), "%.*s", (int)(last - text), text);
        draw_text(file, x, y, room, style, name);
        draw_text(file, x, y + 17, room, style, last + 1);
}

static void draw_gpu(FILE *file, const struct tree_gpu *item, unsigned int x, unsigned int y,
                     unsigned int width)
{
        const struct vfioctl_gpu *gpu = item->gpu;
        const struct paint *paint = &paints[item->state];
        const char *mode = vfioctl_mode_name(vfioctl_gpu_mode(gpu)), *alias = vfioctl_gpu_alias(gpu);
        const char *name = short_address(vfioctl_gpu_name(gpu));
        /* Nobody has what nobody can have. */
        bool used = !item->broken || (item->use.kind != USE_FREE && item->use.kind != USE_STUCK);
        unsigned int room = width - 16, half = room / 2 + 20, name_width = text_width(name, 15);
        char link[48];

        /* The whole of what may be cut below. */
        (void)fputs("<g>\n<title>", file);
        put_text(vfioctl_gpu_address(gpu), 1, UINT16_MAX, file);
        (void)fputs(": ", file);
        put_text(item->use.text, 1, UINT16_MAX, file);
        (void)fputs("</title>\n", file);
        draw_box(file, x, y, width, GPU_HEIGHT, paint->fill, paint->stroke, "");
        draw_text(file, x + 8, y + 20, half, (struct style){.size = 15, .bold = true}, name);
        if (alias && name_width + 8 < half)
                draw_text(file, x + 8 + name_width + 6, y + 20, room - name_width - 50,
                          (struct style){.size = 12}, alias);
        draw_text(file, x + width - 8, y + 20, 40, (struct style){.size = 12, .from_right = true}, mode);
        if (used)
                draw_use(file, x + 8, y + 38, room, item->use.text, !item->broken);
        if (item->broken)
                draw_text(file, x + 8, y + (used ? 55 : 38), room,
                          (struct style){.size = 12, .color = paint->stroke, .bold = true}, item->broken);
        if (vfioctl_gpu_has_short_name(gpu))
                draw_text(file, x + 8, y + 72, half, (struct style){.size = 11, .color = "#555555"},
                          short_address(vfioctl_gpu_address(gpu)));
        if (tree_link_is_narrow(&item->link)) {
                (void)snprintf(link, sizeof(link), "x%u of x%u", item->link.width, item->link.max_width);
                draw_text(file, x + width - 8, y + 72, room - half + 30,
                          (struct style){.size = 11, .color = NARROW, .bold = true, .from_right = true},
                          link);
        }
        (void)fputs("</g>\n", file);
}

static int draw_gpus(FILE *file, const struct tree *tree, const struct tree_card *card, unsigned int x,
                     unsigned int y)
{
        unsigned int inner = CARD_WIDTH - 2 * CARD_PAD;
        unsigned int cell = card->n_gpus == 1 ? inner : (inner - GPU_GAP * (PER_ROW - 1)) / PER_ROW;

        for (size_t first = 0; first < card->n_gpus;) {
                bool grouped = vfioctl_gpu_group(card->gpus[first].gpu);
                size_t end = grouped ? group_end(card, first) : first + 1;
                unsigned int left = x + (unsigned int)(first % PER_ROW) * (cell + GPU_GAP);
                unsigned int top = y + (unsigned int)(first / PER_ROW) * (CELL_HEIGHT + GPU_GAP);
                unsigned int width = (unsigned int)(end - first) * (cell + GPU_GAP) - GPU_GAP;
                _cleanup_free_ char *text = NULL;
                int r = grouped ? group_text(tree, card, first, end, &text) : 0;
                if (r < 0)
                        return r;
                if (grouped) {
                        draw_box(file, left, top, width, CELL_HEIGHT, "none", "#555555",
                                 " stroke-dasharray=\"4 3\"");
                        draw_text(file, left + GROUP_PAD, top + 13, width - 2 * GROUP_PAD,
                                  (struct style){.size = 11, .color = "#444444"}, text);
                }
                for (; first < end; first++) {
                        unsigned int at = x + (unsigned int)(first % PER_ROW) * (cell + GPU_GAP);
                        draw_gpu(file, &card->gpus[first], at + GROUP_PAD, top + GROUP_HEAD,
                                 cell - 2 * GROUP_PAD);
                }
        }
        return 0;
}

static int draw_card(FILE *file, const struct tree *tree, const struct tree_card *card, unsigned int x,
                     unsigned int y)
{
        bool narrow = tree_link_is_narrow(&card->link),
             label = card->slot && !util_equal(card->slot, card->place);
        unsigned int place_width = text_width(card->place, 13) + 10, top = y + LABEL_HEIGHT;
        char link[48];

        draw_text(file, x + 2, y + 14, CARD_WIDTH, (struct style){.size = 13, .bold = true}, card->place);
        if (label && place_width < CARD_WIDTH / 2)
                draw_text(file, x + 2 + place_width, y + 14, CARD_WIDTH - place_width,
                          (struct style){.size = 11, .color = "#555555"}, card->slot);
        draw_box(file, x, top, CARD_WIDTH, card_height(card), "#ffffff", narrow ? NARROW : "#8a8a8a",
                 narrow ? " stroke-width=\"2\"" : "");
        (void)tree_link_text(&card->link, link);
        unsigned int link_width = *link ? text_width(link, 12) + 12 : 0;
        draw_text(file, x + CARD_PAD, top + 19, CARD_WIDTH - 2 * CARD_PAD - link_width,
                  (struct style){.size = 13}, card->name);
        draw_text(
                file, x + CARD_WIDTH - CARD_PAD, top + 19, CARD_WIDTH,
                (struct style){
                        .size = 12, .color = narrow ? NARROW : "#444444", .bold = narrow, .from_right = true},
                link);
        return draw_gpus(file, tree, card, x + CARD_PAD, top + CARD_HEAD);
}

static int draw_node(FILE *file, const struct tree *tree, const struct tree_node *node, unsigned int x,
                     unsigned int y)
{
        unsigned int columns = node_columns(node);
        char text[48] = "node unknown";
        int r = 0;

        if (node->number >= 0)
                (void)snprintf(text, sizeof(text), "node %d%s", node->number,
                               node->n_cards ? "" : ": no GPU");
        draw_text(file, x, y + 12, CARD_WIDTH, (struct style){.size = 13, .color = "#444444"}, text);
        y += NODE_HEAD;
        for (size_t i = 0; r >= 0 && i < node->n_cards; i++) {
                unsigned int column = (unsigned int)i % columns;
                r = draw_card(file, tree, &node->cards[i], x + column * (CARD_WIDTH + CARD_GAP), y);
                if (column + 1 == columns)
                        y += row_height(node, i + 1 - columns);
        }
        return r;
}

static int draw_panel(FILE *file, const struct tree *tree, const struct tree_socket *socket, unsigned int x,
                      unsigned int y, unsigned int height)
{
        char text[32] = "socket unknown";
        int r = 0;

        if (socket->count > 0)
                (void)snprintf(text, sizeof(text), "CPU%u", socket->count);
        draw_box(file, x, y, panel_width(socket), height, "#f4f5f7", "#b9bcc2", "");
        draw_text(file, x + PANEL_PAD, y + 24, CARD_WIDTH, (struct style){.size = 16, .bold = true}, text);
        y += PANEL_HEAD;
        for (size_t i = 0; r >= 0 && i < socket->n_nodes; i++) {
                if (!shows_node(socket, &socket->nodes[i]))
                        continue;
                r = draw_node(file, tree, &socket->nodes[i], x + PANEL_PAD, y);
                y += node_height(&socket->nodes[i]);
        }
        return r;
}

/* ---- the legend: drawn, or only measured where `file` is NULL ---- */

#define LEGEND_ITEMS (ELEMENTSOF(paints) + 2)

static void draw_legend_item(FILE *file, size_t item, unsigned int x, unsigned int y, const char *text)
{
        if (item < ELEMENTSOF(paints))
                draw_box(file, x, y, 22, 14, paints[item].fill, paints[item].stroke, "");
        else if (item == ELEMENTSOF(paints))
                draw_box(file, x, y, 22, 14, "none", "#555555", " stroke-dasharray=\"4 3\"");
        else
                draw_box(file, x, y, 22, 14, "#ffffff", NARROW, " stroke-width=\"2\"");
        draw_text(file, x + 28, y + 12, CARD_WIDTH, (struct style){.size = 12}, text);
}

static unsigned int draw_legend(FILE *file, unsigned int y, unsigned int width)
{
        unsigned int x = MARGIN, rows = 1;

        for (size_t i = 0; i < LEGEND_ITEMS; i++) {
                const char *text = i < ELEMENTSOF(paints)    ? paints[i].legend
                                   : i == ELEMENTSOF(paints) ? "IOMMU group"
                                                             : "link narrower than it could be";
                unsigned int room = 28 + text_width(text, 12) + 14;
                if (x > MARGIN && x + room > width - MARGIN) {
                        x = MARGIN;
                        y += LEGEND_HEIGHT;
                        rows++;
                }
                if (file)
                        draw_legend_item(file, i, x, y, text);
                x += room;
        }
        return rows * LEGEND_HEIGHT;
}

int tree_draw(const struct tree *tree, FILE *file)
{
        unsigned int width = MARGIN, panels = 0, x = MARGIN, y = MARGIN + TITLE_HEIGHT;
        int r = 0;

        for (size_t i = 0; i < tree->n_sockets; i++) {
                width += panel_width(&tree->sockets[i]) + MARGIN;
                panels = larger(panels, panel_height(&tree->sockets[i]));
        }
        width = larger(width, CARD_WIDTH + 2 * MARGIN);
        unsigned int legend = y + panels + MARGIN;
        unsigned int height = legend + draw_legend(NULL, legend, width) + MARGIN;
        (void)fprintf(file,
                      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" viewBox=\"0 0 "
                      "%u %u\" font-family=\"sans-serif\" fill=\"#1c1c1c\">\n<title>",
                      width, height, width, height);
        put_text(tree->host, 1, UINT16_MAX, file);
        /* A background of its own: else the text is dark on dark for who likes it dark. */
        (void)fprintf(file, "</title>\n<rect width=\"%u\" height=\"%u\" fill=\"#ffffff\"/>\n", width, height);
        draw_text(file, MARGIN, MARGIN + 18, width - 2 * MARGIN, (struct style){.size = 20, .bold = true},
                  tree->host);
        if (tree->board)
                draw_text(file, MARGIN, MARGIN + 37, width - 2 * MARGIN,
                          (struct style){.size = 13, .color = "#444444"}, tree->board);
        for (size_t i = 0; r >= 0 && i < tree->n_sockets; i++) {
                r = draw_panel(file, tree, &tree->sockets[i], x, y, panels);
                x += panel_width(&tree->sockets[i]) + MARGIN;
        }
        (void)draw_legend(file, legend, width);
        (void)fputs("</svg>\n", file);
        return r;
}
