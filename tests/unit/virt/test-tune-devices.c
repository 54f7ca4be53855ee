/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tune.h"

/* Devices and display of a VM with GPUs. */

/* format(), where the compiler would think that the text is gone. */
static __attribute__((noinline)) char *text_of(const struct vfioctl_domain *domain)
{
        return format(domain);
}

/* ---- devices -------------------------------------------------------------------------------------- */

static void test_iothreads(void **state)
{
        _cleanup_free_ char *text = read_data("virt-install.xml");
        _cleanup_domain_ struct vfioctl_domain *domain = parse(text);
        _cleanup_domain_ struct vfioctl_domain *none = parse(DEVICES(
                "<disk type='file'><source file='/a'/><target dev='sda' bus='sata'/></disk>"
                "<disk type='file' device='cdrom'><target dev='vda' bus='virtio'/></disk>"
                "<disk type='vhostuser'><target dev='vdb' bus='virtio'/></disk>"
                "<disk type='file'><target dev='vdc' bus='virtio'/><address type='virtio-mmio'/></disk>"
                "<controller type='scsi' model='lsilogic'/><controller type='scsi'/>"));

        (void)state;
        tune_at(domain, &whole);
        assert_true(contains(domain, "<iothreads>1</iothreads>"));
        assert_true(contains(domain, "type=\"qcow2\" discard=\"unmap\" iothread=\"1\"/>"));
        assert_true(contains(
                domain, "model=\"virtio-scsi\">\n      <address type=\"pci\" domain=\"0x0000\" bus=\"0x05\" "
                        "slot=\"0x00\" function=\"0x0\"/>\n      <driver iothread=\"1\"/>"));
        assert_true(contains(domain, "<iothreadpin iothread=\"1\" cpuset=\"0,28\"/>"));
        tune_at(none, &whole);
        assert_false(contains(none, "iothread"));
}

static void test_balloon_and_sound(void **state)
{
        _cleanup_free_ char *text = read_data("virt-install.xml"), *hand = read_data("by-hand.xml");
        _cleanup_domain_ struct vfioctl_domain *domain = parse(text), *heard = parse(hand);
        struct vfioctl_tuning tuning = whole;

        (void)state;
        tune(domain, &tuning);
        assert_true(contains(domain, "<memballoon model=\"none\"/>"));
        /* As long as SPICE carries it. */
        assert_true(contains(domain, "<sound model=\"ich9\">"));
        tuning.has_audio = false;
        tuning.display = VFIOCTL_DISPLAY_NONE;
        tune(domain, &tuning);
        assert_true(contains(domain, "<sound model=\"ich9\">"));
        tuning.has_audio = true;
        tune(domain, &tuning);
        assert_false(contains(domain, "<sound"));
        /* And what is heard on the host stays. */
        tune(heard, &tuning);
        assert_true(contains(heard, "<sound model=\"ac97\"/>"));
}

static void test_rom(void **state)
{
        _cleanup_domain_ struct vfioctl_domain *domain = parse(DEVICES(HOSTDEV("bus='9'")));
        struct vfioctl_tuning tuning = {.kvm = true, .rom = "off"};

        (void)state;
        assert_int_equal(add(domain, 0, 2), 0);
        tune(domain, &tuning);
        _cleanup_free_ char *text = text_of(domain);
        const char *first = strstr(text, "<rom bar=\"off\"/>");
        assert_non_null(first);
        assert_null(strstr(first + 1, "<rom"));
        tuning.rom = NULL;
        tune(domain, &tuning);
        assert_formats(domain, text);
        tuning.rom = "on";
        tune(domain, &tuning);
        assert_true(contains(domain, "<rom bar=\"on\"/>"));
        assert_false(contains(domain, "<rom bar=\"off\"/>"));
}

static void test_rom_of_somebody(void **state)
{
        static const char *const roms[] = {"<rom file='/a.rom'/>", "<rom enabled='no'/>"};

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(roms); i++) {
                _cleanup_domain_ struct vfioctl_domain *plain = parse(DEVICES(""));
                _cleanup_free_ char *text = NULL, *xml = calloc(1, 1 << 16);
                assert_non_null(xml);
                assert_int_equal(add(plain, 0, 1), 0);
                text = text_of(plain);
                char *at = strstr(text, "</source>");
                assert_non_null(at);
                at += strlen("</source>");
                (void)snprintf(xml, 1 << 16, "%.*s%s%s", (int)(at - text), text, roms[i], at);
                _cleanup_domain_ struct vfioctl_domain *domain = parse(xml);
                tune(domain, &(struct vfioctl_tuning){.kvm = true, .rom = "on"});
                assert_false(contains(domain, "bar=\"on\""));
        }
}

static void test_window(void **state)
{
        _cleanup_free_ char *text = read_data("q35.xml"), *hand = read_data("by-hand.xml"),
                            *i440fx = read_data("i440fx.xml");
        _cleanup_domain_ struct vfioctl_domain *domain = parse(text), *has = parse(hand),
                                               *old = parse(i440fx),
                                               *bare = parse(
                                                       "<domain type='kvm'>\n  <name>n</name>\n</domain>");
        struct vfioctl_tuning tuning = {.kvm = true, .guest = VFIOCTL_GUEST_LINUX, .large_bars = 32ull << 30};

        (void)state;
        tune(domain, &tuning);
        assert_false(contains(domain, "pcihole64"));
        assert_false(contains(domain, "fw_cfg"));
        tuning.large_bars++;
        tune(domain, &tuning);
        assert_true(contains(domain, "<pcihole64 unit=\"KiB\">67108864</pcihole64>"));
        assert_true(contains(
                domain, "<qemu:arg value=\"-nodefaults\"/>\n    <qemu:arg value=\"-fw_cfg\"/>\n    <qemu:arg "
                        "value=\"name=opt/ovmf/X-PciMmio64Mb,string=65536\"/>\n"));
        /* More GPUs, a larger one; fewer, and it stays. */
        tuning.large_bars = 200ull << 30;
        tune(domain, &tuning);
        assert_true(contains(domain, ">268435456</pcihole64>"));
        assert_true(contains(domain, "X-PciMmio64Mb,string=262144\"/>"));
        assert_false(contains(domain, "string=65536"));
        tuning.large_bars = 40ull << 30;
        tune(domain, &tuning);
        assert_true(contains(domain, "X-PciMmio64Mb,string=262144\"/>"));

        /* The admin's own is replaced where it is; what is large enough stays. */
        tune(has, &tuning);
        assert_true(contains(
                has,
                "<q:arg value=\"-fw_cfg\"/><q:arg value=\"name=opt/ovmf/X-PciMmio64Mb,string=65536\"/>"));
        assert_true(contains(has, ">1073741824</pcihole64>"));
        assert_false(contains(has, "xmlns:qemu"));

        /* The prefix is somebody else's; and one from a file is not ours to judge. */
        _cleanup_domain_ struct vfioctl_domain *prefix =
                parse("<domain xmlns:qemu='urn:q'><name>n</name></domain>");
        tune(prefix, &tuning);
        assert_true(contains(prefix, "<qemu-1.0:commandline><qemu-1.0:arg value=\"-fw_cfg\"/>"));
        _cleanup_domain_ struct vfioctl_domain *file = parse(
                "<domain><name>n</name><q:commandline xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'>"
                "<q:arg value='-fw_cfg'/><q:arg "
                "value='name=opt/ovmf/X-PciMmio64Mb,file=/f'/></q:commandline></domain>");
        tune(file, &tuning);
        assert_false(contains(file, "string="));

        _cleanup_free_ char *codes = tune_finds(old, &tuning, 0);
        assert_string_equal(codes, "guest-machine");
        assert_false(contains(old, "fw_cfg"));

        tune(bare, &tuning);
        assert_true(contains(
                bare, "<domain xmlns:qemu=\"http://libvirt.org/schemas/domain/qemu/1.0\" type=\"kvm\">"));
        assert_true(contains(bare,
                             "<controller type=\"pci\" index=\"0\" model=\"pcie-root\">\n      <pcihole64"));
}

/* ---- the display ---------------------------------------------------------------------------------- */

static char *with_display(struct vfioctl_domain *domain, enum vfioctl_display display)
{
        tune(domain, &(struct vfioctl_tuning){.kvm = true, .guest = VFIOCTL_GUEST_LINUX, .display = display});
        return format(domain);
}

static void test_display(void **state)
{
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(samples); i++) {
                _cleanup_free_ char *text = read_data(samples[i]);
                _cleanup_domain_ struct vfioctl_domain *domain = parse(text);
                _cleanup_free_ char *none = with_display(domain, VFIOCTL_DISPLAY_NONE);
                assert_false(contains(domain, "<graphics"));
                assert_true(contains(domain, "<model type=\"none\"/>"));
                assert_false(contains(domain, "spice"));
                assert_false(contains(domain, "<redir"));
                _cleanup_free_ char *rescue = with_display(domain, VFIOCTL_DISPLAY_RESCUE);
                assert_non_null(strstr(rescue, "<graphics type=\"vnc\">"));
                assert_non_null(strstr(rescue, "<listen type=\"socket\"/>"));
                assert_non_null(strstr(rescue, "<model type=\"virtio\" heads=\"1\" primary=\"yes\"/>"));
                /* Back and forth. */
                _cleanup_free_ char *again = with_display(domain, VFIOCTL_DISPLAY_NONE);
                assert_string_equal(again, none);
                _cleanup_free_ char *kept = with_display(domain, VFIOCTL_DISPLAY_KEEP);
                assert_string_equal(kept, none);
                _cleanup_free_ char *twice = with_display(domain, VFIOCTL_DISPLAY_RESCUE);
                assert_string_equal(twice, rescue);
        }
}

/* One that is local already is as good, whatever it speaks. */
static void test_display_is_local(void **state)
{
        _cleanup_free_ char *text = read_data("cells.xml");
        _cleanup_domain_ struct vfioctl_domain *domain = parse(text);
        _cleanup_free_ char *rescue = with_display(domain, VFIOCTL_DISPLAY_RESCUE);
        static const char *const graphics[] = {
                "<graphics type='vnc'><listen type='socket'/><listen type='address'/></graphics>",
                "<graphics type='vnc'/>",
                "<graphics type='spice'><listen type='none'/></graphics>",
                "<graphics type='sdl'/>",
                "<graphics type='dbus'/><channel type='dbus'/><audio id='1' type='dbus'/>",
                "<graphics type='vnc'><listen type='network' network='n'/></graphics>"};

        (void)state;
        assert_non_null(strstr(rescue, "socket=\"/run/cells.sock\""));
        assert_non_null(strstr(rescue, "heads=\"2\""));
        for (size_t i = 0; i < ELEMENTSOF(graphics); i++) {
                _cleanup_free_ char *xml = NULL;
                assert_int_equal(util_format(&xml, DEVICES("%s"), graphics[i]), 0);
                _cleanup_domain_ struct vfioctl_domain *open = parse(xml);
                _cleanup_free_ char *after = with_display(open, VFIOCTL_DISPLAY_RESCUE);
                assert_non_null(strstr(after, "<graphics type=\"vnc\"><listen type=\"socket\"/></graphics>"));
                assert_null(strstr(strstr(after, "<graphics") + 1, "<graphics"));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_iothreads),
                cmocka_unit_test(test_balloon_and_sound),
                cmocka_unit_test(test_rom),
                cmocka_unit_test(test_rom_of_somebody),
                cmocka_unit_test(test_window),
                cmocka_unit_test(test_display),
                cmocka_unit_test(test_display_is_local),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
