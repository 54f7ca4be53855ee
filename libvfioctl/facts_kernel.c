/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "facts.h"

/* modules.dep of a distribution's kernel is some 600 KiB. */
#define INDEX_LIMIT (16 * 1024 * 1024)
/* The first lines of /proc/interrupts are the interrupt controllers' own. */
#define INTERRUPTS_SIZE 65536

/* ---- kernels ---- */

static int read_kernel(const struct vfioctl_ctx *ctx, char **ret)
{
        char text[128];

        if (host_read(ctx, PATH_OSRELEASE, text, sizeof(text)) <= 0)
                return 0;
        util_trim(text);
        /* It becomes part of a path. */
        return *text && !strchr(text, '/') && facts_is_printable(text) ? util_copy(text, ret) : 0;
}

/* A kernel that can be booted has its modules' index, and its image beside the others. */
static bool is_bootable(const struct vfioctl_ctx *ctx, const char *release)
{
        char path[PATH_MAX];

        return path_format(path, PATH_LIB_MODULES "/%s/modules.dep", release) && host_exists(ctx, path) &&
               path_format(path, PATH_BOOT "/vmlinuz-%s", release) && host_exists(ctx, path);
}

/* Versions compare as people read them: strverscmp() takes digits as numbers. */
static int read_next_kernel(const struct vfioctl_ctx *ctx, struct host_facts *facts)
{
        _cleanup_dir_ DIR *dir = NULL;

        if (!facts->kernel)
                return 0;
        int r = host_opendir_optional(ctx, PATH_LIB_MODULES, &dir);
        for (struct dirent *entry; r >= 0 && dir && (entry = readdir(dir));) {
                const char *best = facts->next_kernel ? facts->next_kernel : facts->kernel;
                if (entry->d_name[0] == '.' || strverscmp(entry->d_name, best) <= 0 ||
                    !facts_is_printable(entry->d_name) || !is_bootable(ctx, entry->d_name))
                        continue;
                free(facts->next_kernel);
                facts->next_kernel = NULL;
                r = util_copy(entry->d_name, &facts->next_kernel);
        }
        /* What cannot be listed is not known; that is no error. */
        return r == -ENOMEM ? r : 0;
}

static int read_cmdline(const struct vfioctl_ctx *ctx, char **ret)
{
        char text[ATTRIBUTE_MAX];

        if (host_read(ctx, PATH_CMDLINE, text, sizeof(text)) <= 0)
                return 0;
        util_make_printable(util_trim(text));
        return util_copy(text, ret);
}

/* ---- modules ---- */

/* An index of kmod(8). */
static int read_index(const struct vfioctl_ctx *ctx, const char *release, const char *index, char **ret)
{
        char path[PATH_MAX];

        if (!path_format(path, PATH_LIB_MODULES "/%s/%s", release, index))
                return -ENAMETOOLONG;
        return host_read_file(ctx, path, INDEX_LIMIT, ret, NULL);
}

/* modules.dep has its lines as "kernel/drivers/vfio/pci/vfio-pci.ko.xz: ...", in whatever folder. */
static int read_modules(const struct vfioctl_ctx *ctx, const char *release, enum module_state *ret_vfio,
                        bool *ret_vendor_reset)
{
        _cleanup_free_ char *loadable = NULL, *builtin = NULL;

        if (!release)
                return 0;
        int r = read_index(ctx, release, "modules.dep", &loadable);
        if (host_is_shortage(r))
                return r;
        *ret_vendor_reset = loadable && strstr(loadable, "/vendor-reset.ko");
        if (loadable && strstr(loadable, "/vfio-pci.ko")) {
                *ret_vfio = MODULE_LOADABLE;
                return 0;
        }
        r = read_index(ctx, release, "modules.builtin", &builtin);
        if (host_is_shortage(r))
                return r;
        if (builtin && strstr(builtin, "/vfio-pci.ko"))
                *ret_vfio = MODULE_BUILTIN;
        else if (loadable && builtin)
                *ret_vfio = MODULE_MISSING;
        return 0;
}

/* ---- IOMMU and interrupts ---- */

static void read_processor(const struct vfioctl_ctx *ctx, struct host_facts *facts)
{
        char text[ATTRIBUTE_MAX];

        if (host_read(ctx, PATH_CPUINFO, text, sizeof(text)) <= 0)
                return;
        if (strstr(text, "GenuineIntel"))
                facts->iommu = IOMMU_INTEL;
        else if (strstr(text, "AuthenticAMD") || strstr(text, "HygonGenuine"))
                facts->iommu = IOMMU_AMD;
}

/* DMAR: Intel VT-d specification, 8.1; IVRS: AMD I/O Virtualization Technology specification, 5.2. */
static int read_table(const struct vfioctl_ctx *ctx, struct host_facts *facts)
{
        _cleanup_dir_ DIR *dir = NULL;

        int r = host_opendir_optional(ctx, PATH_ACPI_TABLES, &dir);
        if (dir)
                facts->has_iommu_table = FACT_NO;
        for (struct dirent *entry; dir && (entry = readdir(dir));) {
                bool is_intel = util_equal(entry->d_name, "DMAR");
                if (!is_intel && !util_equal(entry->d_name, "IVRS"))
                        continue;
                facts->has_iommu_table = FACT_YES;
                facts->iommu = is_intel ? IOMMU_INTEL : IOMMU_AMD;
        }
        return r;
}

/*
 * The kernel's word: interrupt controllers behind the remapping are called IR-IO-APIC and IR-PCI-MSI
 * (ioapic_ir_chip in arch/x86/kernel/apic/io_apic.c). Without an I/O APIC nothing is told.
 */
static int read_interrupts(const struct vfioctl_ctx *ctx, struct host_facts *facts)
{
        _cleanup_free_ char *text = malloc(INTERRUPTS_SIZE);

        if (!text)
                return -ENOMEM;
        if (host_read(ctx, PATH_INTERRUPTS, text, INTERRUPTS_SIZE) <= 0)
                return 0;
        if (strstr(text, " IR-"))
                facts->remaps_interrupts = FACT_YES;
        else if (strstr(text, " IO-APIC"))
                facts->remaps_interrupts = FACT_NO;
        return 0;
}

/* What the VT-d units can, where the kernel has not said: Extended Capability Register, bit 3 (IR). */
static int read_units(const struct vfioctl_ctx *ctx, struct host_facts *facts)
{
        _cleanup_dir_ DIR *dir = NULL;
        char path[PATH_MAX], text[64];
        uint64_t value;

        if (facts->remaps_interrupts != FACT_UNKNOWN)
                return 0;
        int r = host_opendir_optional(ctx, PATH_CLASS_IOMMU, &dir);
        for (struct dirent *entry; dir && (entry = readdir(dir));)
                if (util_has_prefix(entry->d_name, "dmar") &&
                    path_format(path, PATH_CLASS_IOMMU "/%s/intel-iommu/ecap", entry->d_name) &&
                    host_read(ctx, path, text, sizeof(text)) > 0 &&
                    util_parse_u64(util_trim(text), 16, UINT64_MAX, &value) == 0 && !(value & 1 << 3))
                        facts->remaps_interrupts = FACT_NO;
        return r;
}

int facts_read_kernel(const struct vfioctl_ctx *ctx, struct host_facts *facts)
{
        char text[16];

        int r = read_kernel(ctx, &facts->kernel);
        if (r >= 0)
                r = read_next_kernel(ctx, facts);
        if (r >= 0)
                r = read_cmdline(ctx, &facts->cmdline);
        if (r >= 0)
                r = read_modules(ctx, facts->kernel, &facts->vfio, &facts->vendor_reset.in_kernel);
        if (r >= 0)
                r = read_modules(ctx, facts->next_kernel, &facts->next_vfio,
                                 &facts->vendor_reset.in_next_kernel);
        facts->vendor_reset.is_known = true;
        facts->vendor_reset.is_loaded = host_exists(ctx, PATH_MODULE "/vendor_reset");
        read_processor(ctx, facts);
        if (r >= 0)
                r = read_table(ctx, facts);
        if (r >= 0)
                r = read_interrupts(ctx, facts);
        if (r >= 0)
                r = read_units(ctx, facts);
        if (r < 0)
                return r;
        /* A parameter of type bool reads Y or N: param_get_bool(). */
        if (host_read(ctx, PATH_UNSAFE, text, sizeof(text)) > 0)
                facts->allows_unsafe_interrupts = text[0] == 'Y' ? FACT_YES : FACT_NO;
        return 0;
}
