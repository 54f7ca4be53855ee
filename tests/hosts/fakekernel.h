/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parts of the fake kernel; see README.md for what it does and how it is told to fail. */
#ifndef FAKEKERNEL_H
#define FAKEKERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FK_PATH 4096 /* longest path, and PAGE_SIZE: the most that one write to sysfs takes */
#define FK_NAME 256

/* fakekernel-file.c: files below the fake root; all paths in and out are relative to it.
 * Nothing here allocates: it also runs in children of threaded programs. */
extern char fk_root[FK_PATH]; /* empty: the fake kernel is not active */
bool fk_abs(char out[FK_PATH], const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool fk_exists(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool fk_read(const char *path, char *out, size_t size);
bool fk_put(const char *path, const char *data, size_t len);
void fk_puts(const char *dir, const char *attr, const char *text);
void fk_create(const char *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void fk_mkdirs(const char *path);
void fk_remove_tree(const char *path);
void fk_link(const char *path, const char *target);
void fk_unlink(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool fk_link_name(const char *path, char out[FK_NAME]);
bool fk_find_line(const char *path, const char *key, char *rest, size_t size);
int fk_each(const char *dir, int (*visit)(const char *name, void *data), void *data);
int fk_lock(void);
void fk_unlock(int fd);
bool fk_fd_path(int fd, char out[FK_PATH]);

/* fakekernel-model.c: what the kernel does. Results are 0 or -errno. */
enum fk_kind { FK_OTHER, FK_ATTR, FK_BIND, FK_UNBIND, FK_PROBE, FK_NEW_ID };
struct fk_write {
        enum fk_kind kind;
        const char *path;  /* below the root */
        const char *value; /* terminated */
        size_t len;
        char dir[FK_PATH];     /* FK_ATTR: the device's directory */
        char address[FK_NAME]; /* the device, or empty */
        char attr[FK_NAME];    /* FK_ATTR: the part of path below dir */
        char driver[FK_NAME];  /* FK_BIND, FK_UNBIND, FK_NEW_ID */
};
void fk_parse(struct fk_write *w, const char *path, const char *value, size_t len);
bool fk_takes_lock(const struct fk_write *w);
bool fk_blocked_group(const struct fk_write *w, char group[FK_NAME]);
bool fk_group_open(const char *group);
int fk_apply(const struct fk_write *w);
int fk_unbind_start(const struct fk_write *w);
int fk_unbind_finish(const struct fk_write *w);
int fk_load_module(const char *name);

/* shared by fakekernel-model.c and fakekernel-attr.c */
bool fk_streq_line(const char *line, const char *word);
void fk_read_attr(const char *dir, const char *attr, char *out, size_t size);
bool fk_link_of(const char *dir, const char *name, char out[FK_NAME]);
void fk_set_power(const char *dir, const char *control, const char *driver);
int fk_attr_store(const struct fk_write *w);

/* fakekernel-change.c */
void fk_change_start(_Atomic uint32_t *counter);
void fk_changed(const char *what, const char *path);
bool fk_is_own_file(const char *path);
void fk_made(int dir, const char *name);

/* fakekernel.c: for tests that have no libkmod. */
int fakekernel_load_module(const char *name);

#endif
