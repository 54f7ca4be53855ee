/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rootfs.h"

#include "paths.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

static void close_fd(const int *fd)
{
        if (*fd >= 0)
                (void)close(*fd);
}

#define _cleanup_fd_ _cleanup_(close_fd)

void entry_clear(struct entry *entry)
{
        free(entry->text);
        *entry = (struct entry){.kind = ENTRY_NONE};
}

bool entry_equal(const struct entry *a, const struct entry *b)
{
        return a->kind == b->kind && util_equal(a->text, b->text);
}

int rootfs_open(const char *root, struct rootfs *ret)
{
        int fd = open(root ? root : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        *ret = (struct rootfs){.fd = fd};
        return 0;
}

void rootfs_close(struct rootfs *fs)
{
        close_fd(&fs->fd);
        fs->fd = -1;
}

/* Everything stays below the root: openat2(2). */
static int open_in(const struct rootfs *fs, const char *path, int flags)
{
        struct open_how how = {
                .flags = (uint64_t)(unsigned int)flags | O_CLOEXEC,
                .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
        };
        long fd;
        int tries = 8;

        do
                fd = syscall(SYS_openat2, fs->fd, path, &how, sizeof(how));
        while (fd < 0 && errno == EAGAIN && --tries > 0);
        /* A kernel before 5.6, or a sandbox: for this machine a plain open is the same. */
        if (fd < 0 && fs->is_live && (errno == ENOSYS || errno == EPERM))
                fd = open(path, flags | O_CLOEXEC);
        return fd < 0 ? -errno : (int)fd;
}

static const char *last_part(const char *path)
{
        return strrchr(path, '/') + 1;
}

static int open_above(const struct rootfs *fs, const char *path)
{
        char folder[PATH_MAX];
        size_t length = (size_t)(last_part(path) - path);

        if (length == 0 || length >= sizeof(folder))
                return -ENAMETOOLONG;
        memcpy(folder, path, length);
        folder[length > 1 ? length - 1 : length] = '\0';
        return open_in(fs, folder, O_PATH | O_DIRECTORY);
}

/* A text of at most ENTRY_MAX bytes, or -EFBIG. */
static int read_text(int fd, char **ret)
{
        _cleanup_free_ char *text = malloc(ENTRY_MAX + 1);
        size_t length = 0;

        if (!text)
                return -ENOMEM;
        for (;;) {
                ssize_t n = read(fd, text + length, ENTRY_MAX + 1 - length);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                length += (size_t)n;
                if (length > ENTRY_MAX)
                        return -EFBIG;
        }
        text[length] = '\0';
        if (strlen(text) != length)
                return -EFBIG;
        *ret = util_steal(text);
        return 0;
}

static int look_link(int above, const char *name, struct entry *ret)
{
        char target[PATH_MAX];

        ssize_t length = readlinkat(above, name, target, sizeof(target) - 1);
        if (length < 0)
                return -errno;
        target[length] = '\0';
        int r = util_copy(target, &ret->text);
        if (r >= 0)
                ret->kind = ENTRY_LINK;
        return r;
}

int rootfs_look(const struct rootfs *fs, const char *path, struct entry *ret)
{
        struct entry entry = {.kind = ENTRY_OTHER};
        struct stat status;

        _cleanup_fd_ int above = open_above(fs, path);
        if (above == -ENOENT || above == -ENOTDIR) {
                *ret = (struct entry){.kind = ENTRY_NONE};
                return 0;
        }
        if (above < 0)
                return above;
        if (fstatat(above, last_part(path), &status, AT_SYMLINK_NOFOLLOW) < 0) {
                if (errno != ENOENT)
                        return -errno;
                *ret = (struct entry){.kind = ENTRY_NONE};
                return 0;
        }
        entry.mode = status.st_mode & 07777;
        int r = 0;
        if (S_ISLNK(status.st_mode)) {
                r = look_link(above, last_part(path), &entry);
        } else if (S_ISDIR(status.st_mode)) {
                entry.kind = ENTRY_FOLDER;
        } else if (S_ISREG(status.st_mode)) {
                _cleanup_fd_ int fd =
                        openat(above, last_part(path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
                r = fd < 0 ? -errno : read_text(fd, &entry.text);
                if (r >= 0)
                        entry.kind = ENTRY_FILE;
                else if (r == -EFBIG)
                        r = 0;
        }
        if (r < 0)
                return r;
        *ret = entry;
        return 0;
}

bool rootfs_exists(const struct rootfs *fs, const char *path)
{
        _cleanup_fd_ int fd = open_in(fs, path, O_PATH);

        return fd >= 0;
}

static int write_all(int fd, const char *text)
{
        for (size_t size = strlen(text), at = 0; at < size;) {
                ssize_t n = write(fd, text + at, size - at);
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > 0)
                        at += (size_t)n;
        }
        return 0;
}

static int make_file(int above, const char *name, const struct entry *entry)
{
        _cleanup_fd_ int fd = openat(above, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        int r = write_all(fd, entry->text);
        /* Whatever the umask is. */
        if (r >= 0 && fchmod(fd, entry->mode) < 0)
                r = -errno;
        /* It is to be there, and whole, also when the machine is switched off right away. */
        if (r >= 0 && fsync(fd) < 0)
                r = -errno;
        if (r < 0)
                (void)unlinkat(above, name, 0);
        return r;
}

static int make_folder(int above, const char *name, mode_t mode)
{
        if (mkdirat(above, name, 0700) < 0)
                return -errno;
        return fchmodat(above, name, mode, 0) < 0 ? -errno : 0;
}

static int move(int above, const char *from, const char *to, bool fresh)
{
        struct stat status;

        if (renameat2(above, from, above, to, fresh ? RENAME_NOREPLACE : 0) == 0)
                return 0;
        /* Not every file system knows the flag: rename(2). */
        if (!fresh || errno != EINVAL)
                return -errno;
        if (fstatat(above, to, &status, AT_SYMLINK_NOFOLLOW) == 0)
                return -EEXIST;
        return renameat(above, from, above, to) < 0 ? -errno : 0;
}

int rootfs_put(const struct rootfs *fs, const char *path, const struct entry *entry, bool fresh)
{
        const char *name = last_part(path);
        char temporary[NAME_MAX];

        _cleanup_fd_ int above = open_above(fs, path);
        if (above < 0)
                return above;
        if (entry->kind == ENTRY_NONE)
                return unlinkat(above, name, 0) < 0 ? -errno : 0;
        if (entry->kind == ENTRY_FOLDER)
                return make_folder(above, name, entry->mode);
        int length = snprintf(temporary, sizeof(temporary), ".%s.%ld", name, (long)getpid());
        if (length < 0 || (size_t)length >= sizeof(temporary))
                return -ENAMETOOLONG;
        int r = entry->kind == ENTRY_FILE                      ? make_file(above, temporary, entry)
                : symlinkat(entry->text, above, temporary) < 0 ? -errno
                                                               : 0;
        if (r < 0)
                return r;
        r = move(above, temporary, name, fresh);
        if (r < 0)
                (void)unlinkat(above, temporary, 0);
        return r;
}

int rootfs_rmdir(const struct rootfs *fs, const char *path)
{
        _cleanup_fd_ int above = open_above(fs, path);

        if (above < 0)
                return above;
        return unlinkat(above, last_part(path), AT_REMOVEDIR) < 0 ? -errno : 0;
}

/* ---- files of VMs ---- */

int rootfs_read(const struct rootfs *fs, const char *path, char **ret)
{
        struct stat status;

        _cleanup_fd_ int fd = open_in(fs, path, O_RDONLY | O_NONBLOCK);
        if (fd < 0)
                return fd;
        if (fstat(fd, &status) < 0)
                return -errno;
        if (!S_ISREG(status.st_mode))
                return S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
        return read_text(fd, ret);
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

void rootfs_free_list(char **names, size_t count)
{
        for (size_t i = 0; i < count; i++)
                free(names[i]);
        free(names);
}

int rootfs_list(const struct rootfs *fs, const char *path, char ***ret, size_t *ret_count)
{
        char **names = NULL;
        size_t count = 0, allocated = 0;

        int fd = open_in(fs, path, O_RDONLY | O_DIRECTORY);
        if (fd == -ENOENT || fd == -ENOTDIR) {
                *ret = NULL;
                *ret_count = 0;
                return 0;
        }
        if (fd < 0)
                return fd;
        DIR *dir = fdopendir(fd);
        if (!dir) {
                int r = -errno;
                (void)close(fd);
                return r;
        }
        int r = 0;
        for (struct dirent *entry; r >= 0 && (entry = readdir(dir));) {
                r = util_grow(&names, &allocated, count + 1, sizeof(*names));
                if (r >= 0)
                        r = util_copy(entry->d_name, &names[count]);
                if (r >= 0)
                        count++;
        }
        (void)closedir(dir);
        if (r < 0) {
                rootfs_free_list(names, count);
                return r;
        }
        if (count > 0)
                qsort(names, count, sizeof(*names), compare_names);
        *ret = names;
        *ret_count = count;
        return 0;
}

/* proc(5): the link of a descriptor tells where the file is, seen from this process. */
static int real_path(int fd, char **ret)
{
        char link[64], target[PATH_MAX];

        (void)snprintf(link, sizeof(link), PATH_SELF_FD "/%d", fd);
        ssize_t length = readlink(link, target, sizeof(target) - 1);
        if (length < 0)
                return -errno;
        target[length] = '\0';
        return util_copy(target, ret);
}

int rootfs_stat(const struct rootfs *fs, const char *path, bool taken, struct stat *ret, char **ret_real)
{
        struct stat status;

        _cleanup_fd_ int fd = open_in(fs, path, O_PATH);
        if (fd < 0)
                return fd;
        if (fstat(fd, &status) < 0)
                return -errno;
        if (taken && S_ISBLK(status.st_mode)) {
                _cleanup_fd_ int probe = open_in(fs, path, O_RDONLY | O_EXCL | O_NONBLOCK);
                if (probe == -EBUSY)
                        return probe;
        }
        int r = ret_real ? real_path(fd, ret_real) : 0;
        if (r >= 0)
                *ret = status;
        return r;
}

ssize_t rootfs_peek(const struct rootfs *fs, const char *path, void *buffer, size_t size)
{
        _cleanup_fd_ int fd = open_in(fs, path, O_RDONLY | O_NONBLOCK);
        if (fd < 0)
                return fd;
        ssize_t length = pread(fd, buffer, size, 0);
        return length < 0 ? -errno : length;
}

int rootfs_free_space(const struct rootfs *fs, const char *path, uint64_t *ret)
{
        struct statvfs status;

        _cleanup_fd_ int above = open_above(fs, path);
        if (above < 0)
                return above;
        if (fstatvfs(above, &status) < 0)
                return -errno;
        *ret = (uint64_t)status.f_bavail * status.f_frsize;
        return 0;
}

int rootfs_make_sparse(const struct rootfs *fs, const char *path, uint64_t size, int *ret_fd)
{
        _cleanup_fd_ int above = open_above(fs, path);
        if (above < 0)
                return above;
        int fd = openat(above, last_part(path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        if (ftruncate(fd, (off_t)size) < 0) {
                int r = -errno;
                (void)close(fd);
                (void)unlinkat(above, last_part(path), 0);
                return r;
        }
        *ret_fd = fd;
        return 0;
}

int rootfs_unlink(const struct rootfs *fs, const char *path)
{
        _cleanup_fd_ int above = open_above(fs, path);

        if (above < 0)
                return above;
        return unlinkat(above, last_part(path), 0) < 0 ? -errno : 0;
}
