/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "paths.h"
#include "trial.h"

#include <signal.h>
#include <unistd.h>

/* The VM of a try: firmware alone, which finds the GPU on its bus and sets up its BARs. */

static void because(struct trial *trial, const char *format, ...) _printf_(2, 3);

static void because(struct trial *trial, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(trial->reason, sizeof(trial->reason), format, arguments);
        va_end(arguments);
        /* It becomes a line of a record. */
        for (char *at = trial->reason; *at; at++)
                if (*at == '\n')
                        *at = ' ';
}

static void show(const struct trial *trial, const char *doing)
{
        const struct options *options = &trial->cli->options;

        if (options->verbose)
                complain("run %u of %u: %s %s", trial->n_runs + 1, trial->n_wanted, doing, trial->vm);
        else if (!options->quiet && isatty(STDERR_FILENO) == 1)
                (void)fprintf(stderr, "\r\033[K[run %u/%u] %s %s", trial->n_runs + 1, trial->n_wanted, doing,
                              trial->vm);
}

static void show_end(const struct trial *trial)
{
        const struct options *options = &trial->cli->options;

        if (!options->verbose && !options->quiet && isatty(STDERR_FILENO) == 1)
                (void)fputs("\r\033[K", stderr);
}

static const char *domain_type(const struct trial *trial)
{
        const char *uri = virt_uri(trial->cli);

        /* libvirt's test driver has a type of its own. */
        if (uri && util_has_prefix(uri, "test:"))
                return "test";
        return access(PATH_DEV_KVM, F_OK) == 0 ? "kvm" : "qemu";
}

/* No disk, no network, no display. The caller frees. */
static int make_domain(const struct trial *trial, bool with_gpu, struct vfioctl_domain **ret)
{
        size_t count = vfioctl_gpu_function_count(trial->gpu);
        struct vfioctl_address functions[8];
        struct vfioctl_domain *domain = NULL;
        _cleanup_free_ char *xml = NULL;

        int r = util_format(&xml,
                            "<domain type='%s'><name>%s</name><uuid>%s</uuid><memory unit='MiB'>128</memory>"
                            "<vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os>"
                            "<on_reboot>destroy</on_reboot><on_crash>destroy</on_crash>"
                            "<devices><controller type='usb' model='none'/><memballoon model='none'/>"
                            "</devices></domain>",
                            domain_type(trial), trial->vm, trial->uuid);
        if (r < 0)
                return r;
        r = trial->calls.domain_parse(xml, strlen(xml), &domain, NULL);
        if (count > ELEMENTSOF(functions))
                count = ELEMENTSOF(functions);
        for (size_t i = 0; r >= 0 && i < count; i++)
                r = vfioctl_address_parse(vfioctl_function_address(vfioctl_gpu_function(trial->gpu, i)),
                                          &functions[i]);
        const struct vfioctl_domain_gpu wanted = {.name = vfioctl_gpu_name(trial->gpu),
                                                  .identity = vfioctl_gpu_identity(trial->gpu),
                                                  .functions = functions,
                                                  .n_functions = count};
        if (r >= 0 && with_gpu)
                r = trial->calls.add_gpu(domain, &wanted);
        if (r < 0) {
                if (domain)
                        trial->calls.domain_free(domain);
                return r;
        }
        *ret = domain;
        return 0;
}

/* Starts it. `why` (may be NULL) gets libvirt's reason. */
static int create(struct trial *trial, bool with_gpu, char **why)
{
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;
        struct vfioctl_domain *domain = NULL;

        int r = vfioctl_findings_new(&findings);
        if (r >= 0)
                r = make_domain(trial, with_gpu, &domain);
        if (r >= 0)
                r = trial->calls.create(trial->virt, domain, findings);
        if (domain)
                trial->calls.domain_free(domain);
        if (r < 0 && why && findings && vfioctl_findings_count(findings) > 0)
                (void)util_copy(vfioctl_findings_get(findings, 0)->text, why);
        return r;
}

static int destroy(struct trial *trial)
{
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;

        int r = vfioctl_findings_new(&findings);
        if (r >= 0)
                r = trial->calls.destroy(trial->virt, trial->vm, findings);
        if (r < 0)
                because(trial, "%s",
                        findings && vfioctl_findings_count(findings) > 0
                                ? vfioctl_findings_get(findings, 0)->text
                                : strerror(-r));
        return r;
}

/* ---- the GPU afterwards ---- */

static bool function_is_back(struct trial *trial, const struct vfioctl_function *function)
{
        const char *address = vfioctl_function_address(function);

        if (!vfioctl_function_answers(function)) {
                because(trial, "%s does not answer any more: its configuration space reads all ones",
                        address);
                trial->is_silent = true;
                return false;
        }
        if (util_equal(vfioctl_function_power_state(function), "D3cold")) {
                because(trial, "%s does not come back from D3cold", address);
                trial->is_silent = true;
                return false;
        }
        return true;
}

/* Read anew: whatever a driver or the kernel remembers of it does not count. */
static enum trial_end look_at_gpu(struct trial *trial)
{
        _cleanup_snapshot_ struct vfioctl_snapshot *snapshot = NULL;
        const char *address = vfioctl_gpu_address(trial->gpu);
        const struct vfioctl_gpu *gpu = NULL;

        int r = vfioctl_snapshot_take_for(trial->cli->ctx, VFIOCTL_SNAPSHOT_DETAILS, &address, 1, &snapshot);
        if (r >= 0)
                r = vfioctl_snapshot_find(snapshot, address, &gpu);
        if (r == -ENOENT) {
                because(trial, "it is not on the bus any more");
                trial->is_silent = true;
                return TRIAL_FAILED;
        }
        if (r < 0) {
                because(trial, "cannot read the host's PCI devices: %s", strerror(-r));
                return TRIAL_LOST;
        }
        if (vfioctl_gpu_is_stuck(gpu)) {
                because(trial, "the kernel does not answer about it");
                return TRIAL_LOST;
        }
        for (size_t i = 0; i < vfioctl_gpu_function_count(gpu); i++)
                if (!function_is_back(trial, vfioctl_gpu_function(gpu, i)))
                        return TRIAL_FAILED;
        return TRIAL_PASSED;
}

/* ---- runs ---- */

static int find_refusal(void *userdata, const char *uuid, const char *vm, const char *reason, int64_t when)
{
        const struct trial *trial = userdata;

        (void)vm;
        (void)reason;
        (void)when;
        return util_equal(uuid, trial->uuid) ? -EEXIST : 0;
}

/*
 * It did not start with the GPU. Whose fault that is, the same VM without the GPU tells; and what our hook
 * has against it was written down by the hook.
 */
static enum trial_end judge_no_start(struct trial *trial, const char *why)
{
        because(trial, "a VM does not start with it: %s", why ? why : "no reason given");
        if (vfioctl_refusals_each(trial->cli->ctx, find_refusal, trial) == -EEXIST)
                return TRIAL_REFUSED;
        if (destroy(trial) < 0)
                return TRIAL_LOST;
        if (create(trial, false, NULL) < 0) {
                because(trial, "a VM does not start, with the GPU or without: %s", why ? why : "?");
                return TRIAL_UNJUDGED;
        }
        if (destroy(trial) < 0)
                return TRIAL_LOST;
        because(trial, "a VM starts without it, and not with it: %s", why ? why : "no reason given");
        return TRIAL_FAILED;
}

static enum trial_end run_once(struct trial *trial)
{
        struct trial_run *run = &trial->runs[trial->n_runs];
        _cleanup_free_ char *why = NULL;
        uint64_t began = clock_ms();

        show(trial, "starting");
        int r = create(trial, true, &why);
        if (r < 0) {
                enum trial_end end = judge_no_start(trial, why ? why : strerror(-r));
                run->milliseconds = clock_ms() - began;
                trial->n_runs++;
                return end;
        }
        show(trial, "stopping");
        if (destroy(trial) < 0)
                return TRIAL_LOST;
        enum trial_end end = look_at_gpu(trial);
        run->milliseconds = clock_ms() - began;
        run->passed = end == TRIAL_PASSED;
        trial->n_runs++;
        return end;
}

static bool is_interrupted(const sigset_t *signals)
{
        static const int watched[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
        sigset_t pending;

        if (sigpending(&pending) < 0)
                return false;
        for (size_t i = 0; i < ELEMENTSOF(watched); i++)
                if (sigismember(signals, watched[i]) == 1 && sigismember(&pending, watched[i]) == 1)
                        return true;
        return false;
}

enum trial_end trial_perform(struct trial *trial)
{
        enum trial_end end = TRIAL_PASSED;
        sigset_t signals;

        (void)sigprocmask(SIG_BLOCK, NULL, &signals);
        while (end == TRIAL_PASSED && trial->n_runs < trial->n_wanted) {
                if (is_interrupted(&signals))
                        end = TRIAL_INTERRUPTED;
                else
                        end = run_once(trial);
        }
        show_end(trial);
        /* That it was refused is nothing to keep: there is no such VM. */
        (void)vfioctl_refusal_forget(trial->cli->ctx, trial->uuid);
        return end;
}
