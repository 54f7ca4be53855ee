/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "topology.h"

/* "pci0000:80": the folder of a host bridge's root bus. */
static bool parse_root_bus(const char *name, size_t length, uint32_t *ret_domain, uint8_t *ret_bus)
{
        char text[32];
        struct vfioctl_address address;

        if (length < 10 || length > 16 || !util_has_prefix(name, "pci"))
                return false;
        (void)snprintf(text, sizeof(text), "%.*s:00.0", (int)length - 3, name + 3);
        if (vfioctl_address_parse(text, &address) < 0)
                return false;
        *ret_domain = address.domain;
        *ret_bus = address.bus;
        return true;
}

/* "path/uid" of the host bridge in ACPI, or "". */
static void read_firmware(const struct vfioctl_ctx *ctx, const char *root, char *ret, size_t size)
{
        char path[PATH_MAX], name[96], uid[24] = "";

        ret[0] = '\0';
        if (!path_format(path, "%s/firmware_node/path", root) ||
            host_read(ctx, path, name, sizeof(name)) <= 0)
                return;
        if (path_format(path, "%s/firmware_node/uid", root) && host_read(ctx, path, uid, sizeof(uid)) < 0)
                uid[0] = '\0';
        util_trim(name);
        util_trim(uid);
        /* It becomes one word of an identity that ends up in XML. */
        for (char *at = name; *at; at++)
                if (*at <= ' ' || *at >= 127 || strchr("<>&\"'", *at))
                        *at = '?';
        for (char *at = uid; *at; at++)
                if (*at <= ' ' || *at >= 127 || strchr("<>&\"'", *at))
                        *at = '?';
        (void)snprintf(ret, size, "%s/%s", name, uid);
}

int place_read(const struct vfioctl_ctx *ctx, const char *address, struct place *ret)
{
        char path[PATH_MAX], target[PATH_MAX], full[PATH_MAX];
        struct place place = {.length = 0};
        bool found = false;

        if (!path_format(path, PATH_PCI_DEVICES "/%s", address))
                return -ENAMETOOLONG;
        ssize_t length = host_readlink(ctx, path, target, sizeof(target));
        if (length < 0)
                return (int)length;
        const char *devices = strstr(target, "/devices/");
        if (!devices || !path_format(full, PATH_SYS "%s", devices))
                return -EINVAL;

        /* The last host bridge counts: a VMD's lies below another one's function. */
        for (const char *at = full; *at;) {
                at += strspn(at, "/");
                size_t n = strcspn(at, "/");
                char part[VFIOCTL_ADDRESS_SIZE];
                if (parse_root_bus(at, n, &place.domain, &place.root_bus)) {
                        size_t size = (size_t)(at - full) + n;
                        if (size >= sizeof(place.root))
                                return -ENAMETOOLONG;
                        memcpy(place.root, full, size);
                        place.root[size] = '\0';
                        place.length = 0;
                        found = true;
                } else if (found && n < sizeof(part)) {
                        memcpy(part, at, n);
                        part[n] = '\0';
                        if (place.length == CHAIN_MAX ||
                            vfioctl_address_parse(part, &place.chain[place.length]) < 0)
                                return -EINVAL;
                        place.length++;
                }
                at += n;
        }
        if (!found || place.length == 0)
                return -EINVAL;
        *ret = place;
        return 0;
}

int place_compare(const struct place *a, const struct place *b)
{
        if (a->domain != b->domain)
                return a->domain < b->domain ? -1 : 1;
        if (a->root_bus != b->root_bus)
                return a->root_bus - b->root_bus;
        for (size_t i = 0; i < a->length && i < b->length; i++) {
                int slot_a = a->chain[i].device * 8 + a->chain[i].function;
                int slot_b = b->chain[i].device * 8 + b->chain[i].function;
                if (slot_a != slot_b)
                        return slot_a - slot_b;
        }
        return a->length < b->length ? -1 : a->length > b->length;
}

int place_identity(const struct vfioctl_ctx *ctx, const struct place *place,
                   const struct vfioctl_function *function, char **ret)
{
        char chain[CHAIN_MAX * 5 + 1] = "", bus[16], serial[24] = "", firmware[128];
        size_t at = 0;

        for (size_t i = 0; i < place->length; i++)
                at += (size_t)snprintf(chain + at, sizeof(chain) - at, "%s%02x.%x", i ? "/" : "",
                                       place->chain[i].device, place->chain[i].function);
        read_firmware(ctx, place->root, firmware, sizeof(firmware));
        (void)snprintf(bus, sizeof(bus), "bus%02x", place->root_bus);
        if (function->serial)
                (void)snprintf(serial, sizeof(serial), " %016llx", (unsigned long long)function->serial);
        return util_format(ret, "%04x %s %s %04x:%04x:%04x:%04x%s", place->domain, *firmware ? firmware : bus,
                           chain, function->vendor, function->device, function->subsystem_vendor,
                           function->subsystem_device, serial);
}

/* ---- cards and names ---- */

struct card {
        struct vfioctl_address top; /* the card's uppermost function */
        const struct slot *slot;
        unsigned int number;
        bool from_slot;
};

/*
 * A card is what hangs below the lowest slot of the board that lies above the GPU; without a slot that the
 * board or the kernel tells of, below the port of the host bridge. So a switch on the card joins its dies,
 * and a switch on the board does not join the cards behind it.
 */
static void find_card(const struct slots *slots, const struct place *place, struct card *ret)
{
        struct card card = {.top = place->chain[place->length > 1 ? 1 : 0]};

        for (size_t i = place->length; i-- > 0;) {
                const struct slot *slot = slots_at(slots, &place->chain[i]);
                if (!slot)
                        continue;
                /* Some boards write the port's address into the slot, others the card's. */
                card.top = place->chain[i == 0 && place->length > 1 ? 1 : i];
                card.slot = slot;
                break;
        }
        ret->top = card.top;
        ret->slot = card.slot;
        ret->from_slot = card.slot && card.slot->number > 0;
        ret->number = card.slot ? card.slot->number : 0;
}

static int compare_roots(const void *a, const void *b)
{
        uint64_t x, y;

        memcpy(&x, a, sizeof(x));
        memcpy(&y, b, sizeof(y));
        return x < y ? -1 : x > y;
}

/* All host bridges of the machine in order, with and without GPUs, so that adding a card moves no number. */
static int list_roots(const struct vfioctl_ctx *ctx, uint64_t *roots, size_t room, size_t *ret)
{
        size_t count = 0;
        uint32_t domain;
        uint8_t bus;

        _cleanup_dir_ DIR *dir = NULL;
        int r = host_opendir_optional(ctx, PATH_SYS_DEVICES, &dir);
        for (struct dirent *entry; dir && count < room && (entry = readdir(dir));)
                if (parse_root_bus(entry->d_name, strlen(entry->d_name), &domain, &bus))
                        roots[count++] = (uint64_t)domain << 8 | bus;
        qsort(roots, count, sizeof(*roots), compare_roots);
        *ret = count;
        return r;
}

/* Without a slot number: host bridge (counted from 1), then device and function of the port: 1020, 1031. */
static unsigned int number_from_path(const uint64_t *roots, size_t n_roots, const struct place *place)
{
        uint64_t root = (uint64_t)place->domain << 8 | place->root_bus;
        size_t index = 0;

        while (index < n_roots && roots[index] != root)
                index++;
        return (unsigned int)(index + 1) * 1000 + place->chain[0].device * 10u + place->chain[0].function;
}

static void letters(unsigned int index, char buffer[8])
{
        char reversed[8];
        size_t n = 0;

        /* a to z, then aa, ab, ... */
        for (index++; index > 0 && n < sizeof(reversed) - 1; index = (index - 1) / 26)
                reversed[n++] = (char)('a' + (index - 1) % 26);
        for (size_t i = 0; i < n; i++)
                buffer[i] = reversed[n - 1 - i];
        buffer[n] = '\0';
}

static int number_cards(const struct vfioctl_ctx *ctx, const struct slots *slots, const struct place *places,
                        struct card *cards, size_t count)
{
        uint64_t roots[256];
        size_t n_roots = 0;

        int r = list_roots(ctx, roots, ELEMENTSOF(roots), &n_roots);
        if (r < 0)
                return r;
        /* Boards that count their slots per socket print a number twice: then it names neither, full or
         * empty. */
        for (size_t i = 0; i < count; i++)
                for (size_t k = 0; k < slots->count; k++)
                        if (cards[i].slot && cards[i].slot != &slots->items[k] &&
                            !slots->items[k].any_function && slots->items[k].number == cards[i].slot->number)
                                cards[i].from_slot = false;
        for (size_t i = 0; i < count; i++)
                if (!cards[i].from_slot)
                        cards[i].number = number_from_path(roots, n_roots, &places[i]);
        return 0;
}

static int name_gpu(const struct vfioctl_snapshot *snapshot, const struct card *cards, size_t index,
                    bool numbers_known)
{
        struct vfioctl_gpu *gpu = snapshot->gpus[index];
        unsigned int letter = 0;
        char letter_text[8];

        /* Virtual functions come and go: they have no name, and move nobody else's. */
        if (gpu->on_board || gpu->functions[0]->is_virtual || !numbers_known)
                return util_copy(gpu->functions[0]->text, &gpu->name);
        for (size_t i = 0; i < index; i++)
                if (cards[i].number == cards[index].number && !snapshot->gpus[i]->functions[0]->is_virtual)
                        letter++;
        letters(letter, letter_text);
        gpu->has_short_name = true;
        return util_format(&gpu->name, "%u%s", cards[index].number, letter_text);
}

int topology_name(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot,
                  const struct place *places)
{
        struct slots slots = {.count = 0};

        if (snapshot->n_gpus == 0)
                return 0;
        _cleanup_free_ struct card *cards = calloc(snapshot->n_gpus, sizeof(*cards));
        if (!cards)
                return -ENOMEM;
        int r = slots_read(ctx, &slots);
        if (r < 0)
                return r;
        for (size_t i = 0; i < snapshot->n_gpus; i++)
                find_card(&slots, &places[i], &cards[i]);
        r = number_cards(ctx, &slots, places, cards, snapshot->n_gpus);

        unsigned int n_cards = 0;
        for (size_t i = 0; r >= 0 && i < snapshot->n_gpus; i++) {
                struct vfioctl_gpu *gpu = snapshot->gpus[i];
                gpu->card_index = n_cards;
                (void)vfioctl_address_format(&cards[i].top, gpu->card_address);
                for (size_t k = 0; k < i; k++)
                        if (vfioctl_address_compare(&cards[k].top, &cards[i].top) == 0)
                                gpu->card_index = snapshot->gpus[k]->card_index;
                if (gpu->card_index == n_cards)
                        n_cards++;
                gpu->on_board = gpu->functions[0]->pcie_type == VFIOCTL_PCIE_CONVENTIONAL && !cards[i].slot;
                r = util_copy(cards[i].slot ? cards[i].slot->label : NULL, &gpu->slot);
        }
        for (size_t i = 0; r >= 0 && i < snapshot->n_gpus; i++)
                r = name_gpu(snapshot, cards, i, !slots.unreadable);
        slots_clear(&slots);
        return r;
}
