/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_KNOWLEDGE_H
#define VFIOCTL_KNOWLEDGE_H

#include "model.h"

#define KNOWLEDGE_WHY_SIZE 200

/*
 * Reads the text of a file in data/cards, `name` without its folder: lines KEY=VALUE, empty ones, and
 * comments
 * (#). -EINVAL with the number of the line and the reason; -ENOMEM. `text` is cut up.
 */
int knowledge_parse(const char *name, char *text, struct card_knowledge *ret, unsigned int *ret_line,
                    char why[KNOWLEDGE_WHY_SIZE]);
void knowledge_clear(struct card_knowledge *card);

/* How well it fits: 0 not at all; the more it asks for, the more. */
unsigned int knowledge_fits(const struct card_knowledge *card, const struct vfioctl_function *function);
/* Whether there can be a function that both fit, equally well. */
bool knowledge_collides(const struct card_knowledge *a, const struct card_knowledge *b);

#endif
