/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "board.h"
#include "cards.h"
#include "claims.h"
#include "facts.h"
#include "function.h"
#include "holders.h"
#include "knowledge.h"
#include "names.h"
#include "needs.h"
#include "resources.h"
#include "topology.h"
#include "tried.h"

#include <fcntl.h>

/* More functions than PCI can address below 256 domains: then the folder is no sysfs. */
#define FUNCTION_LIMIT (256u * 65536u)

struct scan_entry {
        struct vfioctl_address address;
        bool is_display;
};

struct scan {
        struct scan_entry *items;
        size_t count, allocated;
};

static int compare_entries(const void *a, const void *b)
{
        const struct scan_entry *x = a, *y = b;
        return vfioctl_address_compare(&x->address, &y->address);
}

/* Display controllers and processing accelerators: PCI Code and ID Assignment, base classes 03h and 12h. */
static bool is_gpu_class(uint32_t class)
{
        return class >> 16 == 0x03 || class >> 16 == 0x12;
}

static int scan_bus(const struct vfioctl_ctx *ctx, struct scan *ret)
{
        struct scan scan = {.count = 0};
        int r = 0;

        _cleanup_dir_ DIR *dir = host_opendir(ctx, PATH_PCI_DEVICES);
        if (!dir)
                return -errno;
        for (struct dirent *entry; r >= 0 && (entry = readdir(dir));) {
                struct scan_entry item = {.is_display = false};
                uint32_t class;
                if (vfioctl_address_parse(entry->d_name, &item.address) < 0)
                        continue;
                if (scan.count >= FUNCTION_LIMIT) {
                        r = -E2BIG;
                        break;
                }
                /* A function that goes away while we look, or cannot be read, is no GPU. */
                item.is_display = function_read_class(ctx, entry->d_name, &class) == 0 && is_gpu_class(class);
                r = util_grow(&scan.items, &scan.allocated, scan.count + 1, sizeof(*scan.items));
                if (r >= 0)
                        scan.items[scan.count++] = item;
        }
        if (r < 0) {
                free(scan.items);
                return r;
        }
        if (scan.count > 0)
                qsort(scan.items, scan.count, sizeof(*scan.items), compare_entries);
        *ret = scan;
        return 0;
}

/* ---- groups ---- */

int snapshot_load_group(struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot, int number,
                        struct vfioctl_group **ret)
{
        char path[PATH_MAX];
        size_t allocated = 0;

        for (size_t i = 0; i < snapshot->n_groups; i++)
                if (snapshot->groups[i]->number == number) {
                        *ret = snapshot->groups[i];
                        return 0;
                }
        int r = util_grow(&snapshot->groups, &snapshot->allocated_groups, snapshot->n_groups + 1,
                          sizeof(*snapshot->groups));
        if (r < 0)
                return r;
        struct vfioctl_group *group = calloc(1, sizeof(*group));
        if (!group)
                return -ENOMEM;
        group->number = number;
        snapshot->groups[snapshot->n_groups++] = group;

        if (!path_format(path, PATH_IOMMU_GROUPS "/%d/devices", number))
                return -ENAMETOOLONG;
        _cleanup_dir_ DIR *dir = NULL;
        r = host_opendir_optional(ctx, path, &dir);
        if (r < 0)
                return r;
        for (struct dirent *entry; dir && (entry = readdir(dir));) {
                struct vfioctl_address address;
                struct vfioctl_function *function;
                /* A group can hold platform devices as well; they have no PCI address and no vfio-pci. */
                if (vfioctl_address_parse(entry->d_name, &address) < 0)
                        continue;
                r = snapshot_load_function(ctx, snapshot, &address, 0, &function);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        continue;
                r = util_grow(&group->members, &allocated, group->n_members + 1, sizeof(*group->members));
                if (r < 0)
                        return r;
                size_t at = group->n_members++;
                while (at > 0 &&
                       vfioctl_address_compare(&group->members[at - 1]->address, &function->address) > 0) {
                        group->members[at] = group->members[at - 1];
                        at--;
                }
                group->members[at] = function;
        }
        *ret = group;
        return 0;
}

/* True when somebody who is not the GPU sits in its group. */
static bool group_is_shared(const struct vfioctl_gpu *gpu)
{
        for (size_t i = 0; gpu->group && i < gpu->group->n_members; i++)
                if (!gpu->group->members[i]->is_bridge && gpu->group->members[i]->gpu != gpu)
                        return true;
        return false;
}

/* ---- GPUs ---- */

static struct vfioctl_gpu *gpu_free(struct vfioctl_gpu *gpu)
{
        if (!gpu)
                return NULL;
        for (size_t i = 0; i < gpu->n_holders; i++) {
                free(gpu->holders[i].command);
                free(gpu->holders[i].unit);
                free(gpu->holders[i].node);
        }
        free(gpu->holders);
        proofs_clear(gpu);
        free(gpu->claim.text);
        free(gpu->claim.uuid);
        free(gpu->claim.name);
        free(gpu->functions);
        free(gpu->path);
        free(gpu->scope);
        free(gpu->reset_used);
        free(gpu->name);
        free(gpu->identity);
        free(gpu->card);
        free(gpu->slot);
        free(gpu->alias);
        free(gpu);
        return NULL;
}

DEFINE_CLEANUP(struct vfioctl_gpu, gpu_free)

/*
 * Functions of the GPU's slot go with it: audio, USB-C, UCSI. Not virtual functions; and not the neighbours
 * that an APU has in its slot, which belong to the processor: another vendor, and a group of their own.
 */
static bool is_companion(const struct vfioctl_function *gpu, const struct vfioctl_function *other)
{
        if (other->is_virtual || gpu->is_virtual || other->is_bridge)
                return false;
        return other->vendor == gpu->vendor || function_base_class(other) == 0x04 ||
               (gpu->group >= 0 && other->group == gpu->group);
}

static bool same_slot(const struct vfioctl_address *a, const struct vfioctl_address *b)
{
        return a->domain == b->domain && a->bus == b->bus && a->device == b->device;
}

static size_t first_in_slot(const struct scan *scan, const struct vfioctl_address *address)
{
        size_t low = 0, high = scan->count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (vfioctl_address_compare(&scan->items[middle].address, address) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        while (low > 0 && same_slot(&scan->items[low - 1].address, address))
                low--;
        return low;
}

static int gpu_add_function(struct vfioctl_gpu *gpu, struct vfioctl_function *function)
{
        struct vfioctl_function **grown = reallocarray(gpu->functions, gpu->n_functions + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        gpu->functions = grown;
        gpu->functions[gpu->n_functions++] = function;
        function->gpu = gpu;
        return 0;
}

/* The companions of a GPU whose own function is there already. */
static int load_companions(struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot,
                           const struct scan *scan, struct vfioctl_gpu *gpu, unsigned int parts)
{
        const struct vfioctl_address *address = &gpu->functions[0]->address;
        struct vfioctl_function *function;

        for (size_t i = first_in_slot(scan, address);
             i < scan->count && same_slot(&scan->items[i].address, address); i++) {
                if (vfioctl_address_compare(&scan->items[i].address, address) == 0)
                        continue;
                int r = snapshot_load_function(ctx, snapshot, &scan->items[i].address, parts, &function);
                if (r == -ENOMEM)
                        return r;
                if (r < 0 || function->gpu || !is_companion(gpu->functions[0], function))
                        continue;
                r = gpu_add_function(gpu, function);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int load_path(struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot, const struct place *place,
                     unsigned int parts, struct vfioctl_gpu *gpu)
{
        if (gpu->path || place->length < 2)
                return 0;
        gpu->path = calloc(place->length - 1, sizeof(*gpu->path));
        if (!gpu->path)
                return -ENOMEM;
        for (size_t i = 0; i + 1 < place->length; i++) {
                int r = snapshot_load_function(ctx, snapshot, &place->chain[i], parts,
                                               &gpu->path[gpu->n_path]);
                if (r == -ENOMEM)
                        return r;
                if (r >= 0)
                        gpu->n_path++;
        }
        return 0;
}

/* A GPU with its own function and its place, which is all that its name needs. */
static int add_gpu(struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot, const struct scan_entry *entry,
                   unsigned int parts, struct place *ret_place)
{
        _cleanup_(gpu_freep) struct vfioctl_gpu *gpu = calloc(1, sizeof(*gpu));
        char address[VFIOCTL_ADDRESS_SIZE];
        struct vfioctl_function *function;
        struct place place;

        if (!gpu)
                return -ENOMEM;
        int r = place_read(ctx, vfioctl_address_format(&entry->address, address), &place);
        if (r < 0) {
                ctx_log(ctx, VFIOCTL_LOG_WARNING, "%s: its place in sysfs makes no sense, it is left out",
                        address);
                return r;
        }
        r = snapshot_load_function(ctx, snapshot, &entry->address, parts, &function);
        if (r >= 0)
                r = util_grow(&snapshot->gpus, &snapshot->allocated_gpus, snapshot->n_gpus + 1,
                              sizeof(*snapshot->gpus));
        if (r >= 0)
                r = gpu_add_function(gpu, function);
        if (r < 0)
                return r;
        snapshot->gpus[snapshot->n_gpus++] = util_steal(gpu);
        *ret_place = place;
        return 0;
}

/* All below the port above the GPU, which a reset of that bus hits; without a port, all on its bus. */
static int load_bus(struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot, const struct scan *scan,
                    const struct vfioctl_gpu *gpu)
{
        struct vfioctl_address first = gpu->functions[0]->address;
        struct vfioctl_function *function;

        unsigned int last = reset_last_bus(gpu);
        first.device = first.function = 0;
        for (size_t i = first_in_slot(scan, &first); i < scan->count; i++) {
                const struct vfioctl_address *address = &scan->items[i].address;
                if (address->domain != first.domain || address->bus > last)
                        break;
                int r = snapshot_load_function(ctx, snapshot, address, 0, &function);
                if (r == -ENOMEM)
                        return r;
        }
        return 0;
}

/* Everything else of it. */
static int deepen_gpu(struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot, const struct scan *scan,
                      const struct place *place, struct vfioctl_gpu *gpu)
{
        bool changes = snapshot->flags & VFIOCTL_SNAPSHOT_CHANGE;
        unsigned int change = changes ? FUNCTION_CHANGE : 0;
        unsigned int parts =
                FUNCTION_GPU | (snapshot->flags & VFIOCTL_SNAPSHOT_DETAILS ? FUNCTION_DETAIL : 0) | change;
        struct vfioctl_function *function;

        if (gpu->is_deep)
                return 0;
        gpu->is_deep = true;
        int r = snapshot_load_function(ctx, snapshot, &gpu->functions[0]->address, parts, &function);
        if (r >= 0)
                r = load_companions(ctx, snapshot, scan, gpu, parts);
        if (r >= 0)
                r = place_identity(ctx, place, gpu->functions[0], &gpu->identity);
        if (r >= 0 && gpu->functions[0]->group >= 0)
                r = snapshot_load_group(ctx, snapshot, gpu->functions[0]->group, &gpu->group);
        bool whole = (snapshot->flags & VFIOCTL_SNAPSHOT_PATHS) || group_is_shared(gpu);
        if (r >= 0 && (whole || changes))
                r = load_path(ctx, snapshot, place, (whole ? FUNCTION_DETAIL : 0) | change, gpu);
        if (r >= 0 && changes)
                r = load_bus(ctx, snapshot, scan, gpu);
        return r;
}

/* Insertion sort by place: GPUs are few, and both arrays move together. */
static void sort_gpus(struct vfioctl_snapshot *snapshot, struct place *places)
{
        for (size_t i = 1; i < snapshot->n_gpus; i++) {
                struct vfioctl_gpu *gpu = snapshot->gpus[i];
                struct place place = places[i];
                size_t at = i;
                for (; at > 0 && place_compare(&places[at - 1], &place) > 0; at--) {
                        snapshot->gpus[at] = snapshot->gpus[at - 1];
                        places[at] = places[at - 1];
                }
                snapshot->gpus[at] = gpu;
                places[at] = place;
        }
}

/*
 * True when this display function goes with another one of its slot. Most slots have one alone; where there
 * are two, both are looked at, so that the GPUs and their names are the same however little else is read.
 */
static int joins_other(struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot, const struct scan *scan,
                       size_t index, bool *ret_joins, bool *ret_has_others)
{
        const struct vfioctl_address *address = &scan->items[index].address;
        struct vfioctl_function *function, *other;

        *ret_joins = *ret_has_others = false;
        for (size_t i = first_in_slot(scan, address);
             i < scan->count && same_slot(&scan->items[i].address, address); i++) {
                if (i == index || !scan->items[i].is_display)
                        continue;
                *ret_has_others = true;
                if (i > index)
                        break;
                int r = snapshot_load_function(ctx, snapshot, address, FUNCTION_GPU, &function);
                if (r >= 0)
                        r = snapshot_load_function(ctx, snapshot, &scan->items[i].address, FUNCTION_GPU,
                                                   &other);
                if (r < 0)
                        return r;
                *ret_joins |= other->gpu && is_companion(other, function);
        }
        return 0;
}

static int add_gpus(struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot, const struct scan *scan,
                    struct place **places)
{
        unsigned int parts = FUNCTION_KIND | (policy_uses_ids(&ctx->policy) ? FUNCTION_IDS : 0);
        size_t allocated = 0;

        for (size_t i = 0; i < scan->count; i++) {
                bool joins, has_others;
                if (!scan->items[i].is_display)
                        continue;
                int r = joins_other(ctx, snapshot, scan, i, &joins, &has_others);
                if (r == -ENOMEM)
                        return r;
                if (r < 0 || joins)
                        continue;
                r = util_grow(places, &allocated, snapshot->n_gpus + 1, sizeof(**places));
                if (r < 0)
                        return r;
                r = add_gpu(ctx, snapshot, &scan->items[i], parts | (has_others ? FUNCTION_GPU : 0),
                            &(*places)[snapshot->n_gpus]);
                if (r == -ENOMEM)
                        return r;
        }
        return 0;
}

/* By name or alias, or by the address of any function of its slot. */
static bool is_named(const struct vfioctl_gpu *gpu, const char *const *texts, size_t count)
{
        struct vfioctl_address address;

        for (size_t i = 0; i < count; i++)
                if (util_equal(gpu->name, texts[i]) || util_equal(gpu->alias, texts[i]) ||
                    (vfioctl_address_parse(texts[i], &address) == 0 &&
                     same_slot(&address, &gpu->functions[0]->address)))
                        return true;
        return false;
}

/* GPUs that share a group with one that was looked at are judged with it. */
static bool shares_group(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu)
{
        for (size_t i = 0; i < snapshot->n_groups; i++)
                if (snapshot->groups[i]->number == gpu->functions[0]->group)
                        return true;
        return false;
}

static int load_gpus(struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot, const struct scan *scan,
                     const char *const *texts, size_t n_texts)
{
        _cleanup_free_ struct place *places = NULL;

        int r = add_gpus(ctx, snapshot, scan, &places);
        if (r < 0)
                return r;
        sort_gpus(snapshot, places);
        r = topology_name(ctx, snapshot, places);
        for (size_t i = 0; r >= 0 && i < snapshot->n_gpus; i++)
                if (policy_names_companion(&ctx->policy, snapshot->gpus[i]))
                        r = deepen_gpu(ctx, snapshot, scan, &places[i], snapshot->gpus[i]);
        if (r >= 0)
                r = policy_apply(&ctx->policy, snapshot);
        for (size_t i = 0; r >= 0 && i < snapshot->n_gpus; i++)
                if (!texts || is_named(snapshot->gpus[i], texts, n_texts))
                        r = deepen_gpu(ctx, snapshot, scan, &places[i], snapshot->gpus[i]);
        for (size_t i = 0; r >= 0 && i < snapshot->n_gpus; i++)
                if (shares_group(snapshot, snapshot->gpus[i]))
                        r = deepen_gpu(ctx, snapshot, scan, &places[i], snapshot->gpus[i]);
        return r;
}

static int name_cards(struct vfioctl_snapshot *snapshot)
{
        for (size_t i = 0; i < snapshot->n_gpus; i++) {
                struct vfioctl_gpu *gpu = snapshot->gpus[i];
                const struct vfioctl_function *function = gpu->functions[0];
                const char *known = gpu_known(gpu, CARD_NAME);
                int r = known ? util_copy(known, &gpu->card)
                        : function->name
                                ? name_shorten(function->name, &gpu->card)
                                : util_format(&gpu->card, "%04x:%04x", function->vendor, function->device);
                if (r < 0)
                        return r;
        }
        return 0;
}

VFIOCTL_EXPORT struct vfioctl_snapshot *vfioctl_snapshot_free(struct vfioctl_snapshot *snapshot)
{
        if (!snapshot)
                return NULL;
        for (size_t i = 0; i < snapshot->n_gpus; i++)
                snapshot->gpus[i] = gpu_free(snapshot->gpus[i]);
        for (size_t i = 0; i < snapshot->n_groups; i++) {
                free(snapshot->groups[i]->members);
                free(snapshot->groups[i]);
        }
        for (size_t i = 0; i < snapshot->n_functions; i++)
                snapshot->functions[i] = function_free(snapshot->functions[i]);
        for (size_t i = 0; i < snapshot->n_cards; i++) {
                knowledge_clear(snapshot->cards[i]);
                free(snapshot->cards[i]);
        }
        facts_clear(&snapshot->facts);
        free(snapshot->cards);
        board_clear(&snapshot->board);
        resources_clear(&snapshot->resources);
        free(snapshot->gpus);
        free(snapshot->groups);
        free(snapshot->functions);
        free(snapshot);
        return NULL;
}

DEFINE_CLEANUP(struct vfioctl_snapshot, vfioctl_snapshot_free)

static int has_iommu_groups(const struct vfioctl_ctx *ctx, bool *ret)
{
        _cleanup_dir_ DIR *dir = NULL;
        bool found = false;

        int r = host_opendir_optional(ctx, PATH_IOMMU_GROUPS, &dir);
        for (struct dirent *entry; dir && !found && (entry = readdir(dir));)
                found = entry->d_name[0] != '.';
        *ret = found;
        return r;
}

static int find_stuck(struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot)
{
        int r = functions_read_locked(ctx, snapshot);

        for (size_t i = 0; i < snapshot->n_gpus; i++)
                for (size_t k = 0; k < snapshot->gpus[i]->n_functions; k++)
                        snapshot->gpus[i]->is_stuck |= snapshot->gpus[i]->functions[k]->is_stuck;
        return r;
}

/*
 * A file that cannot be opened counts as missing in many places below. So that this is true, there must be
 * descriptors enough for the deepest nest of folders, a file in it, and the worker's socket.
 */
static int check_descriptors(const struct vfioctl_ctx *ctx)
{
        int fds[16], r = 0;
        size_t count = 0;

        while (r == 0 && count < ELEMENTSOF(fds)) {
                fds[count] = fcntl(ctx->root_fd, F_DUPFD_CLOEXEC, 3);
                if (fds[count] < 0)
                        r = -errno;
                else
                        count++;
        }
        while (count > 0)
                host_close(fds[--count]);
        return r;
}

VFIOCTL_EXPORT int vfioctl_snapshot_take_for(struct vfioctl_ctx *ctx, unsigned int flags,
                                             const char *const *gpus, size_t n_gpus,
                                             struct vfioctl_snapshot **ret)
{
        struct scan scan = {.count = 0};

        _cleanup_(vfioctl_snapshot_freep) struct vfioctl_snapshot *snapshot = calloc(1, sizeof(*snapshot));
        if (!snapshot)
                return -ENOMEM;
        snapshot->flags = flags;
        snapshot->has_run = host_exists(ctx, PATH_RUN);
        snapshot->has_holds = snapshot->has_run && host_exists(ctx, PATH_RUN_HOLD);
        snapshot->has_vfio_driver = host_exists(ctx, PATH_PCI_DRIVERS "/" VFIO_DRIVER);

        int r = check_descriptors(ctx);
        if (r >= 0)
                r = has_iommu_groups(ctx, &snapshot->has_iommu);
        if (r >= 0)
                r = scan_bus(ctx, &scan);
        if (r < 0)
                return r;
        r = load_gpus(ctx, snapshot, &scan, gpus, n_gpus);
        free(scan.items);
        if (r >= 0)
                r = find_stuck(ctx, snapshot);
        if (r >= 0)
                r = claims_read(ctx, snapshot);
        if (r >= 0 && flags & VFIOCTL_SNAPSHOT_NAMES)
                r = names_find(snapshot);
        if (r >= 0 && flags & (VFIOCTL_SNAPSHOT_DETAILS | VFIOCTL_SNAPSHOT_CHANGE))
                r = cards_find(ctx, snapshot);
        if (r >= 0)
                r = name_cards(snapshot);
        if (r >= 0 && flags & VFIOCTL_SNAPSHOT_CHANGE)
                r = reset_find_scopes(snapshot);
        if (r >= 0 && flags & VFIOCTL_SNAPSHOT_HOST)
                r = needs_find(ctx, snapshot);
        if (r >= 0 && flags & VFIOCTL_SNAPSHOT_FACTS)
                r = facts_read(ctx, snapshot);
        if (r >= 0 && flags & VFIOCTL_SNAPSHOT_DETAILS)
                r = tried_read(ctx, snapshot);
        if (r >= 0 && flags & VFIOCTL_SNAPSHOT_BOARD)
                r = board_read(ctx, snapshot);
        if (r >= 0 && flags & VFIOCTL_SNAPSHOT_RESOURCES)
                r = resources_read(ctx, snapshot);
        if (r >= 0 && flags & VFIOCTL_SNAPSHOT_HOLDERS)
                r = holders_find(ctx, snapshot);
        if (r < 0)
                return r;
        *ret = util_steal(snapshot);
        return 0;
}

VFIOCTL_EXPORT int vfioctl_snapshot_take(struct vfioctl_ctx *ctx, unsigned int flags,
                                         struct vfioctl_snapshot **ret)
{
        return vfioctl_snapshot_take_for(ctx, flags, NULL, 0, ret);
}
