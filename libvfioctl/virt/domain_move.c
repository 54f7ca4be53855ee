/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain_private.h"

/*
 * GPUs that have got other addresses. Everything is looked up before anything is written: the address that
 * one GPU gets may be what another one has now.
 */

/* One move, as nodes of the document that is edited. */
struct route {
        xmlNode *record;
        xmlNode *old[GPU_MAX]; /* the hostdevs that there are */
        size_t n_old;
        struct vfioctl_address guest; /* of the GPU itself */
        bool has_guest;
        const struct vfioctl_address *functions; /* as they are to be */
        size_t n_functions;
        xmlNode *from[GPU_MAX]; /* for each of these the hostdev that becomes it; NULL: a new one */
};

/* ---- what stands against it ---------------------------------------------------------------------- */

static bool is_address(const struct vfioctl_address *address)
{
        return address->device <= 31 && address->function <= 7;
}

/* True for an entry that one of the moves is about. */
static bool is_moved(size_t entry, const struct vfioctl_domain_move *moves, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (moves[i].index == entry)
                        return true;
        return false;
}

/* True when a hostdev, or a record of one, that stays where it is has this address. */
static bool is_taken(const struct vfioctl_domain *domain, const struct vfioctl_address *address,
                     const struct vfioctl_domain_move *moves, size_t n)
{
        bool moved = false;

        for (size_t i = 0; i < n && !moved; i++)
                moved = domain_among(address, domain->gpus[moves[i].index].functions,
                                     domain->gpus[moves[i].index].n_functions);
        if (!moved && domain_find(domain, address))
                return true;
        for (size_t i = 0; i < domain->n_gpus; i++) {
                const struct gpu_entry *entry = &domain->gpus[i];
                if (is_moved(i, moves, n) || !domain_among(address, entry->functions, entry->n_functions))
                        continue;
                /* What is left of a GPU that is gone as a whole is only a record, and is dropped. */
                for (size_t k = 0; k < entry->n_functions; k++)
                        if (domain_find(domain, &entry->functions[k]))
                                return true;
        }
        return false;
}

static int check_moves(const struct vfioctl_domain *domain, const struct vfioctl_domain_move *moves, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                const struct vfioctl_domain_move *move = &moves[i];
                if (move->index >= domain->n_gpus || domain->gpus[move->index].public.is_edited ||
                    is_moved(move->index, moves, i) || move->n_functions < 1 || move->n_functions > GPU_MAX)
                        return -EINVAL;
                for (size_t k = 0; k < move->n_functions; k++) {
                        if (!is_address(&move->functions[k]) ||
                            domain_among(&move->functions[k], move->functions, k))
                                return -EINVAL;
                        for (size_t other = 0; other < i; other++)
                                if (domain_among(&move->functions[k], moves[other].functions,
                                                 moves[other].n_functions))
                                        return -EINVAL;
                }
        }
        for (size_t i = 0; i < n; i++)
                for (size_t k = 0; k < moves[i].n_functions; k++)
                        if (is_taken(domain, &moves[i].functions[k], moves, n))
                                return -EEXIST;
        return 0;
}

/* ---- which hostdev becomes which ----------------------------------------------------------------- */

/* Takes old hostdev `k` for new function `i`, unless either has its counterpart. */
static void pair(struct route *route, bool *used, size_t i, size_t k)
{
        if (route->from[i] || used[k])
                return;
        route->from[i] = route->old[k];
        used[k] = true;
}

/* The GPU stays the GPU, and a companion that of its function number: both last when bus numbers move. */
static void make_route(const struct vfioctl_domain *domain, const struct vfioctl_domain_move *move,
                       struct route *route)
{
        const struct gpu_entry *entry = &domain->gpus[move->index];
        bool used[GPU_MAX] = {false};

        *route = (struct route){.record = entry->node,
                                .n_old = entry->n_functions,
                                .functions = move->functions,
                                .n_functions = move->n_functions};
        for (size_t k = 0; k < entry->n_functions; k++)
                route->old[k] = domain_find(domain, &entry->functions[k])->node;
        route->guest = domain_find(domain, &entry->functions[0])->guest;
        route->has_guest = domain_find(domain, &entry->functions[0])->has_guest;

        pair(route, used, 0, 0);
        for (size_t i = 1; i < route->n_functions; i++)
                for (size_t k = 1; k < route->n_old; k++)
                        if (entry->functions[k].function == route->functions[i].function)
                                pair(route, used, i, k);
        for (size_t i = 1; i < route->n_functions; i++)
                for (size_t k = 1; k < route->n_old; k++)
                        pair(route, used, i, k);
}

/* ---- the edit ------------------------------------------------------------------------------------ */

static int remove_gone(const struct route *route)
{
        for (size_t k = 0; k < route->n_old; k++) {
                bool stays = false;
                for (size_t i = 0; i < route->n_functions; i++)
                        stays = stays || route->from[i] == route->old[k];
                int r = stays ? 0 : xml_remove(route->old[k]);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A new companion, behind the function before it and in the same guest slot. */
static int add_function(const struct vfioctl_domain *domain, const struct route *route, size_t i,
                        xmlNode *after)
{
        struct vfioctl_address guest = route->guest;

        if (route->has_guest) {
                uint8_t used = domain_slot_functions(domain, &route->guest);
                guest.function = 0;
                while (guest.function < GPU_MAX && used & 1U << guest.function)
                        guest.function++;
                if (guest.function == GPU_MAX)
                        return -ENOSPC;
        }
        return domain_add_hostdev(domain_devices(domain), after, &route->functions[i],
                                  route->has_guest ? &guest : NULL, false);
}

/* As an add writes it: on the first of several. */
static int set_multifunction(const struct vfioctl_domain *domain, const struct route *route)
{
        xmlNode *guest = xml_child(route->old[0], "address", NULL);

        if (!route->has_guest || route->guest.function != 0 || route->n_old == route->n_functions)
                return 0;
        if (domain_slot_functions(domain, &route->guest) != 1)
                return xml_set(guest, "multifunction", "on");
        (void)xmlUnsetProp(guest, (const xmlChar *)"multifunction");
        return 0;
}

static int take_route(const struct vfioctl_domain *domain, const struct route *route)
{
        xmlNode *last = NULL;

        int r = remove_gone(route);
        if (r < 0)
                return r;
        for (size_t i = 0; i < route->n_functions; i++) {
                if (route->from[i]) {
                        last = route->from[i];
                        r = domain_set_address(xml_child(xml_child(last, "source", NULL), "address", NULL),
                                               &route->functions[i]);
                } else {
                        r = add_function(domain, route, i, last);
                        last = xml_next(last, "hostdev", NULL);
                }
                if (r < 0)
                        return r;
        }
        r = set_multifunction(domain, route);
        return r < 0 ? r : domain_set_functions(route->record, route->functions, route->n_functions);
}

static int edit_move(struct vfioctl_domain *domain, const struct vfioctl_domain_move *moves, size_t n)
{
        _cleanup_free_ struct route *routes = calloc(n, sizeof(*routes));
        _cleanup_free_ char *error = NULL;
        int r = 0;

        if (!routes)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                make_route(domain, &moves[i], &routes[i]);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = domain_forget_gpus(domain, moves[i].functions, moves[i].n_functions);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = take_route(domain, &routes[i]);
        return r < 0 ? r : domain_collect(domain, &error);
}

VFIOCTL_EXPORT int vfioctl_domain_move_gpus(struct vfioctl_domain *domain,
                                            const struct vfioctl_domain_move *moves, size_t n)
{
        _cleanup_(vfioctl_domain_freep) struct vfioctl_domain *edited = NULL;

        int r = check_moves(domain, moves, n);
        if (r < 0 || n == 0)
                return r;
        r = domain_copy(domain, &edited);
        if (r < 0)
                return r;
        xml_begin();
        r = xml_end(edit_move(edited, moves, n));
        if (r < 0)
                return r;
        domain_take_edited(domain, edited);
        return 0;
}
