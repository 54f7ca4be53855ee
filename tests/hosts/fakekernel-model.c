/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What Linux 6.1 does when the files of the PCI bus are written: drivers/base/{bus,dd,driver}.c,
 * drivers/pci/pci-driver.c, drivers/vfio. Functions named after theirs do the same. */
#include "fakekernel.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VFIO       "vfio-pci"
#define DRIVERS    "sys/bus/pci/drivers"
#define VFIO_MAJOR 243

static bool is_address(const char *s)
{
        size_t hex = strspn(s, "0123456789abcdef");

        return hex >= 4 && hex <= 8 && s[hex] == ':' && strlen(s + hex) == 8 && isxdigit(s[hex + 1]) &&
               isxdigit(s[hex + 2]) && s[hex + 3] == ':' && isxdigit(s[hex + 4]) && isxdigit(s[hex + 5]) &&
               s[hex + 6] == '.' && s[hex + 7] >= '0' && s[hex + 7] <= '7';
}

/* Equal but for one newline at the end, as the kernel compares. */
bool fk_streq_line(const char *line, const char *word)
{
        size_t len = strlen(word);

        return !strncmp(line, word, len) && (!line[len] || !strcmp(line + len, "\n"));
}

/* The directory of a device, from its link on the bus. */
static bool device_dir(const char *address, char out[FK_PATH])
{
        char full[FK_PATH], text[FK_PATH];

        if (!is_address(address) || !fk_abs(full, "sys/bus/pci/devices/%s", address))
                return false;
        ssize_t n = readlink(full, text, sizeof text - 1);
        if (n <= 9 || strncmp(text, "../../../", 9))
                return false;
        text[n] = '\0';
        return snprintf(out, FK_PATH, "sys/%.*s", FK_PATH - 5, text + 9) < FK_PATH;
}

static bool attr_path(char out[FK_PATH], const char *dir, const char *attr)
{
        return snprintf(out, FK_PATH, "%.*s/%.255s", FK_PATH - FK_NAME - 2, dir, attr) < FK_PATH;
}

/* An attribute without its newline; "" where it cannot be read. */
void fk_read_attr(const char *dir, const char *attr, char *out, size_t size)
{
        char path[FK_PATH];

        out[0] = '\0';
        if (attr_path(path, dir, attr) && fk_read(path, out, size))
                out[strcspn(out, "\n")] = '\0';
}

bool fk_link_of(const char *dir, const char *name, char out[FK_NAME])
{
        char path[FK_PATH];

        out[0] = '\0';
        return attr_path(path, dir, name) && fk_link_name(path, out);
}

void fk_parse(struct fk_write *w, const char *path, const char *value, size_t len)
{
        char copy[FK_PATH];

        memset(w, 0, sizeof *w);
        w->path = path;
        w->value = value;
        w->len = len;
        if (!strcmp(path, "sys/bus/pci/drivers_probe")) {
                w->kind = FK_PROBE;
        } else if (!strncmp(path, DRIVERS "/", strlen(DRIVERS "/"))) {
                const char *name = path + strlen(DRIVERS "/"), *slash = strchr(name, '/');

                if (!slash || slash - name >= FK_NAME)
                        return;
                memcpy(w->driver, name, (size_t)(slash - name));
                if (!strcmp(slash, "/bind"))
                        w->kind = FK_BIND;
                else if (!strcmp(slash, "/unbind"))
                        w->kind = FK_UNBIND;
                else if (!strcmp(slash, "/new_id") || !strcmp(slash, "/remove_id"))
                        w->kind = FK_NEW_ID;
        } else if (!strncmp(path, "sys/devices/pci", 15)) {
                /* The deepest directory that is named as an address is the device. */
                snprintf(copy, sizeof copy, "%s", path);
                for (char *slash; (slash = strrchr(copy, '/')); *slash = '\0') {
                        if (!is_address(slash + 1))
                                continue;
                        w->kind = FK_ATTR;
                        snprintf(w->address, sizeof w->address, "%.255s", slash + 1);
                        snprintf(w->dir, sizeof w->dir, "%s", copy);
                        size_t at = strlen(copy);
                        snprintf(w->attr, sizeof w->attr, "%.255s", path[at] ? path + at + 1 : "");
                        return;
                }
        }
        if (w->kind == FK_BIND || w->kind == FK_UNBIND || w->kind == FK_PROBE) {
                snprintf(w->address, sizeof w->address, "%.255s", value);
                w->address[strcspn(w->address, "\n")] = '\0';
                if (!fk_streq_line(value, w->address) || !device_dir(w->address, w->dir))
                        w->address[0] = '\0';
        }
}

/* Whether the write would wait for the lock of its device. */
bool fk_takes_lock(const struct fk_write *w)
{
        if (w->kind == FK_ATTR)
                return !strcmp(w->attr, "driver_override") || !strcmp(w->attr, "sriov_numvfs") ||
                       !strcmp(w->attr, "reset") || !strcmp(w->attr, "uevent") || !strcmp(w->attr, "remove");
        return w->address[0];
}

bool fk_group_open(const char *group)
{
        char rest[8];

        return fk_find_line(".fake/open-groups", group, rest, sizeof rest);
}

/* Unbinding vfio-pci waits for as long as somebody has the device open. */
bool fk_blocked_group(const struct fk_write *w, char group[FK_NAME])
{
        char driver[FK_NAME];

        return w->kind == FK_UNBIND && w->address[0] && !strcmp(w->driver, VFIO) &&
               fk_link_of(w->dir, "driver", driver) && !strcmp(driver, VFIO) &&
               fk_link_of(w->dir, "iommu_group", group) && fk_group_open(group);
}

static void native_driver(const char *address, char out[FK_NAME])
{
        if (!fk_find_line(".fake/native", address, out, FK_NAME))
                out[0] = '\0';
}

/* pci_match_device(): an override matches its driver and no other. Which driver knows the
 * device's ID is the "native" one of the topology. */
static bool match(const char *address, const char *dir, const char *driver)
{
        char override[FK_PATH], native[FK_NAME];

        fk_read_attr(dir, "driver_override", override, sizeof override);
        if (override[0] && strcmp(override, "(null)"))
                return !strcmp(override, driver);
        native_driver(address, native);
        return !strcmp(native, driver);
}

static void set_uevent_driver(const char *dir, const char *driver)
{
        char path[FK_PATH], old[2048], new[2560], *rest = old;

        if (!attr_path(path, dir, "uevent") || !fk_read(path, old, sizeof old))
                return;
        if (!strncmp(old, "DRIVER=", 7))
                rest = old + strcspn(old, "\n") + 1;
        int n = driver ? snprintf(new, sizeof new, "DRIVER=%s\n%s", driver, rest)
                       : snprintf(new, sizeof new, "%s", rest);
        fk_put(path, new, (size_t)n);
}

/* What a driver hangs below its function comes and goes with it: .fake/nodes/ADDRESS lists it. */
static void native_nodes(const char *address, bool show)
{
        char path[FK_PATH], text[16384], *save = NULL;

        snprintf(path, sizeof path, ".fake/nodes/%s", address);
        if (!fk_read(path, text, sizeof text))
                return;
        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                char *what = line + 2, *rest = strchr(what, ' ');
                char here[FK_PATH], away[FK_PATH];

                if (!rest)
                        continue;
                *rest++ = '\0';
                if (!fk_abs(here, "%s", what) || !fk_abs(away, ".fake/stash/%s/%s", address, rest))
                        continue;
                int r = line[0] == 'l' ? (show ? symlink(rest, here) : unlink(here))
                        : show         ? rename(away, here)
                                       : rename(here, away);
                if (r < 0)
                        errno = 0;
        }
}

static int count_vfio(const char *name, void *data)
{
        char path[FK_PATH], driver[FK_NAME];

        snprintf(path, sizeof path, "sys/bus/pci/devices/%s/driver", name);
        if (fk_link_name(path, driver) && !strcmp(driver, VFIO))
                ++*(int *)data;
        return 0;
}

/* The group's node exists while any of its functions is on vfio-pci. */
static void vfio_group(const char *group)
{
        char path[FK_PATH], dev[64];
        int count = 0, minor = 0;

        snprintf(path, sizeof path, "sys/kernel/iommu_groups/%s/devices", group);
        fk_each(path, count_vfio, &count);
        snprintf(path, sizeof path, "sys/devices/virtual/vfio/%s", group);
        bool there = fk_exists("%s", path);
        if (count && !there) {
                char link[FK_PATH];

                while (fk_exists("sys/dev/char/%d:%d", VFIO_MAJOR, minor))
                        minor++;
                fk_mkdirs(path);
                fk_mkdirs("sys/class/vfio");
                fk_mkdirs("sys/dev/char");
                fk_mkdirs("dev/vfio");
                snprintf(dev, sizeof dev, "%d:%d\n", VFIO_MAJOR, minor);
                fk_create(dev, "%s/dev", path);
                snprintf(dev, sizeof dev, "MAJOR=%d\nMINOR=%d\nDEVNAME=vfio/%.20s\n", VFIO_MAJOR, minor,
                         group);
                fk_create(dev, "%s/uevent", path);
                if (attr_path(link, path, "subsystem"))
                        fk_link(link, "sys/class/vfio");
                snprintf(link, sizeof link, "sys/class/vfio/%s", group);
                fk_link(link, path);
                snprintf(link, sizeof link, "sys/dev/char/%d:%d", VFIO_MAJOR, minor);
                fk_link(link, path);
                fk_create("", "dev/vfio/%s", group);
        } else if (!count && there) {
                fk_read_attr(path, "dev", dev, sizeof dev);
                fk_unlink("sys/dev/char/%s", dev);
                fk_unlink("sys/class/vfio/%s", group);
                fk_unlink("dev/vfio/%s", group);
                fk_remove_tree(path);
        }
}

static int first_name(const char *name, void *data)
{
        snprintf(data, FK_NAME, "%s", name);
        return 1;
}

static void vfio_device(const char *dir, bool show)
{
        char path[FK_PATH], link[FK_PATH], name[FK_NAME] = "", group[FK_NAME];

        if (show) {
                int i = 0;

                while (fk_exists("sys/class/vfio-dev/vfio%d", i))
                        i++;
                snprintf(name, sizeof name, "vfio-dev/vfio%d", i);
                if (!attr_path(path, dir, name))
                        return;
                fk_mkdirs(path);
                fk_mkdirs("sys/class/vfio-dev");
                fk_create("", "%s/uevent", path);
                if (attr_path(link, path, "subsystem"))
                        fk_link(link, "sys/class/vfio-dev");
                if (attr_path(link, path, "device"))
                        fk_link(link, dir);
                snprintf(link, sizeof link, "sys/class/vfio-dev/vfio%d", i);
                fk_link(link, path);
        } else if (attr_path(path, dir, "vfio-dev") && fk_each(path, first_name, name)) {
                fk_unlink("sys/class/vfio-dev/%s", name);
                if (attr_path(link, path, name))
                        fk_remove_tree(link);
                fk_unlink("%s", path);
        }
        if (fk_link_of(dir, "iommu_group", group))
                vfio_group(group);
}

/* power/control, and what follows from it: an idle vfio-pci device sleeps when it may. */
void fk_set_power(const char *dir, const char *control, const char *driver)
{
        bool sleeps = !strcmp(control, "auto") && driver && !strcmp(driver, VFIO);
        char line[16];

        snprintf(line, sizeof line, "%s\n", control);
        fk_puts(dir, "power/control", line);
        fk_puts(dir, "power/runtime_enabled", !strcmp(control, "auto") ? "enabled\n" : "forbidden\n");
        fk_puts(dir, "power/runtime_status", sleeps ? "suspended\n" : "active\n");
        fk_puts(dir, "power_state", sleeps ? "D3hot\n" : driver ? "D0\n" : "unknown\n");
}

/* lib/kobject_uevent.c: each bind and each unbind is an event. */
static void count_event(void)
{
        char text[32];
        const char *path = "sys/kernel/uevent_seqnum";

        if (!fk_read(path, text, sizeof text))
                return;
        snprintf(text, sizeof text, "%lu\n", strtoul(text, NULL, 10) + 1);
        fk_put(path, text, strlen(text));
}

static void driver_links(const char *dir, const char *driver, const char *address, bool show)
{
        char path[FK_PATH], target[FK_PATH];

        if (!attr_path(path, dir, "driver") ||
            snprintf(target, sizeof target, DRIVERS "/%s", driver) >= FK_PATH)
                return;
        if (show) {
                fk_link(path, target);
                if (attr_path(path, target, address))
                        fk_link(path, dir);
        } else {
                fk_unlink("%s", path);
                fk_unlink(DRIVERS "/%s/%s", driver, address);
        }
        count_event();
}

static bool manages_own_dma(const char *driver)
{
        return !strcmp(driver, VFIO) || !strcmp(driver, "pci-stub") || !strcmp(driver, "pcieport");
}

/* FAKEKERNEL_PROBE_FAIL=DRIVER[:ERRNO]: that driver refuses every device. */
static int told_to_fail(const char *driver)
{
        const char *told = getenv("FAKEKERNEL_PROBE_FAIL");
        size_t len = strlen(driver);

        if (!told || strncmp(told, driver, len) || (told[len] && told[len] != ':'))
                return 0;
        for (int e = 1; told[len] && e < 134; e++)
                if (strerrorname_np(e) && !strcmp(strerrorname_np(e), told + len + 1))
                        return e;
        return EIO;
}

/* The driver's own probe function: 0 or a positive errno. */
static int probe(const char *address, const char *dir, const char *driver)
{
        char native[FK_NAME], text[FK_NAME];

        if (told_to_fail(driver))
                return told_to_fail(driver);
        native_driver(address, native);
        if (!strcmp(driver, VFIO)) {
                fk_read_attr(dir, "class", text, sizeof text);
                if (!strncmp(text, "0x0604", 6))
                        return EINVAL;
                fk_read_attr(dir, "sriov_numvfs", text, sizeof text);
                if (atoi(text) > 0)
                        return EBUSY;
                if (!fk_link_of(dir, "iommu_group", text))
                        return EINVAL;
                return 0;
        }
        return !strcmp(driver, native) || !strcmp(driver, "pci-stub") ? 0 : ENODEV;
}

/* really_probe(): a refusal of the driver is positive, one of the core (DMA ownership) negative. */
static int really_probe(const char *address, const char *dir, const char *driver)
{
        char group[FK_NAME];

        if (!manages_own_dma(driver) && fk_link_of(dir, "iommu_group", group) && fk_group_open(group))
                return -EBUSY;
        int r = probe(address, dir, driver);
        if (r)
                return r;
        driver_links(dir, driver, address, true);
        set_uevent_driver(dir, driver);
        if (!strcmp(driver, VFIO)) {
                vfio_device(dir, true);
                fk_set_power(dir, "auto", driver);
        } else {
                native_nodes(address, true);
                fk_set_power(dir, strcmp(driver, "pcieport") ? "on" : "auto", driver);
                fk_puts(dir, "enable", "1\n");
        }
        return 0;
}

static int bind_store(const struct fk_write *w)
{
        char driver[FK_NAME];

        if (!w->address[0] || !match(w->address, w->dir, w->driver))
                return -ENODEV;
        if (fk_link_of(w->dir, "driver", driver))
                return -EBUSY;
        int r = really_probe(w->address, w->dir, w->driver);
        return r > 0 ? -r : r;
}

/* drivers_probe: no match, or a driver that refuses, is no failure. */
static int drivers_probe_store(const struct fk_write *w)
{
        char driver[FK_NAME], override[FK_NAME];

        if (!w->address[0])
                return -ENODEV;
        if (fk_link_of(w->dir, "driver", driver))
                return 0;
        native_driver(w->address, driver);
        fk_read_attr(w->dir, "driver_override", override, sizeof override);
        if (override[0] && strcmp(override, "(null)"))
                snprintf(driver, sizeof driver, "%s", override);
        if (!driver[0] || strchr(driver, '/') || !fk_exists(DRIVERS "/%s", driver))
                return 0;
        return really_probe(w->address, w->dir, driver) < 0 ? -EINVAL : 0;
}

/* __device_release_driver(): the links go first, also where the driver then never lets go. */
int fk_unbind_start(const struct fk_write *w)
{
        char driver[FK_NAME];

        if (!w->address[0] || !fk_link_of(w->dir, "driver", driver) || strcmp(driver, w->driver))
                return -ENODEV;
        driver_links(w->dir, driver, w->address, false);
        return 0;
}

int fk_unbind_finish(const struct fk_write *w)
{
        char native[FK_NAME];

        set_uevent_driver(w->dir, NULL);
        native_driver(w->address, native);
        if (!strcmp(w->driver, VFIO))
                vfio_device(w->dir, false);
        else if (!strcmp(w->driver, native))
                native_nodes(w->address, false);
        fk_set_power(w->dir, "on", NULL);
        fk_puts(w->dir, "enable", "0\n");
        return 0;
}

int fk_apply(const struct fk_write *w)
{
        int r;

        if (!w->len)
                return 0;
        switch (w->kind) {
        case FK_ATTR:
                return fk_attr_store(w);
        case FK_BIND:
                return bind_store(w);
        case FK_UNBIND:
                r = fk_unbind_start(w);
                return r ? r : fk_unbind_finish(w);
        case FK_PROBE:
                return drivers_probe_store(w);
        case FK_NEW_ID:
                return 0;
        case FK_OTHER:
                break;
        }
        size_t path = strlen(w->path);
        if (path > 7 && (!strcmp(w->path + path - 7, "/uevent") || !strcmp(w->path + path - 7, "/rescan")))
                return 0;
        return fk_put(w->path, w->value, w->len) ? 0 : -EIO;
}

static int attach_override(const char *name, void *data)
{
        char dir[FK_PATH], override[FK_PATH], driver[FK_NAME];

        (void)data;
        if (!device_dir(name, dir) || fk_link_of(dir, "driver", driver))
                return 0;
        fk_read_attr(dir, "driver_override", override, sizeof override);
        if (!strcmp(override, VFIO))
                really_probe(name, dir, VFIO);
        return 0;
}

/* vfio-pci, the only module that can be loaded; what is driverless and waits for it is bound at once. */
int fk_load_module(const char *name)
{
        static const char *const attrs[] = {"bind", "unbind", "new_id", "remove_id", "uevent"};

        if (strcmp(name, "vfio-pci") && strcmp(name, "vfio_pci"))
                return -ENOENT;
        if (fk_exists(DRIVERS "/" VFIO))
                return 0;
        fk_mkdirs(DRIVERS "/" VFIO);
        fk_mkdirs("sys/module/vfio_pci/drivers");
        fk_mkdirs("sys/module/vfio_pci/parameters");
        fk_mkdirs("sys/class/vfio");
        fk_mkdirs("dev/vfio");
        for (size_t i = 0; i < sizeof attrs / sizeof *attrs; i++)
                fk_create("", DRIVERS "/" VFIO "/%s", attrs[i]);
        fk_create("live\n", "sys/module/vfio_pci/initstate");
        fk_create("0\n", "sys/module/vfio_pci/refcnt");
        fk_create("N\n", "sys/module/vfio_pci/parameters/disable_idle_d3");
        fk_create("", "dev/vfio/vfio");
        fk_link(DRIVERS "/" VFIO "/module", "sys/module/vfio_pci");
        fk_link("sys/module/vfio_pci/drivers/pci:vfio-pci", DRIVERS "/" VFIO);
        fk_each("sys/bus/pci/devices", attach_override, NULL);
        return 0;
}
