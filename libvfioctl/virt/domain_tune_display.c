/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain_tune.h"

/* Removes all <name> with this value of `attribute` (NULL: all). */
static int drop_devices(const struct tune *tune, const char *name, const char *attribute, const char *value)
{
        for (xmlNode *node = xml_child(tune->devices, name, NULL), *next; node; node = next) {
                next = xml_next(node, name, NULL);
                if (attribute && !util_equal(xml_attribute(node, attribute), value))
                        continue;
                int r = xml_remove(node);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* All that needs SPICE or D-Bus, and would keep the VM from starting without. */
static int drop_carried(const struct tune *tune)
{
        static const char *const names[] = {"channel", "redirdev", "smartcard"};
        int r = drop_devices(tune, "channel", "type", "dbus");

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(names); i++)
                r = drop_devices(tune, names[i], "type", "spicevmc");
        /* Filters of what is redirected, of which nothing is left. */
        if (r >= 0 && !xml_child(tune->devices, "redirdev", NULL))
                r = drop_devices(tune, "redirfilter", NULL, NULL);
        for (xmlNode *node = xml_child(tune->devices, "audio", NULL); r >= 0 && node;
             node = xml_next(node, "audio", NULL)) {
                const char *type = xml_attribute(node, "type");
                if (util_equal(type, "spice") || util_equal(type, "dbus"))
                        r = xml_set(node, "type", "none");
        }
        return r;
}

static int drop_graphics(const struct tune *tune)
{
        int r = drop_devices(tune, "graphics", NULL, NULL);

        return r < 0 ? r : drop_carried(tune);
}

/* ---- video ---- */

static bool has_video(const struct tune *tune, const char *model)
{
        const xmlNode *video = xml_child(tune->devices, "video", NULL);

        return video && !xml_next(video, "video", NULL) &&
               util_equal(xml_attribute(xml_child(video, "model", NULL), "type"), model);
}

static int set_video(const struct tune *tune, const char *type)
{
        if (has_video(tune, type))
                return 0;
        int r = drop_devices(tune, "video", NULL, NULL);
        if (r < 0)
                return r;
        _cleanup_(xml_freep) xmlNode *video = xml_new(NULL, "video");
        xmlNode *model = video ? xml_new(video, "model") : NULL;
        if (!model || xml_set(model, "type", "%s", type) < 0)
                return -ENOMEM;
        if (!util_equal(type, "none") &&
            (xml_set(model, "heads", "1") < 0 || xml_set(model, "primary", "yes") < 0))
                return -ENOMEM;
        return domain_put(tune->devices, &video);
}

/* ---- the socket ---- */

/* On a socket of this host, and nowhere else: it has no other <listen>, and no older attributes. */
static bool is_local(const xmlNode *graphics)
{
        const char *type = xml_attribute(graphics, "type");
        const xmlNode *listen = xml_child(graphics, "listen", NULL);

        return (util_equal(type, "vnc") || util_equal(type, "spice")) && listen &&
               !xml_next(listen, "listen", NULL) && util_equal(xml_attribute(listen, "type"), "socket");
}

static bool has_local_graphics(const struct tune *tune)
{
        const xmlNode *graphics = xml_child(tune->devices, "graphics", NULL);

        return graphics && !xml_next(graphics, "graphics", NULL) && is_local(graphics);
}

/* VNC, since not every QEMU is built with SPICE. libvirt chooses the path: formatdomain, <listen>. */
static int set_graphics(const struct tune *tune)
{
        if (has_local_graphics(tune))
                return 0;
        int r = drop_graphics(tune);
        if (r < 0)
                return r;
        _cleanup_(xml_freep) xmlNode *graphics = xml_new(NULL, "graphics");
        if (!graphics || xml_set(graphics, "type", "vnc") < 0)
                return -ENOMEM;
        xmlNode *listen = xml_new(graphics, "listen");
        if (!listen || xml_set(listen, "type", "socket") < 0)
                return -ENOMEM;
        return domain_put(tune->devices, &graphics);
}

int tune_display(struct tune *tune)
{
        enum vfioctl_display display = tune->tuning->display;

        if (display == VFIOCTL_DISPLAY_KEEP)
                return 0;
        int r = tune->devices ? 0 : domain_ensure(tune->root, "devices", &tune->devices);
        if (r >= 0)
                r = display == VFIOCTL_DISPLAY_RESCUE ? set_graphics(tune) : drop_graphics(tune);
        return r < 0 ? r : set_video(tune, display == VFIOCTL_DISPLAY_RESCUE ? "virtio" : "none");
}
