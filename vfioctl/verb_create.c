/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "create.h"
#include "json.h"
#include "paths.h"
#include "placing.h"
#include "tuning.h"

#include <signal.h>

#define NETWORK_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define QUEUES_MAX      8 /* of a network device: more bring nothing, and cost memory */

static void create_clear(struct create *create)
{
        const struct vm_options *vm = &create->cli->options.vm;

        if (create->domain)
                (void)create->assignment.calls.domain_free(create->domain);
        free(create->xml);
        vfioctl_fit_free(create->fit);
        templates_clear(&create->templates);
        for (size_t i = 0; create->isos && i < vm->n_isos; i++)
                free(create->isos[i]);
        for (size_t i = 0; create->evdevs && i < vm->n_evdevs; i++)
                free(create->evdevs[i]);
        free(create->isos);
        free(create->evdevs);
        free(create->disk.path);
        rootfs_close(&create->fs);
        assignment_close(&create->assignment);
}

/* ---- template ---- */

/* After the reason, which is no finding. */
static int refuse_template(const struct create *create)
{
        complain("nothing was changed");
        if (create->cli->options.json && print_plan_json(NULL, NULL) != CODE_DONE)
                return CODE_FAILED;
        return CODE_REFUSED;
}

static int explain_unknown(const struct create *create)
{
        const char *wanted = create->cli->options.vm.template;
        _cleanup_free_ char *all = NULL;
        char text[80];

        for (size_t i = 0; i < create->templates.count; i++) {
                char *longer;
                if (util_format(&longer, "%s%s%s", all ? all : "", all ? ", " : "",
                                create->templates.items[i].name) < 0)
                        return CODE_FAILED;
                free(all);
                all = longer;
        }
        complain("there is no template '%s'; there are: %s", printable(wanted, text, sizeof(text)),
                 all ? all : "none");
        return refuse_template(create);
}

static int find_template(struct create *create)
{
        if (templates_read(create->cli, &create->assignment.calls, &create->templates) < 0)
                return CODE_FAILED;
        create->template = templates_find(&create->templates, create->cli->options.vm.template);
        if (!create->template)
                return explain_unknown(create);
        if (!create->template->error)
                return 0;
        complain("%s: %s", create->template->path, create->template->error);
        return refuse_template(create);
}

/* ---- what libvirt and the host have against it ---- */

static int check_name(struct create *create)
{
        const char *name = create->cli->arguments[0];
        struct vfioctl_vms *vms = create->assignment.vms;
        char text[80];

        for (size_t i = 0; vms && i < vfioctl_vms_count(vms); i++) {
                if (!util_equal(vfioctl_vms_name(vms, i), name))
                        continue;
                struct vfioctl_finding finding = {
                        .severity = VFIOCTL_REFUSAL,
                        .code = "vm-exists",
                        .culprit = printable(name, text, sizeof(text)),
                        .fix = "virsh list --all",
                };
                return add_finding(create->assignment.findings, finding,
                                   "VM \"%s\" exists already; choose another name", text);
        }
        return 0;
}

/* libvirt tells only at the start; a driver that knows no networks tells nothing. */
static int check_network(struct create *create)
{
        const struct assignment *assignment = &create->assignment;
        const struct vm_options *vm = &create->cli->options.vm;
        /* What the template says is only warned of: it may be right by the time of the start. */
        const char *name = vm->network || vm->bridge
                                   ? vm->network
                                   : assignment->calls.domain_network(create->template->domain);
        _cleanup_findings_ struct vfioctl_findings *unheard = NULL;
        _cleanup_free_ char *fix = NULL;
        bool is_active = true;

        if (!name)
                return 0;
        int r = vfioctl_findings_new(&unheard);
        if (r >= 0)
                r = assignment->calls.find_network(assignment->virt, name, unheard, &is_active);
        if (r == -ENOMEM || (r < 0 && r != -ENOENT) || (r >= 0 && is_active))
                return r == -ENOMEM ? r : 0;
        bool is_word = strspn(name, NETWORK_LETTERS) == strlen(name);
        if (r >= 0 && is_word && util_format(&fix, "virsh net-start %s", name) < 0)
                return -ENOMEM;
        struct vfioctl_finding finding = {.severity = vm->network ? VFIOCTL_REFUSAL : VFIOCTL_WARNING,
                                          .code = "network-missing",
                                          .culprit = name,
                                          .fix = fix ? fix : "virsh net-list --all"};
        return add_finding(assignment->findings, finding,
                           r >= 0 ? "the network %s of libvirt's is not active" : "libvirt has no network %s",
                           name);
}

static int check_bridge(struct create *create)
{
        const char *name = create->cli->options.vm.bridge;
        char path[PATH_MAX];

        if (!name)
                return 0;
        /* br_sysfs_addbr(): only bridges have it. One of Open vSwitch wants a <virtualport> besides. */
        (void)snprintf(path, sizeof(path), PATH_CLASS_NET "/%s/bridge", name);
        if (rootfs_exists(&create->fs, path))
                return 0;
        struct vfioctl_finding finding = {.severity = VFIOCTL_REFUSAL,
                                          .code = "network-missing",
                                          .culprit = name,
                                          .fix = "ip link show type bridge"};
        return add_finding(create->assignment.findings, finding, "the host has no bridge %s", name);
}

static int check_host(struct create *create)
{
        int r = check_name(create);

        if (r >= 0)
                r = create_look_at_files(create);
        if (r >= 0 && create->cli->options.vm.usb_controller)
                r = vfioctl_check_usb_controller(create->cli->ctx, create->assignment.vms, &create->usb,
                                                 create->assignment.findings);
        if (r >= 0)
                r = check_network(create);
        return r < 0 ? r : check_bridge(create);
}

/* ---- GPUs, and where it is to run ---- */

static int place(struct create *create)
{
        const struct options *options = &create->cli->options;
        struct assignment *assignment = &create->assignment;
        _cleanup_free_ const struct vfioctl_gpu **gpus = NULL;

        int code = find_gpus(assignment->snapshot, (char *const *)options->gpus, options->n_gpus, &gpus);
        if (code != 0)
                return code;
        struct vfioctl_fit_request request;
        placing_request(create->cli, &request);
        if (options->n_gpus > 0) {
                request.gpus = (unsigned int)options->n_gpus;
                request.named = gpus;
                request.n_named = options->n_gpus;
        }
        request.vm = create->cli->arguments[0];
        request.with_fallback = true;
        int r = vfioctl_fit_new(assignment->snapshot, assignment->vms, &request, assignment->findings,
                                &create->fit);
        return r < 0 ? complain_errno(r, "nothing was changed") : 0;
}

static size_t gpu_count(const struct create *create)
{
        size_t count = 0;

        while (create->fit && vfioctl_fit_gpu(create->fit, 0, count))
                count++;
        return count;
}

static int intend(struct create *create)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < gpu_count(create); i++)
                r = vfioctl_intent_assign(create->assignment.intent, vfioctl_fit_gpu(create->fit, 0, i),
                                          create->cli->arguments[0]);
        return r < 0 ? complain_errno(r, "nothing was changed") : 0;
}

/* ---- the definition ---- */

static void tell_of_secure_boot(struct create *create, const struct vfioctl_make *make)
{
        if (!make->secure_boot &&
            create->assignment.calls.domain_guest(create->domain) == VFIOCTL_GUEST_WINDOWS &&
            create->cli->options.verbose)
                complain("no Secure Boot: the GPU's driver for Windows is not signed for it");
}

static int make(struct create *create, const struct vfioctl_tuning *tuning)
{
        const struct cli *cli = create->cli;
        const struct vm_options *vm = &cli->options.vm;
        struct vfioctl_make make = {
                .name = cli->arguments[0],
                .uuid = *create->uuid ? create->uuid : NULL,
                .type = tuning_type(cli),
                .guest = tuning->guest,
                .secure_boot = true,
                .disk = create->disk.path,
                .disk_format = create->disk.format,
                .disk_is_block = create->disk.is_block,
                .isos = (const char *const *)create->isos,
                .n_isos = vm->n_isos,
                .network = vm->network,
                .bridge = vm->bridge,
                .queues = vm->vcpus < QUEUES_MAX ? vm->vcpus : QUEUES_MAX,
                .evdevs = (const char *const *)create->evdevs,
                .n_evdevs = vm->n_evdevs,
                .shared_memory = create->shared_memory,
                .usb = vm->usb_controller ? &create->usb : NULL,
        };

        for (size_t i = 0; i < gpu_count(create); i++)
                if (vfioctl_gpu_guest_wants(vfioctl_fit_gpu(create->fit, 0, i), "no-secure-boot"))
                        make.secure_boot = false;
        int r = create->assignment.calls.domain_make(create->domain, &make);
        if (r == -ENOSPC) {
                complain("template %s has too many drives for more", create->template->name);
                return refuse_template(create);
        }
        if (r < 0)
                return complain_errno(r, "the definition cannot be made");
        tell_of_secure_boot(create, &make);
        return 0;
}

static int tell_of_emulation(const struct create *create)
{
        bool is_amd = vfioctl_snapshot_host_is_amd(create->assignment.snapshot);
        struct vfioctl_finding finding = {.severity = VFIOCTL_WARNING,
                                          .code = "no-kvm",
                                          .culprit = PATH_DEV_KVM,
                                          .fix = is_amd ? "modprobe kvm_amd" : "modprobe kvm_intel"};

        if (!util_equal(tuning_type(create->cli), "qemu"))
                return 0;
        return add_finding(create->assignment.findings, finding,
                           "there is no " PATH_DEV_KVM
                           ": QEMU emulates the processor, which is many times slower");
}

/* An installer that nobody sees: the GPU has no connector, and there is no other display. */
static int tell_of_no_display(const struct create *create)
{
        const struct cli *cli = create->cli;
        char text[80];
        struct vfioctl_finding finding = {.severity = VFIOCTL_WARNING,
                                          .code = "no-display",
                                          .culprit = printable(cli->arguments[0], text, sizeof(text)),
                                          .fix = "add --display rescue, until it is installed"};

        if (cli->options.vm.n_isos == 0 || create->assignment.calls.guest_facts(create->domain).has_display)
                return 0;
        for (size_t i = 0; i < gpu_count(create); i++)
                if (!vfioctl_gpu_guest_wants(vfioctl_fit_gpu(create->fit, 0, i), "headless"))
                        return 0;
        return add_finding(create->assignment.findings, finding,
                           "nobody will see what the iso shows: VM \"%s\" has no display, and its GPU no "
                           "connector",
                           text);
}

static int copy_template(struct create *create)
{
        const struct virt_calls *calls = &create->assignment.calls;
        _cleanup_free_ char *text = NULL;

        int r = calls->domain_format(create->template->domain, &text);
        return r < 0 ? r : calls->domain_parse(text, strlen(text), &create->domain, NULL);
}

static int compose(struct create *create)
{
        const struct assignment *assignment = &create->assignment;
        size_t count = gpu_count(create);
        _cleanup_free_ const struct vfioctl_gpu **gpus = calloc(count + 1, sizeof(*gpus));
        struct vfioctl_tuning tuning;

        int r = gpus ? copy_template(create) : -ENOMEM;
        if (r < 0)
                return complain_errno(r, "the definition cannot be made");
        for (size_t i = 0; i < count; i++)
                gpus[i] = vfioctl_fit_gpu(create->fit, 0, i);
        tuning_fill(create->cli, assignment->snapshot, gpus, count, vfioctl_fit_place(create->fit, 0),
                    &tuning);
        int code = make(create, &tuning);
        for (size_t i = 0; code == 0 && i < count; i++)
                code = assignment_add_gpu(assignment, create->domain, create->cli->arguments[0], gpus[i]);
        if (code != 0)
                return code;
        r = tell_of_emulation(create);
        if (r >= 0)
                r = assignment->calls.domain_tune(create->domain, &tuning, assignment->findings);
        if (r >= 0)
                r = tell_of_no_display(create);
        if (r >= 0)
                r = assignment->calls.domain_format(create->domain, &create->xml);
        return r < 0 ? complain_errno(r, "the definition cannot be made") : 0;
}

/* ---- what was planned ---- */

static char *disk_step(const struct create *create)
{
        char *text = NULL;

        if (create->disk.size > 0 &&
            util_format(&text, "make disk %s (%s, %.1f GiB)", create->disk.path, create->disk.format,
                        (double)create->disk.size / (1 << 20)) < 0)
                return NULL;
        return text;
}

static void add_step(struct json_object *steps, const char *text, const char *vm)
{
        struct json_object *item = json_object_new_object();

        json_put(item, "text", json_string(text));
        json_put(item, "gpu", NULL);
        json_put(item, "attribute", NULL);
        json_put(item, "value", NULL);
        json_put(item, "vm", json_string(vm));
        json_put(item, "irreversible", NULL);
        json_append(steps, item);
}

/* The plan's steps with those around them, and the definition. */
static int print_json(const struct create *create)
{
        struct json_object *object = plan_json(create->assignment.plan, create->assignment.findings);
        struct json_object *steps = json_object_new_array(),
                           *planned = json_object_object_get(object, "steps");
        _cleanup_free_ char *disk = disk_step(create), *start = NULL;
        const char *name = create->cli->arguments[0];

        if (disk)
                add_step(steps, disk, NULL);
        for (size_t i = 0; i < json_object_array_length(planned); i++)
                json_append(steps, json_object_get(json_object_array_get_idx(planned, i)));
        if (create->cli->options.vm.start && util_format(&start, "start %s", name) >= 0)
                add_step(steps, start, name);
        json_put(object, "steps", steps);
        json_put(object, "vm", json_string(name));
        json_put(object, "definition", json_string(create->xml));
        return json_print(object);
}

static int print_dry_run(const struct create *create)
{
        _cleanup_free_ char *disk = disk_step(create);
        char text[80];

        if (create->cli->options.json)
                return print_json(create);
        if (disk)
                puts(disk);
        print_steps(create->assignment.plan);
        if (create->cli->options.vm.start)
                printf("start %s\n", printable(create->cli->arguments[0], text, sizeof(text)));
        return CODE_DONE;
}

static void report(const struct create *create)
{
        const char *name = create->cli->arguments[0];
        char text[80];

        printf("%s: made of %s, with", printable(name, text, sizeof(text)), create->template->name);
        for (size_t i = 0; i < gpu_count(create); i++) {
                const struct vfioctl_gpu *gpu = vfioctl_fit_gpu(create->fit, 0, i);
                printf("%s %s (%s)", i > 0 ? "," : "", vfioctl_gpu_name(gpu), vfioctl_gpu_address(gpu));
        }
        printf("%s\n", create->cli->options.vm.start ? "; it runs" : "");
        printf("what its guest needs: vfioctl guest-notes %s\n", typed_vm(name, create->uuid));
}

/* ---- doing it ---- */

/* Nothing interrupts it between the disk and the end: who waits gets all of it, or nothing. */
static int carry_out(struct create *create)
{
        struct vfioctl_apply_ops ops = {.userdata = create, .define = create_define};
        sigset_t signals, before;

        (void)sigemptyset(&signals);
        (void)sigaddset(&signals, SIGINT);
        (void)sigaddset(&signals, SIGTERM);
        (void)sigaddset(&signals, SIGHUP);
        (void)sigaddset(&signals, SIGQUIT);
        (void)sigprocmask(SIG_BLOCK, &signals, &before);
        int code = create_make_disk(create);
        if (code == 0)
                code = run_plan(create->cli, create->assignment.snapshot, create->assignment.plan, &ops);
        else
                complain("nothing was changed");
        if (create->left)
                code = CODE_STUCK;
        else if (code != CODE_DONE)
                create_remove_disk(create);
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        return code;
}

static int run(struct create *create)
{
        const struct options *options = &create->cli->options;
        struct assignment *assignment = &create->assignment;

        int code = assignment_plan(assignment, 0);
        if (code != 0)
                return code;
        if (!options->quiet && !options->json)
                print_findings(assignment->snapshot, assignment->findings, VFIOCTL_NOTE);
        if (options->dry_run)
                return print_dry_run(create);
        code = carry_out(create);
        if (options->json && code != -EAGAIN && print_json(create) != CODE_DONE)
                return code == CODE_DONE ? CODE_FAILED : code;
        if (code == CODE_DONE && !options->quiet && !options->json)
                report(create);
        return code;
}

/* Refusals before there is a plan. */
static int refuse(const struct create *create)
{
        const struct assignment *assignment = &create->assignment;

        if (create->cli->options.json && print_plan_json(NULL, assignment->findings) != CODE_DONE)
                return CODE_FAILED;
        print_findings(assignment->snapshot, assignment->findings, VFIOCTL_WARNING);
        complain("nothing was changed");
        return CODE_REFUSED;
}

/* The XML and nothing else: libvirt is asked for the other VMs where it answers, and nothing is looked at but
 * the GPUs. */
static int print(struct create *create)
{
        struct assignment *assignment = &create->assignment;
        _cleanup_findings_ struct vfioctl_findings *unheard = NULL;

        int r = vfioctl_findings_new(&assignment->findings);
        if (r >= 0)
                r = vfioctl_findings_new(&unheard);
        if (r < 0)
                return complain_errno(r, "nothing was printed");
        (void)virt_ask(create->cli, unheard, &assignment->vms);
        create_guess_files(create);
        int code = assignment_look(assignment, TUNING_SNAPSHOT);
        if (code == 0)
                code = place(create);
        if (code == 0 && vfioctl_findings_have_refusal(assignment->findings)) {
                print_findings(assignment->snapshot, assignment->findings, VFIOCTL_WARNING);
                return CODE_REFUSED;
        }
        if (code == 0)
                code = compose(create);
        if (code != 0)
                return code;
        if (!create->cli->options.quiet)
                print_findings(assignment->snapshot, assignment->findings, VFIOCTL_NOTE);
        return puts(util_trim(create->xml)) < 0 ? CODE_FAILED : CODE_DONE;
}

static int create_once(struct create *create)
{
        struct cli *cli = create->cli;
        struct assignment *assignment = &create->assignment;

        assignment->cli = cli;
        if (virt_load(&assignment->calls) < 0)
                return CODE_FAILED;
        int code = create_read_options(create);
        if (code != 0)
                return code;
        int r = rootfs_open(cli->options.root, &create->fs);
        if (r < 0)
                return complain_errno(r, "nothing was changed");
        create->fs.is_live = vfioctl_ctx_is_live(cli->ctx);
        code = find_template(create);
        if (code != 0)
                return code;
        if (cli->options.vm.print)
                return print(create);
        r = make_uuid(create->uuid);
        code = r < 0 ? complain_errno(r, "nothing was changed") : assignment_connect(cli, assignment);
        if (code != 0)
                return code;
        r = check_host(create);
        if (r < 0)
                return complain_errno(r, "nothing was changed");
        code = assignment_look(assignment, TUNING_SNAPSHOT);
        if (code == 0)
                code = place(create);
        if (code == 0 && vfioctl_findings_have_refusal(assignment->findings))
                return refuse(create);
        if (code == 0)
                code = compose(create);
        if (code == 0)
                code = intend(create);
        return code == 0 ? run(create) : code;
}

int verb_create(struct cli *cli)
{
        int code = -EAGAIN;

        for (int i = 0; code == -EAGAIN && i < TRIES_MAX; i++) {
                struct create create = {.cli = cli, .fs = {.fd = -1}};
                code = create_once(&create);
                create_clear(&create);
        }
        return code == -EAGAIN ? complain_errno(-EBUSY, "nothing was changed") : code;
}
