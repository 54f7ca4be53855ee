/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tarball.h"
#include "lazy.h"

#include <archive.h>
#include <archive_entry.h>
#include <limits.h>
#include <time.h>

#define LIBARCHIVE "libarchive.so.13"

/* clang-format off */
#define ARCHIVE_CALLS(X) \
        X(archive_entry_clear) X(archive_entry_free) X(archive_entry_new) X(archive_entry_set_filetype) \
        X(archive_entry_set_mtime) X(archive_entry_set_pathname) X(archive_entry_set_perm) \
        X(archive_entry_set_size) X(archive_entry_set_symlink) X(archive_error_string) \
        X(archive_write_add_filter_gzip) X(archive_write_add_filter_xz) X(archive_write_close) \
        X(archive_write_data) X(archive_write_free) X(archive_write_header) X(archive_write_new) \
        X(archive_write_open_fd) X(archive_write_set_bytes_in_last_block) X(archive_write_set_format_pax_restricted)
/* clang-format on */
#define ARCHIVE_MEMBER(function) LAZY_MEMBER(function);
#define ARCHIVE_SYMBOL(function) LAZY_SYMBOL(struct archive_calls, function),

struct archive_calls {
        ARCHIVE_CALLS(ARCHIVE_MEMBER)
};

static const struct lazy_symbol archive_symbols[] = {ARCHIVE_CALLS(ARCHIVE_SYMBOL)};

struct writer {
        struct archive_calls calls;
        struct archive *archive;
        struct archive_entry *entry;
        const char *folder;
        time_t now;
};

static bool ends_with(const char *text, const char *end)
{
        size_t length = strlen(text), n = strlen(end);

        return length > n && util_equal(text + length - n, end);
}

bool tarball_compression(const char *path, enum compression *ret)
{
        static const struct {
                const char *end;
                enum compression compression;
        } ends[] = {{".tar", COMPRESSION_NONE},
                    {".tar.gz", COMPRESSION_GZIP},
                    {".tgz", COMPRESSION_GZIP},
                    {".tar.xz", COMPRESSION_XZ},
                    {".txz", COMPRESSION_XZ}};

        for (size_t i = 0; i < ELEMENTSOF(ends); i++)
                if (ends_with(path, ends[i].end)) {
                        *ret = ends[i].compression;
                        return true;
                }
        return false;
}

/* libarchive's results are ARCHIVE_OK, and below that warnings and failures. */
static int put(struct writer *writer, const struct vfioctl_captured *captured)
{
        const struct archive_calls *calls = &writer->calls;
        unsigned int type = AE_IFREG, mode = captured->is_executable ? 0755 : 0644;
        char path[PATH_MAX];

        if (captured->kind == VFIOCTL_CAPTURED_UNREADABLE || captured->kind == VFIOCTL_CAPTURED_STUCK)
                return 0;
        if (captured->kind == VFIOCTL_CAPTURED_FOLDER) {
                type = AE_IFDIR;
                mode = 0755;
        } else if (captured->kind == VFIOCTL_CAPTURED_LINK) {
                type = AE_IFLNK;
                mode = 0777;
        }
        int length = snprintf(path, sizeof(path), "%s%s", writer->folder, captured->path);
        if (length < 0 || (size_t)length >= sizeof(path))
                return -ENAMETOOLONG;
        calls->archive_entry_clear(writer->entry);
        calls->archive_entry_set_pathname(writer->entry, path);
        calls->archive_entry_set_filetype(writer->entry, type);
        calls->archive_entry_set_perm(writer->entry, mode);
        calls->archive_entry_set_mtime(writer->entry, writer->now, 0);
        if (type == AE_IFLNK)
                calls->archive_entry_set_symlink(writer->entry, captured->target);
        calls->archive_entry_set_size(writer->entry, type == AE_IFREG ? (int64_t)captured->size : 0);
        if (calls->archive_write_header(writer->archive, writer->entry) < ARCHIVE_WARN)
                return -EIO;
        if (type == AE_IFREG && captured->size > 0 &&
            calls->archive_write_data(writer->archive, captured->data, captured->size) !=
                    (la_ssize_t)captured->size)
                return -EIO;
        return 0;
}

static int open_archive(struct writer *writer, enum compression compression, int fd)
{
        const struct archive_calls *calls = &writer->calls;
        int r = calls->archive_write_set_format_pax_restricted(writer->archive);

        if (r >= ARCHIVE_WARN && compression == COMPRESSION_GZIP)
                r = calls->archive_write_add_filter_gzip(writer->archive);
        else if (r >= ARCHIVE_WARN && compression == COMPRESSION_XZ)
                r = calls->archive_write_add_filter_xz(writer->archive);
        if (r >= ARCHIVE_WARN)
                r = calls->archive_write_set_bytes_in_last_block(writer->archive, 1);
        if (r >= ARCHIVE_WARN)
                r = calls->archive_write_open_fd(writer->archive, fd);
        return r >= ARCHIVE_WARN ? 0 : -EIO;
}

int tarball_write(const struct vfioctl_capture *capture, const char *folder, enum compression compression,
                  int fd, char **ret_error)
{
        struct writer writer = {.folder = folder, .now = time(NULL)};

        int r = lazy_open(LIBARCHIVE, archive_symbols, ELEMENTSOF(archive_symbols), &writer.calls);
        if (r < 0)
                return r;
        writer.archive = writer.calls.archive_write_new();
        writer.entry = writer.calls.archive_entry_new();
        r = writer.archive && writer.entry ? open_archive(&writer, compression, fd) : -ENOMEM;
        for (size_t i = 0; r >= 0 && i < vfioctl_capture_count(capture); i++)
                r = put(&writer, vfioctl_capture_get(capture, i));
        if (r >= 0 && writer.calls.archive_write_close(writer.archive) < ARCHIVE_WARN)
                r = -EIO;
        if (r < 0 && writer.archive) {
                const char *reason = writer.calls.archive_error_string(writer.archive);
                if (util_copy(reason, ret_error) < 0)
                        r = -ENOMEM;
        }
        if (writer.entry)
                writer.calls.archive_entry_free(writer.entry);
        if (writer.archive)
                (void)writer.calls.archive_write_free(writer.archive);
        return r;
}
