/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

#define MEMORY_MIN (64ull << 10) /* KiB */
#define MEMORY_MAX (16ull << 30) /* KiB: 16 TiB */
#define VCPUS_MAX  4096

static int refuse(const char *option, const char *argument, const char *wanted)
{
        char text[80];

        complain("--%s %s: %s", option, printable(argument, text, sizeof(text)), wanted);
        return -EINVAL;
}

static int read_number(const char *option, const char *argument, unsigned int maximum, unsigned int *ret)
{
        uint64_t number;

        if (util_parse_u64(argument, 10, maximum, &number) < 0 || number == 0) {
                char wanted[64];
                (void)snprintf(wanted, sizeof(wanted), "give a number from 1 to %u", maximum);
                return refuse(option, argument, wanted);
        }
        *ret = (unsigned int)number;
        return 0;
}

static int read_word(const char *option, const char *argument, const char *const *words, const char *wanted,
                     const char **ret)
{
        for (; *words; words++)
                if (util_equal(*words, argument)) {
                        *ret = argument;
                        return 0;
                }
        return refuse(option, argument, wanted);
}

static int read_text(const char *option, const char *argument, const char *wanted, const char **ret)
{
        if (!*argument)
                return refuse(option, "''", wanted);
        *ret = argument;
        return 0;
}

static int add_text(const char *option, const char *argument, const char *wanted, const char ***list,
                    size_t *n, size_t *allocated)
{
        const char *text;

        int r = read_text(option, argument, wanted, &text);
        if (r >= 0)
                r = util_grow(list, allocated, *n + 1, sizeof(**list));
        if (r >= 0)
                (*list)[(*n)++] = text;
        return r;
}

int options_read_vm(struct vm_options *options, int key, const char *argument)
{
        static const char *const pages[] = {"auto", "no", "2M", "1G", NULL};
        static const char *const displays[] = {"none", "rescue", NULL};
        static const char *const systems[] = {"linux", "windows", NULL};
        static const char *const formats[] = {"shell", "docker", "systemd", NULL};

        switch (key) {
        case KEY_VCPUS:
                return read_number("vcpus", argument, VCPUS_MAX, &options->vcpus);
        case KEY_VMS:
                return read_number("vms", argument, 64, &options->vms);
        case KEY_MEMORY:
                if (parse_size(argument, &options->memory) < 0 || options->memory < MEMORY_MIN ||
                    options->memory > MEMORY_MAX) {
                        options->memory = 0;
                        return refuse("memory", argument, "give a size from 64M to 16T, such as 16G");
                }
                return 0;
        case KEY_HUGEPAGES:
                return read_word("hugepages", argument, pages, "give auto, no, 2M or 1G",
                                 &options->hugepages);
        case KEY_DISPLAY:
                return read_word("display", argument, displays, "give none or rescue", &options->display);
        case KEY_OS:
                return read_word("os", argument, systems, "give linux or windows", &options->os);
        case KEY_FORMAT:
                return read_word("format", argument, formats, "give shell, docker or systemd",
                                 &options->format);
        case KEY_TEMPLATE:
                return read_text("template", argument, "give the name of a template", &options->template);
        case KEY_DISK:
                return read_text("disk", argument, "give a path", &options->disk);
        case KEY_NETWORK:
                return read_text("network", argument, "give the name of a network", &options->network);
        case KEY_BRIDGE:
                return read_text("bridge", argument, "give the name of a bridge", &options->bridge);
        case KEY_LOOKING_GLASS:
                return read_text("looking-glass", argument, "give a size such as 1920x1080",
                                 &options->looking_glass);
        case KEY_USB_CONTROLLER:
                return read_text("usb-controller", argument, "give a PCI address", &options->usb_controller);
        case KEY_ISO:
                return add_text("iso", argument, "give a path", &options->isos, &options->n_isos,
                                &options->allocated_isos);
        case KEY_EVDEV:
                return add_text("evdev", argument, "give a path", &options->evdevs, &options->n_evdevs,
                                &options->allocated_evdevs);
        case KEY_START:
                options->start = true;
                return 0;
        case KEY_PRINT:
                options->print = true;
                return 0;
        default:
                return -EINVAL;
        }
}

void options_clear_vm(struct vm_options *options)
{
        free(options->isos);
        free(options->evdevs);
}
