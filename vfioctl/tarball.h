/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_TARBALL_H
#define VFIOCTL_TARBALL_H

/* A captured host as a tar archive, by libarchive, which is loaded for this alone. */

#include "cli.h"

enum compression { COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_XZ };

/* By the end of the name: .tar, .tar.gz, .tgz, .tar.xz, .txz. False for any other. */
bool tarball_compression(const char *path, enum compression *ret);

/*
 * Writes all into `fd`, below one folder. 0; -ENOSYS when libarchive is not there; or another negative errno
 * with libarchive's reason in *ret_error, the caller's to free.
 */
int tarball_write(const struct vfioctl_capture *capture, const char *folder, enum compression compression,
                  int fd, char **ret_error);

#endif
