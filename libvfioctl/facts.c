/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "facts.h"
#include "pools.h"

#include <ctype.h>

bool facts_is_printable(const char *text)
{
        while (*text && isprint((unsigned char)*text))
                text++;
        return !*text;
}

void facts_clear(struct host_facts *facts)
{
        for (size_t i = 0; i < facts->n_rivals; i++) {
                free(facts->rivals[i].path);
                free(facts->rivals[i].value);
        }
        free(facts->rivals);
        free(facts->kernel);
        free(facts->next_kernel);
        free(facts->cmdline);
        free(facts->hook_target);
}

/* "0", "0-1", "0,2-3": lists of numbers, as the kernel prints them (bitmap_print_to_pagebuf()). */
static unsigned int count_list(const char *text)
{
        unsigned int count = 0;

        while (*text) {
                unsigned int first, last;
                int read = sscanf(text, "%5u-%5u", &first, &last);
                if (read < 1)
                        break;
                count += read == 2 && last > first ? last - first + 1 : 1;
                text += strcspn(text, ",");
                text += *text == ',';
        }
        return count;
}

static void read_nodes(const struct vfioctl_ctx *ctx, struct host_facts *facts)
{
        char text[ATTRIBUTE_MAX];

        if (host_read(ctx, PATH_NODES_ONLINE, text, sizeof(text)) > 0)
                facts->n_nodes = count_list(text);
}

static int read_pools(const struct vfioctl_ctx *ctx, struct host_facts *facts)
{
        char text[ATTRIBUTE_MAX];

        if (host_read(ctx, PATH_MEMINFO, text, sizeof(text)) > 0)
                facts->default_page = pools_kib(text, "Hugepagesize");
        return pools_read(ctx, PATH_HUGEPAGES, facts->pools, &facts->n_pools);
}

static int find_ovmf_in(const struct vfioctl_ctx *ctx, const char *folder, bool *found)
{
        _cleanup_dir_ DIR *dir = NULL;

        int r = host_opendir_optional(ctx, folder, &dir);
        for (struct dirent *entry; !*found && dir && (entry = readdir(dir));)
                *found = strstr(entry->d_name, "OVMF_CODE") || strstr(entry->d_name, "ovmf-x86_64") ||
                         strstr(entry->d_name, "edk2-x86_64") || strstr(entry->d_name, "edk2-ovmf");
        return r;
}

static int find_ovmf(const struct vfioctl_ctx *ctx, struct host_facts *facts)
{
        static const char *const folders[] = {PATH_OVMF_DEBIAN, PATH_OVMF_FEDORA, PATH_OVMF_ARCH,
                                              PATH_QEMU_SHARE, PATH_QEMU_DESCRIPTORS};
        bool found = false;
        int r = 0;

        for (size_t i = 0; r >= 0 && !found && i < ELEMENTSOF(folders); i++)
                r = find_ovmf_in(ctx, folders[i], &found);
        /* What a captured tree lacks is not missing on the host. */
        facts->has_ovmf = found ? FACT_YES : host_exists(ctx, PATH_USR_SHARE) ? FACT_NO : FACT_UNKNOWN;
        return r;
}

/* libvirt's daemon runs under this profile: proc_pid_attr(5). */
static bool is_confined(const struct vfioctl_ctx *ctx, const char *pid_file)
{
        char path[PATH_MAX], text[256];
        int pid;

        if (host_read(ctx, pid_file, text, sizeof(text)) <= 0 || sscanf(text, "%d", &pid) != 1 ||
            !path_format(path, PATH_PROC "/%d/attr/current", pid) ||
            host_read(ctx, path, text, sizeof(text)) <= 0)
                return false;
        return strstr(text, "(enforce)");
}

static int read_guards(const struct vfioctl_ctx *ctx, struct host_facts *facts)
{
        char text[PATH_MAX];

        facts->selinux_enforces =
                host_read(ctx, PATH_SELINUX_ENFORCE, text, sizeof(text)) > 0 && text[0] == '1';
        facts->libvirt_is_confined =
                is_confined(ctx, PATH_LIBVIRTD_PID) || is_confined(ctx, PATH_VIRTQEMUD_PID);
        if (host_readlink(ctx, PATH_HOOK_QEMU, text, sizeof(text)) < 0)
                return 0;
        util_make_printable(text);
        return util_copy(text, &facts->hook_target);
}

int facts_read(const struct vfioctl_ctx *ctx, struct vfioctl_snapshot *snapshot)
{
        struct host_facts *facts = &snapshot->facts;

        int r = facts_read_kernel(ctx, facts);
        if (r >= 0)
                r = facts_read_rivals(ctx, facts);
        if (r >= 0)
                r = find_ovmf(ctx, facts);
        if (r >= 0)
                r = read_guards(ctx, facts);
        if (r >= 0)
                r = read_pools(ctx, facts);
        read_nodes(ctx, facts);
        facts->initramfs_fix = host_exists(ctx, PATH_UPDATE_INITRAMFS) ? "update-initramfs -u"
                               : host_exists(ctx, PATH_DRACUT)         ? "dracut --force"
                                                                       : NULL;
        return r;
}
