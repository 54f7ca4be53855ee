/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <libxml/xmlerror.h>

#include "../text.h"
#include "connection_private.h"

#define LIBVIRT    "libvirt.so.0"
#define REASON_MAX 2000 /* characters: some contain the output of a program */

#define LIBVIRT_SYMBOL(function) LAZY_SYMBOL(struct libvirt, function),

static const struct lazy_symbol libvirt_symbols[] = {LIBVIRT_CALLS(LIBVIRT_SYMBOL)};

void answer_clear(struct answer *answer)
{
        (void)vfioctl_vms_free(answer->vms);
        (void)vfioctl_findings_free(answer->findings);
        free(answer->reason);
        free(answer->xml);
        for (size_t i = 0; i < answer->n_disks; i++) {
                free(answer->disks[i].vm);
                free(answer->disks[i].path);
        }
        free(answer->disks);
        *answer = (struct answer){0};
}

struct call *call_free(struct call *call)
{
        if (!call)
                return NULL;
        if (call->connection)
                (void)call->libvirt.virConnectClose(call->connection);
        answer_clear(&call->answer);
        free(call->uri);
        free(call->name);
        free(call->old_xml);
        free(call->new_xml);
        task_clear(&call->task);
        free(call);
        return NULL;
}

static void call_destroy(struct task *task)
{
        (void)call_free((struct call *)task);
}

static void silent_xml(void *userdata, const char *format, ...)
{
        (void)userdata;
        (void)format;
}

static void call_work(struct task *task)
{
        struct call *call = (struct call *)task;

        /* libvirt's test driver lets libxml2 print; this setting is the thread's alone. */
        xmlSetGenericErrorFunc(NULL, silent_xml);
        call->run(call);
}

int call_new(void (*run)(struct call *call), const struct vfioctl_virt *virt, struct call **ret)
{
        struct call *call = calloc(1, sizeof(*call));

        if (!call)
                return -ENOMEM;
        int r = task_init(&call->task, call_work, call_destroy);
        if (r < 0) {
                free(call);
                return r;
        }
        call->run = run;
        if (virt) {
                call->libvirt = virt->libvirt;
                if (call->libvirt.virConnectRef(virt->connection) == 0)
                        call->connection = virt->connection;
        }
        *ret = call;
        return 0;
}

/* 0 when the call has ended, whatever it brought; -ETIMEDOUT: it was left behind, and *call is NULL. */
static int call_run(struct call **call, unsigned int milliseconds)
{
        int r = task_run(&(*call)->task, milliseconds);

        if (r == -ETIMEDOUT)
                (void)util_steal(*call);
        return r;
}

static unsigned int time_left(const struct vfioctl_virt *virt, unsigned int milliseconds)
{
        uint64_t now = task_now();

        if (!virt || !virt->has_until || now + milliseconds <= virt->until)
                return milliseconds;
        return now < virt->until ? (unsigned int)(virt->until - now) : 0;
}

bool can_ask(const struct vfioctl_virt *virt)
{
        return !virt || (!virt->stuck && time_left(virt, 1) > 0);
}

int perform(struct vfioctl_virt *virt, struct call **call, unsigned int milliseconds, struct answer *answer)
{
        bool asked = can_ask(virt);

        int r = asked ? call_run(call, time_left(virt, milliseconds)) : -ETIMEDOUT;
        if (r == -ETIMEDOUT) {
                if (virt)
                        virt->stuck = virt->stuck || asked;
                *answer = (struct answer){.failure = FAILURE_TIMEOUT};
                return -EIO;
        }
        if (r < 0)
                return r;
        *answer = (*call)->answer;
        (*call)->answer = (struct answer){0};
        if (answer->failure == FAILURE_MEMORY)
                return -ENOMEM;
        return answer->failure == FAILURE_NONE ? 0 : -EIO;
}

/* ---- inside the thread --------------------------------------------------------------------------- */

static void silent(void *userdata, virErrorPtr error)
{
        (void)userdata;
        (void)error;
}

static enum failure classify(const virError *error)
{
        switch (error->code) {
        case VIR_ERR_NO_DOMAIN:
        case VIR_ERR_NO_NETWORK:
                return FAILURE_UNKNOWN;
        case VIR_ERR_NO_MEMORY:
                return FAILURE_MEMORY;
        case VIR_ERR_AUTH_FAILED:
        case VIR_ERR_AUTH_CANCELLED:
        case VIR_ERR_AUTH_UNAVAILABLE:
        case VIR_ERR_ACCESS_DENIED:
                return FAILURE_ACCESS;
        case VIR_ERR_NO_CONNECT:
        case VIR_ERR_CONFIG_UNSUPPORTED:
        case VIR_ERR_INVALID_ARG:
                return FAILURE_URI;
        case VIR_ERR_SYSTEM_ERROR:
                if (error->int1 == EACCES || error->int1 == EPERM)
                        return FAILURE_ACCESS;
                if (error->int1 == ENOENT || error->int1 == ECONNREFUSED)
                        return FAILURE_NOT_RUNNING;
                return FAILURE_LIBVIRT;
        default:
                return FAILURE_LIBVIRT;
        }
}

void fail(struct call *call)
{
        const virError *error = call->libvirt.virGetLastError();
        _cleanup_free_ char *reason = NULL;

        call->answer.failure = error ? classify(error) : FAILURE_LIBVIRT;
        if (util_copy(error && error->message ? error->message : "no reason given", &reason) < 0 ||
            text_printable(util_trim(reason), REASON_MAX, &call->answer.reason) < 0)
                call->answer.failure = FAILURE_MEMORY;
}

static bool vanished(struct call *call)
{
        const virError *error = call->libvirt.virGetLastError();

        return error && error->code == VIR_ERR_NO_DOMAIN;
}

/* libvirt has no error function for a connection that is still to be opened but the process's. */
static void run_open(struct call *call)
{
        if (lazy_open(LIBVIRT, libvirt_symbols, ELEMENTSOF(libvirt_symbols), &call->libvirt) < 0) {
                call->answer.failure = FAILURE_MISSING;
                return;
        }
        call->libvirt.virSetErrorFunc(NULL, silent);
        call->connection = call->read_only ? call->libvirt.virConnectOpenReadOnly(call->uri)
                                           : call->libvirt.virConnectOpen(call->uri);
        if (!call->connection) {
                fail(call);
                return;
        }
        call->libvirt.virConnSetErrorFunc(call->connection, NULL, silent);
        (void)call->libvirt.virConnectGetLibVersion(call->connection, &call->answer.libvirt_version);
}

static void run_close(struct call *call)
{
        (void)call->libvirt.virConnectClose(call->connection);
        call->connection = NULL;
}

/* ---- the list ---- */

struct listing {
        virDomainPtr domain;
        unsigned char uuid[VIR_UUID_BUFLEN];
        unsigned int flags;
};

static int compare_listings(const void *a, const void *b)
{
        return memcmp(((const struct listing *)a)->uuid, ((const struct listing *)b)->uuid, VIR_UUID_BUFLEN);
}

static void free_domains(struct call *call, virDomainPtr *domains, int count)
{
        for (int i = 0; i < count; i++)
                (void)call->libvirt.virDomainFree(domains[i]);
        free(domains);
}

/* Gives `flag` to those that libvirt lists by `filter`. One list costs less than to ask of each VM. */
static int mark_listings(struct call *call, struct listing *listings, size_t n, unsigned int filter,
                         unsigned int flag)
{
        virDomainPtr *domains = NULL;
        struct listing key = {0};

        int count = call->libvirt.virConnectListAllDomains(call->connection, &domains, filter);
        if (count < 0) {
                fail(call);
                return -EIO;
        }
        for (int i = 0; i < count; i++) {
                if (call->libvirt.virDomainGetUUID(domains[i], key.uuid) < 0)
                        continue;
                struct listing *found = bsearch(&key, listings, n, sizeof(key), compare_listings);
                if (found)
                        found->flags |= flag;
        }
        free_domains(call, domains, count);
        return 0;
}

/* 0; 1 when the VM has gone meanwhile; -EIO after fail(). */
static int list_one(struct call *call, const struct listing *listing)
{
        virDomainPtr domain = listing->domain;
        char uuid[VIR_UUID_STRING_BUFLEN];
        char *definition = NULL, *live = NULL;
        int r = -EIO;

        int active = call->libvirt.virDomainGetID(domain) != (unsigned int)-1;
        const char *name = call->libvirt.virDomainGetName(domain);
        if (!name || call->libvirt.virDomainGetUUIDString(domain, uuid) < 0)
                goto out;
        definition = call->libvirt.virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
        if (!definition)
                goto out;
        /* Of a VM that has devices the answer is to be of now, and not of when the list was made. */
        if (vfioctl_domain_text_has_hostdev(definition, strlen(definition)))
                active = call->libvirt.virDomainIsActive(domain);
        live = active > 0 ? call->libvirt.virDomainGetXMLDesc(domain, 0) : NULL;
        if (active < 0 || (active && !live))
                goto out;
        r = call->listed(&call->answer, &(struct listed_vm){.name = name,
                                                            .uuid = uuid,
                                                            .running = active,
                                                            .flags = listing->flags,
                                                            .definition = definition,
                                                            .live = live});
        if (r < 0)
                call->answer.failure = FAILURE_MEMORY;
out:
        free(definition);
        free(live);
        if (r != -EIO)
                return r;
        if (vanished(call))
                return 1;
        fail(call);
        return -EIO;
}

static int list_all(struct call *call, virDomainPtr *domains, size_t n)
{
        _cleanup_free_ struct listing *listings = calloc(n, sizeof(*listings));
        int r = 0;

        if (!listings) {
                call->answer.failure = FAILURE_MEMORY;
                return -ENOMEM;
        }
        for (size_t i = 0; i < n; i++) {
                listings[i].domain = domains[i];
                if (call->libvirt.virDomainGetUUID(domains[i], listings[i].uuid) < 0) {
                        fail(call);
                        return -EIO;
                }
        }
        qsort(listings, n, sizeof(*listings), compare_listings);
        r = mark_listings(call, listings, n, VIR_CONNECT_LIST_DOMAINS_AUTOSTART, VFIOCTL_VMS_AUTOSTART);
        if (r >= 0)
                r = mark_listings(call, listings, n, VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE,
                                  VFIOCTL_VMS_MANAGED_SAVE);
        if (r >= 0)
                r = mark_listings(call, listings, n, VIR_CONNECT_LIST_DOMAINS_TRANSIENT,
                                  VFIOCTL_VMS_TRANSIENT);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = list_one(call, &listings[i]);
        return r;
}

static void run_list(struct call *call)
{
        virDomainPtr *domains = NULL;

        int count = call->libvirt.virConnectListAllDomains(call->connection, &domains, 0);
        if (count < 0)
                fail(call);
        else if (count > 0)
                (void)list_all(call, domains, (size_t)count);
        free_domains(call, domains, count);
}

/* ---- one VM ---- */

virDomainPtr look_up(struct call *call)
{
        virDomainPtr domain = call->libvirt.virDomainLookupByName(call->connection, call->name);

        if (!domain && vanished(call))
                domain = call->libvirt.virDomainLookupByUUIDString(call->connection, call->name);
        if (domain)
                return domain;
        fail(call);
        /* Text that is no UUID is no error of the caller: there is no VM of that name. */
        if (call->answer.failure == FAILURE_URI)
                call->answer.failure = FAILURE_UNKNOWN;
        return NULL;
}

static bool is_persistent(struct call *call, virDomainPtr domain)
{
        int r = call->libvirt.virDomainIsPersistent(domain);

        if (r < 0)
                fail(call);
        else if (r == 0)
                call->answer.failure = FAILURE_TRANSIENT;
        return r > 0;
}

static char *definition_of(struct call *call, virDomainPtr domain)
{
        char *xml =
                call->libvirt.virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);

        if (!xml)
                fail(call);
        return xml;
}

static void run_read(struct call *call)
{
        virDomainPtr domain = look_up(call);

        if (!domain)
                return;
        if (is_persistent(call, domain)) {
                /* A driver without managed saves says so by failing. */
                if (call->libvirt.virDomainHasManagedSaveImage(domain, 0) > 0)
                        call->answer.failure = FAILURE_SAVED;
                else
                        call->answer.xml = definition_of(call, domain);
        }
        (void)call->libvirt.virDomainFree(domain);
}

static void run_look(struct call *call)
{
        virDomainPtr domain = look_up(call);

        if (!domain)
                return;
        call->answer.xml = call->libvirt.virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
        if (!call->answer.xml)
                fail(call);
        (void)call->libvirt.virDomainFree(domain);
}

/*
 * Without VIR_DOMAIN_DEFINE_VALIDATE: libvirt's schema refuses some definitions that libvirt wrote itself,
 * and what was valid before our edit stays so.
 */
static void run_define(struct call *call)
{
        virDomainPtr domain = look_up(call), defined = NULL;
        char *now = NULL;

        if (!domain)
                return;
        if (!is_persistent(call, domain))
                goto out;
        now = definition_of(call, domain);
        if (!now)
                goto out;
        if (!util_equal(now, call->old_xml)) {
                call->answer.failure = FAILURE_CHANGED;
                goto out;
        }
        defined = call->libvirt.virDomainDefineXMLFlags(call->connection, call->new_xml, 0);
        if (!defined) {
                fail(call);
                goto out;
        }
        call->answer.xml = definition_of(call, defined);
        if (!call->answer.xml && call->answer.failure != FAILURE_MEMORY)
                call->answer.failure = FAILURE_READBACK;
        (void)call->libvirt.virDomainFree(defined);
out:
        free(now);
        (void)call->libvirt.virDomainFree(domain);
}

/* ---- for the rest of the library ----------------------------------------------------------------- */

void connection_set_within(struct vfioctl_virt *virt, unsigned int within)
{
        virt->has_until = within > 0;
        virt->until = task_now() + within;
}

int connection_open(const char *uri, bool read_only, unsigned int within, struct answer *answer,
                    struct vfioctl_virt **ret)
{
        _cleanup_(call_freep) struct call *call = NULL;
        _cleanup_(connection_closep) struct vfioctl_virt *virt = calloc(1, sizeof(*virt));

        if (!virt)
                return -ENOMEM;
        connection_set_within(virt, within);
        int r = util_copy(uri ? uri : CONNECTION_URI, &virt->uri);
        if (r < 0)
                return r;
        r = call_new(run_open, NULL, &call);
        if (r < 0)
                return r;
        call->read_only = read_only;
        r = util_copy(virt->uri, &call->uri);
        if (r < 0)
                return r;
        r = perform(NULL, &call, time_left(virt, CONNECTION_OPEN_DEADLINE), answer);
        if (r < 0)
                return r;
        virt->libvirt = call->libvirt;
        virt->connection = util_steal(call->connection);
        *ret = util_steal(virt);
        return 0;
}

struct vfioctl_virt *connection_close(struct vfioctl_virt *virt)
{
        struct call *call = NULL;

        if (!virt)
                return NULL;
        /* Closing asks the daemon, too: a stuck connection is left to the end of the process. */
        if (virt->connection && !virt->stuck && call_new(run_close, NULL, &call) == 0) {
                call->libvirt = virt->libvirt;
                call->connection = virt->connection;
                (void)call_run(&call, time_left(virt, CONNECTION_OPEN_DEADLINE));
                (void)call_free(call);
        }
        free(virt->uri);
        free(virt);
        return NULL;
}

const char *connection_uri(const struct vfioctl_virt *virt)
{
        return virt->uri;
}

int connection_list(struct vfioctl_virt *virt, listed_fn listed, struct answer *answer)
{
        _cleanup_(call_freep) struct call *call = NULL;

        int r = call_new(run_list, virt, &call);
        if (r < 0)
                return r;
        call->listed = listed;
        call->answer.vms = util_steal(answer->vms);
        call->answer.findings = util_steal(answer->findings);
        return perform(virt, &call, CONNECTION_REPORT_DEADLINE, answer);
}

static int ask_for(struct vfioctl_virt *virt, void (*run)(struct call *call), const char *name,
                   struct answer *answer)
{
        _cleanup_(call_freep) struct call *call = NULL;

        int r = call_new(run, virt, &call);
        if (r < 0)
                return r;
        r = util_copy(name, &call->name);
        if (r < 0)
                return r;
        return perform(virt, &call, CONNECTION_REPORT_DEADLINE, answer);
}

int connection_read(struct vfioctl_virt *virt, const char *name, struct answer *answer)
{
        return ask_for(virt, run_read, name, answer);
}

int connection_look(struct vfioctl_virt *virt, const char *name, struct answer *answer)
{
        return ask_for(virt, run_look, name, answer);
}

int connection_define(struct vfioctl_virt *virt, const char *name, const char *old_xml, const char *new_xml,
                      struct answer *answer)
{
        _cleanup_(call_freep) struct call *call = NULL;

        int r = call_new(run_define, virt, &call);
        if (r < 0)
                return r;
        if (util_copy(name, &call->name) < 0 || util_copy(old_xml, &call->old_xml) < 0 ||
            util_copy(new_xml, &call->new_xml) < 0)
                return -ENOMEM;
        bool asked = can_ask(virt);
        r = perform(virt, &call, CONNECTION_CHANGE_DEADLINE, answer);
        if (asked && answer->failure == FAILURE_TIMEOUT)
                answer->failure = FAILURE_UNDEFINED;
        return r;
}
