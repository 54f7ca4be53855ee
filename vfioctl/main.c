/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hook.h"
#include "paths.h"
#include "report.h"

#include <dlfcn.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define ANY_NUMBER SIZE_MAX

static const struct verb verbs[] = {
        {"list", "", "the GPUs as a table",
         "Lists every GPU: its card, memory, NUMA node, address, mode, who uses it, and whether a VM can "
         "have it.\n"
         "Works without root; what cannot be seen then is shown as '?'.",
         OPTION_COLUMNS | OPTION_NOHEADINGS, 0, 0, NULL, NULL},
        {"status", "", "whether all is well",
         "Shows on one screen who has which GPU, what is wrong, and what to type about it.\n"
         "Exits with 3 when there is a problem. Works without root, and says what it cannot see then.",
         OPTION_NOHEADINGS | OPTION_WATCH | OPTION_OWN_CONFIG, 0, 0, NULL, NULL},
        {"show", "GPU", "everything known of one GPU", "Shows everything that is known of one GPU.", 0, 1, 1,
         NULL, NULL},
        {"tree", "", "the board with its cards and GPUs",
         "Shows where the GPUs sit: CPU socket and NUMA node, slot, card, GPU; with IOMMU groups, modes, VMs "
         "and "
         "links.\n"
         "Works without root; what cannot be seen then is shown as '?'.",
         OPTION_ALL | OPTION_SVG, 0, 0, NULL, NULL},
        {"check", "[GPU...]", "what stands against handing a GPU out",
         "Prints findings: what stands against handing out these GPUs (or all), why, and what to do about "
         "it.\n"
         "Exits with 3 when there is a refusal.",
         0, 0, ANY_NUMBER, NULL, NULL},
        {"to-vm", "GPU...", "bind GPUs to vfio-pci",
         "Takes GPUs, with all their functions, from their host drivers and binds them to vfio-pci: all or "
         "none.",
         OPTION_DRY_RUN, 1, ANY_NUMBER, verb_to_vm, NULL},
        {"to-host", "GPU...", "give GPUs back to their host drivers",
         "Gives GPUs, with all their functions, from vfio-pci back to their host drivers: all or none.",
         OPTION_DRY_RUN, 1, ANY_NUMBER, verb_to_host, NULL},
        {"reset", "GPU", "reset a GPU that nobody uses",
         "Has the kernel reset one GPU, and tells by which method, how long it took, and that it answers "
         "again.\n"
         "Refused while anybody uses it, while a host driver has it, and when anything else would be hit.",
         OPTION_DRY_RUN, 1, 1, NULL, NULL},
        {"assign", "VM...", "give each VM its own GPU",
         "Gives each VM one GPU (or --count of them): picks free ones, binds them to vfio-pci and writes "
         "them into\n"
         "the VMs' definitions. All or nothing. A VM that has its GPU already is left as it is.",
         OPTION_DRY_RUN | OPTION_GPU | OPTION_COUNT | OPTION_SHARE, 1, ANY_NUMBER, NULL, NULL},
        {"unassign", "VM...", "take GPUs out of VMs",
         "Takes GPUs (all, or those given with --gpu) out of the VMs' definitions. The GPUs stay in mode vm.",
         OPTION_DRY_RUN | OPTION_GPU, 1, ANY_NUMBER, NULL, NULL},
        {"create", "VM", "make a VM with its own GPU",
         "Makes a VM of a template: picks a GPU, binds it to vfio-pci, makes the disk, and writes a "
         "definition with "
         "cores and\n"
         "memory next to the GPU. All or nothing.",
         OPTION_DRY_RUN | OPTION_GPU | OPTION_COUNT | OPTION_SIZE | OPTION_DISPLAY | OPTION_NEW |
                 OPTION_GUEST,
         1, 1, NULL, NULL},
        {"tune", "VM", "bring a VM up to the standard of create",
         "Writes cores and memory next to the VM's GPUs, and all else that create would, into the definition "
         "of a VM "
         "that is there.\n"
         "Shows the difference first, and changes nothing else.",
         OPTION_DRY_RUN | OPTION_SIZE | OPTION_DISPLAY | OPTION_GUEST, 1, 1, NULL, NULL},
        {"templates", "", "what a VM can be made of",
         "Lists the templates that create takes, and where they are from.",
         OPTION_COLUMNS | OPTION_NOHEADINGS, 0, 0, NULL, NULL},
        {"fit", "", "how many VMs fit on this host",
         "Shows how many such VMs fit, which GPU, cores and memory each would get, and what is left for the "
         "host.",
         OPTION_VMS | OPTION_SIZE | OPTION_COUNT | OPTION_NOHEADINGS, 0, 0, NULL, NULL},
        {"guest-notes", "VM", "what to do inside the guest",
         "Prints what the guest of this VM needs: its GPU's address there, kernel arguments, driver and "
         "display.",
         OPTION_GUEST, 1, 1, NULL, NULL},
        {"env", "[GPU...]", "what a service on the host needs to see its GPUs",
         "Prints what makes Ollama, a container or a unit see the GPUs that are the host's, and no others.",
         OPTION_FORMAT, 0, ANY_NUMBER, NULL, NULL},
        {"try", "GPU", "prove that a GPU comes back from a VM",
         "Starts and stops a throwaway VM with the GPU, three times, and looks at the GPU after each. What "
         "came "
         "of it is\n"
         "remembered for such cards and this kernel. The GPU goes back to the mode that it had.",
         OPTION_DRY_RUN | OPTION_RUNS, 1, 1, NULL, NULL},
        {"boot", "[GPU...]", "bind the GPUs that are for VMs, as at boot",
         "Takes the GPUs that the configuration gives to VMs to mode vm, as it is done at boot and when a "
         "card is "
         "plugged in.\n"
         "The boot display is left alone. With vfioctl=off on the kernel's command line it does nothing.",
         OPTION_DRY_RUN | OPTION_EARLY, 0, ANY_NUMBER, verb_boot, NULL},
        {"hook", "VM OPERATION [STAGE [EXTRA]]", "what libvirt calls at each start and stop",
         "Does what the link in libvirt's folder of hooks does at the start and stop of a VM, whose "
         "definition it "
         "reads\n"
         "from standard input. Call it by hand to see what it would say.",
         0, 2, 4, NULL, quick_hook},
        {"reconcile", "", "mend what is not as it should be",
         "Brings GPUs, claims and VM definitions in line with configuration and assignments, and ends what "
         "was cut off.\n"
         "Safe at any time and next to anything; silent when nothing changed. For cron or a timer.",
         OPTION_DRY_RUN, 0, 0, NULL, quick_reconcile},
        {"capture", "FILE", "this host as an archive, for a bug report",
         "Writes all that vfioctl reads of this host into an archive (.tar, .tar.gz, .tar.xz, or - for "
         "standard output),\n"
         "without serial numbers, MAC addresses and host names. Unpacked, vfioctl --root takes it.",
         OPTION_DRY_RUN | OPTION_SERIALS | OPTION_ANY_CONFIG, 1, 1, NULL, NULL},
        {"config", "", "the configuration, and where it is from",
         "Prints every key of the configuration with the value that holds, and the file and line that it is "
         "from.\n"
         "With --check: what is wrong with it, and exit status 3 when something cannot stay so.",
         OPTION_CHECK | OPTION_BOOT, 0, 0, NULL, NULL},
        {"setup", "[GPU...]", "have the host do it all by itself",
         "Sets the host up: which GPUs are for VMs (those named, or those that are ready), libvirt's hook, "
         "and "
         "the step at boot\n"
         "that takes them to vfio-pci. Lists every file it touches; vfioctl undo takes all of it back.",
         OPTION_DRY_RUN | OPTION_TIMER | OPTION_CRON | OPTION_NO_INITRAMFS, 0, ANY_NUMBER, NULL, NULL},
        {"undo", "", "take back what setup did",
         "Takes back what vfioctl setup did, as far as it is still as setup left it. Every VM starts as "
         "before.",
         OPTION_DRY_RUN | OPTION_ANY_CONFIG, 0, 0, NULL, NULL},
};

static void log_line(void *userdata, enum vfioctl_log_level level, const char *line)
{
        const struct options *options = userdata;

        if (level == VFIOCTL_LOG_WARNING ? !options->quiet : options->verbose)
                complain("%s", line);
}

/* The verb's function, from the module where it is not here; NULL, with a word said, when that is not there.
 */
static report_fn find_run(struct cli *cli)
{
        report_fn (*report)(struct cli *);

        if (cli->verb->run && !cli->options.json)
                return cli->verb->run;
        void *module = load_own(REPORT_MODULE, VFIOCTL_MODULE_DIR "/" REPORT_MODULE);
        void *symbol = module ? dlsym(module, REPORT_FUNCTION) : NULL;
        if (!symbol) {
                complain("%s cannot be loaded: %s", REPORT_MODULE, dlerror());
                return NULL;
        }
        memcpy(&report, &symbol, sizeof(report));
        report_fn run = report(cli);
        return cli->verb->run ? cli->verb->run : run;
}

static int run(struct cli *cli)
{
        _cleanup_free_ char *error = NULL;
        char text[80];

        int r = vfioctl_ctx_new(cli->options.root, &cli->ctx);
        if (r < 0) {
                complain("--root %s: %s",
                         printable(cli->options.root ? cli->options.root : "/", text, sizeof(text)),
                         strerror(-r));
                return CODE_USAGE;
        }
        int code;
        if (cli->verb->quick && cli->verb->quick(cli, &code))
                return code;
        vfioctl_ctx_set_log(cli->ctx, log_line, &cli->options);
        /* What is wrong with it is what --check prints. */
        if (cli->options.check)
                vfioctl_ctx_set_log(cli->ctx, NULL, NULL);
        r = cli->verb->options & OPTION_OWN_CONFIG ? 0 : vfioctl_ctx_read_config(cli->ctx, &error);
        const struct vfioctl_findings *wrong = vfioctl_ctx_config_findings(cli->ctx);
        if (r < 0 && !(cli->options.check && wrong && vfioctl_findings_have_refusal(wrong))) {
                complain("%s", error ? error : strerror(-r));
                if (!(cli->verb->options & OPTION_ANY_CONFIG))
                        return CODE_USAGE;
        }
        report_fn verb = find_run(cli);
        return verb ? verb(cli) : CODE_FAILED;
}

/* Called by libvirt, under the name of the link: then nothing that follows is an option. */
static bool is_hook_name(const char *path)
{
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        size_t length = strlen(name);

        return util_equal(name, "qemu") || util_equal(name, "daemon") ||
               (length > 8 && util_equal(name + length - 8, "-vfioctl"));
}

static int run_as_hook(int argc, char **argv)
{
        struct cli cli = {.options = {.quiet = true}};

        if (vfioctl_ctx_new(NULL, &cli.ctx) < 0)
                return CODE_DONE;
        if (strstr(argv[0], "/daemon.d/") || util_equal(strrchr(argv[0], '/'), "/daemon"))
                return hook_greet(&cli);
        return hook_run(&cli, argc > 1 ? argv[1] : "", argc > 2 ? argv[2] : "", argc > 3 ? argv[3] : "");
}

/* proc_task_getattr(): two links for the folder, and one a thread. */
static bool has_threads(void)
{
        struct stat status;

        return stat(PATH_SELF_TASK, &status) == 0 && status.st_nlink > 3;
}

int main(int argc, char **argv)
{
        struct cli cli = {.verb = NULL};

        /* A reader that goes away (head, less) is no crash. */
        (void)signal(SIGPIPE, SIG_IGN);
        if (argc > 0 && is_hook_name(argv[0]))
                exit(run_as_hook(argc, argv));
        int code = options_read(&cli, verbs, ELEMENTSOF(verbs), argc, argv);
        if (code < 0)
                code = run(&cli);
        if (fflush(stdout) == EOF && code == CODE_DONE) {
                if (errno != EPIPE)
                        complain("cannot write: %s", strerror(errno));
                code = CODE_FAILED;
        }
        /* A call that libvirt did not answer is still under way in its thread. What the libraries do at exit
         * would pull the ground from under it: it was seen to crash. */
        if (has_threads())
                _exit(code);
        /* No tidying up: the worker ends by itself when its socket closes, and waiting for that takes longer.
         */
        exit(code);
}
