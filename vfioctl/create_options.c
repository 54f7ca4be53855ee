/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "create.h"

#include <unistd.h>

#define ISOS_MAX    6 /* ports of the SATA controller that a q35 has */
#define EVDEVS_MAX  16
#define DISK_MIN    1024u         /* KiB */
#define DISK_MAX    (64ull << 30) /* KiB: 64 TiB */
#define SIZE_OPTION ",size="

static int usage(const char *option, const char *argument, const char *wanted)
{
        char text[200];

        complain("--%s %s: %s", option, printable(argument, text, sizeof(text)), wanted);
        return CODE_USAGE;
}

/* The path as the definition is to have it: seen from nowhere in particular. */
static int absolute(const struct create *create, const char *option, const char *path, size_t length,
                    char **ret)
{
        _cleanup_free_ char *folder = NULL, *text = NULL;

        if (*path != '/') {
                folder = getcwd(NULL, 0);
                if (!folder)
                        return complain_errno(-errno, "the current folder");
        }
        if (util_format(&text, "%s%s%.*s", folder ? folder : "", folder ? "/" : "", (int)length, path) < 0)
                return complain_errno(-ENOMEM, "cannot read the options");
        if (!create->assignment.calls.is_path(text) || text[strlen(text) - 1] == '/' ||
            strlen(text) >= PATH_MAX)
                return usage(option, path,
                             "give the path of a file, in UTF-8 and without control characters");
        *ret = util_steal(text);
        return 0;
}

static int read_disk(struct create *create)
{
        const char *argument = create->cli->options.vm.disk, *size = NULL;

        for (const char *at = argument; (at = strstr(at, SIZE_OPTION)); at++)
                size = at;
        size_t length = size ? (size_t)(size - argument) : strlen(argument);
        if (length == 0)
                return usage("disk", argument, "give a path first");
        if (size && (parse_size(size + strlen(SIZE_OPTION), &create->disk.size) < 0 ||
                     create->disk.size < DISK_MIN || create->disk.size > DISK_MAX))
                return usage("disk", argument, "give a size from 1M to 64T, such as " SIZE_OPTION "100G");
        return absolute(create, "disk", argument, length, &create->disk.path);
}

static int read_paths(const struct create *create, const char *option, const char *const *paths, size_t n,
                      size_t maximum, char ***ret)
{
        *ret = calloc(n ? n : 1, sizeof(**ret));
        if (!*ret)
                return complain_errno(-ENOMEM, "cannot read the options");
        if (n > maximum) {
                complain("--%s is given %zu times; there can be %zu", option, n, maximum);
                return CODE_USAGE;
        }
        for (size_t i = 0; i < n; i++) {
                int status = absolute(create, option, paths[i], strlen(paths[i]), &(*ret)[i]);
                if (status != 0)
                        return status;
                for (size_t k = 0; k < i; k++)
                        if (util_equal((*ret)[k], (*ret)[i]))
                                return usage(option, paths[i], "it is given twice");
        }
        return 0;
}

/* "1920x1080" */
static int read_looking_glass(struct create *create)
{
        const char *argument = create->cli->options.vm.looking_glass;
        uint64_t size[2] = {0, 0};
        char number[8];

        if (!argument)
                return 0;
        const char *at = argument;
        for (size_t i = 0; i < 2; i++) {
                size_t length = strspn(at, "0123456789");
                if (length == 0 || length >= sizeof(number))
                        break;
                memcpy(number, at, length);
                number[length] = '\0';
                if (at[length] != (i == 0 ? 'x' : '\0') || util_parse_u64(number, 10, 16384, &size[i]) < 0)
                        break;
                at += length + 1;
        }
        create->shared_memory =
                create->assignment.calls.shared_memory((unsigned int)size[0], (unsigned int)size[1]);
        return create->shared_memory > 0
                       ? 0
                       : usage("looking-glass", argument, "give a size such as 1920x1080, up to 16384x16384");
}

/* Names of networks and bridges go into the definition as they are. */
static int check_word(const char *option, const char *word)
{
        if (!word)
                return 0;
        for (const char *at = word; *at; at++)
                if ((unsigned char)*at <= ' ' || *at == '/' || (unsigned char)*at >= 127)
                        return usage(option, word, "that is no name of one");
        return strlen(word) < 64 ? 0 : usage(option, word, "that is no name of one: it is too long");
}

static int check_given(const struct cli *cli)
{
        const struct vm_options *vm = &cli->options.vm;
        const struct {
                const char *option;
                bool given;
        } needed[] = {
                {"--template T (vfioctl templates lists them)", vm->template},
                {"--disk PATH[,size=SIZE]", vm->disk},
                {"--memory SIZE, such as 16G", vm->memory > 0},
                {"--vcpus N", vm->vcpus > 0},
        };

        for (size_t i = 0; i < ELEMENTSOF(needed); i++)
                if (!needed[i].given) {
                        complain("create wants %s", needed[i].option);
                        return CODE_USAGE;
                }
        if (vm->network && vm->bridge) {
                complain("--network and --bridge: give one of them");
                return CODE_USAGE;
        }
        if (cli->options.n_gpus > 0 && cli->options.count > 0) {
                complain("--gpu and --count: give one of them");
                return CODE_USAGE;
        }
        if (vm->print && (vm->start || cli->options.dry_run || cli->options.json)) {
                complain("--print changes nothing and prints XML: it goes with neither --start, --dry-run "
                         "nor --json");
                return CODE_USAGE;
        }
        return 0;
}

int create_read_options(struct create *create)
{
        const struct cli *cli = create->cli;
        const struct vm_options *vm = &cli->options.vm;
        char text[80];

        int status = check_given(cli);
        if (status == 0 && !create->assignment.calls.is_vm_name(cli->arguments[0])) {
                complain("'%s' is no name for a VM: give 1 to %d bytes of UTF-8, without '/' and control "
                         "characters",
                         printable(cli->arguments[0], text, sizeof(text)), VFIOCTL_VM_NAME_MAX);
                status = CODE_USAGE;
        }
        if (status == 0)
                status = read_disk(create);
        if (status == 0)
                status = read_paths(create, "iso", vm->isos, vm->n_isos, ISOS_MAX, &create->isos);
        if (status == 0)
                status = read_paths(create, "evdev", vm->evdevs, vm->n_evdevs, EVDEVS_MAX, &create->evdevs);
        if (status == 0)
                status = read_looking_glass(create);
        if (status == 0)
                status = check_word("network", vm->network);
        if (status == 0)
                status = check_word("bridge", vm->bridge);
        if (status == 0 && vm->usb_controller && vfioctl_address_parse(vm->usb_controller, &create->usb) < 0)
                status = usage("usb-controller", vm->usb_controller, "give a PCI address, such as 00:14.0");
        return status;
}
