/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tree.h"
#include "use.h"

static void gpu_clear(struct tree_gpu *gpu)
{
        free(gpu->use.text);
        free(gpu->broken);
}

static void card_clear(struct tree_card *card)
{
        for (size_t i = 0; i < card->n_gpus; i++)
                gpu_clear(&card->gpus[i]);
        free(card->gpus);
        free(card->place);
}

void tree_clear(struct tree *tree)
{
        for (size_t i = 0; i < tree->n_sockets; i++) {
                struct tree_socket *socket = &tree->sockets[i];
                for (size_t k = 0; k < socket->n_nodes; k++) {
                        struct tree_node *node = &socket->nodes[k];
                        for (size_t c = 0; c < node->n_cards; c++)
                                card_clear(&node->cards[c]);
                        free(node->cards);
                }
                free(socket->nodes);
        }
        free(tree->sockets);
        memset(tree, 0, sizeof(*tree));
}

const char *tree_state_name(enum tree_state state)
{
        static const char *const names[] = {
                [TREE_FREE] = "free",     [TREE_VM] = "vm",           [TREE_HOST] = "host",
                [TREE_BROKEN] = "broken", [TREE_UNKNOWN] = "unknown",
        };

        return state <= TREE_UNKNOWN ? names[state] : NULL;
}

/* ---- links ---- */

bool tree_link_is_narrow(const struct vfioctl_link *link)
{
        return link->width > 0 && link->width < link->max_width;
}

static void put_speed(char *buffer, size_t size, unsigned int speed)
{
        if (speed % 1000)
                (void)snprintf(buffer, size, "%u.%u", speed / 1000, speed % 1000 / 100);
        else
                (void)snprintf(buffer, size, "%u", speed / 1000);
}

const char *tree_link_text(const struct vfioctl_link *link, char buffer[48])
{
        bool narrow = tree_link_is_narrow(link), slow = link->speed > 0 && link->speed < link->max_speed;
        char width[16] = "", speed[16] = "", max_speed[16] = "", text[16] = "";

        buffer[0] = '\0';
        if (link->width == 0)
                return buffer;
        if (narrow)
                (void)snprintf(width, sizeof(width), " of x%u", link->max_width);
        put_speed(speed, sizeof(speed), link->speed);
        if (slow) {
                put_speed(max_speed, sizeof(max_speed), link->max_speed);
                (void)snprintf(text, sizeof(text), " of %s", max_speed);
        }
        (void)snprintf(buffer, 48, "x%u%s%s%s%s%s", link->width, width,
                       link->speed == 0 ? ""
                       : narrow || slow ? ", "
                                        : " ",
                       link->speed == 0 ? "" : speed, text, link->speed == 0 ? "" : " GT/s");
        return buffer;
}

size_t tree_board_bridges(const struct tree_card *card, const struct vfioctl_gpu *gpu)
{
        size_t count = vfioctl_gpu_path_count(gpu), at = 0;

        while (at < count && !util_equal(vfioctl_function_address(vfioctl_gpu_path(gpu, at)), card->address))
                at++;
        return at;
}

/* That of the card's uppermost function; where it tells nothing, that of the port above. */
static struct vfioctl_link card_link(const struct tree_card *card, const struct vfioctl_gpu *gpu)
{
        size_t count = vfioctl_gpu_path_count(gpu), at = tree_board_bridges(card, gpu);
        struct vfioctl_link link =
                vfioctl_function_link(at < count ? vfioctl_gpu_path(gpu, at) : vfioctl_gpu_function(gpu, 0));

        if (link.width == 0 && at > 0)
                link = vfioctl_function_link(vfioctl_gpu_path(gpu, at - 1));
        return link;
}

/* What is below the card's own link. */
static struct vfioctl_link gpu_link(const struct tree_card *card, const struct vfioctl_gpu *gpu)
{
        size_t count = vfioctl_gpu_path_count(gpu), at = tree_board_bridges(card, gpu);
        struct vfioctl_link narrowest = {.width = 0};

        for (at++; at <= count; at++) {
                struct vfioctl_link link = vfioctl_function_link(at < count ? vfioctl_gpu_path(gpu, at)
                                                                            : vfioctl_gpu_function(gpu, 0));
                if (link.width > 0 && (narrowest.width == 0 || link.width < narrowest.width))
                        narrowest = link;
        }
        return narrowest;
}

/* ---- GPUs ---- */

static enum tree_state state_of(const struct tree_gpu *gpu)
{
        if (gpu->broken)
                return TREE_BROKEN;
        switch (gpu->use.kind) {
        case USE_STUCK:
                return TREE_BROKEN;
        case USE_RUNNING:
        case USE_STARTING:
        case USE_ASSIGNED:
                return TREE_VM;
        case USE_DISPLAY:
        case USE_HELD:
                return TREE_HOST;
        case USE_UNKNOWN:
                return TREE_UNKNOWN;
        case USE_FREE:
                return TREE_FREE;
        }
        return TREE_UNKNOWN;
}

/* A display is the host's, and no trouble: its use says so. */
static bool is_display_code(const char *code)
{
        return util_equal(code, "boot-display");
}

static int find_broken(const struct status *status, const struct vfioctl_gpu *gpu, char **ret)
{
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;
        const char *power = vfioctl_function_power_state(vfioctl_gpu_function(gpu, 0));

        if (vfioctl_gpu_is_stuck(gpu))
                return util_copy(util_equal(power, "D3cold") ? "stuck in D3cold" : "stuck", ret);
        if (vfioctl_gpu_is_on_board(gpu) || vfioctl_gpu_is_ready(status->snapshot, gpu))
                return 0;
        int r = vfioctl_findings_new(&findings);
        if (r >= 0)
                r = vfioctl_check(status->snapshot, NULL, gpu, findings);
        for (size_t i = 0; r >= 0 && i < vfioctl_findings_count(findings); i++) {
                const struct vfioctl_finding *finding = vfioctl_findings_get(findings, i);
                if (finding->severity == VFIOCTL_REFUSAL && !is_display_code(finding->code))
                        return util_copy(finding->code, ret);
        }
        return r;
}

static int add_gpu(const struct status *status, struct tree_card *card, const struct vfioctl_gpu *gpu)
{
        struct tree_gpu item = {.gpu = gpu, .link = gpu_link(card, gpu)};

        int r = util_grow(&card->gpus, &card->allocated, card->n_gpus + 1, sizeof(*card->gpus));
        if (r >= 0)
                r = status_use(status, gpu, &item.use);
        if (r >= 0)
                r = find_broken(status, gpu, &item.broken);
        if (r < 0) {
                gpu_clear(&item);
                return r;
        }
        item.state = state_of(&item);
        card->gpus[card->n_gpus++] = item;
        return 0;
}

/* ---- cards ---- */

/* A short name begins with the number of the slot, or one of four digits that tells the port. */
static int find_place(const struct tree_card *card, const struct vfioctl_gpu *gpu, char **ret)
{
        char text[64];
        unsigned long number = vfioctl_gpu_has_short_name(gpu) ? strtoul(vfioctl_gpu_name(gpu), NULL, 10) : 0;

        if (card->on_board)
                return util_copy("on board", ret);
        if (number > 0 && number < 1000)
                return util_format(ret, "slot %lu", number);
        if (card->slot)
                return util_copy(printable(card->slot, text, sizeof(text)), ret);
        if (number > 0)
                return util_format(ret, "card %lu", number);
        return util_format(ret, "card at %s", short_address(card->address));
}

static int add_to_card(const struct status *status, struct tree_node *node, const struct vfioctl_gpu *gpu)
{
        struct tree_card card = {.index = vfioctl_gpu_card_index(gpu),
                                 .on_board = vfioctl_gpu_is_on_board(gpu),
                                 .slot = vfioctl_gpu_slot(gpu),
                                 .name = vfioctl_gpu_card(gpu),
                                 .address = vfioctl_gpu_card_address(gpu)};

        /* GPUs are in the order of where they sit, so those of one card follow each other. */
        if (node->n_cards > 0 && node->cards[node->n_cards - 1].index == card.index)
                return add_gpu(status, &node->cards[node->n_cards - 1], gpu);
        int r = util_grow(&node->cards, &node->allocated, node->n_cards + 1, sizeof(*node->cards));
        if (r >= 0)
                r = find_place(&card, gpu, &card.place);
        if (r < 0)
                return r;
        /* Of what is soldered on, nobody minds the link. */
        if (!card.on_board)
                card.link = card_link(&card, gpu);
        node->cards[node->n_cards++] = card;
        return add_gpu(status, &node->cards[node->n_cards - 1], gpu);
}

/* ---- sockets and nodes: in order, what is not known last ---- */

static bool comes_before(int a, int b)
{
        return a >= 0 && (b < 0 || a < b);
}

static int socket_at(struct tree *tree, int package, struct tree_socket **ret)
{
        size_t at = 0;

        while (at < tree->n_sockets && comes_before(tree->sockets[at].package, package))
                at++;
        if (at == tree->n_sockets || tree->sockets[at].package != package) {
                int r = util_grow(&tree->sockets, &tree->allocated, tree->n_sockets + 1,
                                  sizeof(*tree->sockets));
                if (r < 0)
                        return r;
                memmove(&tree->sockets[at + 1], &tree->sockets[at],
                        (tree->n_sockets - at) * sizeof(*tree->sockets));
                tree->sockets[at] = (struct tree_socket){.package = package};
                tree->n_sockets++;
        }
        *ret = &tree->sockets[at];
        return 0;
}

static int node_at(struct tree *tree, int package, int number, struct tree_node **ret)
{
        struct tree_socket *socket;
        size_t at = 0;

        int r = socket_at(tree, package, &socket);
        if (r < 0)
                return r;
        while (at < socket->n_nodes && comes_before(socket->nodes[at].number, number))
                at++;
        if (at == socket->n_nodes || socket->nodes[at].number != number) {
                r = util_grow(&socket->nodes, &socket->allocated, socket->n_nodes + 1,
                              sizeof(*socket->nodes));
                if (r < 0)
                        return r;
                memmove(&socket->nodes[at + 1], &socket->nodes[at],
                        (socket->n_nodes - at) * sizeof(*socket->nodes));
                socket->nodes[at] = (struct tree_node){.number = number};
                socket->n_nodes++;
        }
        *ret = &socket->nodes[at];
        return 0;
}

/* The socket of a node; where the firmware tells no node, that of a host that has but one. */
static int package_of(const struct vfioctl_snapshot *snapshot, int number)
{
        size_t count = vfioctl_snapshot_node_count(snapshot);
        int only = -1;

        for (size_t i = 0; i < count; i++) {
                int package = vfioctl_snapshot_node_package(snapshot, i);
                if (number >= 0 && vfioctl_snapshot_node_number(snapshot, i) == number)
                        return package;
                if (number < 0 && package >= 0) {
                        if (only >= 0 && only != package)
                                return -1;
                        only = package;
                }
        }
        return only;
}

int tree_build(const struct status *status, struct tree *ret)
{
        const struct vfioctl_snapshot *snapshot = status->snapshot;
        _cleanup_tree_ struct tree tree = {.snapshot = snapshot,
                                           .host = vfioctl_snapshot_host_name(snapshot),
                                           .board = vfioctl_snapshot_board_name(snapshot)};
        struct tree_node *node;
        int r = 0;

        if (!tree.host)
                tree.host = "host";
        for (size_t i = 0; r >= 0 && i < vfioctl_snapshot_node_count(snapshot); i++) {
                int package = vfioctl_snapshot_node_package(snapshot, i);
                if (package >= 0)
                        r = node_at(&tree, package, vfioctl_snapshot_node_number(snapshot, i), &node);
        }
        for (size_t i = 0; r >= 0 && i < vfioctl_snapshot_gpu_count(snapshot); i++) {
                const struct vfioctl_gpu *gpu = vfioctl_snapshot_gpu(snapshot, i);
                int number = vfioctl_gpu_numa_node(gpu);
                r = node_at(&tree, package_of(snapshot, number), number < 0 ? -1 : number, &node);
                if (r >= 0)
                        r = add_to_card(status, node, gpu);
        }
        if (r < 0)
                return r;
        for (size_t i = 0; i < tree.n_sockets; i++)
                tree.sockets[i].count = tree.sockets[i].package < 0 ? 0 : (unsigned int)i + 1;
        *ret = tree;
        memset(&tree, 0, sizeof(tree));
        return 0;
}
