/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "create.h"
#include "installation.h"
#include "paths.h"

#include <unistd.h>

/* The files that a VM is made of: its disk, its isos, devices for input. */

static const char qcow2_magic[4] = {'Q', 'F', 'I', '\xfb'}; /* QEMU's docs/interop/qcow2.txt */

static bool is_qcow2_name(const char *path)
{
        size_t length = strlen(path);

        return length > 6 && util_equal(path + length - 6, ".qcow2");
}

static int refuse(struct create *create, struct vfioctl_finding finding, const char *format, ...)
        _printf_(3, 4);

static int refuse(struct create *create, struct vfioctl_finding finding, const char *format, ...)
{
        va_list arguments;

        finding.severity = VFIOCTL_REFUSAL;
        va_start(arguments, format);
        int r = add_finding_list(create->assignment.findings, finding, format, arguments);
        va_end(arguments);
        return r;
}

static const char *kind_of(const struct stat *status)
{
        if (S_ISDIR(status->st_mode))
                return "a folder";
        if (S_ISCHR(status->st_mode))
                return "a character device";
        return "no file";
}

/* ---- the disk ---- */

static int refuse_missing_disk(struct create *create, int r)
{
        const struct new_disk *disk = &create->disk;

        if (r == -ENOENT)
                return refuse(
                        create,
                        (struct vfioctl_finding){.code = "disk-missing",
                                                 .culprit = disk->path,
                                                 .fix = "add ,size=100G behind the path, to have it made"},
                        "there is no disk %s", disk->path);
        return refuse(create, (struct vfioctl_finding){.code = "disk-unfit", .culprit = disk->path},
                      "disk %s: %s", disk->path, strerror(-r));
}

/*
 * By its first bytes, but never against its name: a guest can write them into a raw disk, and as qcow2 they
 * could name any file of the host as the one behind it.
 */
static int find_format(struct create *create)
{
        struct new_disk *disk = &create->disk;
        bool is_named = is_qcow2_name(disk->path), is_one;
        char magic[sizeof(qcow2_magic)];

        disk->format = "raw";
        if (disk->is_block)
                return 0;
        ssize_t length = rootfs_peek(&create->fs, disk->path, magic, sizeof(magic));
        if (length < 0)
                return refuse_missing_disk(create, (int)length);
        is_one = length == sizeof(magic) && memcmp(magic, qcow2_magic, sizeof(magic)) == 0;
        if (is_one != is_named)
                return refuse(
                        create,
                        (struct vfioctl_finding){
                                .code = "disk-unfit",
                                .culprit = disk->path,
                                .fix = is_one ? "if it is a qcow2 image of yours, have its name end in .qcow2"
                                              : "have its name end in .img if it is a raw image"},
                        is_one ? "%s begins as a qcow2 image does, which its name does not say: a guest that "
                                 "has it as its disk can have written that"
                               : "%s is no qcow2 image, whatever its name says",
                        disk->path);
        if (is_one)
                disk->format = "qcow2";
        return 0;
}

/* A disk that is sought among those of other VMs. */
struct sought {
        const struct create *create;
        const char *real;          /* its path without links, or NULL */
        const struct stat *status; /* NULL: it is yet to be made */
};

/* One disk has many names: links of udev's, of folders, hard ones. */
static bool is_sought(void *userdata, const char *path)
{
        const struct sought *sought = userdata;
        struct stat status;

        if (util_equal(path, sought->create->disk.path) || util_equal(path, sought->real))
                return true;
        if (!sought->status || *path != '/' ||
            rootfs_stat(&sought->create->fs, path, false, &status, NULL) < 0)
                return false;
        if (S_ISBLK(status.st_mode))
                return S_ISBLK(sought->status->st_mode) && status.st_rdev == sought->status->st_rdev;
        return status.st_dev == sought->status->st_dev && status.st_ino == sought->status->st_ino;
}

static int look_for_user(struct create *create, const char *real, const struct stat *status)
{
        const struct assignment *assignment = &create->assignment;
        struct sought sought = {create, real, status};
        _cleanup_free_ char *vm = NULL;
        char text[80];

        if (!assignment->virt)
                return 0;
        int r = assignment->calls.disk_user(assignment->virt, is_sought, &sought, assignment->findings, &vm);
        if (r < 0 || !vm)
                return r;
        return refuse(create,
                      (struct vfioctl_finding){.code = "disk-in-use",
                                               .culprit = printable(vm, text, sizeof(text)),
                                               .fix = "give it a disk of its own"},
                      "%s is the disk of VM \"%s\"", create->disk.path, text);
}

static int look_at_disk(struct create *create)
{
        struct new_disk *disk = &create->disk;
        _cleanup_free_ char *real = NULL;
        struct stat status;

        int r = rootfs_stat(&create->fs, disk->path, true, &status, &real);
        if (r == -EBUSY)
                return refuse(create,
                              (struct vfioctl_finding){.code = "disk-in-use",
                                                       .culprit = disk->path,
                                                       .fix = "give it another one"},
                              "%s is in use by the host: mounted, or part of something that is", disk->path);
        if (r < 0)
                return r == -ENOMEM ? r : refuse_missing_disk(create, r);
        if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
                return refuse(create,
                              (struct vfioctl_finding){.code = "disk-unfit",
                                                       .culprit = disk->path,
                                                       .fix = "give a file or a block device"},
                              "%s is %s, and no disk", disk->path, kind_of(&status));
        disk->is_block = S_ISBLK(status.st_mode);
        r = find_format(create);
        return r < 0 ? r : look_for_user(create, real, &status);
}

static int check_space(struct create *create)
{
        uint64_t left;

        if (rootfs_free_space(&create->fs, create->disk.path, &left) < 0 || left / 1024 >= create->disk.size)
                return 0;
        struct vfioctl_finding finding = {
                .severity = VFIOCTL_WARNING, .code = "disk-space", .culprit = create->disk.path};
        return add_finding(
                create->assignment.findings, finding,
                "%s can grow to %.1f GiB, and its file system has %.1f GiB left: the guest stops when "
                "that is used up",
                create->disk.path, (double)create->disk.size / (1 << 20), (double)left / (1 << 30));
}

static int look_at_new_disk(struct create *create)
{
        struct new_disk *disk = &create->disk;
        struct stat status;

        disk->format = is_qcow2_name(disk->path) ? "qcow2" : "raw";
        int r = rootfs_stat(&create->fs, disk->path, false, &status, NULL);
        if (r >= 0 && S_ISDIR(status.st_mode))
                return refuse(create,
                              (struct vfioctl_finding){.code = "disk-unfit",
                                                       .culprit = disk->path,
                                                       .fix = "give the path of a file in it"},
                              "%s is a folder, and no disk", disk->path);
        if (r >= 0)
                return refuse(
                        create,
                        (struct vfioctl_finding){.code = "disk-exists",
                                                 .culprit = disk->path,
                                                 .fix = "leave out ,size= to have the VM use it as it is"},
                        "%s is there already, and is not overwritten", disk->path);
        if (r != -ENOENT)
                return r == -ENOMEM ? r : refuse_missing_disk(create, r);
        uint64_t left;
        r = rootfs_free_space(&create->fs, disk->path, &left);
        if (r == -ENOENT || r == -ENOTDIR)
                return refuse(create,
                              (struct vfioctl_finding){.code = "disk-unfit",
                                                       .culprit = disk->path,
                                                       .fix = "make the folder first"},
                              "%s cannot be made: there is no such folder", disk->path);
        if (util_equal(disk->format, "qcow2") && access(PATH_QEMU_IMG, X_OK) < 0)
                return refuse(create,
                              (struct vfioctl_finding){.code = "disk-unfit",
                                                       .culprit = disk->path,
                                                       .fix = "install it, or have the name end in .img"},
                              "%s wants " PATH_QEMU_IMG ", which is not installed", disk->path);
        r = check_space(create);
        return r < 0 ? r : look_for_user(create, NULL, NULL);
}

/* ---- isos and input devices ---- */

static int look_at_iso(struct create *create, const char *path)
{
        struct stat status;

        int r = rootfs_stat(&create->fs, path, false, &status, NULL);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return refuse(create,
                              (struct vfioctl_finding){.code = "iso-missing",
                                                       .culprit = path,
                                                       .fix = "give the path of an image that is there"},
                              "iso %s: %s", path, strerror(-r));
        if (!S_ISREG(status.st_mode))
                return refuse(create,
                              (struct vfioctl_finding){.code = "iso-missing",
                                                       .culprit = path,
                                                       .fix = "give the path of an image"},
                              "%s is %s, and no iso", path, kind_of(&status));
        return 0;
}

static int look_at_evdev(struct create *create, const char *path)
{
        bool is_device = util_has_prefix(path, PATH_DEV "/input/");
        struct stat status;

        int r = rootfs_stat(&create->fs, path, false, &status, NULL);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return refuse(create,
                              (struct vfioctl_finding){.code = "input-missing",
                                                       .culprit = path,
                                                       .fix = "ls " PATH_DEV "/input/by-id/"},
                              "input device %s: %s", path, strerror(-r));
        if (!is_device || (create->fs.is_live && !S_ISCHR(status.st_mode)))
                return refuse(create,
                              (struct vfioctl_finding){.code = "input-missing",
                                                       .culprit = path,
                                                       .fix = "ls " PATH_DEV "/input/by-id/"},
                              "%s is no input device", path);
        return 0;
}

int create_look_at_files(struct create *create)
{
        const struct vm_options *vm = &create->cli->options.vm;

        int r = create->disk.size > 0 ? look_at_new_disk(create) : look_at_disk(create);
        for (size_t i = 0; r >= 0 && i < vm->n_isos; i++)
                r = look_at_iso(create, create->isos[i]);
        for (size_t i = 0; r >= 0 && i < vm->n_evdevs; i++)
                r = look_at_evdev(create, create->evdevs[i]);
        return r;
}

void create_guess_files(struct create *create)
{
        struct new_disk *disk = &create->disk;
        struct stat status;

        disk->is_block = disk->size == 0 && rootfs_stat(&create->fs, disk->path, false, &status, NULL) >= 0 &&
                         S_ISBLK(status.st_mode);
        disk->format = is_qcow2_name(disk->path) && !disk->is_block ? "qcow2" : "raw";
}

/* ---- making it ---- */

/* By its descriptor: whoever may write to the folder could put a link to another file in its place. */
static int format_disk(const struct create *create, int fd)
{
        _cleanup_free_ char *size = NULL, *output = NULL;
        char path[64];

        if (!util_equal(create->disk.format, "qcow2"))
                return 0;
        if (util_format(&size, "%lluK", (unsigned long long)create->disk.size) < 0)
                return complain_errno(-ENOMEM, "the disk cannot be made");
        (void)snprintf(path, sizeof(path), PATH_PROC "/%ld/fd/%d", (long)getpid(), fd);
        const char *const command[] = {PATH_QEMU_IMG, "create", "-q", "-f", "qcow2", path, size, NULL};
        int r = program_run(command, &output);
        if (r == 0)
                return 0;
        if (r < 0)
                return complain_errno(r, PATH_QEMU_IMG);
        complain("%s: qemu-img: %s", create->disk.path, output ? util_trim(output) : "");
        return CODE_FAILED;
}

int create_make_disk(struct create *create)
{
        struct new_disk *disk = &create->disk;
        bool is_raw = util_equal(disk->format, "raw");
        struct stat status = {0};
        int fd;

        if (disk->size == 0)
                return 0;
        int r = rootfs_make_sparse(&create->fs, disk->path, is_raw ? disk->size * 1024 : 0, &fd);
        /* A link that leads nowhere: there is something of that name. */
        if (r == -ELOOP)
                r = -EEXIST;
        if (r < 0) {
                complain("disk %s cannot be made: %s%s", disk->path, strerror(-r),
                         r == -EFBIG ? " for this file system; give a smaller size" : "");
                return r == -EACCES || r == -EPERM || r == -EEXIST || r == -EFBIG ? CODE_REFUSED
                                                                                  : CODE_FAILED;
        }
        (void)fstat(fd, &status);
        disk->device = status.st_dev;
        disk->inode = status.st_ino;
        disk->made = true;
        r = format_disk(create, fd);
        (void)close(fd);
        return r;
}

/* It, and not what somebody has put there since. */
static int remove_made(const struct create *create)
{
        const struct new_disk *disk = &create->disk;
        struct stat status;

        int r = rootfs_stat(&create->fs, disk->path, false, &status, NULL);
        if (r < 0)
                return r;
        if (status.st_dev != disk->device || status.st_ino != disk->inode)
                return -EEXIST;
        return rootfs_unlink(&create->fs, disk->path);
}

void create_remove_disk(struct create *create)
{
        if (!create->disk.made)
                return;
        int r = remove_made(create);
        if (r == -EEXIST)
                complain("%s is another file than the disk that was made, and stays", create->disk.path);
        else if (r < 0 && r != -ENOENT)
                complain("disk %s, which was made for it, cannot be removed: %s", create->disk.path,
                         strerror(-r));
        create->disk.made = false;
}
