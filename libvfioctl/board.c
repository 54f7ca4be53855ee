/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "board.h"

#define NODE_LIMIT 1024 /* the kernel's largest: NODES_SHIFT is 10 at most */

void board_clear(struct board *board)
{
        free(board->host);
        free(board->name);
        free(board->nodes);
        memset(board, 0, sizeof(*board));
}

/* A line that is fit to be printed, or NULL. */
static int read_line(const struct vfioctl_ctx *ctx, const char *path, char **ret)
{
        char text[128];

        if (host_read(ctx, path, text, sizeof(text)) <= 0)
                return 0;
        text[strcspn(text, "\n")] = '\0';
        util_trim(text);
        util_make_printable(text);
        return *text ? util_copy(text, ret) : 0;
}

/* The socket of the node's first processor; -1 for a node of memory alone, and when it cannot be seen. */
static int read_package(const struct vfioctl_ctx *ctx, unsigned int node)
{
        char path[PATH_MAX], text[64];
        unsigned int cpu;

        if (!path_format(path, PATH_NODES "/node%u/cpulist", node) ||
            host_read(ctx, path, text, sizeof(text)) <= 0 || sscanf(text, "%9u", &cpu) != 1)
                return -1;
        /* Documentation/ABI/stable/sysfs-devices-system-cpu: physical_package_id. */
        if (!path_format(path, PATH_CPUS "/cpu%u/topology/physical_package_id", cpu) ||
            host_read(ctx, path, text, sizeof(text)) <= 0)
                return -1;
        char *end;
        long package = strtol(text, &end, 10);
        return end == text || package < 0 || package > 65535 ? -1 : (int)package;
}

static int compare_nodes(const void *a, const void *b)
{
        const struct board_node *x = a, *y = b;

        return x->number - y->number;
}

static int read_nodes(const struct vfioctl_ctx *ctx, struct board *board)
{
        size_t allocated = 0;

        _cleanup_dir_ DIR *dir = NULL;
        int r = host_opendir_optional(ctx, PATH_NODES, &dir);
        for (struct dirent *entry; r >= 0 && dir && (entry = readdir(dir));) {
                uint64_t number;
                if (!util_has_prefix(entry->d_name, "node") ||
                    util_parse_u64(entry->d_name + 4, 10, NODE_LIMIT - 1, &number) < 0)
                        continue;
                r = util_grow(&board->nodes, &allocated, board->n_nodes + 1, sizeof(*board->nodes));
                if (r >= 0)
                        board->nodes[board->n_nodes++] = (struct board_node){
                                .number = (int)number, .package = read_package(ctx, (unsigned int)number)};
        }
        if (board->n_nodes > 0)
                qsort(board->nodes, board->n_nodes, sizeof(*board->nodes), compare_nodes);
        return r;
}

int board_read(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot)
{
        struct board *board = &snapshot->board;

        int r = read_line(ctx, PATH_HOSTNAME, &board->host);
        if (r >= 0)
                r = read_line(ctx, PATH_BOARD_NAME, &board->name);
        return r < 0 ? r : read_nodes(ctx, board);
}
