/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tarball.h"
#include "json.h"
#include "virt.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

/* All of the archive is in this folder. */
#define FOLDER "vfioctl-capture"

static void close_fd(const int *fd)
{
        if (*fd >= 0)
                (void)close(*fd);
}
#define _cleanup_fd_ _cleanup_(close_fd)
DEFINE_CLEANUP(struct vfioctl_capture, vfioctl_capture_free)

static bool is_left_out(const struct vfioctl_captured *captured)
{
        return captured->kind == VFIOCTL_CAPTURED_UNREADABLE || captured->kind == VFIOCTL_CAPTURED_STUCK;
}

/* What is not in it is told: a person may think that it is all. */
static void tell_left_out(const struct vfioctl_capture *capture)
{
        const struct vfioctl_captured *first = NULL;
        size_t count = 0;

        for (size_t i = 0; i < vfioctl_capture_count(capture); i++) {
                const struct vfioctl_captured *captured = vfioctl_capture_get(capture, i);
                if (captured->kind == VFIOCTL_CAPTURED_STUCK)
                        complain("%s is left out: the kernel does not answer", captured->path);
                if (captured->kind != VFIOCTL_CAPTURED_UNREADABLE)
                        continue;
                first = first ? first : captured;
                count++;
        }
        if (count > 0)
                complain("%zu file%s can be read as a whole by root alone, such as %s; run it as root to "
                         "have all",
                         count, count == 1 ? "" : "s", first->path);
}

/* What a daemon does not tell in that time is left out. */
#define LIBVIRT_DEADLINE 5000

static void ask_versions(const struct cli *cli, unsigned long *libvirt, unsigned long *hypervisor)
{
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;
        struct vfioctl_virt *virt = NULL;
        struct virt_calls calls;

        if (virt_load(&calls) < 0 || vfioctl_findings_new(&findings) < 0 ||
            calls.open_within(virt_uri(cli), true, LIBVIRT_DEADLINE, findings, &virt) < 0)
                return;
        (void)calls.versions(virt, findings, libvirt, hypervisor);
        calls.free(virt);
}

static int add_version(char **text, const char *name, unsigned long version)
{
        char *longer;

        if (version == 0)
                return 0;
        int r = util_format(&longer, "%s%s %lu.%lu.%lu\n", *text, name, version / 1000000,
                            version / 1000 % 1000, version % 1000);
        if (r < 0)
                return r;
        free(*text);
        *text = longer;
        return 0;
}

/* Of programs; a host that is a folder has those of when it was captured. */
static int add_versions(const struct cli *cli, struct vfioctl_capture *capture)
{
        unsigned long libvirt = 0, hypervisor = 0;
        _cleanup_free_ char *text = NULL;

        if (!vfioctl_ctx_is_live(cli->ctx) && !cli->options.connect)
                return 0;
        ask_versions(cli, &libvirt, &hypervisor);
        int r = util_format(&text, "vfioctl %s\n", vfioctl_version());
        if (r >= 0)
                r = add_version(&text, "libvirt", libvirt);
        if (r >= 0)
                r = add_version(&text, "hypervisor", hypervisor);
        return r < 0 ? r : vfioctl_capture_add(capture, "/versions", text);
}

static int print_json(const struct vfioctl_capture *capture, const char *file)
{
        struct json_object *object = json_object_new_object();
        struct json_object *places = json_object_new_array(), *left_out = json_object_new_array();

        for (size_t i = 0; i < vfioctl_capture_count(capture); i++) {
                const struct vfioctl_captured *captured = vfioctl_capture_get(capture, i);
                json_append(is_left_out(captured) ? left_out : places, json_string(captured->path));
        }
        json_put(object, "file", json_string(file));
        json_put(object, "places", places);
        json_put(object, "left_out", left_out);
        return json_print(object);
}

static int list(const struct vfioctl_capture *capture)
{
        for (size_t i = 0; i < vfioctl_capture_count(capture); i++) {
                const struct vfioctl_captured *captured = vfioctl_capture_get(capture, i);
                if (captured->kind == VFIOCTL_CAPTURED_LINK)
                        printf("%s -> %s\n", captured->path, captured->target);
                else if (!is_left_out(captured))
                        printf("%s%s\n", captured->path,
                               captured->kind == VFIOCTL_CAPTURED_FOLDER ? "/" : "");
        }
        return CODE_DONE;
}

/* ---- writing ---- */

static int fail(int r, const char *file, const char *reason)
{
        char text[200];

        if (r == -ENOSYS) {
                complain("libarchive cannot be loaded: install it (libarchive.so.13)");
                return CODE_FAILED;
        }
        (void)printable(file, text, sizeof(text));
        complain("%s: %s; nothing was written", text, reason ? reason : strerror(-r));
        return CODE_FAILED;
}

/* Whole or not at all: beside the place, and then renamed to it. */
static int write_file(const struct vfioctl_capture *capture, const char *file, enum compression compression)
{
        _cleanup_free_ char *temporary = NULL, *reason = NULL;
        struct stat status;

        if (lstat(file, &status) == 0 && !S_ISREG(status.st_mode)) {
                complain("%s is there and is no file; name another one", file);
                return CODE_USAGE;
        }
        if (util_format(&temporary, "%s.%ld", file, (long)getpid()) < 0)
                return fail(-ENOMEM, file, NULL);
        _cleanup_fd_ int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return fail(-errno, file, NULL);
        int r = tarball_write(capture, FOLDER, compression, fd, &reason);
        if (r >= 0 && fsync(fd) < 0)
                r = -errno;
        if (r >= 0 && rename(temporary, file) < 0)
                r = -errno;
        if (r < 0) {
                (void)unlink(temporary);
                return fail(r, file, reason);
        }
        return CODE_DONE;
}

static int write_out(const struct vfioctl_capture *capture)
{
        _cleanup_free_ char *reason = NULL;

        int r = tarball_write(capture, FOLDER, COMPRESSION_NONE, STDOUT_FILENO, &reason);
        return r < 0 ? fail(r, "standard output", reason) : CODE_DONE;
}

static int check_name(const struct cli *cli, const char *file, bool to_stdout, enum compression *ret)
{
        char text[80];

        if (!to_stdout && !tarball_compression(file, ret)) {
                complain("%s: the name is to end with .tar, .tar.gz or .tar.xz, or to be - for standard "
                         "output",
                         printable(file, text, sizeof(text)));
                return CODE_USAGE;
        }
        if (to_stdout && !cli->options.dry_run && (cli->options.json || isatty(STDOUT_FILENO))) {
                complain("- writes the archive to standard output: %s",
                         cli->options.json ? "leave out --json, or name a file" : "redirect it");
                return CODE_USAGE;
        }
        return 0;
}

int verb_capture(struct cli *cli)
{
        _cleanup_(vfioctl_capture_freep) struct vfioctl_capture *capture = NULL;
        const char *file = cli->arguments[0];
        enum compression compression = COMPRESSION_NONE;
        bool to_stdout = util_equal(file, "-");

        int code = check_name(cli, file, to_stdout, &compression);
        if (code != 0)
                return code;
        int r = vfioctl_capture_take(cli->ctx, cli->options.with_serials ? VFIOCTL_CAPTURE_SERIALS : 0,
                                     &capture);
        if (r == -ENOENT) {
                complain("%s has no PCI bus in sysfs",
                         cli->options.root ? cli->options.root : "this machine");
                return CODE_FAILED;
        }
        if (r >= 0)
                r = add_versions(cli, capture);
        if (r < 0)
                return complain_errno(r, "cannot read the host");
        if (!cli->options.dry_run)
                code = to_stdout ? write_out(capture) : write_file(capture, file, compression);
        else if (!cli->options.json)
                code = list(capture);
        if (code == CODE_DONE && !cli->options.quiet)
                tell_left_out(capture);
        if (code == CODE_DONE && cli->options.json)
                code = print_json(capture, cli->options.dry_run ? NULL : file);
        return code;
}
