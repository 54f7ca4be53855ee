/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz.h"
#include "libvfioctl.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static struct vfioctl_ctx *context;

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *where)
{
        (void)status, (void)where;
        return flag == FTW_DP ? rmdir(path) : unlink(path);
}

static void clean_up(void)
{
        context = vfioctl_ctx_free(context);
        (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

struct vfioctl_ctx *fuzz_root(const char **ret_folder)
{
        if (!context) {
                (void)snprintf(folder, sizeof(folder), "%s/vfioctl-fuzz-XXXXXX",
                               access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
                require(mkdtemp(folder));
                require(vfioctl_ctx_new(folder, &context) == 0);
                require(atexit(clean_up) == 0);
        }
        if (ret_folder)
                *ret_folder = folder;
        return context;
}

void fuzz_mkdir(const char *path)
{
        char full[PATH_MAX];

        (void)fuzz_root(NULL);
        (void)snprintf(full, sizeof(full), "%s%s", folder, path);
        for (char *at = full + strlen(folder) + 1; (at = strchr(at, '/')); *at++ = '/') {
                *at = '\0';
                require(mkdir(full, 0755) == 0 || errno == EEXIST);
        }
        require(mkdir(full, 0755) == 0 || errno == EEXIST);
}

void fuzz_write(const char *path, const uint8_t *data, size_t size)
{
        char full[PATH_MAX];

        (void)snprintf(full, sizeof(full), "%s%s", folder, path);
        int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        require(fd >= 0);
        require(write(fd, data, size) == (ssize_t)size);
        require(close(fd) == 0);
}
