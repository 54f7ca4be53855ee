/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

#include <fcntl.h>
#include <ftw.h>
#include <linux/pci_regs.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

char *root_new(void)
{
        const char *folder = getenv("TMPDIR");
        char *root;

        if (!folder)
                folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        assert_int_equal(util_format(&root, "%s/vfioctl-unit-XXXXXX", folder), 0);
        assert_non_null(mkdtemp(root));
        /* Other users look in as well. */
        assert_int_equal(chmod(root, 0755), 0);
        return root;
}

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *where)
{
        (void)status, (void)where;
        return flag == FTW_DP ? rmdir(path) : unlink(path);
}

void root_free(char *root)
{
        if (root)
                (void)nftw(root, remove_one, 32, FTW_DEPTH | FTW_PHYS);
        free(root);
}

static char *full_path(const char *root, const char *path)
{
        char *full;

        assert_int_equal(util_format(&full, "%s%s", root, path), 0);
        for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')); at++) {
                *at = '\0';
                if (mkdir(full, 0755) < 0)
                        assert_int_equal(errno, EEXIST);
                *at = '/';
        }
        return full;
}

void root_mkdir(const char *root, const char *path)
{
        _cleanup_free_ char *full = full_path(root, path);

        if (mkdir(full, 0755) < 0)
                assert_int_equal(errno, EEXIST);
}

void root_bytes(const char *root, const char *path, const void *data, size_t size)
{
        _cleanup_free_ char *full = full_path(root, path);
        FILE *file = fopen(full, "we");

        assert_non_null(file);
        assert_int_equal(fwrite(data, 1, size, file), size);
        assert_int_equal(fclose(file), 0);
}

void root_put(const char *root, const char *path, const char *format, ...)
{
        char *text = NULL;
        va_list arguments;

        va_start(arguments, format);
        int length = vasprintf(&text, format, arguments);
        va_end(arguments);
        assert_true(length >= 0);
        root_bytes(root, path, text, (size_t)length);
        free(text);
}

bool in_valgrind(void)
{
        int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

        if (fd >= 0)
                (void)close(fd);
        return fd < 0 && errno == ENOSYS;
}

_Noreturn void child_content(void)
{
        (void)kill(getpid(), SIGKILL);
        for (;;)
                (void)pause();
}

void root_link(const char *root, const char *path, const char *target)
{
        _cleanup_free_ char *full = full_path(root, path);

        (void)unlink(full);
        assert_int_equal(symlink(target, full), 0);
}

void root_fifo(const char *root, const char *path)
{
        _cleanup_free_ char *full = full_path(root, path);

        (void)unlink(full);
        assert_int_equal(mkfifo(full, 0644), 0);
}

void root_unlink(const char *root, const char *path)
{
        _cleanup_free_ char *full = full_path(root, path);

        assert_int_equal(unlink(full), 0);
}

char *root_get(const char *root, const char *path)
{
        _cleanup_free_ char *full = full_path(root, path);
        FILE *file = fopen(full, "re");
        char *text = calloc(1, 65536);

        assert_non_null(text);
        if (!file) {
                free(text);
                return NULL;
        }
        (void)fread(text, 1, 65535, file);
        assert_int_equal(fclose(file), 0);
        return text;
}

struct vfioctl_ctx *root_ctx(const char *root)
{
        struct vfioctl_ctx *ctx = NULL;

        assert_int_equal(vfioctl_ctx_new(root, &ctx), 0);
        ctx->step_deadline = 5000;
        ctx->read_deadline = 5000;
        ctx->settle_deadline = 200;
        ctx->lock_deadline = 5000;
        return ctx;
}

char *root_from_host(const char *name, const char *const *options)
{
        char *root = root_new(), topology[PATH_MAX];
        const char *arguments[24] = {VFIOCTL_MKHOST, topology, root};
        int status;

        (void)snprintf(topology, sizeof(topology), "%s/%s.json", VFIOCTL_HOSTS, name);
        for (size_t i = 3; options && *options && i < ELEMENTSOF(arguments) - 1; i++)
                arguments[i] = *options++;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void)execv(VFIOCTL_MKHOST, (char *const *)(uintptr_t)arguments);
                _exit(127);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        return root;
}

/* ---- PCI functions ---- */

static void put(uint8_t *bytes, size_t at, size_t width, uint32_t value)
{
        for (size_t i = 0; i < width; i++)
                bytes[at + i] = (uint8_t)(value >> (8 * i));
}

void config_make(const struct root_function *function, uint8_t bytes[CONFIG_MAX])
{
        memset(bytes, 0, CONFIG_MAX);
        put(bytes, PCI_VENDOR_ID, 2, function->vendor);
        put(bytes, PCI_DEVICE_ID, 2, function->device);
        put(bytes, PCI_CLASS_REVISION + 1, 3, function->class);
        put(bytes, PCI_HEADER_TYPE, 1, function->multifunction ? 0x80 : 0);
        if (function->type < 0)
                return;
        /* A power management capability first, so that the list has to be walked. */
        put(bytes, PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
        put(bytes, PCI_CAPABILITY_LIST, 1, 0x50);
        put(bytes, 0x50, 2, PCI_CAP_ID_PM | 0x60 << 8);
        put(bytes, 0x60, 2, PCI_CAP_ID_EXP);
        put(bytes, 0x62, 2, 2u | (unsigned int)function->type << 4);
        put(bytes, 0x100, 4, PCI_EXT_CAP_ID_ERR | 1u << 16 | 0x140u << 20);
        if (function->acs_cap) {
                put(bytes, 0x140, 4, PCI_EXT_CAP_ID_ACS | 1u << 16);
                put(bytes, 0x144, 2, (uint32_t)function->acs_cap);
                put(bytes, 0x146, 2, (uint32_t)function->acs_ctl);
        } else {
                put(bytes, 0x140, 4, PCI_EXT_CAP_ID_VC | 1u << 16);
        }
}

void root_add(const char *root, const struct root_function *function)
{
        char folder[PATH_MAX], path[PATH_MAX], target[PATH_MAX], up[64] = "../../..";
        uint8_t config[CONFIG_MAX];

#define ATTRIBUTE(name, ...)                                                                                 \
        do {                                                                                                 \
                assert_true(path_format(path, "%s/" name, folder));                                          \
                root_put(root, path, __VA_ARGS__);                                                           \
        } while (0)
        assert_true(path_format(folder, "/sys/devices/%s/%s", function->above, function->address));
        ATTRIBUTE("vendor", "0x%04x\n", function->vendor);
        ATTRIBUTE("device", "0x%04x\n", function->device);
        ATTRIBUTE("subsystem_vendor", "0x%04x\n", function->vendor);
        ATTRIBUTE("subsystem_device", "0x0001\n");
        ATTRIBUTE("class", "0x%06x\n", function->class);
        ATTRIBUTE("revision", "0x01\n");
        ATTRIBUTE("driver_override", "(null)\n");
        ATTRIBUTE("numa_node", "%d\n", function->numa_node);
        ATTRIBUTE("modalias", "pci:v%08Xd%08X\n", function->vendor, function->device);
        if (function->type >= 0)
                ATTRIBUTE("max_link_width", "16\n");
#undef ATTRIBUTE
        config_make(function, config);
        assert_true(path_format(path, "%s/config", folder));
        root_bytes(root, path, config, function->type < 0 ? 256 : sizeof(config));

        assert_true(path_format(path, "/sys/bus/pci/devices/%s", function->address));
        assert_true(path_format(target, "../../../devices/%s/%s", function->above, function->address));
        root_link(root, path, target);
        for (const char *at = function->above; *at; at++)
                if (*at == '/')
                        strcat(up, "/..");
        if (function->driver) {
                assert_true(path_format(path, "/sys/bus/pci/drivers/%s", function->driver));
                root_mkdir(root, path);
                assert_true(path_format(target, "%s/bus/pci/drivers/%s", up, function->driver));
                assert_true(path_format(path, "%s/driver", folder));
                root_link(root, path, target);
        }
        if (function->group) {
                assert_true(path_format(target, "%s/kernel/iommu_groups/%d", up, function->group));
                assert_true(path_format(path, "%s/iommu_group", folder));
                root_link(root, path, target);
                assert_true(path_format(path, "/sys/kernel/iommu_groups/%d/devices/%s", function->group,
                                        function->address));
                assert_true(
                        path_format(target, "../../../../devices/%s/%s", function->above, function->address));
                root_link(root, path, target);
        }
}
