/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "connection.h"
#include "domain_private.h"
#include "../text.h"

#define URI_MAX 200 /* characters shown */

/* Adds a finding whose strings were made for it. */
static int report(struct vfioctl_findings *findings, enum vfioctl_severity severity, const char *code,
                  const char *culprit, const char *text, const char *fix)
{
        return vfioctl_findings_add(findings, &(struct vfioctl_finding){
                                                      .severity = severity,
                                                      .code = code,
                                                      .culprit = culprit,
                                                      .text = text,
                                                      .fix = fix,
                                              });
}

/* " -c URI" for virsh, or "" where it is what virsh takes anyway. */
static int virsh_connect(const char *uri, char **ret)
{
        _cleanup_free_ char *word = NULL;

        if (util_equal(uri, CONNECTION_URI))
                return util_copy("", ret);
        int r = text_shell_word(uri, &word);
        return r < 0 ? r : util_format(ret, " -c %s", word);
}

/* A refusal about the connection: -ENOTCONN, or -ENOMEM. */
static int refuse_connection(struct vfioctl_findings *findings, const char *uri, const struct answer *answer)
{
        _cleanup_free_ char *text = NULL, *fix = NULL, *shown = NULL, *connect = NULL;
        bool local = util_has_prefix(uri, "qemu:///");
        int r;

        r = text_printable(uri, URI_MAX, &shown);
        if (r < 0)
                return r;
        if (answer->failure == FAILURE_TIMEOUT)
                r = util_format(&text, "libvirt does not answer (%s)", shown);
        else if (answer->failure == FAILURE_MISSING)
                r = util_format(&text, "cannot reach libvirt (%s): its library is not installed, or too old",
                                shown);
        else
                r = util_format(&text, "cannot reach libvirt (%s): %s", shown,
                                answer->reason ? answer->reason : "no reason given");
        if (r < 0)
                return r;

        if (answer->failure == FAILURE_URI)
                r = util_copy("--connect " CONNECTION_URI, &fix);
        else if (answer->failure == FAILURE_MISSING)
                r = util_copy("install libvirt (libvirt.so.0)", &fix);
        else if (local && answer->failure == FAILURE_NOT_RUNNING)
                r = util_copy("systemctl start libvirtd", &fix);
        else if (local && answer->failure == FAILURE_TIMEOUT)
                r = util_copy("systemctl restart libvirtd", &fix);
        else if (local && answer->failure == FAILURE_ACCESS)
                r = util_copy("run it as root, or join libvirt's group: usermod -aG libvirt USER", &fix);
        else {
                r = virsh_connect(uri, &connect);
                if (r >= 0)
                        r = util_format(&fix, "virsh%s list --all", connect);
        }
        if (r < 0)
                return r;
        r = report(findings, VFIOCTL_REFUSAL, "libvirt-unreachable", shown, text, fix);
        return r < 0 ? r : -ENOTCONN;
}

/* A refusal about one VM, or (`name` NULL) about a call on all. Returns its errno, or -ENOMEM. */
static int refuse_vm(struct vfioctl_findings *findings, const struct vfioctl_virt *virt, const char *name,
                     const struct answer *answer)
{
        _cleanup_free_ char *shown = NULL, *word = NULL, *connect = NULL, *text = NULL, *fix = NULL;
        const char *code = "libvirt-failed", *reason = answer->reason ? answer->reason : "no reason given";
        int r, result = -EPERM;

        r = virsh_connect(connection_uri(virt), &connect);
        if (r < 0)
                return r;
        r = text_printable(name ? name : "", TEXT_NAME_MAX, &shown);
        if (r < 0)
                return r;
        r = text_shell_word(name ? name : "", &word);
        if (r < 0)
                return r;
        /* virsh takes a name that begins with a dash only like this. */
        const char *option = name && name[0] == '-' ? "--domain=" : "";

        switch (answer->failure) {
        case FAILURE_UNKNOWN:
                code = "vm-unknown";
                r = util_format(&text, "there is no VM \"%s\"", shown);
                if (r >= 0)
                        r = util_format(&fix, "virsh%s list --all", connect);
                break;
        case FAILURE_EXISTS:
                code = "vm-exists";
                r = util_format(&text, "VM \"%s\" exists already; choose another name", shown);
                if (r >= 0)
                        r = util_format(&fix, "virsh%s list --all", connect);
                break;
        case FAILURE_TRANSIENT:
                code = "vm-transient";
                r = util_format(&text, "VM \"%s\" is transient: it has no definition to change", shown);
                if (r >= 0)
                        r = util_format(
                                &fix,
                                "virsh%s dumpxml --inactive --security-info %s%s | virsh%s define /dev/stdin",
                                connect, option, word, connect);
                break;
        case FAILURE_SAVED:
                code = "vm-managed-save";
                r = util_format(&text,
                                "VM \"%s\" has a managed save: it would start with the devices it had then",
                                shown);
                if (r >= 0)
                        r = util_format(&fix, "virsh%s managedsave-remove %s%s", connect, option, word);
                break;
        case FAILURE_CHANGED:
                code = "vm-changed";
                result = -ESTALE;
                r = util_format(&text, "the definition of VM \"%s\" was changed by somebody else meanwhile",
                                shown);
                if (r >= 0)
                        r = util_copy("try again", &fix);
                break;
        case FAILURE_TIMEOUT:
                result = -EIO;
                r = util_copy("libvirt does not answer", &text);
                if (r >= 0)
                        r = util_copy("systemctl restart libvirtd", &fix);
                break;
        case FAILURE_UNSTARTED:
                result = -EIO;
                r = util_format(&text, "libvirt does not answer; whether VM \"%s\" starts is not known",
                                shown);
                if (r >= 0)
                        r = util_copy("systemctl restart libvirtd", &fix);
                break;
        case FAILURE_UNSTOPPED:
                result = -EIO;
                r = util_format(&text, "libvirt does not answer; whether VM \"%s\" has ended is not known",
                                shown);
                if (r >= 0)
                        r = util_copy("systemctl restart libvirtd", &fix);
                break;
        case FAILURE_UNDEFINED:
                result = -EIO;
                r = util_format(&text,
                                "libvirt does not answer; whether VM \"%s\" was redefined is not known",
                                shown);
                if (r >= 0)
                        r = util_copy("systemctl restart libvirtd", &fix);
                break;
        case FAILURE_READBACK:
                result = -EIO;
                r = util_format(&text, "VM \"%s\" was redefined, but could not be read again: %s", shown,
                                reason);
                break;
        default:
                result = -EIO;
                r = name ? util_format(&text, "libvirt failed on VM \"%s\": %s", shown, reason)
                         : util_format(&text, "libvirt failed: %s", reason);
                break;
        }
        if (r < 0)
                return r;
        r = report(findings, VFIOCTL_REFUSAL, code, name ? shown : NULL, text, fix);
        return r < 0 ? r : result;
}

int virt_explain(int r, struct vfioctl_findings *findings, const struct vfioctl_virt *virt, const char *name,
                 const struct answer *answer)
{
        return answer->failure != FAILURE_NONE && r == -EIO ? refuse_vm(findings, virt, name, answer) : r;
}

/* Folders of hooks, such as qemu.d, are called since libvirt 6.5.0: libvirt's "Hooks for specific system
 * management". */
int virt_check_version(unsigned long version, struct vfioctl_findings *findings)
{
        _cleanup_free_ char *text = NULL, *number = NULL;

        if (version == 0 || version >= 6005000)
                return 0;
        int r = util_format(&number, "%lu.%lu.%lu", version / 1000000, version / 1000 % 1000, version % 1000);
        if (r >= 0)
                r = util_format(&text, "libvirt %s does not call the hook: it looks into qemu.d since 6.5.0",
                                number);
        return r < 0 ? r
                     : report(findings, VFIOCTL_WARNING, "libvirt-old", number, text,
                              "install libvirt 6.5.0 or newer");
}

VFIOCTL_EXPORT int vfioctl_virt_open_within(const char *uri, bool read_only, unsigned int milliseconds,
                                            struct vfioctl_findings *findings, struct vfioctl_virt **ret)
{
        _cleanup_answer_ struct answer answer = {0};

        struct vfioctl_virt *virt = NULL;

        int r = connection_open(uri, read_only, milliseconds, &answer, &virt);
        if (answer.failure != FAILURE_NONE && r == -EIO)
                return refuse_connection(findings, uri ? uri : CONNECTION_URI, &answer);
        if (r >= 0)
                r = virt_check_version(answer.libvirt_version, findings);
        if (r < 0) {
                (void)connection_close(virt);
                return r;
        }
        *ret = virt;
        return 0;
}

VFIOCTL_EXPORT int vfioctl_virt_open(const char *uri, bool read_only, struct vfioctl_findings *findings,
                                     struct vfioctl_virt **ret)
{
        return vfioctl_virt_open_within(uri, read_only, 0, findings, ret);
}

VFIOCTL_EXPORT void vfioctl_virt_set_deadline(struct vfioctl_virt *virt, unsigned int milliseconds)
{
        connection_set_within(virt, milliseconds);
}

VFIOCTL_EXPORT struct vfioctl_virt *vfioctl_virt_free(struct vfioctl_virt *virt)
{
        return connection_close(virt);
}

/* ---- the list ---- */

/* The definition of one VM cannot be read: that is told, and the others go on. */
static int warn_unreadable(struct vfioctl_findings *findings, const char *name, const char *error)
{
        _cleanup_free_ char *text = NULL, *shown = NULL;

        int r = text_printable(name, TEXT_NAME_MAX, &shown);
        if (r >= 0)
                r = util_format(&text, "the definition of VM \"%s\" cannot be read: %s", shown, error);
        return r < 0 ? r : report(findings, VFIOCTL_WARNING, "vm-unreadable", shown, text, NULL);
}

static int add_assignments(struct vfioctl_vms *vms, size_t index, const struct vfioctl_domain *domain)
{
        for (size_t i = 0; i < domain->n_gpus; i++) {
                const struct vfioctl_domain_entry *entry = &domain->gpus[i].public;
                int r = vfioctl_vms_add_assignment(vms, index,
                                                   &(struct vfioctl_assignment){
                                                           .name = entry->name,
                                                           .identity = entry->identity,
                                                           .functions = entry->functions,
                                                           .n_functions = entry->n_functions,
                                                           .is_edited = entry->is_edited,
                                                   });
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A value that no VM can have is not noted, and hinders nothing. */
static int set_share(struct vfioctl_vms *vms, size_t index, const struct vfioctl_vm_share *share)
{
        int r = vfioctl_vms_set_share(vms, index, share);

        return r == -EINVAL ? 0 : r;
}

static int add_share(struct answer *answer, size_t index, const struct vfioctl_domain *domain)
{
        _cleanup_free_ char *pinned = NULL;
        struct vfioctl_vm_share share;

        int r = vfioctl_domain_share(domain, &share, &pinned);
        return r < 0 ? r : set_share(answer->vms, index, &share);
}

/* Most VMs have no device and no pins, and are not parsed. */
static int add_plain(struct answer *answer, size_t index, const struct listed_vm *vm, const char *xml)
{
        struct vfioctl_vm_share share;

        if (!vm->running)
                return 0;
        domain_share_scan(xml, &share);
        return set_share(answer->vms, index, &share);
}

/* Adds what one text says: `is_live` that of the running instance. */
static int add_text(struct answer *answer, size_t index, const struct listed_vm *vm, const char *xml,
                    bool is_live)
{
        _cleanup_(vfioctl_domain_freep) struct vfioctl_domain *domain = NULL;
        _cleanup_free_ char *error = NULL;
        size_t size = strlen(xml);

        if (!vfioctl_domain_text_has_hostdev(xml, size) &&
            (is_live || (!strstr(xml, VFIOCTL_DOMAIN_NAMESPACE) && domain_share_is_plain(xml))))
                return is_live ? 0 : add_plain(answer, index, vm, xml);
        int r = vfioctl_domain_parse(xml, size, &domain, &error);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return warn_unreadable(answer->findings, vm->name, error ? error : strerror(-r));
        /* What libvirt calls the definition of a transient VM goes with its instance. */
        bool is_defined = !(vm->flags & VFIOCTL_VMS_TRANSIENT);
        if (!is_live && vfioctl_domain_hugepages(domain))
                r = vfioctl_vms_set_hugepages(answer->vms, index, vfioctl_domain_hugepages(domain));
        if (!is_live && r >= 0)
                r = add_share(answer, index, domain);
        for (size_t i = 0; i < domain->n_hostdevs && r >= 0; i++) {
                if (is_live)
                        r = vfioctl_vms_add_running_device(answer->vms, index, &domain->hostdevs[i].host);
                else if (is_defined)
                        r = vfioctl_vms_add_device(answer->vms, index, &domain->hostdevs[i].host);
        }
        return r < 0 || is_live ? r : add_assignments(answer->vms, index, domain);
}

static int add_vm(struct answer *answer, const struct listed_vm *vm)
{
        int index = vfioctl_vms_add(answer->vms, vm->name, vm->uuid, vm->running);
        if (index < 0)
                return index;
        int r = vfioctl_vms_set_flags(answer->vms, (size_t)index, vm->flags);
        if (r >= 0)
                r = add_text(answer, (size_t)index, vm, vm->definition, false);
        if (r >= 0 && vm->live)
                r = add_text(answer, (size_t)index, vm, vm->live, true);
        return r;
}

VFIOCTL_EXPORT int vfioctl_virt_list(struct vfioctl_virt *virt, struct vfioctl_findings *findings,
                                     struct vfioctl_vms **ret)
{
        _cleanup_answer_ struct answer answer = {0};

        int r = vfioctl_vms_new(&answer.vms);
        if (r >= 0)
                r = vfioctl_findings_new(&answer.findings);
        if (r >= 0)
                r = connection_list(virt, add_vm, &answer);
        if (r < 0)
                return virt_explain(r, findings, virt, NULL, &answer);
        for (size_t i = 0; i < vfioctl_findings_count(answer.findings); i++) {
                r = vfioctl_findings_add(findings, vfioctl_findings_get(answer.findings, i));
                if (r < 0)
                        return r;
        }
        *ret = util_steal(answer.vms);
        return 0;
}

/* ---- one VM ---- */

VFIOCTL_EXPORT int vfioctl_virt_start(struct vfioctl_virt *virt, const char *name,
                                      struct vfioctl_findings *findings)
{
        _cleanup_answer_ struct answer answer = {0};

        return virt_explain(connection_start(virt, name, &answer), findings, virt, name, &answer);
}

VFIOCTL_EXPORT int vfioctl_virt_create(struct vfioctl_virt *virt, const struct vfioctl_domain *domain,
                                       struct vfioctl_findings *findings)
{
        _cleanup_answer_ struct answer answer = {0};
        _cleanup_free_ char *xml = NULL;

        int r = vfioctl_domain_format(domain, &xml);
        return r < 0 ? r
                     : virt_explain(connection_create(virt, xml, &answer), findings, virt,
                                    vfioctl_domain_name(domain), &answer);
}

VFIOCTL_EXPORT int vfioctl_virt_destroy(struct vfioctl_virt *virt, const char *name,
                                        struct vfioctl_findings *findings)
{
        _cleanup_answer_ struct answer answer = {0};

        return virt_explain(connection_destroy(virt, name, &answer), findings, virt, name, &answer);
}

VFIOCTL_EXPORT int vfioctl_virt_versions(struct vfioctl_virt *virt, struct vfioctl_findings *findings,
                                         unsigned long *ret_libvirt, unsigned long *ret_hypervisor)
{
        _cleanup_answer_ struct answer answer = {0};

        int r = connection_versions(virt, &answer);
        if (r < 0)
                return virt_explain(r, findings, virt, NULL, &answer);
        *ret_libvirt = answer.libvirt_version;
        *ret_hypervisor = answer.hypervisor_version;
        return 0;
}

static int parse_answer(struct answer *answer, const struct vfioctl_virt *virt, const char *name,
                        struct vfioctl_findings *findings, struct vfioctl_domain **ret)
{
        _cleanup_free_ char *error = NULL;

        int r = vfioctl_domain_parse(answer->xml, strlen(answer->xml), ret, &error);
        if (r >= 0 || r == -ENOMEM)
                return r;
        answer->failure = FAILURE_LIBVIRT;
        answer->reason = util_steal(error);
        return refuse_vm(findings, virt, name, answer);
}

VFIOCTL_EXPORT int vfioctl_virt_read(struct vfioctl_virt *virt, const char *name,
                                     struct vfioctl_findings *findings, struct vfioctl_domain **ret,
                                     char **ret_xml)
{
        _cleanup_answer_ struct answer answer = {0};

        int r = connection_read(virt, name, &answer);
        if (r < 0)
                return virt_explain(r, findings, virt, name, &answer);
        r = parse_answer(&answer, virt, name, findings, ret);
        if (r >= 0 && ret_xml)
                *ret_xml = util_steal(answer.xml);
        return r;
}

VFIOCTL_EXPORT int vfioctl_virt_look(struct vfioctl_virt *virt, const char *name,
                                     struct vfioctl_findings *findings, struct vfioctl_domain **ret)
{
        _cleanup_answer_ struct answer answer = {0};

        int r = connection_look(virt, name, &answer);
        return r < 0 ? virt_explain(r, findings, virt, name, &answer)
                     : parse_answer(&answer, virt, name, findings, ret);
}

VFIOCTL_EXPORT int vfioctl_virt_define(struct vfioctl_virt *virt, const char *name, const char *old_xml,
                                       const char *new_xml, struct vfioctl_findings *findings, char **ret_now)
{
        _cleanup_answer_ struct answer answer = {0};

        int r = connection_define(virt, name, old_xml, new_xml, &answer);
        if (r < 0)
                return virt_explain(r, findings, virt, name, &answer);
        if (ret_now)
                *ret_now = util_steal(answer.xml);
        return 0;
}
