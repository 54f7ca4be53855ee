/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cards.h"
#include "knowledge.h"
#include "lazy.h"

#include <unistd.h>

/* As built, seen from the library or from a test that has it inside; else as installed. */
static const char *find_folder(const struct vfioctl_ctx *ctx, char path[PATH_MAX])
{
        static const char *const beside[] = {"../data/cards", "../../data/cards"};
        char own[PATH_MAX];

        if (ctx->cards_dir)
                return ctx->cards_dir;
        for (size_t i = 0; i < ELEMENTSOF(beside) && lazy_own_folder(own); i++)
                if (path_format(path, "%s/%s", own, beside[i]) && access(path, R_OK | X_OK) == 0)
                        return path;
        return VFIOCTL_CARDS_DIR;
}

static bool has_suffix(const char *name)
{
        size_t length = strlen(name), end = strlen(CARDS_SUFFIX);

        return length > end && util_equal(name + length - end, CARDS_SUFFIX);
}

static bool wants_vendor(const struct vfioctl_snapshot *snapshot, const char *name)
{
        char vendor[8];

        for (size_t i = 0; i < snapshot->n_gpus; i++) {
                if (!snapshot->gpus[i]->is_deep)
                        continue;
                (void)snprintf(vendor, sizeof(vendor), "%04x-", snapshot->gpus[i]->functions[0]->vendor);
                if (util_has_prefix(name, vendor))
                        return true;
        }
        return false;
}

/* A regular file: it is no attribute, but nobody is waited for either. */
static int read_card(struct vfioctl_ctx *ctx, const char *folder, const char *name,
                     struct vfioctl_snapshot *snapshot)
{
        struct vfioctl_ctx here = {.root_fd = -1, .is_live = true};
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX], why[KNOWLEDGE_WHY_SIZE] = "";
        struct card_knowledge card;
        unsigned int line = 0;
        size_t size;

        if (!path_format(path, "%s/%s", folder, name))
                return 0;
        int r = host_read_file(&here, path, CARDS_LIMIT, &text, &size);
        if (r >= 0)
                r = knowledge_parse(name, text, &card, &line, why);
        if (host_is_shortage(r))
                return r;
        if (r < 0) {
                ctx_log(ctx, VFIOCTL_LOG_WARNING, "%s:%u: %s; nothing in this file counts", path, line,
                        *why ? why : strerror(-r));
                return 0;
        }
        r = util_grow(&snapshot->cards, &snapshot->allocated_cards, snapshot->n_cards + 1,
                      sizeof(*snapshot->cards));
        struct card_knowledge *copy = r < 0 ? NULL : malloc(sizeof(*copy));
        if (!copy) {
                knowledge_clear(&card);
                return -ENOMEM;
        }
        *copy = card;
        snapshot->cards[snapshot->n_cards++] = copy;
        return 0;
}

static void give(struct vfioctl_snapshot *snapshot, struct vfioctl_gpu *gpu)
{
        unsigned int best = 0;

        for (size_t i = 0; i < snapshot->n_cards; i++) {
                unsigned int score = knowledge_fits(snapshot->cards[i], gpu->functions[0]);
                if (score <= best)
                        continue;
                best = score;
                gpu->knowledge = snapshot->cards[i];
        }
}

int cards_find(struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot)
{
        char path[PATH_MAX];
        int r = 0;

        const char *folder = find_folder(ctx, path);
        _cleanup_dir_ DIR *dir = opendir(folder);
        /* Without it cards go by general rules. */
        if (!dir)
                return host_is_shortage(-errno) ? -errno : 0;
        for (struct dirent *entry; r >= 0 && (entry = readdir(dir));)
                if (has_suffix(entry->d_name) && wants_vendor(snapshot, entry->d_name))
                        r = read_card(ctx, folder, entry->d_name, snapshot);
        for (size_t i = 0; r >= 0 && i < snapshot->n_gpus; i++)
                if (snapshot->gpus[i]->is_deep)
                        give(snapshot, snapshot->gpus[i]);
        return r;
}
