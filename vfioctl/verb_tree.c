/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json.h"
#include "terminal.h"
#include "tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int complain_file(const char *path, const char *why)
{
        char text[80];

        complain("--svg %s: %s; nothing was written", printable(path, text, sizeof(text)), why);
        return CODE_FAILED;
}

/* What stands at `path` already must be a file: a rename would put one in the place of a device. */
static int check_file(const char *path)
{
        struct stat there;
        char text[80];

        if (!*path) {
                complain("--svg wants the name of a file, or - for standard output");
                return CODE_USAGE;
        }
        if (stat(path, &there) < 0 || S_ISREG(there.st_mode))
                return 0;
        complain("--svg %s: it is %s; give the name of a file, or - for standard output",
                 printable(path, text, sizeof(text)),
                 S_ISDIR(there.st_mode) ? "a directory" : "no regular file");
        return CODE_USAGE;
}

static int write_all(int fd, const char *text, size_t size)
{
        while (size > 0) {
                ssize_t n = write(fd, text, size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                text += n;
                size -= (size_t)n;
        }
        return 0;
}

/* Whole or not at all; where a link leads, and not in its place. */
static int write_file(const char *path, const char *text, size_t size)
{
        _cleanup_free_ char *real = realpath(path, NULL), *other = NULL;

        int r = util_format(&other, "%s.XXXXXX", real ? real : path);
        if (r < 0)
                return complain_file(path, strerror(-r));
        int fd = mkostemp(other, O_CLOEXEC);
        if (fd < 0)
                return complain_file(path, strerror(errno));
        r = write_all(fd, text, size);
        if (r >= 0 && fchmod(fd, 0644) < 0)
                r = -errno;
        if (close(fd) < 0 && r >= 0)
                r = -errno;
        if (r >= 0 && rename(other, real ? real : path) < 0)
                r = -errno;
        if (r >= 0)
                return CODE_DONE;
        (void)unlink(other);
        return complain_file(path, strerror(-r));
}

static int print_svg(const struct tree *tree, const char *path)
{
        _cleanup_free_ char *text = NULL;
        size_t size = 0;

        FILE *file = open_memstream(&text, &size);
        int r = file ? tree_draw(tree, file) : -ENOMEM;
        if (file && fclose(file) != 0 && r >= 0)
                r = -ENOMEM;
        if (r < 0)
                return complain_errno(r, "cannot draw the tree");
        if (!util_equal(path, "-"))
                return write_file(path, text, size);
        return fwrite(text, 1, size, stdout) == size ? CODE_DONE : CODE_FAILED;
}

static int print_text(const struct cli *cli, const struct tree *tree)
{
        unsigned int flags = (terminal_wants_color(cli) ? TREE_TEXT_COLOR : 0) |
                             (terminal_has_utf8() ? TREE_TEXT_UTF8 : 0) |
                             (cli->options.all ? TREE_TEXT_ALL : 0);

        int r = tree_print(tree, flags, stdout);
        return r < 0 ? complain_errno(r, "cannot print the tree") : CODE_DONE;
}

int verb_tree(struct cli *cli)
{
        _cleanup_status_ struct status status = {.now = 0};
        _cleanup_tree_ struct tree tree = {.snapshot = NULL};
        const char *svg = cli->options.svg;

        if (svg && (cli->options.json || cli->options.all)) {
                complain("--svg is a drawing of its own, without --%s", cli->options.json ? "json" : "all");
                return CODE_USAGE;
        }
        int code = svg && !util_equal(svg, "-") ? check_file(svg) : 0;
        if (code == 0)
                code = take_snapshot(cli, REPORT_SNAPSHOT, false, &status.snapshot);
        if (code == 0)
                code = virt_report(cli, &status.vms);
        if (code != 0)
                return code;
        status.libvirt_asked = virt_uri(cli) || vfioctl_ctx_is_live(cli->ctx);
        if (vfioctl_snapshot_gpu_count(status.snapshot) == 0 && !cli->options.quiet)
                complain("this host has no GPU");
        int r = tree_build(&status, &tree);
        if (r < 0)
                return complain_errno(r, "cannot make the tree");
        if (svg)
                return print_svg(&tree, svg);
        return cli->options.json ? json_print(tree_json(&tree)) : print_text(cli, &tree);
}
