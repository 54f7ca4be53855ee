/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "connection_private.h"

/* VMs as they start and stop. */

static void run_start(struct call *call)
{
        virDomainPtr domain = look_up(call);

        if (!domain)
                return;
        if (call->libvirt.virDomainIsActive(domain) <= 0 && call->libvirt.virDomainCreate(domain) < 0) {
                fail(call);
                /* Somebody else was quicker. */
                if (call->libvirt.virDomainIsActive(domain) > 0)
                        answer_clear(&call->answer);
        }
        (void)call->libvirt.virDomainFree(domain);
}

/* libvirt's test driver knows no such flag, and ends with the connection by itself. */
static void run_create(struct call *call)
{
        virDomainPtr domain = call->libvirt.virDomainCreateXML(call->connection, call->new_xml,
                                                               VIR_DOMAIN_START_AUTODESTROY);
        const virError *error = domain ? NULL : call->libvirt.virGetLastError();

        if (error && error->code == VIR_ERR_INVALID_ARG)
                domain = call->libvirt.virDomainCreateXML(call->connection, call->new_xml, 0);
        if (!domain)
                fail(call);
        else
                (void)call->libvirt.virDomainFree(domain);
}

/* libvirt's test driver keeps no UEFI variables, and knows no such flag. The state of a TPM goes by itself.
 */
static int undefine(struct call *call, virDomainPtr domain)
{
        if (call->libvirt.virDomainUndefineFlags(domain, VIR_DOMAIN_UNDEFINE_NVRAM) == 0)
                return 0;
        const virError *error = call->libvirt.virGetLastError();
        return error && error->code == VIR_ERR_INVALID_ARG ? call->libvirt.virDomainUndefineFlags(domain, 0)
                                                           : -1;
}

static void run_destroy(struct call *call)
{
        virDomainPtr domain = look_up(call);

        if (!domain) {
                /* It is gone, which is what was wanted. */
                if (call->answer.failure == FAILURE_UNKNOWN)
                        answer_clear(&call->answer);
                return;
        }
        if (call->libvirt.virDomainDestroy(domain) < 0) {
                const virError *error = call->libvirt.virGetLastError();
                if (!error || (error->code != VIR_ERR_NO_DOMAIN && error->code != VIR_ERR_OPERATION_INVALID))
                        fail(call);
        }
        (void)call->libvirt.virDomainFree(domain);
}

/* libvirt refuses a name that is taken by itself, too, so nobody can come in between. */
static void run_define_new(struct call *call)
{
        virDomainPtr domain = call->libvirt.virDomainLookupByName(call->connection, call->name);

        if (domain) {
                (void)call->libvirt.virDomainFree(domain);
                call->answer.failure = FAILURE_EXISTS;
                return;
        }
        domain = call->libvirt.virDomainDefineXMLFlags(call->connection, call->new_xml, 0);
        if (!domain)
                fail(call);
        else
                (void)call->libvirt.virDomainFree(domain);
}

static void run_undefine(struct call *call)
{
        virDomainPtr domain = look_up(call);

        if (!domain) {
                if (call->answer.failure == FAILURE_UNKNOWN)
                        answer_clear(&call->answer);
                return;
        }
        if (undefine(call, domain) < 0)
                fail(call);
        (void)call->libvirt.virDomainFree(domain);
}

static void run_network(struct call *call)
{
        virNetworkPtr network = call->libvirt.virNetworkLookupByName(call->connection, call->name);

        if (!network) {
                fail(call);
                return;
        }
        if (call->libvirt.virNetworkIsActive(network) == 0)
                call->answer.failure = FAILURE_TRANSIENT;
        (void)call->libvirt.virNetworkFree(network);
}

static void run_versions(struct call *call)
{
        if (call->libvirt.virConnectGetLibVersion(call->connection, &call->answer.libvirt_version) < 0 ||
            call->libvirt.virConnectGetVersion(call->connection, &call->answer.hypervisor_version) < 0)
                fail(call);
}

/* ---- for the rest of the library ----------------------------------------------------------------- */

/* `unanswered`: what it is when there was no answer in time. */
static int run_on_vm(struct vfioctl_virt *virt, void (*run)(struct call *call), const char *name,
                     const char *xml, enum failure unanswered, struct answer *answer)
{
        _cleanup_(call_freep) struct call *call = NULL;

        int r = call_new(run, virt, &call);
        if (r < 0)
                return r;
        if (util_copy(name, &call->name) < 0 || util_copy(xml, &call->new_xml) < 0)
                return -ENOMEM;
        bool asked = can_ask(virt);
        r = perform(virt, &call, CONNECTION_CHANGE_DEADLINE, answer);
        if (asked && answer->failure == FAILURE_TIMEOUT)
                answer->failure = unanswered;
        return r;
}

int connection_start(struct vfioctl_virt *virt, const char *name, struct answer *answer)
{
        return run_on_vm(virt, run_start, name, NULL, FAILURE_UNSTARTED, answer);
}

int connection_create(struct vfioctl_virt *virt, const char *xml, struct answer *answer)
{
        return run_on_vm(virt, run_create, NULL, xml, FAILURE_UNSTARTED, answer);
}

int connection_destroy(struct vfioctl_virt *virt, const char *name, struct answer *answer)
{
        return run_on_vm(virt, run_destroy, name, NULL, FAILURE_UNSTOPPED, answer);
}

int connection_define_new(struct vfioctl_virt *virt, const char *name, const char *xml, struct answer *answer)
{
        return run_on_vm(virt, run_define_new, name, xml, FAILURE_UNDEFINED, answer);
}

int connection_undefine(struct vfioctl_virt *virt, const char *name, struct answer *answer)
{
        return run_on_vm(virt, run_undefine, name, NULL, FAILURE_UNDEFINED, answer);
}

int connection_network(struct vfioctl_virt *virt, const char *name, struct answer *answer)
{
        return run_on_vm(virt, run_network, name, NULL, FAILURE_TIMEOUT, answer);
}

int connection_versions(struct vfioctl_virt *virt, struct answer *answer)
{
        _cleanup_(call_freep) struct call *call = NULL;

        int r = call_new(run_versions, virt, &call);
        return r < 0 ? r : perform(virt, &call, CONNECTION_REPORT_DEADLINE, answer);
}
