/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checks.h"
#include "text.h"

/* ---- IDs ---- */

/* pci_add_dynid() of a driver's "ids": vendor:device[:subvendor[:subdevice[:...]]], in hex. */
static bool id_matches(const char *id, const struct vfioctl_function *function)
{
        unsigned int vendor, device, subvendor, subdevice;

        int n = sscanf(id, "%8x:%8x:%8x:%8x", &vendor, &device, &subvendor, &subdevice);
        if (n < 2 || vendor != function->vendor || device != function->device)
                return false;
        if (n >= 3 && subvendor != UINT32_MAX && subvendor != function->subsystem_vendor)
                return false;
        return n < 4 || subdevice == UINT32_MAX || subdevice == function->subsystem_device;
}

static bool ids_match(const char *ids, const struct vfioctl_gpu *gpu)
{
        for (const char *at = ids; *at; at += *at == ',') {
                for (size_t i = 0; i < gpu->n_functions; i++)
                        if (id_matches(at, gpu->functions[i]))
                                return true;
                at += strcspn(at, ",");
        }
        return false;
}

/* All that are named rest in mode vm anyway: then it does no harm but to what comes later. */
static bool rests_in_vm(const struct vfioctl_gpu *gpu)
{
        return gpu->is_ours && gpu->idle == VFIOCTL_MODE_VM;
}

/* IDs of GPUs of this host take all of that kind, also those that the host is to keep. */
static int check_id_list(const struct vfioctl_snapshot *snapshot, const char *ids, const char *driver,
                         const char *place, const char *fix, struct vfioctl_findings *findings)
{
        const struct vfioctl_gpu *first = NULL;
        bool harmless = util_equal(driver, VFIO_DRIVER);

        for (size_t i = 0; i < snapshot->n_gpus; i++)
                if (ids_match(ids, snapshot->gpus[i])) {
                        first = first ? first : snapshot->gpus[i];
                        harmless &= rests_in_vm(snapshot->gpus[i]);
                }
        if (!first)
                return 0;
        return finding_addf(findings,
                            (struct vfioctl_finding){.severity = harmless ? VFIOCTL_NOTE : VFIOCTL_WARNING,
                                                     .code = "vfio-ids",
                                                     .culprit = place,
                                                     .fix = fix},
                            "%s gives %s all devices with the IDs %s, %s among them, and cannot tell twins "
                            "apart",
                            place, driver, ids, first->name);
}

int check_ids(const struct vfioctl_snapshot *snapshot, struct vfioctl_findings *findings)
{
        static const struct {
                const char *name, *driver;
        } places[] = {{"vfio-pci.ids=", VFIO_DRIVER}, {"pci-stub.ids=", "pci-stub"}};
        char word[CMDLINE_WORD_SIZE];
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(places); i++) {
                const char *ids = cmdline_value(&snapshot->facts, places[i].name, word);
                _cleanup_free_ char *fix = NULL;
                r = ids ? cmdline_fix("take", word, &fix) : 0;
                if (r >= 0 && ids)
                        r = check_id_list(snapshot, ids, places[i].driver, word, fix, findings);
        }
        return r;
}

/* ---- files ---- */

/* A line that edits the file and, as the early boot has a copy of it, makes that anew. */
static int edit_fix(const struct host_facts *facts, const char *path, const char *edit, char **ret)
{
        _cleanup_free_ char *word = NULL;

        int r = text_shell_word(path, &word);
        return r < 0 ? r
                     : util_format(ret, "sed -i %s %s%s%s", edit, word, facts->initramfs_fix ? " && " : "",
                                   facts->initramfs_fix ? facts->initramfs_fix : "");
}

static int check_options(const struct vfioctl_snapshot *snapshot, const struct rival *rival,
                         struct vfioctl_findings *findings)
{
        _cleanup_free_ char *fix = NULL;

        int r = edit_fix(&snapshot->facts, rival->path,
                         "-e '/^options *vfio[-_]pci /s/ ids=[^ ]*//' -e '/^options *vfio[-_]pci *$/d'",
                         &fix);
        return r < 0 ? r : check_id_list(snapshot, rival->value, VFIO_DRIVER, rival->path, fix, findings);
}

static int tell_blacklist(const struct vfioctl_snapshot *snapshot, const char *place, const char *fix,
                          struct vfioctl_findings *findings)
{
        bool loaded = snapshot->has_vfio_driver;

        return finding_addf(findings,
                            (struct vfioctl_finding){.severity = loaded ? VFIOCTL_WARNING : VFIOCTL_REFUSAL,
                                                     .code = "vfio-blacklisted",
                                                     .culprit = place,
                                                     .fix = fix},
                            "%s keeps vfio-pci from being loaded%s", place,
                            loaded ? ", also after the next boot" : "");
}

static int check_blacklist_file(const struct vfioctl_snapshot *snapshot, const struct rival *rival,
                                struct vfioctl_findings *findings)
{
        _cleanup_free_ char *fix = NULL;

        int r = edit_fix(&snapshot->facts, rival->path,
                         "-e '/^blacklist *vfio[-_]pci/d' -e '/^install *vfio[-_]pci /d'", &fix);
        return r < 0 ? r : tell_blacklist(snapshot, rival->path, fix, findings);
}

static int check_blacklist_words(const struct vfioctl_snapshot *snapshot, struct vfioctl_findings *findings)
{
        static const char *const names[] = {"module_blacklist=", "modprobe.blacklist="};
        char word[CMDLINE_WORD_SIZE];
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(names); i++) {
                const char *list = cmdline_value(&snapshot->facts, names[i], word);
                _cleanup_free_ char *fix = NULL;
                if (!list || !list_has_module(list, VFIO_DRIVER))
                        continue;
                r = cmdline_fix("take", word, &fix);
                if (r >= 0)
                        r = tell_blacklist(snapshot, word, fix, findings);
        }
        return r;
}

/* A driver that has one of the GPUs, and that is loaded first whenever vfio-pci is. */
static int check_softdep(const struct vfioctl_snapshot *snapshot, const struct rival *rival,
                         struct vfioctl_findings *findings)
{
        _cleanup_free_ char *fix = NULL;
        bool concerns = false;

        for (size_t i = 0; i < snapshot->n_gpus; i++) {
                const struct vfioctl_function *function = snapshot->gpus[i]->functions[0];
                concerns |= util_equal(function->driver, rival->value) ||
                            util_equal(function->host_driver, rival->value);
        }
        if (!concerns)
                return 0;
        int r = edit_fix(&snapshot->facts, rival->path, "'/^softdep *vfio[-_]pci /d'", &fix);
        return r < 0 ? r
                     : finding_addf(findings,
                                    (struct vfioctl_finding){.severity = VFIOCTL_WARNING,
                                                             .code = "vfio-softdep",
                                                             .culprit = rival->path,
                                                             .fix = fix},
                                    "%s has %s loaded with vfio-pci, so that it takes GPUs at boot",
                                    rival->path, rival->value);
}

/* The GPU of this address; one without a function is the slot's. */
static const struct vfioctl_gpu *gpu_at(const struct vfioctl_snapshot *snapshot, const char *text)
{
        struct vfioctl_address address;
        char whole[64];

        (void)snprintf(whole, sizeof(whole), "%s%s", text, strchr(text, '.') ? "" : ".0");
        if (vfioctl_address_parse(whole, &address) < 0)
                return NULL;
        for (size_t i = 0; i < snapshot->n_gpus; i++)
                for (size_t k = 0; k < snapshot->gpus[i]->n_functions; k++)
                        if (vfioctl_address_compare(&snapshot->gpus[i]->functions[k]->address, &address) == 0)
                                return snapshot->gpus[i];
        return NULL;
}

static int check_driverctl(const struct vfioctl_snapshot *snapshot, const struct rival *rival,
                           struct vfioctl_findings *findings)
{
        _cleanup_free_ char *fix = NULL, *word = NULL;
        char address[64], driver[64];

        if (sscanf(rival->value, "%63s %63s", address, driver) != 2)
                return 0;
        const struct vfioctl_gpu *gpu = gpu_at(snapshot, address);
        if (!gpu)
                return 0;
        bool harmless = util_equal(driver, VFIO_DRIVER) && rests_in_vm(gpu);
        int r = text_shell_word(rival->path, &word);
        if (r >= 0)
                r = util_format(&fix, "rm %s", word);
        return r < 0 ? r
                     : finding_addf(
                               findings,
                               (struct vfioctl_finding){.severity = harmless ? VFIOCTL_NOTE : VFIOCTL_WARNING,
                                                        .code = "other-manager",
                                                        .culprit = "driverctl",
                                                        .fix = fix},
                               "driverctl gives %s (%s) to %s at each boot", gpu->name, address, driver);
}

static int check_proxmox(const struct vfioctl_snapshot *snapshot, const struct rival *rival,
                         struct vfioctl_findings *findings)
{
        const struct vfioctl_gpu *gpu = gpu_at(snapshot, rival->value);

        if (!gpu)
                return 0;
        return finding_addf(
                findings,
                (struct vfioctl_finding){.severity = gpu->is_ours ? VFIOCTL_WARNING : VFIOCTL_NOTE,
                                         .code = "other-manager",
                                         .culprit = rival->path,
                                         .fix = "take it out there, or out of gpus in "
                                                "vfioctl.conf"},
                "Proxmox VE hands out %s as well (%s in %s)", gpu->name, rival->value, rival->path);
}

static int check_hook(const struct rival *rival, struct vfioctl_findings *findings)
{
        _cleanup_free_ char *fix = NULL, *word = NULL;

        int r = text_shell_word(rival->path, &word);
        if (r >= 0)
                r = util_format(&fix, "chmod -x %s", word);
        return r < 0 ? r
                     : finding_addf(findings,
                                    (struct vfioctl_finding){.severity = VFIOCTL_WARNING,
                                                             .code = "hook-foreign",
                                                             .culprit = rival->path,
                                                             .fix = fix},
                                    "another hook of libvirt changes drivers when a VM starts: %s (it has "
                                    "\"%s\")",
                                    rival->path, rival->value);
}

/* xen-pciback.hide=(0000:06:00.0)(06:00.1): Xen keeps them from the host. */
static int check_xen(const struct vfioctl_snapshot *snapshot, struct vfioctl_findings *findings)
{
        char word[CMDLINE_WORD_SIZE], *rest = NULL;
        const char *value = cmdline_value(&snapshot->facts, "xen-pciback.hide=", word);
        _cleanup_free_ char *fix = NULL;

        for (char *at = value ? strtok_r(word + (value - word), "()", &rest) : NULL; at;
             at = strtok_r(NULL, "()", &rest)) {
                const struct vfioctl_gpu *gpu = gpu_at(snapshot, at);
                if (!gpu)
                        continue;
                int r = cmdline_fix("take", "xen-pciback.hide", &fix);
                return r < 0 ? r
                             : finding_addf(findings,
                                            (struct vfioctl_finding){.severity = VFIOCTL_WARNING,
                                                                     .code = "other-manager",
                                                                     .culprit = "xen-pciback.hide",
                                                                     .fix = fix},
                                            "Xen hides %s (%s) from the host's drivers", gpu->name, at);
        }
        return 0;
}

int check_rivals(const struct vfioctl_snapshot *snapshot, struct vfioctl_findings *findings)
{
        int r = check_blacklist_words(snapshot, findings);

        if (r >= 0)
                r = check_xen(snapshot, findings);
        for (size_t i = 0; r >= 0 && i < snapshot->facts.n_rivals; i++) {
                const struct rival *rival = &snapshot->facts.rivals[i];
                switch (rival->kind) {
                case RIVAL_IDS:
                        r = check_options(snapshot, rival, findings);
                        break;
                case RIVAL_BLACKLIST:
                        r = check_blacklist_file(snapshot, rival, findings);
                        break;
                case RIVAL_SOFTDEP:
                        r = check_softdep(snapshot, rival, findings);
                        break;
                case RIVAL_UNSAFE: /* told with the interrupts */
                        break;
                case RIVAL_DRIVERCTL:
                        r = check_driverctl(snapshot, rival, findings);
                        break;
                case RIVAL_PROXMOX:
                        r = check_proxmox(snapshot, rival, findings);
                        break;
                case RIVAL_HOOK:
                        r = check_hook(rival, findings);
                        break;
                }
        }
        return r;
}
