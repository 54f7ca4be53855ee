/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What Linux 6.1 does when attributes of a PCI device are written: drivers/pci/{pci-sysfs,pci,iov}.c,
 * drivers/base/driver.c, drivers/base/power/sysfs.c. */
#include "fakekernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* driver_set_override() */
static int driver_override_store(const struct fk_write *w)
{
        char line[FK_PATH + 1];

        if (w->len >= FK_PATH - 1)
                return -EINVAL;
        size_t len = strcspn(w->value, "\n");
        snprintf(line, sizeof line, "%.*s\n", (int)len, w->value);
        fk_puts(w->dir, "driver_override", len ? line : "(null)\n");
        return 0;
}

static bool has_word(const char *list, const char *word)
{
        size_t len = strlen(word);

        for (const char *p = list; (p = strstr(p, word)); p += len)
                if ((p == list || p[-1] == ' ') && (!p[len] || p[len] == ' '))
                        return true;
        return false;
}

/* reset_method_store(): "default" probes anew, a list must hold methods that work now. */
static int reset_method_store(const struct fk_write *w)
{
        char works[FK_NAME], value[FK_PATH], out[FK_PATH] = "", *save = NULL;

        if (w->len >= FK_PATH - 1)
                return -EINVAL;
        if (!fk_find_line(".fake/reset", w->address, works, sizeof works))
                works[0] = '\0';
        if (fk_streq_line(w->value, "")) {
                fk_puts(w->dir, "reset_method", "");
                return 0;
        }
        if (fk_streq_line(w->value, "default")) {
                snprintf(out, sizeof out, "%s%s", works, works[0] ? "\n" : "");
                fk_puts(w->dir, "reset_method", out);
                return 0;
        }
        snprintf(value, sizeof value, "%s", w->value);
        size_t at = 0;
        for (char *word = strtok_r(value, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
                if (!has_word(works, word))
                        return -EINVAL;
                if (at + strlen(word) + 3 < sizeof out)
                        at += (size_t)snprintf(out + at, sizeof out - at, "%s%s", at ? " " : "", word);
        }
        snprintf(out + at, sizeof out - at, "\n");
        fk_puts(w->dir, "reset_method", out);
        return 0;
}

static int reset_store(const struct fk_write *w)
{
        char methods[FK_NAME], path[FK_PATH + 8];
        char *end;

        if (strtoul(w->value, &end, 0) != 1 || end == w->value)
                return -EINVAL;
        fk_read_attr(w->dir, "reset_method", methods, sizeof methods);
        if (!methods[0])
                return -ENOTTY;
        const char *dead = getenv("FAKEKERNEL_RESET_DEAD");
        if (dead && !strcmp(dead, w->address)) {
                char ones[4096];
                snprintf(path, sizeof path, "%s/config", w->dir);
                memset(ones, 0xff, sizeof ones);
                fk_put(path, ones, sizeof ones);
        }
        return 0;
}

/* sriov_numvfs_store(); the VFs themselves do not appear. */
static int sriov_numvfs_store(const struct fk_write *w)
{
        static const char *const able[] = {"vfio-pci", "ixgbe", "mlx5_core", "nvme", "pci-pf-stub"};
        char total[32], now[32], driver[FK_NAME], line[32], *end;
        bool can = false;
        unsigned long n = strtoul(w->value, &end, 0);

        if (end == w->value || (*end && strcmp(end, "\n")) || n > 0xffff)
                return -EINVAL;
        fk_read_attr(w->dir, "sriov_totalvfs", total, sizeof total);
        if (n > strtoul(total, NULL, 10))
                return -ERANGE;
        fk_read_attr(w->dir, "sriov_numvfs", now, sizeof now);
        if (n == strtoul(now, NULL, 10))
                return 0;
        fk_link_of(w->dir, "driver", driver);
        for (size_t i = 0; i < sizeof able / sizeof *able; i++)
                can |= !strcmp(driver, able[i]);
        if (!can)
                return -ENOENT;
        if (n && atoi(now))
                return -EBUSY;
        snprintf(line, sizeof line, "%lu\n", n);
        fk_puts(w->dir, "sriov_numvfs", line);
        return 0;
}

static int bool_store(const struct fk_write *w)
{
        char *end;
        unsigned long n = strtoul(w->value, &end, 0);

        if (end == w->value || (*end && strcmp(end, "\n")))
                return -EINVAL;
        fk_puts(w->dir, w->attr, n ? "1\n" : "0\n");
        return 0;
}

static int control_store(const struct fk_write *w)
{
        char driver[FK_NAME];
        bool bound = fk_link_of(w->dir, "driver", driver);

        if (fk_streq_line(w->value, "auto"))
                fk_set_power(w->dir, "auto", bound ? driver : NULL);
        else if (fk_streq_line(w->value, "on"))
                fk_set_power(w->dir, "on", bound ? driver : NULL);
        else
                return -EINVAL;
        return 0;
}

int fk_attr_store(const struct fk_write *w)
{
        static const struct {
                const char *attr;
                int (*store)(const struct fk_write *w);
        } stores[] = {
                {"driver_override", driver_override_store},
                {"reset_method", reset_method_store},
                {"reset", reset_store},
                {"sriov_numvfs", sriov_numvfs_store},
                {"sriov_drivers_autoprobe", bool_store},
                {"d3cold_allowed", bool_store},
                {"broken_parity_status", bool_store},
                {"msi_bus", bool_store},
                {"enable", bool_store},
                {"power/control", control_store},
        };

        for (size_t i = 0; i < sizeof stores / sizeof *stores; i++)
                if (!strcmp(w->attr, stores[i].attr))
                        return stores[i].store(w);
        /* Written to make something happen, which here does not; they hold no value. */
        if (!strcmp(w->attr, "uevent") || !strcmp(w->attr, "remove") || !strcmp(w->attr, "rescan"))
                return 0;
        return fk_put(w->path, w->value, w->len) ? 0 : -EIO;
}
