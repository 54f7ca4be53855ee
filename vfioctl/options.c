/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

#include <getopt.h>

enum {
        KEY_ROOT = 256,
        KEY_CONNECT,
        KEY_JSON,
        KEY_VERSION,
        KEY_NOHEADINGS,
        KEY_DRY_RUN,
        KEY_GPU,
        KEY_COUNT,
        KEY_SHARE,
        KEY_EARLY,
        KEY_CHECK,
        KEY_BOOT,
        KEY_TIMER,
        KEY_CRON,
        KEY_NO_INITRAMFS,
        KEY_WATCH,
        KEY_SERIALS,
        KEY_RUNS,
        KEY_ALL,
        KEY_SVG,
};

/* One table for parsing, for --help and for asking which verb takes what. */
static const struct description {
        const char *name;
        int has_argument;
        int key;
        unsigned int verb_option; /* 0: global */
        const char *usage;
        const char *text;
} descriptions[] = {
        {"gpu", required_argument, KEY_GPU, OPTION_GPU, "--gpu GPU", "this GPU (may be given several times)"},
        {"count", required_argument, KEY_COUNT, OPTION_COUNT, "--count N", "so many GPUs for each VM"},
        {"share", no_argument, KEY_SHARE, OPTION_SHARE, "--share",
         "take a GPU that another definition names as well"},
        {"check", no_argument, KEY_CHECK, OPTION_CHECK, "--check", "validate, and print what is wrong"},
        {"boot", no_argument, KEY_BOOT, OPTION_BOOT, "--boot", "print what the boot step depends on"},
        {"timer", no_argument, KEY_TIMER, OPTION_TIMER, "--timer",
         "have systemd run vfioctl reconcile every minute"},
        {"cron", no_argument, KEY_CRON, OPTION_CRON, "--cron",
         "have cron run vfioctl reconcile every minute"},
        {"no-initramfs", no_argument, KEY_NO_INITRAMFS, OPTION_NO_INITRAMFS, "--no-initramfs",
         "leave the initramfs as it is"},
        {"runs", required_argument, KEY_RUNS, OPTION_RUNS, "--runs N",
         "so many times into a VM and back (3)"},
        {"with-serials", no_argument, KEY_SERIALS, OPTION_SERIALS, "--with-serials",
         "leave serial numbers, MAC addresses and host names in"},
        {"dry-run", no_argument, KEY_DRY_RUN, OPTION_DRY_RUN, "--dry-run",
         "print the steps and change nothing"},
        {"early", no_argument, KEY_EARLY, OPTION_EARLY, "--early",
         "bind nothing: only keep host drivers off, as long as there is no driver"},
        {"watch", no_argument, KEY_WATCH, OPTION_WATCH, "--watch",
         "go on, and show it anew when something changes"},
        {"all", no_argument, KEY_ALL, OPTION_ALL, "--all", "root ports and switches too"},
        {"svg", required_argument, KEY_SVG, OPTION_SVG, "--svg FILE",
         "a drawing of the board, as SVG; -: standard output"},
        {"template", required_argument, KEY_TEMPLATE, OPTION_NEW, "--template T",
         "make it of this template; vfioctl templates lists them"},
        {"disk", required_argument, KEY_DISK, OPTION_NEW, "--disk PATH[,size=SIZE]",
         "its disk; with a size, one that is made"},
        {"iso", required_argument, KEY_ISO, OPTION_NEW, "--iso PATH",
         "an image in a drive of its own (may be given several times)"},
        {"memory", required_argument, KEY_MEMORY, OPTION_SIZE, "--memory SIZE", "so much memory: 16G"},
        {"vcpus", required_argument, KEY_VCPUS, OPTION_SIZE, "--vcpus N", "so many vCPUs"},
        {"hugepages", required_argument, KEY_HUGEPAGES, OPTION_SIZE, "--hugepages WHICH",
         "auto, no, 2M or 1G"},
        {"network", required_argument, KEY_NETWORK, OPTION_NEW, "--network NAME", "a network of libvirt's"},
        {"bridge", required_argument, KEY_BRIDGE, OPTION_NEW, "--bridge BR", "a bridge of the host's"},
        {"display", required_argument, KEY_DISPLAY, OPTION_DISPLAY, "--display WHICH",
         "none: the GPU alone; rescue: one on a local socket as well"},
        {"os", required_argument, KEY_OS, OPTION_GUEST, "--os OS", "what runs in it: linux or windows"},
        {"evdev", required_argument, KEY_EVDEV, OPTION_NEW, "--evdev PATH",
         "hand this input device in (may be given several times)"},
        {"looking-glass", required_argument, KEY_LOOKING_GLASS, OPTION_NEW, "--looking-glass WxH",
         "shared memory for pictures of this size"},
        {"usb-controller", required_argument, KEY_USB_CONTROLLER, OPTION_NEW, "--usb-controller ADDRESS",
         "hand this USB controller in"},
        {"start", no_argument, KEY_START, OPTION_NEW, "--start", "start it"},
        {"print", no_argument, KEY_PRINT, OPTION_NEW, "--print", "print its definition and change nothing"},
        {"vms", required_argument, KEY_VMS, OPTION_VMS, "--vms N", "so many VMs"},
        {"format", required_argument, KEY_FORMAT, OPTION_FORMAT, "--format FORMAT",
         "shell, docker or systemd"},
        {"output", required_argument, 'o', OPTION_COLUMNS, "-o, --output LIST",
         "columns, separated by commas; a leading + adds to the usual ones"},
        {"noheadings", no_argument, KEY_NOHEADINGS, OPTION_NOHEADINGS, "--noheadings", "no line of headings"},
        {"json", no_argument, KEY_JSON, 0, "--json", "print JSON"},
        {"root", required_argument, KEY_ROOT, 0, "--root DIR", "look at a captured or simulated host in DIR"},
        {"connect", required_argument, KEY_CONNECT, 0, "--connect URI", "libvirt's URI (qemu:///system)"},
        {"quiet", no_argument, 'q', 0, "-q, --quiet", "say nothing but errors"},
        {"verbose", no_argument, 'v', 0, "-v, --verbose", "print each step as it is taken"},
        {"help", no_argument, 'h', 0, "-h, --help", "this text"},
        {"version", no_argument, KEY_VERSION, 0, "--version", "the version"},
};

/* What it tells of begins in a column of its own, on the next line where there is no room. */
static void print_row(const char *left, int column, const char *text)
{
        int written = printf("  %s", left);

        if (written >= column)
                printf("\n%*s%s\n", column, "", text);
        else
                printf("%*s%s\n", column - written, "", text);
}

static void print_option(const struct description *description)
{
        print_row(description->usage, 23, description->text);
}

static void print_verb(const struct verb *verb)
{
        char left[80];

        (void)snprintf(left, sizeof(left), "%-11s %s", verb->name, verb->arguments);
        print_row(left, 24, verb->summary);
}

static void print_help(const struct verb *verbs, size_t n_verbs)
{
        printf("Usage: vfioctl [OPTION...] VERB [ARGUMENT...]\n"
               "Hands one GPU to each virtual machine.\n\nVerbs:\n");
        for (size_t i = 0; i < n_verbs; i++)
                print_verb(&verbs[i]);
        printf("\nOptions:\n");
        for (size_t i = 0; i < ELEMENTSOF(descriptions); i++)
                if (descriptions[i].verb_option == 0)
                        print_option(&descriptions[i]);
        printf("\nA GPU is written as its short name (2a) or its PCI address (05:00.0).\n"
               "vfioctl VERB --help tells more of a verb, and man vfioctl tells all.\n");
}

static void print_verb_help(const struct verb *verb)
{
        printf("Usage: vfioctl %s [OPTION...] %s\n%s\n\nOptions:\n", verb->name, verb->arguments,
               verb->description);
        for (size_t i = 0; i < ELEMENTSOF(descriptions); i++)
                if (descriptions[i].verb_option == 0 || verb->options & descriptions[i].verb_option)
                        print_option(&descriptions[i]);
        printf("\nman vfioctl-%s tells more.\n", verb->name);
}

void options_clear(struct options *options)
{
        free(options->gpus);
        options_clear_vm(&options->vm);
        memset(options, 0, sizeof(*options));
}

static int read_option(struct options *options, int key, const char *argument)
{
        uint64_t number;
        char text[80];

        if (key >= KEY_VM_FIRST)
                return options_read_vm(&options->vm, key, argument);
        switch (key) {
        case KEY_ROOT:
                options->root = argument;
                return 0;
        case KEY_CONNECT:
                /* libvirt would take the empty one for "whatever there is": a script's unset variable. */
                if (!*argument) {
                        complain("--connect wants a libvirt URI, such as qemu:///system");
                        return -EINVAL;
                }
                options->connect = argument;
                return 0;
        case KEY_JSON:
                options->json = true;
                return 0;
        case 'q':
                options->quiet = true;
                return 0;
        case 'v':
                options->verbose = true;
                return 0;
        case 'o':
                options->columns = argument;
                return 0;
        case KEY_NOHEADINGS:
                options->no_headings = true;
                return 0;
        case KEY_DRY_RUN:
                options->dry_run = true;
                return 0;
        case KEY_SHARE:
                options->share = true;
                return 0;
        case KEY_EARLY:
                options->early = true;
                return 0;
        case KEY_WATCH:
                options->watch = true;
                return 0;
        case KEY_ALL:
                options->all = true;
                return 0;
        case KEY_SVG:
                options->svg = argument;
                return 0;
        case KEY_CHECK:
                options->check = true;
                return 0;
        case KEY_BOOT:
                options->boot = true;
                return 0;
        case KEY_TIMER:
                options->timer = true;
                return 0;
        case KEY_CRON:
                options->cron = true;
                return 0;
        case KEY_NO_INITRAMFS:
                options->no_initramfs = true;
                return 0;
        case KEY_SERIALS:
                options->with_serials = true;
                return 0;
        case KEY_COUNT:
        case KEY_RUNS:
                if (util_parse_u64(argument, 10, 64, &number) < 0 || number == 0) {
                        complain("--%s %s: give a number from 1 to 64", key == KEY_COUNT ? "count" : "runs",
                                 printable(argument, text, sizeof(text)));
                        return -EINVAL;
                }
                *(key == KEY_COUNT ? &options->count : &options->runs) = (unsigned int)number;
                return 0;
        case KEY_GPU: {
                int r = util_grow(&options->gpus, &options->allocated_gpus, options->n_gpus + 1,
                                  sizeof(*options->gpus));
                if (r < 0)
                        return r;
                options->gpus[options->n_gpus++] = argument;
                return 0;
        }
        default:
                return -EINVAL;
        }
}

static const struct verb *find_verb(const struct verb *verbs, size_t n_verbs, const char *name)
{
        for (size_t i = 0; i < n_verbs; i++)
                if (util_equal(verbs[i].name, name))
                        return &verbs[i];
        return NULL;
}

static const struct description *find_description(int key)
{
        for (size_t i = 0; i < ELEMENTSOF(descriptions); i++)
                if (descriptions[i].key == key)
                        return &descriptions[i];
        return NULL;
}

/* One pass of getopt: up to the verb, or over everything after it. */
static int read_pass(struct cli *cli, const struct verb *verbs, size_t n_verbs, int argc, char **argv,
                     bool stop)
{
        struct option table[ELEMENTSOF(descriptions) + 1];
        const char *where = cli->verb ? cli->verb->name : NULL;
        int key;

        memset(table, 0, sizeof(table));
        for (size_t i = 0; i < ELEMENTSOF(descriptions); i++)
                table[i] = (struct option){.name = descriptions[i].name,
                                           .has_arg = descriptions[i].has_argument,
                                           .val = descriptions[i].key};
        opterr = 0;
        optind = stop ? 1 : 0;
        while ((key = getopt_long(argc, argv, stop ? "+:o:qvh" : ":o:qvh", table, NULL)) != -1) {
                const struct description *description = find_description(key);
                char text[80];
                if (key == 'h') {
                        if (cli->verb)
                                print_verb_help(cli->verb);
                        else
                                print_help(verbs, n_verbs);
                        return CODE_DONE;
                }
                if (key == KEY_VERSION) {
                        printf("vfioctl %s\n", vfioctl_version());
                        return CODE_DONE;
                }
                if (key == ':' || !description) {
                        /* In the midst of -xq the word is still to come. */
                        bool is_letter =
                                key == '?' && optopt > 0 && optopt < KEY_ROOT && !find_description(optopt);
                        const char letter[] = {'-', (char)optopt, '\0'};
                        complain("%s %s; try vfioctl %s%s--help",
                                 printable(is_letter ? letter : argv[optind - 1], text, sizeof(text)),
                                 key == ':' ? "wants a value" : "is no option here", where ? where : "",
                                 where ? " " : "");
                        return CODE_USAGE;
                }
                if (description->verb_option &&
                    (!cli->verb || !(cli->verb->options & description->verb_option))) {
                        complain("--%s is no option %s%s", description->name,
                                 where ? "of " : "here: the verb comes first", where ? where : "");
                        return CODE_USAGE;
                }
                if (read_option(&cli->options, key, optarg) < 0)
                        return CODE_USAGE;
        }
        return -1;
}

int options_read(struct cli *cli, const struct verb *verbs, size_t n_verbs, int argc, char **argv)
{
        char text[80];

        int code = read_pass(cli, verbs, n_verbs, argc, argv, true);
        if (code >= 0)
                return code;
        if (optind >= argc) {
                complain("no verb given; try vfioctl --help");
                return CODE_USAGE;
        }
        cli->verb = find_verb(verbs, n_verbs, argv[optind]);
        if (!cli->verb) {
                complain("unknown verb '%s'; try vfioctl --help",
                         printable(argv[optind], text, sizeof(text)));
                return CODE_USAGE;
        }
        argc -= optind;
        argv += optind;
        code = read_pass(cli, verbs, n_verbs, argc, argv, false);
        if (code >= 0)
                return code;
        cli->arguments = argv + optind;
        cli->n_arguments = (size_t)(argc - optind);
        if (cli->n_arguments < cli->verb->min_arguments || cli->n_arguments > cli->verb->max_arguments) {
                complain("%s %s: usage is vfioctl %s%s%s", cli->verb->name,
                         cli->n_arguments < cli->verb->min_arguments ? "wants an argument"
                                                                     : "takes fewer arguments",
                         cli->verb->name, *cli->verb->arguments ? " " : "", cli->verb->arguments);
                return CODE_USAGE;
        }
        return -1;
}
