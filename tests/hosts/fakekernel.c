/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The interposed functions, and the faults: see README.md for the environment variables.
 * Everything is done by plain system calls on stack buffers, as it also runs in forked children. */
/* Both spellings of each function are defined here, so the headers must not rename one to the other. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE
#include "fakekernel.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define API        __attribute__((visibility("default")))
#define MAX_FAULTS 64

enum fault { FAIL = 1, SILENT, HANG, DIE, FAIL_FROM };
enum die { DIE_SELF, DIE_PARENT, DIE_GROUP };

static struct {
        unsigned long at;
        enum fault what;
        int arg; /* errno, or enum die */
} faults[MAX_FAULTS];
static size_t n_faults;
static _Atomic uint32_t *writes; /* shared by all processes of the run */
static const char *hang_read;    /* "ADDRESS/attribute" */
static const char *silent;       /* "ADDRESS:K" */
static atomic_ulong looks;       /* at the configuration space of that one, by this process */
static time_t hang_seconds = 60;

static int errno_of(const char *name, size_t len)
{
        for (int e = 1; len && e < 134; e++) {
                const char *known = strerrorname_np(e);

                if (known && strlen(known) == len && !memcmp(known, name, len))
                        return e;
        }
        return EIO;
}

/* "k[:arg][,k...]" */
static void parse_faults(const char *variable, enum fault what)
{
        const char *p = getenv(variable);

        while (p && *p && n_faults < MAX_FAULTS) {
                char *end;
                unsigned long at = strtoul(p, &end, 10);
                int arg = what == DIE ? DIE_SELF : EIO;

                if (end == p)
                        break;
                if (*end == ':') {
                        const char *name = ++end;

                        end += strcspn(name, ",");
                        arg = what != DIE                   ? errno_of(name, (size_t)(end - name))
                              : !strncmp(name, "parent", 6) ? DIE_PARENT
                              : !strncmp(name, "group", 5)  ? DIE_GROUP
                                                            : DIE_SELF;
                }
                faults[n_faults].at = at;
                faults[n_faults].what = what;
                faults[n_faults++].arg = arg;
                p = *end == ',' ? end + 1 : NULL;
        }
}

__attribute__((constructor)) static void start(void)
{
        const char *root = getenv("FAKEKERNEL_ROOT");
        static char real[FK_PATH], path[FK_PATH];

        if (!root || !*root || !realpath(root, real) || !real[1])
                return;
        memcpy(fk_root, real, sizeof fk_root);
        fk_abs(path, ".fake/counter");
        int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        void *map = MAP_FAILED;
        if (fd >= 0 && ftruncate(fd, 4096) == 0)
                map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (fd >= 0)
                close(fd);
        if (map == MAP_FAILED) {
                fk_root[0] = '\0';
                fprintf(stderr, "fakekernel: %s cannot be used: %s\n", path, strerror(errno));
                _exit(127);
        }
        writes = map;
        fk_change_start(writes + 1);
        parse_faults("FAKEKERNEL_FAIL", FAIL);
        parse_faults("FAKEKERNEL_FAIL_SILENT", SILENT);
        parse_faults("FAKEKERNEL_HANG", HANG);
        parse_faults("FAKEKERNEL_DIE", DIE);
        parse_faults("FAKEKERNEL_FAIL_FROM", FAIL_FROM);
        hang_read = getenv("FAKEKERNEL_HANG_READ");
        silent = getenv("FAKEKERNEL_SILENT");
        const char *limit = getenv("FAKEKERNEL_HANG_SECONDS");
        if (limit && *limit)
                hang_seconds = strtol(limit, NULL, 10);
}

static int fault_at(unsigned long n, enum fault what)
{
        for (size_t i = 0; i < n_faults; i++)
                if (faults[i].what == what && (faults[i].at == n || (what == FAIL_FROM && n >= faults[i].at)))
                        return faults[i].arg ? faults[i].arg : -1;
        return 0;
}

static void append(const char *file, const char *line, size_t len)
{
        char full[FK_PATH];

        fk_abs(full, "%s", file);
        int fd = (int)syscall(SYS_openat, AT_FDCWD, full, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (fd < 0)
                return;
        if (syscall(SYS_write, fd, line, len) < 0)
                fprintf(stderr, "fakekernel: %s: %s\n", full, strerror(errno));
        close(fd);
}

static void log_write(unsigned long n, const char *path, const char *value, size_t len, const char *result)
{
        char line[3 * FK_PATH];
        size_t at = (size_t)snprintf(line, 2 * FK_PATH, "%lu %s ", n, path);

        for (size_t i = 0; i < len && at < sizeof line - 512; i++) {
                unsigned char c = (unsigned char)value[i];

                if (i == 256) {
                        at += (size_t)snprintf(line + at, 8, "...");
                        break;
                }
                if (c == '\n')
                        at += (size_t)snprintf(line + at, 8, "\\n");
                else if (c <= ' ' || c >= 0x7f || c == '\\')
                        at += (size_t)snprintf(line + at, 8, "\\x%02x", c);
                else
                        line[at++] = (char)c;
        }
        at += (size_t)snprintf(line + at, 64, " %s\n", result);
        append(".fake/log", line, at);
}

/* A process in D state is not ended by signals: they stay pending until *old is put back. */
static void block_signals(sigset_t *old)
{
        sigset_t all;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, old);
}

/* True once it is released; the caller has blocked signals. */
static bool wait_released(const char *group)
{
        struct timespec pause = {0, 5 * 1000 * 1000}, now, first;
        bool released = false;

        clock_gettime(CLOCK_MONOTONIC, &first);
        do {
                released = fk_exists(".fake/release") || (group && !fk_group_open(group));
                if (released || !fk_exists("sys"))
                        break;
                clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
                clock_gettime(CLOCK_MONOTONIC, &now);
        } while (now.tv_sec - first.tv_sec < hang_seconds);
        return released;
}

/* The device is stuck for everybody until the release, also when the process that hangs is killed. */
static bool hang(const struct fk_write *w, const char *group)
{
        fk_mkdirs(".fake/hung");
        if (w->address[0])
                fk_create("", ".fake/hung/%s", w->address);
        bool released = wait_released(group);
        if (released && w->address[0])
                fk_unlink(".fake/hung/%s", w->address);
        return released;
}

/* Logs a write and gives its result. */
static ssize_t finish(unsigned long n, const struct fk_write *w, int r, const char *word)
{
        int die = fault_at(n, DIE), saved = errno;

        log_write(n, w->path, w->value, w->len, word ? word : r ? strerrorname_np(-r) : "ok");
        if (!r)
                fk_changed("write", w->path);
        if (die) {
                if (die == DIE_PARENT)
                        kill(getppid(), SIGKILL);
                kill(die == DIE_GROUP ? 0 : getpid(), SIGKILL);
        }
        errno = r ? -r : saved;
        return r ? -1 : (ssize_t)w->len;
}

static int locked(int (*act)(const struct fk_write *w), const struct fk_write *w)
{
        int lock = fk_lock(), r = act(w);

        fk_unlock(lock);
        return r;
}

/* An unbind that hangs has removed the links already; the rest is done when it is released. */
static ssize_t hanging_write(unsigned long n, const struct fk_write *w, const char *group)
{
        bool unbind = w->kind == FK_UNBIND;
        int r = unbind ? locked(fk_unbind_start, w) : 0;
        sigset_t old;

        if (r)
                return finish(n, w, r, NULL);
        block_signals(&old);
        log_write(n, w->path, w->value, w->len, "hang");
        r = hang(w, group) ? locked(unbind ? fk_unbind_finish : fk_apply, w) : -ETIMEDOUT;
        ssize_t result = finish(n, w, r, NULL);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        return result;
}

static ssize_t sys_write(const char *path, const void *buf, size_t size)
{
        char value[FK_PATH + 1];
        struct fk_write w;
        char group[FK_NAME];
        unsigned long n = atomic_fetch_add(writes, 1) + 1UL;
        size_t len = size < FK_PATH ? size : FK_PATH;
        int error = fault_at(n, FAIL), r;
        sigset_t old;

        memcpy(value, buf, len);
        value[len] = '\0';
        fk_parse(&w, path, value, len);
        if (!error)
                error = fault_at(n, FAIL_FROM);
        if (error)
                return finish(n, &w, -error, NULL);
        if (fault_at(n, SILENT))
                return finish(n, &w, 0, "silent");
        if (fault_at(n, HANG) || fk_blocked_group(&w, group))
                return hanging_write(n, &w, fault_at(n, HANG) ? NULL : group);
        if (w.address[0] && fk_takes_lock(&w) && fk_exists(".fake/hung/%s", w.address)) {
                block_signals(&old);
                log_write(n, path, value, len, "wait");
                r = wait_released(NULL) ? locked(fk_apply, &w) : -ETIMEDOUT;
                ssize_t result = finish(n, &w, r, NULL);
                pthread_sigmask(SIG_SETMASK, &old, NULL);
                return result;
        }
        return finish(n, &w, locked(fk_apply, &w), NULL);
}

/* The path of an open file below the fake sys. */
static bool sys_path(int fd, char path[FK_PATH])
{
        int saved = errno;
        bool ours = fk_fd_path(fd, path) && !strncmp(path, "sys/", 4);

        errno = saved;
        return ours;
}

/* Reads that take the device lock sleep while the device is stuck. */
static void read_gate(int fd)
{
        struct fk_write w;
        char path[FK_PATH + 1];

        if (!fk_root[0] || (!hang_read && !fk_exists(".fake/hung")) || !sys_path(fd, path))
                return;
        fk_parse(&w, path, "", 0);
        if (w.kind != FK_ATTR)
                return;
        size_t len = strlen(w.address);
        bool told = hang_read && !strncmp(hang_read, w.address, len) && hang_read[len] == '/' &&
                    !strcmp(hang_read + len + 1, w.attr);
        bool locks = !strcmp(w.attr, "driver_override") || !strcmp(w.attr, "uevent") ||
                     !strcmp(w.attr, "sriov_numvfs");
        if (told || (locks && fk_exists(".fake/hung/%s", w.address))) {
                size_t end = strlen(path);
                sigset_t old;

                path[end] = '\n';
                block_signals(&old);
                append(".fake/waits", path, end + 1);
                wait_released(NULL);
                pthread_sigmask(SIG_SETMASK, &old, NULL);
        }
}

/* From the k-th look on nobody answers: all that is read of it is ones. */
static void silence(int fd, void *buf, ssize_t got)
{
        char path[FK_PATH];
        const char *colon = silent ? strrchr(silent, ':') : NULL;

        if (!colon || got <= 0 || !sys_path(fd, path))
                return;
        size_t len = (size_t)(colon - silent), end = strlen(path);
        if (end < len + 8 || strcmp(path + end - 7, "/config") || memcmp(path + end - 7 - len, silent, len))
                return;
        /* A look begins at the beginning. */
        if (lseek(fd, 0, SEEK_CUR) == got)
                atomic_fetch_add(&looks, 1);
        if (atomic_load(&looks) >= strtoul(colon + 1, NULL, 10))
                memset(buf, 0xff, (size_t)got);
}

API ssize_t write(int fd, const void *buf, size_t n)
{
        char path[FK_PATH];
        int saved = errno;
        bool below = fk_fd_path(fd, path);

        errno = saved;
        if (below && !strncmp(path, "sys/", 4))
                return sys_write(path, buf, n);
        ssize_t r = syscall(SYS_write, fd, buf, n);
        if (r >= 0 && below && fk_is_own_file(path))
                fk_changed("write", path);
        return r;
}

API ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t at)
{
        char path[FK_PATH];

        return sys_path(fd, path) ? sys_write(path, buf, n) : syscall(SYS_pwrite64, fd, buf, n, at);
}

API ssize_t pwrite(int fd, const void *buf, size_t n, off_t at)
{
        return pwrite64(fd, buf, n, at);
}

API ssize_t writev(int fd, const struct iovec *iov, int count)
{
        char path[FK_PATH], joined[FK_PATH];
        size_t at = 0;

        if (!sys_path(fd, path))
                return syscall(SYS_writev, fd, iov, count);
        for (int i = 0; i < count && at < sizeof joined; i++) {
                size_t n = iov[i].iov_len < sizeof joined - at ? iov[i].iov_len : sizeof joined - at;

                memcpy(joined + at, iov[i].iov_base, n);
                at += n;
        }
        return sys_write(path, joined, at);
}

API ssize_t read(int fd, void *buf, size_t n)
{
        read_gate(fd);
        ssize_t got = syscall(SYS_read, fd, buf, n);
        silence(fd, buf, got);
        return got;
}

API ssize_t pread64(int fd, void *buf, size_t n, off64_t at)
{
        read_gate(fd);
        return syscall(SYS_pread64, fd, buf, n, at);
}

API ssize_t pread(int fd, void *buf, size_t n, off_t at)
{
        return pread64(fd, buf, n, at);
}

API ssize_t readv(int fd, const struct iovec *iov, int count)
{
        read_gate(fd);
        return syscall(SYS_readv, fd, iov, count);
}

static int raw_openat(int dir, const char *path, int flags, mode_t mode)
{
        return (int)syscall(SYS_openat, dir, path, flags, mode);
}

static int refuse(int fd, int error)
{
        close(fd);
        errno = error;
        return -1;
}

/* Below sys, opening makes no file and cuts none off, and an attribute without a store function
 * cannot be opened for writing, by root either. A VFIO group opens once. */
static int fake_openat(int dir, const char *path, int flags, mode_t mode)
{
        char real[FK_PATH];
        struct stat st;
        int make = flags & (O_CREAT | O_TRUNC | O_EXCL);

        if (!fk_root[0] || (flags & O_ACCMODE) == O_RDONLY || (flags & O_TMPFILE) == O_TMPFILE ||
            flags & O_PATH)
                return raw_openat(dir, path, flags, mode);
        int fd = raw_openat(dir, path, flags & ~(make | O_APPEND), mode);
        if (fd < 0 && (errno != ENOENT || !(make & O_CREAT)))
                return fd;
        if (fd >= 0 && sys_path(fd, real))
                return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && !(st.st_mode & 0222) ? refuse(fd, EACCES)
                                                                                          : fd;
        if (fd >= 0 && fk_fd_path(fd, real) && !strncmp(real, "dev/vfio/", 9) && fk_group_open(real + 9))
                return refuse(fd, EBUSY);
        if (fd >= 0 && !make && !(flags & O_APPEND))
                return fd;
        if (fd >= 0)
                close(fd);
        fd = raw_openat(dir, path, flags, mode);
        if (fd >= 0 && sys_path(fd, real)) {
                fk_unlink("%s", real);
                return refuse(fd, EACCES);
        }
        if (fd >= 0 && make & O_CREAT)
                fk_made(dir, path);
        return fd;
}

static mode_t mode_of(int flags, va_list ap)
{
        return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(ap, mode_t) : 0;
}

#define OPEN(name, dir, params, ...)                                                                         \
        API int name params                                                                                  \
        {                                                                                                    \
                va_list ap;                                                                                  \
                va_start(ap, flags);                                                                         \
                mode_t mode = mode_of(flags, ap);                                                            \
                va_end(ap);                                                                                  \
                return fake_openat(dir, path, __VA_ARGS__ mode);                                             \
        }

OPEN(open, AT_FDCWD, (const char *path, int flags, ...), flags, )
OPEN(open64, AT_FDCWD, (const char *path, int flags, ...), flags, )
OPEN(openat, dir, (int dir, const char *path, int flags, ...), flags, )
OPEN(openat64, dir, (int dir, const char *path, int flags, ...), flags, )

/* What programs built with _FORTIFY_SOURCE call; no header declares these. */
API int __open_2(const char *path, int flags);
API int __open64_2(const char *path, int flags);
API int __openat_2(int dir, const char *path, int flags);
API int __openat64_2(int dir, const char *path, int flags);
API ssize_t __read_chk(int fd, void *buf, size_t n, size_t size);
API ssize_t __pread_chk(int fd, void *buf, size_t n, off_t at, size_t size);
API ssize_t __pread64_chk(int fd, void *buf, size_t n, off64_t at, size_t size);

int __open_2(const char *path, int flags)
{
        return fake_openat(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
        return fake_openat(AT_FDCWD, path, flags, 0);
}

int __openat_2(int dir, const char *path, int flags)
{
        return fake_openat(dir, path, flags, 0);
}

int __openat64_2(int dir, const char *path, int flags)
{
        return fake_openat(dir, path, flags, 0);
}

ssize_t __read_chk(int fd, void *buf, size_t n, size_t size)
{
        if (n > size)
                abort();
        return read(fd, buf, n);
}

ssize_t __pread_chk(int fd, void *buf, size_t n, off_t at, size_t size)
{
        if (n > size)
                abort();
        return pread64(fd, buf, n, at);
}

ssize_t __pread64_chk(int fd, void *buf, size_t n, off64_t at, size_t size)
{
        if (n > size)
                abort();
        return pread64(fd, buf, n, at);
}

/* A stream's own reads and writes cannot be seen: reading waits at the opening, writing is refused. */
static FILE *fake_fopen(const char *path, const char *mode, const char *name)
{
        FILE *(*next)(const char *, const char *);
        char real[FK_PATH];

        *(void **)&next = dlsym(RTLD_NEXT, name);
        if (fk_root[0]) {
                int fd = raw_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);

                if (fd >= 0 && sys_path(fd, real)) {
                        if (strpbrk(mode, "wa+")) {
                                refuse(fd, ENOTSUP);
                                return NULL;
                        }
                        read_gate(fd);
                }
                if (fd >= 0)
                        close(fd);
        }
        return next(path, mode);
}

API FILE *fopen(const char *path, const char *mode)
{
        return fake_fopen(path, mode, "fopen");
}

API FILE *fopen64(const char *path, const char *mode)
{
        return fake_fopen(path, mode, "fopen64");
}

API int fakekernel_load_module(const char *name)
{
        const char *told = getenv("FAKEKERNEL_MODULE_FAIL");
        int r = told && *told ? -errno_of(told, strlen(told)) : -ENOENT;

        if (!fk_root[0])
                return -ENOSYS;
        if (!told || !*told) {
                int lock = fk_lock();

                r = fk_load_module(name);
                fk_unlock(lock);
        }
        log_write(0, "module", name, strlen(name), r ? strerrorname_np(-r) : "ok");
        return r;
}
