/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include <libvirt/libvirt.h>

#include "connection.h"
#include "lazy.h"
#include "model.h"
#include "task.h"

/* libvirt's test driver is libvirt itself with VMs in memory: no daemon, no root. */
#define NODE "test://" VFIOCTL_TEST_DATA "/node.xml"

DEFINE_CLEANUP(struct vfioctl_domain, vfioctl_domain_free)
DEFINE_CLEANUP(struct vfioctl_virt, vfioctl_virt_free)
DEFINE_CLEANUP(struct vfioctl_vms, vfioctl_vms_free)
#define _cleanup_domain_ _cleanup_(vfioctl_domain_freep)
#define _cleanup_virt_   _cleanup_(vfioctl_virt_freep)
#define _cleanup_vms_    _cleanup_(vfioctl_vms_freep)

static const struct vfioctl_address die[] = {{.bus = 6}, {.bus = 6, .function = 1}};

static bool libvirt_missing;

int __real_lazy_open(const char *soname, const struct lazy_symbol *symbols, size_t count, void *calls);
int __wrap_lazy_open(const char *soname, const struct lazy_symbol *symbols, size_t count, void *calls);

int __wrap_lazy_open(const char *soname, const struct lazy_symbol *symbols, size_t count, void *calls)
{
        return libvirt_missing ? -ENOSYS : __real_lazy_open(soname, symbols, count, calls);
}

static bool answers_late;

int __real_task_run(struct task *task, unsigned int milliseconds);
int __wrap_task_run(struct task *task, unsigned int milliseconds);

/* What misses its deadline does its work all the same, and is gone then. */
int __wrap_task_run(struct task *task, unsigned int milliseconds)
{
        int r = __real_task_run(task, milliseconds);

        if (!answers_late || r < 0)
                return r;
        task->destroy(task);
        return -ETIMEDOUT;
}

static struct vfioctl_findings *new_findings(void)
{
        struct vfioctl_findings *findings = NULL;

        assert_int_equal(vfioctl_findings_new(&findings), 0);
        return findings;
}

static struct vfioctl_virt *open_uri(const char *uri, bool read_only)
{
        _cleanup_findings_ struct vfioctl_findings *findings = new_findings();
        struct vfioctl_virt *virt = NULL;

        assert_int_equal(vfioctl_virt_open(uri, read_only, findings, &virt), 0);
        assert_int_equal(vfioctl_findings_count(findings), 0);
        return virt;
}

/* The last finding is the one expected, and names the way out. */
static void assert_finding(const struct vfioctl_findings *findings, const char *code, const char *culprit,
                           const char *fix)
{
        size_t count = vfioctl_findings_count(findings);

        assert_true(count > 0);
        const struct vfioctl_finding *finding = vfioctl_findings_get(findings, count - 1);
        assert_int_equal(finding->severity, VFIOCTL_REFUSAL);
        assert_string_equal(finding->code, code);
        if (culprit)
                assert_string_equal(finding->culprit, culprit);
        else
                assert_null(finding->culprit);
        assert_true(finding->text && *finding->text && !strchr(finding->text, '\n'));
        if (fix)
                assert_string_equal(finding->fix, fix);
}

static char *with_gpu(struct vfioctl_domain *domain)
{
        char *text = NULL;

        assert_int_equal(vfioctl_domain_add_gpu(domain, &(struct vfioctl_domain_gpu){"2a", "id", die, 2}), 0);
        assert_int_equal(vfioctl_domain_format(domain, &text), 0);
        return text;
}

static void assert_round_trip(struct vfioctl_virt *virt, const char *name, const char *kept)
{
        _cleanup_findings_ struct vfioctl_findings *findings = new_findings();
        _cleanup_domain_ struct vfioctl_domain *domain = NULL, *defined = NULL;
        _cleanup_free_ char *before = NULL, *added = NULL, *now = NULL, *removed = NULL, *after = NULL;

        assert_int_equal(vfioctl_virt_read(virt, name, findings, &domain, &before), 0);
        assert_non_null(strstr(before, kept));
        added = with_gpu(domain);
        assert_int_equal(vfioctl_virt_define(virt, name, before, added, findings, &now), 0);
        assert_non_null(strstr(now, kept));
        assert_non_null(strstr(now, VFIOCTL_DOMAIN_NAMESPACE));

        assert_int_equal(vfioctl_domain_parse(now, strlen(now), &defined, NULL), 0);
        assert_int_equal(vfioctl_domain_hostdev_count(defined), 2);
        assert_int_equal(vfioctl_domain_hostdev_guest(defined, 1)->function, 1);
        assert_int_equal(vfioctl_domain_remove_gpu(defined, die, 2), 2);
        assert_int_equal(vfioctl_domain_format(defined, &removed), 0);
        assert_int_equal(vfioctl_virt_define(virt, name, now, removed, findings, &after), 0);
        assert_string_equal(before, after);
        assert_int_equal(vfioctl_findings_count(findings), 0);
}

/* Also with a VNC password, a snapshot, foreign metadata, and on a VM that runs. */
static void test_round_trip(void **state)
{
        _cleanup_virt_ struct vfioctl_virt *simple = open_uri("test:///default", false);
        _cleanup_virt_ struct vfioctl_virt *node = open_uri(NODE, false);

        (void)state;
        assert_round_trip(simple, "test", "<name>test</name>");
        assert_round_trip(simple, "6695eb01-f6a4-8304-79aa-97f2502e193f", "<name>test</name>");
        assert_round_trip(node, "whole", "passwd='secret'");
        assert_round_trip(node, "whole", "<o:a xmlns:o=\"urn:o\" x=\"1\"><o:b/>x<!-- kept --></o:a>");
        assert_round_trip(node, "..", "<name>..</name>");
}

static void test_stale(void **state)
{
        _cleanup_findings_ struct vfioctl_findings *findings = new_findings();
        _cleanup_virt_ struct vfioctl_virt *virt = open_uri("test:///default", false);
        _cleanup_domain_ struct vfioctl_domain *domain = NULL;
        _cleanup_free_ char *before = NULL, *added = NULL, *now = NULL, *untouched = NULL;

        (void)state;
        assert_int_equal(vfioctl_virt_read(virt, "test", findings, &domain, &before), 0);
        added = with_gpu(domain);
        assert_int_equal(vfioctl_virt_define(virt, "test", before, added, findings, &now), 0);
        assert_int_equal(vfioctl_virt_define(virt, "test", before, added, findings, &untouched), -ESTALE);
        assert_finding(findings, "vm-changed", "test", "try again");
        assert_null(untouched);
        /* Back to the old one, with what the define gave. */
        assert_int_equal(vfioctl_virt_define(virt, "test", now, before, findings, &untouched), 0);
        assert_string_equal(untouched, before);
}

static void test_define_refused(void **state)
{
        _cleanup_findings_ struct vfioctl_findings *findings = new_findings();
        _cleanup_virt_ struct vfioctl_virt *virt = open_uri(NODE, false);
        _cleanup_domain_ struct vfioctl_domain *domain = NULL;
        _cleanup_free_ char *before = NULL, *untouched = NULL;

        (void)state;
        assert_int_equal(vfioctl_virt_read(virt, "whole", findings, &domain, &before), 0);
        assert_int_equal(vfioctl_virt_define(virt, "whole", before, "<domain/>", findings, &untouched), -EIO);
        assert_finding(findings, "libvirt-failed", "whole", NULL);
        assert_int_equal(vfioctl_virt_define(virt, "none", before, before, findings, &untouched), -EPERM);
        assert_finding(findings, "vm-unknown", "none", "virsh -c " NODE " list --all");
        assert_int_equal(vfioctl_virt_define(virt, "transient", before, before, findings, &untouched),
                         -EPERM);
        assert_null(untouched);
}

static void test_read_refused(void **state)
{
        static const struct {
                const char *name;
                const char *code;
                const char *culprit;
                const char *fix;
        } cases[] = {
                {"transient", "vm-transient", "transient",
                 "virsh -c " NODE " dumpxml --inactive --security-info transient | virsh -c " NODE
                 " define /dev/stdin"},
                {"saved's one", "vm-managed-save", "saved's one",
                 "virsh -c " NODE " managedsave-remove 'saved'\\''s one'"},
                {"--help", "vm-managed-save", "--help",
                 "virsh -c " NODE " managedsave-remove --domain='--help'"},
                {"list", "vm-unknown", "list", "virsh -c " NODE " list --all"},
                {"", "vm-unknown", "", NULL},
                {"../x", "vm-unknown", "../x", NULL},
                {"a/b", "vm-unknown", "a/b", NULL},
                {"a\nb", "vm-unknown", "a\\nb", NULL},
                {"\x1b[2J\xff", "vm-unknown", "\\x1b[2J\\xff", NULL},
                {"00000000-0000-4000-8000-00000000ffff", "vm-unknown", "00000000-0000-4000-8000-00000000ffff",
                 NULL},
        };
        _cleanup_findings_ struct vfioctl_findings *findings = new_findings();
        _cleanup_virt_ struct vfioctl_virt *virt = open_uri(NODE, false);
        struct vfioctl_domain *domain = NULL;
        char *xml = NULL, name[301];

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_int_equal(vfioctl_virt_read(virt, cases[i].name, findings, &domain, &xml), -EPERM);
                assert_finding(findings, cases[i].code, cases[i].culprit, cases[i].fix);
        }
        memset(name, 'x', 300);
        name[300] = '\0';
        assert_int_equal(vfioctl_virt_read(virt, name, findings, &domain, &xml), -EPERM);
        name[64] = '\0';
        strcat(name, "...");
        assert_finding(findings, "vm-unknown", name, NULL);
        assert_true(!domain && !xml);
}

static size_t find_vm(const struct vfioctl_vms *vms, const char *name)
{
        size_t i = 0;

        while (i < vfioctl_vms_count(vms) && !util_equal(vfioctl_vms_name(vms, i), name))
                i++;
        assert_true(i < vfioctl_vms_count(vms));
        return i;
}

static void test_list(void **state)
{
        _cleanup_findings_ struct vfioctl_findings *findings = new_findings();
        _cleanup_virt_ struct vfioctl_virt *virt = open_uri(NODE, true);
        _cleanup_vms_ struct vfioctl_vms *vms = NULL;

        (void)state;
        assert_int_equal(vfioctl_virt_list(virt, findings, &vms), 0);
        assert_int_equal(vfioctl_findings_count(findings), 0);
        assert_int_equal(vfioctl_vms_count(vms), 6);
        assert_true(vfioctl_vms_is_running(vms, find_vm(vms, "running")));
        assert_true(vfioctl_vms_is_running(vms, find_vm(vms, "transient")));
        assert_false(vfioctl_vms_is_running(vms, find_vm(vms, "--help")));
        assert_string_equal(vfioctl_vms_uuid(vms, find_vm(vms, "whole")),
                            "00000000-0000-4000-8000-000000000004");
}

/* A GPU, from a snapshot of the fields that matter here. */
static const struct vfioctl_gpu *die_gpu(void)
{
        static struct vfioctl_function functions[2];
        static struct vfioctl_function *list[] = {&functions[0], &functions[1]};
        static struct vfioctl_gpu gpu = {.functions = list, .n_functions = 2};

        functions[0].address = die[0];
        functions[1].address = die[1];
        return &gpu;
}

static struct vfioctl_vms *list(struct vfioctl_virt *virt)
{
        _cleanup_findings_ struct vfioctl_findings *findings = new_findings();
        struct vfioctl_vms *vms = NULL;

        assert_int_equal(vfioctl_virt_list(virt, findings, &vms), 0);
        assert_int_equal(vfioctl_findings_count(findings), 0);
        return vms;
}

static void assert_gpu(const struct vfioctl_vms *vms, const char *name, bool defines, bool runs)
{
        size_t index = find_vm(vms, name);

        assert_int_equal(vfioctl_vms_defines_gpu(vms, index, die_gpu()), defines);
        assert_int_equal(vfioctl_vms_runs_gpu(vms, index, die_gpu()), runs);
        assert_int_equal(vfioctl_vms_has_gpu(vms, index, die_gpu()), defines || runs);
}

static void define(struct vfioctl_virt *virt, const char *name, bool with)
{
        _cleanup_findings_ struct vfioctl_findings *findings = new_findings();
        _cleanup_domain_ struct vfioctl_domain *domain = NULL;
        _cleanup_free_ char *before = NULL, *after = NULL;

        assert_int_equal(vfioctl_virt_read(virt, name, findings, &domain, &before), 0);
        if (with) {
                after = with_gpu(domain);
        } else {
                assert_true(vfioctl_domain_remove_gpu(domain, die, 2) > 0);
                assert_int_equal(vfioctl_domain_format(domain, &after), 0);
        }
        assert_int_equal(vfioctl_virt_define(virt, name, before, after, findings, NULL), 0);
}

/* What a running VM has counts, also when its definition has it no more; and the other way round. */
static void test_tells_both_apart(void **state)
{
        _cleanup_virt_ struct vfioctl_virt *virt = open_uri(NODE, false);
        _cleanup_vms_ struct vfioctl_vms *before = list(virt);

        (void)state;
        assert_gpu(before, "running", true, true);
        assert_gpu(before, "whole", false, false);
        define(virt, "running", false);
        define(virt, "whole", true);
        _cleanup_vms_ struct vfioctl_vms *after = list(virt);
        assert_gpu(after, "running", false, true);
        assert_gpu(after, "whole", true, false);
}

static void test_lists_flags(void **state)
{
        _cleanup_virt_ struct vfioctl_virt *virt = open_uri(NODE, true);
        _cleanup_vms_ struct vfioctl_vms *vms = list(virt);
        /* The test driver cannot read autostart from a node: libvirt's own call sets it. */
        virConnectPtr own = virConnectOpen("test:///default");
        virDomainPtr domain = virDomainLookupByName(own, "test");

        (void)state;
        for (size_t i = 0; i < vfioctl_vms_count(vms); i++) {
                const char *name = vfioctl_vms_name(vms, i);
                assert_int_equal(vfioctl_vms_is_transient(vms, i), util_equal(name, "transient"));
                assert_int_equal(vfioctl_vms_has_managed_save(vms, i),
                                 util_equal(name, "saved's one") || util_equal(name, "--help"));
                assert_false(vfioctl_vms_is_autostart(vms, i));
        }
        assert_int_equal(virDomainSetAutostart(domain, 1), 0);
        _cleanup_virt_ struct vfioctl_virt *simple = open_uri("test:///default", true);
        _cleanup_vms_ struct vfioctl_vms *started = list(simple);
        assert_true(vfioctl_vms_is_autostart(started, find_vm(started, "test")));
        assert_int_equal(virDomainFree(domain), 0);
        assert_int_equal(virConnectClose(own), 0);
}

static void test_lists_assignments(void **state)
{
        _cleanup_virt_ struct vfioctl_virt *virt = open_uri(NODE, false);

        (void)state;
        define(virt, "whole", true);
        define(virt, "running", false);
        define(virt, "running", true);
        _cleanup_vms_ struct vfioctl_vms *vms = list(virt);
        const char *const names[] = {"whole", "running"};
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                size_t index = find_vm(vms, names[i]);
                assert_int_equal(vfioctl_vms_assignment_count(vms, index), 1);
                const struct vfioctl_assignment *assignment = vfioctl_vms_assignment(vms, index, 0);
                assert_string_equal(assignment->name, "2a");
                assert_string_equal(assignment->identity, "id");
                assert_int_equal(assignment->n_functions, 2);
                assert_int_equal(vfioctl_address_compare(&assignment->functions[1], &die[1]), 0);
                assert_false(assignment->is_edited);
        }
        assert_int_equal(vfioctl_vms_assignment_count(vms, find_vm(vms, "..")), 0);
}

static void test_start(void **state)
{
        _cleanup_findings_ struct vfioctl_findings *findings = new_findings();
        _cleanup_virt_ struct vfioctl_virt *virt = open_uri(NODE, false);
        _cleanup_virt_ struct vfioctl_virt *reader = open_uri(NODE, true);

        (void)state;
        assert_int_equal(vfioctl_virt_start(virt, "whole", findings), 0);
        assert_int_equal(vfioctl_virt_start(virt, "whole", findings), 0);
        assert_int_equal(vfioctl_virt_start(virt, "00000000-0000-4000-8000-000000000006", findings), 0);
        assert_int_equal(vfioctl_findings_count(findings), 0);
        _cleanup_vms_ struct vfioctl_vms *vms = list(virt);
        assert_true(vfioctl_vms_is_running(vms, find_vm(vms, "whole")));
        assert_true(vfioctl_vms_is_running(vms, find_vm(vms, "..")));

        assert_int_equal(vfioctl_virt_start(virt, "none", findings), -EPERM);
        assert_finding(findings, "vm-unknown", "none", "virsh -c " NODE " list --all");
        assert_int_equal(vfioctl_virt_start(reader, "whole", findings), -EIO);
        assert_finding(findings, "libvirt-failed", "whole", NULL);
        const struct vfioctl_finding *last =
                vfioctl_findings_get(findings, vfioctl_findings_count(findings) - 1);
        assert_non_null(strstr(last->text, "read only"));
}

static void test_unreachable(void **state)
{
        static const struct {
                const char *uri;
                const char *culprit;
                const char *fix;
        } cases[] = {
                {"qemu+unix:///system?socket=/nowhere/libvirt-sock",
                 "qemu+unix:///system?socket=/nowhere/libvirt-sock",
                 "virsh -c 'qemu+unix:///system?socket=/nowhere/libvirt-sock' list --all"},
                {"test:///nowhere/node.xml", "test:///nowhere/node.xml", NULL},
                {"test://" VFIOCTL_TEST_DATA "/q35.xml", "test://" VFIOCTL_TEST_DATA "/q35.xml", NULL},
                {"qemu+tcp://localhost:1/system", "qemu+tcp://localhost:1/system", NULL},
                {"://", "://", NULL},
                {"not a uri\n", "not a uri\\n", NULL},
        };
        int saved, caught = stderr_catch(&saved);

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_findings_ struct vfioctl_findings *findings = new_findings();
                struct vfioctl_virt *virt = NULL;

                assert_int_equal(vfioctl_virt_open(cases[i].uri, i % 2, findings, &virt), -ENOTCONN);
                assert_null(virt);
                assert_finding(findings, "libvirt-unreachable", cases[i].culprit, cases[i].fix);
        }
        stderr_assert_silent(caught, saved);
}

static void test_version(void **state)
{
        static const struct {
                unsigned long version;
                const char *culprit;
        } cases[] = {{0, NULL}, {6005000, NULL}, {9000000, NULL}, {6004009, "6.4.9"}, {1002003, "1.2.3"}};

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_findings_ struct vfioctl_findings *findings = NULL;
                assert_int_equal(vfioctl_findings_new(&findings), 0);
                assert_int_equal(virt_check_version(cases[i].version, findings), 0);
                assert_int_equal(vfioctl_findings_count(findings), cases[i].culprit ? 1 : 0);
                if (!cases[i].culprit)
                        continue;
                const struct vfioctl_finding *finding = vfioctl_findings_get(findings, 0);
                assert_string_equal(finding->code, "libvirt-old");
                assert_string_equal(finding->culprit, cases[i].culprit);
                assert_int_equal(finding->severity, VFIOCTL_WARNING);
        }
}

static void test_not_installed(void **state)
{
        _cleanup_findings_ struct vfioctl_findings *findings = new_findings();
        struct vfioctl_virt *virt = NULL;

        (void)state;
        libvirt_missing = true;
        assert_int_equal(vfioctl_virt_open("test:///default", true, findings, &virt), -ENOTCONN);
        libvirt_missing = false;
        assert_null(virt);
        assert_finding(findings, "libvirt-unreachable", "test:///default", "install libvirt (libvirt.so.0)");
        assert_string_equal(
                vfioctl_findings_get(findings, 0)->text,
                "cannot reach libvirt (test:///default): its library is not installed, or too old");
}

static long milliseconds(void)
{
        struct timespec now;

        assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
        return now.tv_sec * 1000L + now.tv_nsec / 1000000L;
}

/* Calls get what is left of their time, and none begins when nothing is. */
static void test_deadline(void **state)
{
        const struct timespec nap = {.tv_nsec = 30 * 1000000L};
        _cleanup_findings_ struct vfioctl_findings *findings = new_findings();
        struct vfioctl_virt *opened = NULL;

        (void)state;
        assert_int_equal(vfioctl_virt_open_within(NODE, false, 60000, findings, &opened), 0);
        _cleanup_virt_ struct vfioctl_virt *virt = opened;
        assert_int_equal(vfioctl_virt_start(virt, "whole", findings), 0);
        vfioctl_virt_set_deadline(virt, 10);
        assert_int_equal(nanosleep(&nap, NULL), 0);
        assert_int_equal(vfioctl_virt_start(virt, "..", findings), -EIO);
        assert_finding(findings, "libvirt-failed", "..", "systemctl restart libvirtd");
        struct vfioctl_vms *untouched = NULL;
        assert_int_equal(vfioctl_virt_list(virt, findings, &untouched), -EIO);
        assert_null(untouched);
        /* It was never asked, so it is still good. */
        vfioctl_virt_set_deadline(virt, 0);
        _cleanup_vms_ struct vfioctl_vms *vms = list(virt);
        assert_false(vfioctl_vms_is_running(vms, find_vm(vms, "..")));
        assert_true(vfioctl_vms_is_running(vms, find_vm(vms, "whole")));
}

/* What was asked for and not answered may have happened; what is asked for afterwards is not. */
static void test_left_behind(void **state)
{
        static const struct {
                const char *text;
                const char *culprit;
        } expected[] = {
                {"libvirt does not answer; whether VM \"whole\" starts is not known", "whole"},
                {"libvirt does not answer; whether VM \"whole\" was redefined is not known", "whole"},
                {"libvirt does not answer", NULL},
                {"libvirt does not answer", "whole"},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(expected); i++) {
                _cleanup_findings_ struct vfioctl_findings *findings = new_findings();
                _cleanup_virt_ struct vfioctl_virt *virt = open_uri(NODE, false);
                struct vfioctl_domain *domain = NULL;
                struct vfioctl_vms *vms = NULL;
                answers_late = true;
                assert_int_equal(i == 0   ? vfioctl_virt_start(virt, "whole", findings)
                                 : i == 1 ? vfioctl_virt_define(virt, "whole", "", "", findings, NULL)
                                 : i == 2 ? vfioctl_virt_list(virt, findings, &vms)
                                          : vfioctl_virt_read(virt, "whole", findings, &domain, NULL),
                                 -EIO);
                answers_late = false;
                assert_finding(findings, "libvirt-failed", expected[i].culprit, "systemctl restart libvirtd");
                assert_string_equal(vfioctl_findings_get(findings, 0)->text, expected[i].text);
                /* The connection is given up, whatever time there is. */
                vfioctl_virt_set_deadline(virt, 60000);
                assert_int_equal(vfioctl_virt_start(virt, "..", findings), -EIO);
                assert_string_equal(vfioctl_findings_get(findings, 1)->text, "libvirt does not answer");
                assert_true(!vms && !domain);
        }
}

/* A socket that takes connections and never answers, like a daemon that hangs. */
static void test_deaf_daemon(void **state)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        char folder[] = "/tmp/vfioctl-test-XXXXXX";
        _cleanup_free_ char *uri = NULL;
        _cleanup_answer_ struct answer answer = {0};
        struct vfioctl_virt *virt = NULL;

        (void)state;
        assert_non_null(mkdtemp(folder));
        assert_true(snprintf(address.sun_path, sizeof(address.sun_path), "%s/sock", folder) > 0);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 4), 0);
        assert_int_equal(util_format(&uri, "qemu+unix:///system?socket=%s", address.sun_path), 0);

        long start = milliseconds();
        assert_int_equal(connection_open(uri, true, 200, &answer, &virt), -EIO);
        long took = milliseconds() - start;
        assert_int_equal(answer.failure, FAILURE_TIMEOUT);
        assert_null(virt);
        assert_true(took >= 200 && took < 5000);

        assert_int_equal(close(fd), 0);
        assert_int_equal(unlink(address.sun_path), 0);
        assert_int_equal(rmdir(folder), 0);
}

/* Connections to the test driver's default node share it while one is open, and no longer. */
static void test_default_node(void **state)
{
        _cleanup_findings_ struct vfioctl_findings *findings = new_findings();

        (void)state;
        for (int round = 0; round < 2; round++) {
                _cleanup_virt_ struct vfioctl_virt *one = open_uri("test:///default", false),
                                                   *two = open_uri("test:///default", false);
                _cleanup_domain_ struct vfioctl_domain *domain = NULL, *seen = NULL;
                _cleanup_free_ char *before = NULL, *added = NULL;

                assert_int_equal(vfioctl_virt_read(one, "test", findings, &domain, &before), 0);
                assert_int_equal(vfioctl_domain_hostdev_count(domain), 0);
                added = with_gpu(domain);
                assert_int_equal(vfioctl_virt_define(one, "test", before, added, findings, NULL), 0);
                assert_int_equal(vfioctl_virt_read(two, "test", findings, &seen, NULL), 0);
                assert_int_equal(vfioctl_domain_hostdev_count(seen), 2);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_stale),
                cmocka_unit_test(test_define_refused), cmocka_unit_test(test_read_refused),
                cmocka_unit_test(test_list),           cmocka_unit_test(test_tells_both_apart),
                cmocka_unit_test(test_lists_flags),    cmocka_unit_test(test_lists_assignments),
                cmocka_unit_test(test_start),          cmocka_unit_test(test_deadline),
                cmocka_unit_test(test_left_behind),    cmocka_unit_test(test_unreachable),
                cmocka_unit_test(test_deaf_daemon),    cmocka_unit_test(test_default_node),
                cmocka_unit_test(test_version),        cmocka_unit_test(test_not_installed),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
