/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "use.h"

static int add_word(char **text, const char *word)
{
        char *longer;

        int r = *text ? util_format(&longer, "%s, %s", *text, word) : util_copy(word, &longer);
        if (r < 0)
                return r;
        free(*text);
        *text = longer;
        return 0;
}

static int add_vms(const struct vfioctl_gpu *gpu, const struct vfioctl_vms *vms, char **text,
                   bool *ret_running)
{
        for (size_t i = 0; vms && i < vfioctl_vms_count(vms); i++) {
                _cleanup_free_ char *word = NULL;
                char name[64];
                bool running = vfioctl_vms_is_running(vms, i);
                if (!vfioctl_vms_has_gpu(vms, i, gpu))
                        continue;
                *ret_running |= running;
                int r = util_format(&word, "%s%s", printable(vfioctl_vms_name(vms, i), name, sizeof(name)),
                                    running ? " (running)" : "");
                if (r >= 0)
                        r = add_word(text, word);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_holders(const struct vfioctl_gpu *gpu, char **text)
{
        for (size_t i = 0; i < vfioctl_gpu_holder_count(gpu); i++) {
                const struct vfioctl_holder *holder = vfioctl_gpu_holder(gpu, i);
                _cleanup_free_ char *word = NULL;
                const char *unit = vfioctl_holder_unit(holder);
                int r = unit ? util_copy(unit, &word)
                             : util_format(&word, "%s (pid %d)", vfioctl_holder_command(holder),
                                           vfioctl_holder_pid(holder));
                /* A service with many processes is one user. */
                if (r >= 0 && (!*text || !strstr(*text, word)))
                        r = add_word(text, word);
                if (r < 0)
                        return r;
        }
        return 0;
}

int use_text(const struct vfioctl_gpu *gpu, const struct vfioctl_vms *vms, bool vms_known, char **ret)
{
        _cleanup_free_ char *text = NULL;
        bool running = false;
        int r = 0;

        if (vfioctl_gpu_is_boot_display(gpu))
                r = add_word(&text, "console");
        if (r >= 0)
                r = add_vms(gpu, vms, &text, &running);
        /* The QEMU of a running VM is the VM, told already. */
        if (r >= 0 && !running)
                r = add_holders(gpu, &text);
        if (r >= 0 && !text && (!vfioctl_gpu_holders_known(gpu) || !vms_known))
                r = add_word(&text, "?");
        if (r >= 0 && !text)
                r = add_word(&text, "");
        if (r < 0)
                return r;
        *ret = util_steal(text);
        return 0;
}

const char *ready_text(const struct vfioctl_snapshot *snapshot, const struct vfioctl_gpu *gpu)
{
        if (vfioctl_gpu_is_on_board(gpu) || vfioctl_gpu_is_boot_display(gpu))
                return "never";
        if (!vfioctl_gpu_is_ready(snapshot, gpu))
                return "no";
        return vfioctl_gpu_proof(gpu) == VFIOCTL_PROOF_PASSED ? "yes (tried)" : "yes";
}

const char *size_text(uint64_t bytes, char buffer[24])
{
        static const char units[] = "BKMGT";
        size_t unit = 0;

        if (bytes == 0)
                return "-";
        while (bytes >= 1024 && bytes % 1024 == 0 && unit + 2 < sizeof(units)) {
                bytes /= 1024;
                unit++;
        }
        (void)snprintf(buffer, 24, "%llu%c", (unsigned long long)bytes, units[unit]);
        return buffer;
}

const char *short_address(const char *address)
{
        return util_has_prefix(address, "0000:") ? address + 5 : address;
}
