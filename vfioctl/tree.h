/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_TREE_H
#define VFIOCTL_TREE_H

#include "status.h"

/*
 * The board with what it carries, as vfioctl tree shows it. Built once (tree_build.c), and then printed in
 * one of three ways; the printers judge nothing. All that is not marked as owned is borrowed from the
 * snapshot.
 */

/* What a GPU is painted as. */
enum tree_state {
        TREE_FREE,
        TREE_VM,     /* a VM runs with it, or its definition names it */
        TREE_HOST,   /* a process of the host has it, or it is a display */
        TREE_BROKEN, /* stuck, or nothing for a VM as it is */
        TREE_UNKNOWN,
};

struct tree_gpu {
        const struct vfioctl_gpu *gpu;
        enum tree_state state;
        struct use use;           /* text is owned */
        char *broken;             /* owned: the reason, or NULL */
        struct vfioctl_link link; /* the narrowest on the card; zeros for a GPU that has the card's own */
};

struct tree_card {
        unsigned int index;
        bool on_board;
        char *place;      /* owned: "slot 2", "on board" */
        const char *slot; /* the board's label, or NULL */
        const char *name;
        const char *address;
        struct vfioctl_link link; /* between board and card */
        struct tree_gpu *gpus;
        size_t n_gpus, allocated;
};

struct tree_node {
        int number; /* -1: not known */
        struct tree_card *cards;
        size_t n_cards, allocated;
};

struct tree_socket {
        int package;        /* physical_package_id; -1: not known */
        unsigned int count; /* as boards count: from 1; 0: not known */
        struct tree_node *nodes;
        size_t n_nodes, allocated;
};

struct tree {
        const struct vfioctl_snapshot *snapshot;
        const char *host;  /* never NULL */
        const char *board; /* or NULL */
        struct tree_socket *sockets;
        size_t n_sockets, allocated;
};

struct json_object;

/* ---- tree_build.c ---- */

/* 0 or -ENOMEM. `status` needs no more than snapshot, VMs and whether libvirt was asked. */
int tree_build(const struct status *status, struct tree *ret);
void tree_clear(struct tree *tree);
#define _cleanup_tree_ _cleanup_(tree_clear)

const char *tree_state_name(enum tree_state state);
/* Fewer lanes than it could have. */
bool tree_link_is_narrow(const struct vfioctl_link *link);
/* "x16 8 GT/s", "x8 of x16, 2.5 of 8 GT/s"; "" when nothing is known. */
const char *tree_link_text(const struct vfioctl_link *link, char buffer[48]);
/* How many of the bridges above the GPU are the board's, and not the card's. */
size_t tree_board_bridges(const struct tree_card *card, const struct vfioctl_gpu *gpu);

/* ---- tree_text.c ---- */

enum tree_text_flags {
        TREE_TEXT_COLOR = 1 << 0,
        TREE_TEXT_UTF8 = 1 << 1,
        TREE_TEXT_ALL = 1 << 2, /* root ports and switches too */
};
/* 0 or -ENOMEM. */
int tree_print(const struct tree *tree, unsigned int flags, FILE *file);

/* ---- tree_json.c ---- */

struct json_object *tree_json(const struct tree *tree);

/* ---- tree_svg.c ---- */

int tree_draw(const struct tree *tree, FILE *file);

#endif
