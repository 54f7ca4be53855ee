/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"
#include "holders.h"

#define ID "3f2a9c0d1e4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1"

static void unit_is(const char *cgroup, const char *expected)
{
        _cleanup_free_ char *unit = NULL;

        int r = holder_unit(cgroup, &unit);
        if (!expected) {
                assert_null(unit);
                assert_int_equal(r, -ENODATA);
                return;
        }
        assert_int_equal(r, 0);
        if (!util_equal(unit, expected))
                fail_msg("'%s' gives '%s', not '%s'", cgroup, unit, expected);
}

static void test_version_2(void **state)
{
        (void)state;
        unit_is("0::/system.slice/ollama.service\n", "ollama.service");
        unit_is("0::/system.slice/ollama.service", "ollama.service");
        unit_is("0::/system.slice/ollama.service/child/grandchild\n", "ollama.service");
        unit_is("0::/system.slice/system-getty.slice/getty@tty1.service\n", "getty@tty1.service");
        unit_is("0::/init.scope\n", "init.scope");
        unit_is("0::/user.slice/user-1000.slice/session-3.scope\n", "session-3.scope");
        unit_is("0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-blender-4711.scope\n",
                "app-blender-4711.scope");
        unit_is("0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.x.slice/"
                "vte-spawn-1.scope\n",
                "vte-spawn-1.scope");
        unit_is("0::/user.slice/user-1000.slice/user@1000.service\n", "user@1000.service");
        unit_is("0::/\n", NULL);
        unit_is("0::/user.slice/user-1000.slice\n", NULL);
}

static void test_version_1(void **state)
{
        (void)state;
        unit_is("12:devices:/system.slice/ollama.service\n"
                "11:cpu,cpuacct:/\n"
                "1:name=systemd:/system.slice/ollama.service\n",
                "ollama.service");
        unit_is("12:cpuset:/\n11:devices:/user.slice\n1:name=systemd:/user.slice/user-0.slice/"
                "session-2.scope\n",
                "session-2.scope");
        /* systemd's own hierarchy is the exact one; controllers may be coarser. */
        unit_is("9:memory:/user.slice/user-1000.slice/user@1000.service\n"
                "1:name=systemd:/user.slice/user-1000.slice/user@1000.service/app.slice/"
                "app-blender-1.scope\n",
                "app-blender-1.scope");
        unit_is("9:memory:/user.slice/user-1000.slice/user@1000.service\n"
                "0::/user.slice/user-1000.slice/session-7.scope\n",
                "session-7.scope");
        unit_is("9:memory:/docker/" ID "\n1:name=systemd:/docker/" ID
                "\n0::/system.slice/containerd.service\n",
                "container 3f2a9c0d1e4b");
}

static void test_containers(void **state)
{
        (void)state;
        unit_is("0::/system.slice/docker-" ID ".scope\n", "container 3f2a9c0d1e4b");
        unit_is("0::/docker/" ID "\n", "container 3f2a9c0d1e4b");
        unit_is("0::/machine.slice/libpod-" ID ".scope/container\n", "container 3f2a9c0d1e4b");
        unit_is("0::/machine.slice/libpod-" ID ".scope\n", "container 3f2a9c0d1e4b");
        unit_is("0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope/container\n",
                "container 3f2a9c0d1e4b");
        unit_is("0::/machine.slice/libpod-conmon-" ID ".scope\n", "libpod-conmon-" ID ".scope");
        unit_is("0::/kubepods/burstable/pod12345/" ID "\n", "container 3f2a9c0d1e4b");
        /* systemd inside of a container: its units are not the host's. */
        unit_is("0::/system.slice/docker-" ID ".scope/system.slice/nginx.service\n",
                "container 3f2a9c0d1e4b");
        unit_is("0::/docker/" ID "/init.scope\n", "container 3f2a9c0d1e4b");
        unit_is("0::/system.slice/docker-.scope\n", "docker-.scope");
        unit_is("0::/system.slice/docker-xyz.scope\n", "docker-xyz.scope");
        unit_is("0::/docker/3f2a\n", NULL);
}

static void test_machines(void **state)
{
        (void)state;
        unit_is("0::/machine.slice/machine-qemu\\x2d1\\x2dgame1.scope/libvirt/emulator\n",
                "machine-qemu\\x2d1\\x2dgame1.scope");
        unit_is("0::/machine.slice/machine-qemu\\x2d12\\x2dwin\\x2d11.scope\n",
                "machine-qemu\\x2d12\\x2dwin\\x2d11.scope");
        unit_is("0::/machine.slice/systemd-nspawn@web.service/payload\n", "systemd-nspawn@web.service");
        unit_is("0::/machine.slice/systemd-nspawn@web.service/payload/system.slice/nginx.service\n",
                "systemd-nspawn@web.service");
        unit_is("0::/machine.slice/machine-web.scope/payload/init.scope\n", "machine-web.scope");
}

static void test_nonsense(void **state)
{
        (void)state;
        unit_is("", NULL);
        unit_is("\n", NULL);
        unit_is("\n\n\n", NULL);
        unit_is(":", NULL);
        unit_is("::", NULL);
        unit_is("::\n", NULL);
        unit_is("0::", NULL);
        unit_is("0::////\n", NULL);
        unit_is("0::.service\n", NULL);
        unit_is("0::/.scope\n", NULL);
        unit_is("no colon at all\n0::/system.slice/a.service\n", "a.service");
        unit_is("0::/system.slice/\n", NULL);
        /* A name over the end of a line is not one. */
        unit_is("0::/a.ser\nvice\n", NULL);
        unit_is("5:x\n0::/system.slice/b.service\n", "b.service");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_version_2),  cmocka_unit_test(test_version_1),
                cmocka_unit_test(test_containers), cmocka_unit_test(test_machines),
                cmocka_unit_test(test_nonsense),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
