/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_HOST_H
#define VFIOCTL_HOST_H

/* Reading the host below the context's root. Paths start with "/" and come from paths.h. */

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

#include "libvfioctl.h"
#include "paths.h"
#include "policy.h"
#include "util.h"

/* No attribute that we read is larger: a kernel page. */
#define ATTRIBUTE_MAX 4096

struct vfioctl_ctx {
        int root_fd;
        char *root; /* "" for this machine, else the folder's absolute path */
        bool is_live;
        const char *cards_dir; /* where knowledge of cards is, for tests; NULL: where it is installed */
        vfioctl_log_fn log;
        void *log_userdata;
        enum vfioctl_placement placement;
        char *connect_uri;
        unsigned int host_cores;      /* of each NUMA node left to the host; 0: by rule */
        uint64_t host_memory;         /* KiB, the same */
        unsigned int step_deadline;   /* ms: a write that the kernel has not answered by then is stuck */
        unsigned int read_deadline;   /* ms: the same for a read that takes the device lock */
        unsigned int settle_deadline; /* ms: for a driver link or node to show up after a write */
        unsigned int lock_deadline;   /* ms: waiting for another vfioctl */
        unsigned int hook_deadline;   /* ms: all that a hook of libvirt may take */
        struct policy policy;
        struct setting *settings; /* one for each key of the configuration; NULL: never read */
        struct vfioctl_findings *config_findings;
        struct worker *worker;
};

void ctx_log(struct vfioctl_ctx *ctx, enum vfioctl_log_level level, const char *format, ...) _printf_(3, 4);

/* open() below the root, never out of it; a fd or a negative errno. Always O_CLOEXEC. */
int host_open(const struct vfioctl_ctx *ctx, const char *path, int flags);

/* Reads at most size-1 bytes and ends them with NUL. Returns the length, or a negative errno. */
ssize_t host_read(const struct vfioctl_ctx *ctx, const char *path, char *buffer, size_t size);

/* Reads a whole file of at most `limit` bytes (-E2BIG when larger); *ret is NUL-terminated. */
int host_read_file(const struct vfioctl_ctx *ctx, const char *path, size_t limit, char **ret,
                   size_t *ret_size);

/* The link's text. Returns its length, or a negative errno (-EINVAL when it is no link). */
ssize_t host_readlink(const struct vfioctl_ctx *ctx, const char *path, char *buffer, size_t size);

DIR *host_opendir(const struct vfioctl_ctx *ctx, const char *path);

/* Short of memory or descriptors: what could not be read then is not to be taken for empty. */
static inline bool host_is_shortage(int r)
{
        return r == -ENOMEM || r == -EMFILE || r == -ENFILE;
}

/* For a folder that may be missing, or closed to us: 0 and *ret NULL then, -ENOMEM or the like in a shortage.
 */
int host_opendir_optional(const struct vfioctl_ctx *ctx, const char *path, DIR **ret);
int host_stat(const struct vfioctl_ctx *ctx, const char *path, struct stat *ret);
bool host_exists(const struct vfioctl_ctx *ctx, const char *path);

/* Makes the folders of `path` that are missing, 0755. */
int host_mkdir(const struct vfioctl_ctx *ctx, const char *path);
/* Opens for writing, making an empty file 0644 when there is none; a fd or a negative errno. */
int host_create(const struct vfioctl_ctx *ctx, const char *path);
/* Writes a whole file by rename, 0644. */
int host_write_file(const struct vfioctl_ctx *ctx, const char *path, const char *text);
/* Sets its times to now. */
int host_touch(const struct vfioctl_ctx *ctx, const char *path);
int host_unlink(const struct vfioctl_ctx *ctx, const char *path);

/* A path of at most PATH_MAX bytes on the stack; false when it would be longer. */
bool path_format(char buffer[PATH_MAX], const char *format, ...) _printf_(2, 3);

/* The part after the last slash. */
const char *path_last(const char *path);

static inline void host_closedirp(DIR **dir)
{
        if (*dir)
                (void)closedir(*dir);
}

void host_close(int fd);

static inline void host_closep(int *fd)
{
        host_close(*fd);
}

#define _cleanup_dir_ _cleanup_(host_closedirp)
#define _cleanup_fd_  _cleanup_(host_closep)

/* Milliseconds of a clock that never jumps. */
uint64_t now_ms(void);

#endif
