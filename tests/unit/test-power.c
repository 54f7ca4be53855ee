/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

/* What mode vm needs besides a driver: settings that are held, and the reset of the card. */

#define RESET "/sys/bus/pci/devices/0000:06:00.0/reset_method"

static struct fixture f;
static struct vfioctl_gpu *gpu;
static struct card_knowledge card;

static char *text(const char *words)
{
        return (char *)(uintptr_t)words;
}

static void set_up(const char *methods, const char *driver)
{
        fixture_init(&f);
        memset(&card, 0, sizeof(card));
        gpu = fixture_gpu(&f, "2a", "0000:06:00.0", 0, 0, 10, driver);
        gpu->is_deep = true;
        gpu->knowledge = &card;
        gpu->functions[0]->driver_override_known = true;
        gpu->functions[0]->driver_override = text(util_equal(driver, VFIO_DRIVER) ? VFIO_DRIVER : NULL);
        gpu->functions[0]->has_change = true;
        gpu->functions[0]->power_control = text("on");
        gpu->functions[0]->d3cold = SETTING_OFF;
        gpu->functions[0]->reset_method = text(methods);
}

static struct vfioctl_function *add_port(const char *address, const char *control, enum setting_state d3cold)
{
        struct vfioctl_function *port = fixture_port(&f, gpu, address, VFIOCTL_PCIE_DOWNSTREAM, true);

        port->has_change = true;
        port->power_control = text(control);
        port->d3cold = d3cold;
        return port;
}

static void find_scopes(void)
{
        free(gpu->scope);
        free(gpu->reset_used);
        gpu->scope = NULL;
        gpu->reset_used = NULL;
        gpu->n_scope = 0;
        assert_int_equal(reset_find_scopes(&f.snapshot), 0);
}

static void tear_down(void)
{
        free(gpu->scope);
        free(gpu->reset_used);
}

static struct vfioctl_plan *plan_mode(enum vfioctl_mode mode)
{
        _cleanup_intent_ struct vfioctl_intent *intent = NULL;
        struct vfioctl_plan *plan = NULL;

        assert_int_equal(vfioctl_intent_new(&intent), 0);
        assert_int_equal(vfioctl_intent_set_mode(intent, gpu, mode), 0);
        assert_int_equal(vfioctl_plan_new(&f.snapshot, NULL, intent, 0, &plan), 0);
        return plan;
}

/* All that is written to `attribute`, with blanks between; "-": nothing. */
static void assert_written(enum vfioctl_mode mode, const char *attribute, const char *expected)
{
        _cleanup_plan_ struct vfioctl_plan *plan = plan_mode(mode);
        char all[256] = "";

        for (size_t i = 0; i < vfioctl_plan_step_count(plan); i++) {
                const struct vfioctl_step *step = vfioctl_plan_step(plan, i);
                if (util_equal(vfioctl_step_attribute(step), attribute))
                        (void)snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", *all ? "; " : "",
                                       vfioctl_step_value(step));
        }
        assert_string_equal(*all ? all : "-", expected);
}

/* ---- the list of reset methods ---- */

static void test_reset_choice(void **state)
{
        static const struct {
                const char *offered, *wants, *lies, *written;
                bool has_neighbour;
        } cases[] = {
                {"flr bus", NULL, NULL, "-", false},
                {"bus", "device_specific bus", NULL, "-", false},
                {"pm bus", "device_specific bus", NULL, "bus pm", false},
                {"flr device_specific bus", "device_specific bus", NULL, "device_specific bus flr", false},
                {"pm bus", NULL, "pm", "bus", false},
                {"pm", NULL, "pm", "", false},
                {"flr bus", NULL, NULL, "default", true},
                {"pm flr bus", "flr bus", NULL, "default; flr pm", true},
                {"bus", "bus", NULL, "default", true},
                {"flr", "flr", NULL, "-", true},
                {NULL, "flr", NULL, "-", true},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                set_up(cases[i].offered, "amdgpu");
                card.values[CARD_RESET] = text(cases[i].wants);
                card.values[CARD_RESET_LIES] = text(cases[i].lies);
                if (cases[i].has_neighbour)
                        (void)fixture_companion(&f, gpu, "0000:06:00.1", 10, NULL);
                find_scopes();
                if (util_equal(cases[i].written, "")) {
                        _cleanup_plan_ struct vfioctl_plan *plan = plan_mode(VFIOCTL_MODE_VM);
                        const struct vfioctl_step *last =
                                vfioctl_plan_step(plan, vfioctl_plan_step_count(plan) - 1);
                        assert_string_equal(vfioctl_step_attribute(last), RESET);
                        assert_string_equal(vfioctl_step_value(last), "");
                } else {
                        assert_written(VFIOCTL_MODE_VM, RESET, cases[i].written);
                }
                tear_down();
        }
}

/* Written once; what an admin writes after that is not ours to change. */
static void test_reset_is_chosen_once(void **state)
{
        _cleanup_free_ char *note = NULL;

        (void)state;
        set_up("pm bus", VFIO_DRIVER);
        card.values[CARD_RESET] = text("bus");
        find_scopes();
        assert_true(vfioctl_gpu_needs_change(gpu, VFIOCTL_MODE_VM));
        assert_written(VFIOCTL_MODE_VM, RESET, "bus pm");
        assert_int_equal(util_format(&note, "ids %04x:%04x\nreset_method pm bus\ngpu 0000:06:00.0\n",
                                     gpu->functions[0]->vendor, gpu->functions[0]->device),
                         0);
        gpu->functions[0]->hold.text = util_steal(note);
        assert_int_equal(hold_parse(gpu->functions[0]), 0);
        assert_false(vfioctl_gpu_needs_change(gpu, VFIOCTL_MODE_VM));
        /* And back, where it differs. */
        assert_written(VFIOCTL_MODE_HOST, RESET, "-");
        gpu->functions[0]->reset_method = text("bus");
        assert_written(VFIOCTL_MODE_HOST, RESET, "pm bus");
        hold_clear(&gpu->functions[0]->hold);
        tear_down();
}

static void test_scope(void **state)
{
        (void)state;
        set_up("bus", "amdgpu");
        struct vfioctl_function *port = add_port("0000:05:00.0", "on", SETTING_OFF);
        port->secondary_bus = 6;
        port->subordinate_bus = 7;
        find_scopes();
        assert_string_equal(vfioctl_gpu_reset_used(gpu), "bus");
        assert_int_equal(vfioctl_gpu_reset_scope_count(gpu), 0);
        assert_int_equal(reset_last_bus(gpu), 7);

        /* Below the same port, on a bus further down: hit as well, and no reason why the list should lie. */
        struct vfioctl_function *other = fixture_function(&f, "0000:07:00.0", 11, "nvme");
        find_scopes();
        assert_false(vfioctl_gpu_reset_is_stale(gpu));
        assert_int_equal(vfioctl_gpu_reset_scope_count(gpu), 1);
        assert_ptr_equal(vfioctl_gpu_reset_scope(gpu, 0), other);
        assert_null(vfioctl_gpu_reset_scope(gpu, 1));

        /* A method of the function alone hits nobody. */
        gpu->functions[0]->reset_method = text("flr bus");
        find_scopes();
        assert_string_equal(vfioctl_gpu_reset_used(gpu), "flr");
        assert_int_equal(vfioctl_gpu_reset_scope_count(gpu), 0);

        /* On the same bus: stale. Another domain is another world. */
        gpu->functions[0]->reset_method = text("bus");
        (void)fixture_function(&f, "0000:06:01.0", 12, NULL);
        (void)fixture_function(&f, "0001:06:02.0", 12, NULL);
        find_scopes();
        assert_true(vfioctl_gpu_reset_is_stale(gpu));
        assert_null(vfioctl_gpu_reset_used(gpu));
        assert_int_equal(vfioctl_gpu_reset_scope_count(gpu), 2);

        /* A port with another number below it is not the one above: then only the own bus is known. */
        port->secondary_bus = 9;
        assert_int_equal(reset_last_bus(gpu), 6);
        tear_down();
}

/* ---- power ---- */

static void test_leave(void **state)
{
        (void)state;
        set_up("bus", "amdgpu");
        gpu->functions[0]->d3cold = SETTING_ON;
        struct vfioctl_function *port = add_port("0000:05:00.0", "auto", SETTING_ON);
        find_scopes();
        assert_true(power_needs_hold(gpu));
        assert_written(VFIOCTL_MODE_VM, "/sys/bus/pci/devices/0000:05:00.0/power/control", "on");
        assert_written(VFIOCTL_MODE_VM, "/sys/bus/pci/devices/0000:05:00.0/d3cold_allowed", "0");
        assert_written(VFIOCTL_MODE_VM, "/sys/bus/pci/devices/0000:06:00.0/power/control", "on");
        card.values[CARD_POWER] = text("leave");
        assert_false(power_needs_hold(gpu));
        assert_written(VFIOCTL_MODE_VM, "/sys/bus/pci/devices/0000:05:00.0/power/control", "-");
        assert_written(VFIOCTL_MODE_VM, "/sys/bus/pci/devices/0000:05:00.0/d3cold_allowed", "-");
        assert_written(VFIOCTL_MODE_VM, "/sys/bus/pci/devices/0000:06:00.0/power/control", "-");
        /* What nobody has looked at is not touched. */
        card.values[CARD_POWER] = NULL;
        port->has_change = gpu->functions[0]->has_change = false;
        assert_false(power_needs_hold(gpu));
        assert_written(VFIOCTL_MODE_VM, "/sys/bus/pci/devices/0000:05:00.0/power/control", "-");
        tear_down();
}

static void test_notes(void **state)
{
        struct vfioctl_function function = {.vendor = 0x1002, .device = 0x6864};
        char *again = NULL;

        (void)state;
        function.hold.text = strdup("ids 1002:6864\ncontrol auto\nd3cold_allowed 1\nreset_method \n"
                                    "gpu 0000:06:00.0\ngpu 0000:0a:00.0\n");
        assert_non_null(function.hold.text);
        assert_int_equal(hold_parse(&function), 0);
        assert_string_equal(function.hold.control, "auto");
        assert_string_equal(function.hold.d3cold, "1");
        assert_string_equal(function.hold.reset, "");
        assert_int_equal(function.hold.n_users, 2);
        assert_int_equal(hold_format(&function.hold, &function, &again), 0);
        assert_string_equal(again, function.hold.text);
        free(again);
        assert_int_equal(hold_add_user(&function.hold, "0000:0a:00.0"), 0);
        hold_drop_user(&function.hold, "0000:06:00.0");
        assert_int_equal(function.hold.n_users, 1);
        assert_true(hold_has_user(&function.hold, "0000:0a:00.0"));
        hold_drop_user(&function.hold, "0000:0a:00.0");
        assert_int_equal(hold_format(&function.hold, &function, &again), 0);
        assert_null(again);
        hold_clear(&function.hold);

        /* Of another device, and nonsense. */
        static const char *const texts[] = {
                "ids 10de:1188\ncontrol auto\ngpu 0000:06:00.0\n",
                "control auto\nids 1002:6864\ncontrol\ncontrol off\nd3cold_allowed 2\nreset_method ../x\ngpu "
                "y\n",
        };
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                function.hold.text = strdup(texts[i]);
                assert_non_null(function.hold.text);
                assert_int_equal(hold_parse(&function), 0);
                assert_false(hold_is_noted(&function.hold));
                assert_int_equal(function.hold.n_users, 0);
                hold_clear(&function.hold);
        }
}

/* ---- vendor-reset ---- */

static const struct vfioctl_finding *module_finding(struct vfioctl_findings **findings, const char *word)
{
        card.values[CARD_VENDOR_RESET] = text(word);
        *findings = vfioctl_findings_free(*findings);
        assert_int_equal(vfioctl_findings_new(findings), 0);
        assert_int_equal(vfioctl_check(&f.snapshot, NULL, gpu, *findings), 0);
        return finding_by(*findings, "vendor-reset-missing", NULL);
}

static void test_vendor_reset(void **state)
{
        struct vendor_reset *module = &f.snapshot.facts.vendor_reset;
        struct vfioctl_findings *findings = NULL;

        (void)state;
        set_up("bus", "amdgpu");
        find_scopes();
        assert_null(module_finding(&findings, "needed"));
        *module = (struct vendor_reset){.is_known = true};
        assert_int_equal(module_finding(&findings, "needed")->severity, VFIOCTL_WARNING);
        assert_contains(module_finding(&findings, "needed")->text, "not installed for this kernel");
        assert_int_equal(module_finding(&findings, "untested")->severity, VFIOCTL_NOTE);
        assert_null(module_finding(&findings, "no"));
        assert_null(module_finding(&findings, NULL));
        module->in_kernel = true;
        assert_string_equal(module_finding(&findings, "needed")->fix, "modprobe vendor-reset");
        module->is_loaded = true;
        assert_contains(module_finding(&findings, "needed")->fix, "echo default > " RESET);
        gpu->functions[0]->reset_method = text("device_specific bus");
        assert_null(module_finding(&findings, "needed"));
        f.snapshot.facts.next_kernel = text("6.12.1");
        assert_string_equal(module_finding(&findings, "needed")->culprit, "6.12.1");
        module->in_next_kernel = true;
        assert_null(module_finding(&findings, "needed"));
        (void)vfioctl_findings_free(findings);
        tear_down();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_reset_choice), cmocka_unit_test(test_reset_is_chosen_once),
                cmocka_unit_test(test_scope),        cmocka_unit_test(test_leave),
                cmocka_unit_test(test_notes),        cmocka_unit_test(test_vendor_reset),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
