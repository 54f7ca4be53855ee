/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "names.h"
#include "lazy.h"

#include <libudev.h>
#include <pci/pci.h>

struct udev_calls {
        LAZY_MEMBER(udev_new);
        LAZY_MEMBER(udev_unref);
        LAZY_MEMBER(udev_hwdb_new);
        LAZY_MEMBER(udev_hwdb_unref);
        LAZY_MEMBER(udev_hwdb_get_properties_list_entry);
        LAZY_MEMBER(udev_list_entry_get_by_name);
        LAZY_MEMBER(udev_list_entry_get_value);
};

static const struct lazy_symbol udev_symbols[] = {
        LAZY_SYMBOL(struct udev_calls, udev_new),
        LAZY_SYMBOL(struct udev_calls, udev_unref),
        LAZY_SYMBOL(struct udev_calls, udev_hwdb_new),
        LAZY_SYMBOL(struct udev_calls, udev_hwdb_unref),
        LAZY_SYMBOL(struct udev_calls, udev_hwdb_get_properties_list_entry),
        LAZY_SYMBOL(struct udev_calls, udev_list_entry_get_by_name),
        LAZY_SYMBOL(struct udev_calls, udev_list_entry_get_value),
};

/*
 * Of libpci, only pci_init() would fill in the callbacks, and it would look for buses too, so they are set
 * here.
 */
struct pci_calls {
        LAZY_MEMBER(pci_alloc);
        LAZY_MEMBER(pci_cleanup);
        LAZY_MEMBER(pci_lookup_name);
};

static const struct lazy_symbol pci_symbols[] = {
        LAZY_SYMBOL(struct pci_calls, pci_alloc),
        LAZY_SYMBOL(struct pci_calls, pci_cleanup),
        LAZY_SYMBOL(struct pci_calls, pci_lookup_name),
};

/* libpci does not expect this to return. Without a bus to read, all it can be called for is want of memory.
 */
static void on_error(char *format, ...) __attribute__((noreturn)) _printf_(1, 2);

static void on_error(char *format, ...)
{
        (void)format;
        abort();
}

static void be_silent(char *format, ...) _printf_(1, 2);

static void be_silent(char *format, ...)
{
        (void)format;
}

int name_shorten(const char *name, char **ret)
{
        const char *open = strrchr(name, '['), *close = open ? strchr(open, ']') : NULL;

        if (open && close && close > open + 1)
                return util_format(ret, "%.*s", (int)(close - open - 1), open + 1);
        return util_copy(name, ret);
}

static int set_name(struct vfioctl_function *function, const char *name)
{
        int r = util_copy(name, &function->name);

        if (r >= 0)
                util_make_printable(function->name);
        return r;
}

/* udev's compiled copy of the database: a few pages of a mapped file, where pci.ids is a megabyte to parse.
 */
static int name_by_udev(struct vfioctl_snapshot *snapshot, bool *ret_all)
{
        struct udev_calls calls;
        if (lazy_open("libudev.so.1", udev_symbols, ELEMENTSOF(udev_symbols), &calls) < 0) {
                *ret_all = false;
                return 0;
        }
        struct udev *udev = calls.udev_new();
        struct udev_hwdb *hwdb = udev ? calls.udev_hwdb_new(udev) : NULL;
        int r = 0;

        *ret_all = hwdb != NULL;
        for (size_t i = 0; hwdb && r >= 0 && i < snapshot->n_functions; i++) {
                struct vfioctl_function *function = snapshot->functions[i];
                struct udev_list_entry *entry;
                char key[32];
                (void)snprintf(key, sizeof(key), "pci:v%08Xd%08X*", function->vendor, function->device);
                entry = calls.udev_hwdb_get_properties_list_entry(hwdb, key, 0);
                entry = entry ? calls.udev_list_entry_get_by_name(entry, "ID_MODEL_FROM_DATABASE") : NULL;
                if (entry && calls.udev_list_entry_get_value(entry))
                        r = set_name(function, calls.udev_list_entry_get_value(entry));
                else
                        *ret_all = false;
        }
        calls.udev_hwdb_unref(hwdb);
        calls.udev_unref(udev);
        return r;
}

static int name_by_libpci(const struct pci_calls *calls, struct pci_access *access,
                          struct vfioctl_function *function)
{
        char buffer[256];

        if (function->name)
                return 0;
        const char *name = calls->pci_lookup_name(access, buffer, sizeof(buffer),
                                                  PCI_LOOKUP_DEVICE | PCI_LOOKUP_NO_NUMBERS, function->vendor,
                                                  function->device);
        return name && *name ? set_name(function, name) : 0;
}

int names_find(struct vfioctl_snapshot *snapshot)
{
        struct pci_calls calls;
        bool all = false;

        int r = name_by_udev(snapshot, &all);
        if (r < 0 || all)
                return r;
        if (lazy_open("libpci.so.3", pci_symbols, ELEMENTSOF(pci_symbols), &calls) >= 0) {
                struct pci_access *access = calls.pci_alloc();
                if (access) {
                        access->error = on_error;
                        access->warning = be_silent;
                        access->debug = be_silent;
                }
                for (size_t i = 0; access && r >= 0 && i < snapshot->n_functions; i++)
                        r = name_by_libpci(&calls, access, snapshot->functions[i]);
                if (access)
                        calls.pci_cleanup(access);
        }
        return r;
}
