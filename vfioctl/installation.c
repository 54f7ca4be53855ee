/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "installation.h"
#include "json.h"
#include "paths.h"

#include <limits.h>
#include <unistd.h>

const char installed_program[] = VFIOCTL_BINDIR "/vfioctl";
const char installed_boot_unit[] = VFIOCTL_UNIT_DIR "/vfioctl-boot.service";
const char installed_timer[] = VFIOCTL_UNIT_DIR "/vfioctl-reconcile.timer";

int installation_open(const struct cli *cli, struct installation *ret)
{
        struct installation installation = {.cli = cli};
        struct entry record = {.kind = ENTRY_NONE};

        int r = rootfs_open(cli->options.root, &installation.fs);
        if (r < 0)
                return r;
        installation.fs.is_live = vfioctl_ctx_is_live(cli->ctx);
        r = vfioctl_findings_new(&installation.findings);
        if (r >= 0)
                r = rootfs_look(&installation.fs, PATH_SETUP_RECORD, &record);
        if (r >= 0 && record.kind == ENTRY_FILE) {
                installation.record = util_steal(record.text);
                r = util_copy(installation.record, &installation.record_new);
        }
        entry_clear(&record);
        *ret = installation;
        return r;
}

void installation_close(struct installation *installation)
{
        for (size_t i = 0; i < installation->n_changes; i++) {
                free(installation->changes[i].path);
                entry_clear(&installation->changes[i].before);
                entry_clear(&installation->changes[i].after);
        }
        free(installation->changes);
        free(installation->record);
        free(installation->record_new);
        (void)vfioctl_findings_free(installation->findings);
        rootfs_close(&installation->fs);
}

/* ---- files that are ours ---- */

#define CONFIG_HEAD                                                                                          \
        "# Written by vfioctl setup. vfioctl undo removes it, unless something was changed in it.\n# sum "
#define SUM_LENGTH 16

/* FNV-1a: against accidents, not against anybody. */
static void sum(const char *text, char buffer[SUM_LENGTH + 1])
{
        uint64_t value = 0xcbf29ce484222325;

        for (; *text; text++)
                value = (value ^ (unsigned char)*text) * 0x100000001b3;
        (void)snprintf(buffer, SUM_LENGTH + 1, "%016llx", (unsigned long long)value);
}

int config_text(const char *gpus, char **ret)
{
        _cleanup_free_ char *body = NULL;
        char number[SUM_LENGTH + 1];

        int r = util_format(&body, "gpus = %s\n", gpus);
        if (r < 0)
                return r;
        sum(body, number);
        return util_format(ret, "%s%s\n%s", CONFIG_HEAD, number, body);
}

bool config_is_ours(const char *text)
{
        char number[SUM_LENGTH + 1];

        if (!util_has_prefix(text, CONFIG_HEAD))
                return false;
        text += strlen(CONFIG_HEAD);
        const char *body = strchr(text, '\n');
        if (!body)
                return false;
        sum(body + 1, number);
        return body - text == SUM_LENGTH && util_has_prefix(text, number);
}

bool is_setup_config(const char *file)
{
        size_t length = strlen(file), end = strlen(PATH_SETUP_CONFIG);

        return length >= end && util_equal(file + length - end, PATH_SETUP_CONFIG);
}

const char *cron_text(void)
{
        return "# Written by vfioctl setup. vfioctl undo removes it, unless something was changed in it.\n"
               "* * * * * root " VFIOCTL_BINDIR "/vfioctl reconcile\n";
}

/* ---- the record ---- */

static const char *find_line(const char *record, const char *kind, const char *path)
{
        size_t kind_length = strlen(kind), path_length = strlen(path);

        for (const char *line = record; line && *line; line = strchr(line, '\n'), line += line ? 1 : 0)
                if (strncmp(line, kind, kind_length) == 0 && line[kind_length] == ' ' &&
                    strncmp(line + kind_length + 1, path, path_length) == 0 &&
                    strchr(" \n", line[kind_length + 1 + path_length]))
                        return line;
        return NULL;
}

bool installation_recorded(const struct installation *installation, const char *kind, const char *path)
{
        return find_line(installation->record, kind, path);
}

bool installation_recorded_link(const struct installation *installation, const char *path, const char *target)
{
        const char *line = find_line(installation->record, "link", path);
        size_t length = strlen(target);

        if (!line)
                return false;
        line += strlen("link ") + strlen(path);
        return *line == ' ' && strncmp(line + 1, target, length) == 0 && line[length + 1] == '\n';
}

int installation_note(struct installation *installation, const char *kind, const char *path, const char *more)
{
        char *longer;

        if (find_line(installation->record_new, kind, path))
                return 0;
        int r = util_format(&longer, "%s%s %s%s%s\n",
                            installation->record_new ? installation->record_new : RECORD_HEAD, kind, path,
                            more ? " " : "", more ? more : "");
        if (r < 0)
                return r;
        free(installation->record_new);
        installation->record_new = longer;
        return 0;
}

/* ---- planning ---- */

static int add(struct installation *installation, size_t at, enum change_kind kind, const char *path,
               struct entry *before, struct entry *after)
{
        struct change change = {.kind = kind};

        int r = util_grow(&installation->changes, &installation->allocated, installation->n_changes + 1,
                          sizeof(*installation->changes));
        if (r >= 0)
                r = util_copy(path, &change.path);
        if (r < 0)
                return r;
        change.before = *before;
        change.after = *after;
        *before = *after = (struct entry){.kind = ENTRY_NONE};
        memmove(&installation->changes[at + 1], &installation->changes[at],
                (installation->n_changes - at) * sizeof(change));
        installation->changes[at] = change;
        installation->n_changes++;
        return 0;
}

bool installation_changes(const struct installation *installation, const char *path)
{
        for (size_t i = 0; i < installation->n_changes; i++)
                if (util_equal(installation->changes[i].path, path))
                        return true;
        return false;
}

/* The folders above `path` that are missing, the highest first. */
static int add_folders(struct installation *installation, size_t *at, const char *path)
{
        char folder[PATH_MAX];
        int r = 0;

        for (const char *slash = path; r >= 0 && (slash = strchr(slash + 1, '/'));) {
                struct entry before = {.kind = ENTRY_NONE};
                struct entry after = {.kind = ENTRY_FOLDER, .mode = 0755};
                (void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
                if (rootfs_exists(&installation->fs, folder) || installation_changes(installation, folder))
                        continue;
                r = add(installation, *at, CHANGE_MAKE, folder, &before, &after);
                if (r >= 0)
                        r = installation_note(installation, "folder", folder, NULL);
                if (r >= 0)
                        (*at)++;
        }
        return r;
}

int installation_put(struct installation *installation, const char *path, const struct entry *wanted)
{
        struct entry before = {.kind = ENTRY_NONE}, after = {.kind = wanted->kind, .mode = 0644};
        bool is_link = wanted->kind == ENTRY_LINK;
        size_t at = installation->n_changes;

        int r = rootfs_look(&installation->fs, path, &before);
        if (r >= 0 && !entry_equal(&before, wanted)) {
                r = util_copy(wanted->text, &after.text);
                if (r >= 0)
                        r = add_folders(installation, &at, path);
                if (r >= 0)
                        r = add(installation, at, is_link ? CHANGE_LINK : CHANGE_WRITE, path, &before,
                                &after);
        }
        if (r >= 0)
                r = installation_note(installation, is_link ? "link" : "file", path,
                                      is_link ? wanted->text : NULL);
        entry_clear(&before);
        entry_clear(&after);
        return r;
}

int installation_remove(struct installation *installation, const char *path)
{
        struct entry before = {.kind = ENTRY_NONE}, after = {.kind = ENTRY_NONE};

        int r = rootfs_look(&installation->fs, path, &before);
        if (r >= 0 && before.kind != ENTRY_NONE)
                r = add(installation, installation->n_changes, CHANGE_REMOVE, path, &before, &after);
        entry_clear(&before);
        return r;
}

/* The record is a text that somebody may have edited: only folders above our own places are taken from it. */
static bool is_above_ours(const char *folder, size_t length)
{
        static const char *const places[] = {PATH_SETUP_CONFIG, PATH_SETUP_RECORD, PATH_HOOK_QEMU,
                                             PATH_HOOK_DAEMON,  PATH_BOOT_WANTED,  PATH_TIMER_WANTED,
                                             PATH_CRON};

        for (size_t i = 0; i < ELEMENTSOF(places); i++)
                if (length > 1 && strncmp(places[i], folder, length) == 0 && places[i][length] == '/')
                        return true;
        return false;
}

int installation_remove_folders(struct installation *installation)
{
        size_t at = installation->n_changes;
        char path[PATH_MAX];
        int r = 0;

        for (const char *line = installation->record; r >= 0 && line && *line;) {
                size_t length = strcspn(line, "\n");
                size_t size = length > 7 ? length - 7 : 0;
                struct entry before = {.kind = ENTRY_NONE}, after = {.kind = ENTRY_NONE};
                if (util_has_prefix(line, "folder ") && size < sizeof(path) &&
                    is_above_ours(line + 7, size)) {
                        memcpy(path, line + 7, size);
                        path[size] = '\0';
                        r = rootfs_look(&installation->fs, path, &before);
                        /* Those that were made last go first. */
                        if (r >= 0 && before.kind == ENTRY_FOLDER)
                                r = add(installation, at, CHANGE_EMPTY, path, &before, &after);
                        entry_clear(&before);
                }
                line += length + (line[length] == '\n');
        }
        return r;
}

int installation_finish(struct installation *installation)
{
        struct entry before = {.kind = ENTRY_NONE}, after = {.kind = ENTRY_FILE, .mode = 0644};
        size_t at = 0;

        if (!installation->record_new)
                return installation_remove(installation, PATH_SETUP_RECORD);
        int r = add_folders(installation, &at, PATH_SETUP_RECORD);
        if (r >= 0 && util_equal(installation->record, installation->record_new))
                return 0;
        if (r >= 0)
                r = rootfs_look(&installation->fs, PATH_SETUP_RECORD, &before);
        if (r >= 0)
                r = util_copy(installation->record_new, &after.text);
        if (r >= 0)
                r = add(installation, at, CHANGE_WRITE, PATH_SETUP_RECORD, &before, &after);
        entry_clear(&before);
        entry_clear(&after);
        return r;
}

void installation_run(struct installation *installation, const char *const *command, bool is_vital,
                      const char *fallback)
{
        if (installation->n_acts < ACTS_MAX)
                installation->acts[installation->n_acts++] = (struct act){
                        .kind = ACT_RUN, .command = command, .is_vital = is_vital, .fallback = fallback};
}

void installation_reload(struct installation *installation)
{
        static const struct {
                const char *name, *file, *fallback;
        } daemons[] = {{"libvirtd", PATH_LIBVIRTD_PID, "systemctl reload libvirtd"},
                       {"virtqemud", PATH_VIRTQEMUD_PID, "systemctl reload virtqemud"}};

        for (size_t i = 0; i < ELEMENTSOF(daemons) && installation->fs.is_live; i++) {
                int pid = program_daemon(&installation->fs, daemons[i].file, daemons[i].name);
                if (pid > 0 && installation->n_acts < ACTS_MAX)
                        installation->acts[installation->n_acts++] =
                                (struct act){.kind = ACT_RELOAD,
                                             .daemon = daemons[i].name,
                                             .pid = pid,
                                             .fallback = daemons[i].fallback};
        }
}

const char *const *installation_initramfs(const struct installation *installation)
{
        static const char *const update[] = {PATH_UPDATE_INITRAMFS, "-u", NULL};
        static const char *const dracut[] = {PATH_DRACUT, "--force", NULL};
        const struct rootfs *fs = &installation->fs;

        if (!fs->is_live)
                return NULL;
        if (rootfs_exists(fs, PATH_UPDATE_INITRAMFS) &&
            rootfs_exists(fs, VFIOCTL_INITRAMFS_TOOLS_DIR "/hooks/vfioctl"))
                return update;
        if (rootfs_exists(fs, PATH_DRACUT) &&
            rootfs_exists(fs, VFIOCTL_DRACUT_DIR "/90vfioctl/module-setup.sh"))
                return dracut;
        return NULL;
}

/* ---- showing ---- */

static const char *kind_name(enum change_kind kind)
{
        switch (kind) {
        case CHANGE_MAKE:
                return "make";
        case CHANGE_WRITE:
                return "write";
        case CHANGE_LINK:
                return "link";
        case CHANGE_REMOVE:
        case CHANGE_EMPTY:
                return "remove";
        }
        return "";
}

static int command_text(const struct act *act, char **ret)
{
        _cleanup_free_ char *text = NULL;

        if (act->kind == ACT_RELOAD)
                return util_format(ret, "kill -HUP %d", act->pid);
        for (size_t i = 0; act->command[i]; i++) {
                char *longer;
                int r = util_format(&longer, "%s%s%s", text ? text : "", text ? " " : "", act->command[i]);
                if (r < 0)
                        return r;
                free(text);
                text = longer;
        }
        *ret = util_steal(text);
        return 0;
}

static int print_json(const struct installation *installation)
{
        struct json_object *object = json_object_new_object();
        struct json_object *changes = json_object_new_array(), *findings = json_object_new_array();

        for (size_t i = 0; i < installation->n_changes; i++) {
                const struct change *change = &installation->changes[i];
                struct json_object *item = json_object_new_object();
                json_put(item, "action", json_string(kind_name(change->kind)));
                json_put(item, "path", json_string(change->path));
                json_put(item, "target",
                         json_string(change->after.kind == ENTRY_LINK ? change->after.text : NULL));
                json_put(item, "text",
                         json_string(change->after.kind == ENTRY_FILE ? change->after.text : NULL));
                json_append(changes, item);
        }
        for (size_t i = 0; i < installation->n_acts; i++) {
                struct json_object *item = json_object_new_object();
                _cleanup_free_ char *command = NULL;
                if (command_text(&installation->acts[i], &command) < 0)
                        command = NULL;
                json_put(item, "action",
                         json_string(installation->acts[i].kind == ACT_RELOAD ? "reload" : "run"));
                json_put(item, "command", json_string(command));
                json_append(changes, item);
        }
        json_add_findings(findings, installation->findings);
        json_put(object, "changes", changes);
        json_put(object, "findings", findings);
        return json_print(object);
}

int installation_print(const struct installation *installation)
{
        if (installation->cli->options.json)
                return print_json(installation);
        if (installation->cli->options.quiet && !installation->cli->options.dry_run)
                return CODE_DONE;
        for (size_t i = 0; i < installation->n_changes; i++) {
                const struct change *change = &installation->changes[i];
                printf("%-6s  %s%s%s%s\n", kind_name(change->kind), change->path,
                       change->after.kind == ENTRY_LINK ? " -> " : "",
                       change->after.kind == ENTRY_LINK ? change->after.text : "",
                       change->kind == CHANGE_MAKE    ? " (a folder)"
                       : change->kind == CHANGE_EMPTY ? " (a folder, if it is empty)"
                                                      : "");
        }
        for (size_t i = 0; i < installation->n_acts; i++) {
                _cleanup_free_ char *command = NULL;
                if (command_text(&installation->acts[i], &command) < 0)
                        return complain_errno(-ENOMEM, "cannot print the changes");
                if (installation->acts[i].kind == ACT_RELOAD)
                        printf("reload  %s, process %d\n", installation->acts[i].daemon,
                               installation->acts[i].pid);
                else
                        printf("run     %s\n", command);
        }
        if (installation->n_changes == 0 && installation->n_acts == 0)
                printf("nothing to do\n");
        return CODE_DONE;
}

/* ---- doing ---- */

static int do_change(const struct rootfs *fs, const struct change *change)
{
        switch (change->kind) {
        case CHANGE_MAKE:
        case CHANGE_WRITE:
        case CHANGE_LINK:
                return rootfs_put(fs, change->path, &change->after, change->before.kind == ENTRY_NONE);
        case CHANGE_REMOVE:
                return rootfs_put(fs, change->path, &change->after, false);
        case CHANGE_EMPTY: {
                int r = rootfs_rmdir(fs, change->path);
                return r == -ENOTEMPTY || r == -EEXIST || r == -EBUSY ? 0 : r;
        }
        }
        return -EINVAL;
}

/* False, and said, when it cannot be. */
static bool undo_change(const struct rootfs *fs, const struct change *change)
{
        int r = 0;

        if (change->kind == CHANGE_MAKE)
                r = rootfs_rmdir(fs, change->path);
        else if (change->kind == CHANGE_EMPTY)
                r = rootfs_exists(fs, change->path) ? 0 : rootfs_put(fs, change->path, &change->before, true);
        else
                r = rootfs_put(fs, change->path, &change->before, change->after.kind == ENTRY_NONE);
        if (r < 0)
                complain("%s cannot be put back: %s", change->path, strerror(-r));
        return r >= 0;
}

static int put_back(const struct installation *installation, size_t count)
{
        bool whole = true;

        while (count > 0)
                whole &= undo_change(&installation->fs, &installation->changes[--count]);
        complain("%s: %s", installation->cli->verb->name,
                 whole ? "all that had been done is undone" : "not all of it could be undone");
        return whole ? CODE_FAILED : CODE_STUCK;
}

static void show_output(const char *output)
{
        char line[300];

        for (const char *at = output; *at;) {
                size_t length = strcspn(at, "\n");
                (void)snprintf(line, sizeof(line), "%.*s",
                               length < sizeof(line) ? (int)length : (int)sizeof(line) - 1, at);
                if (*line)
                        complain("  %s", line);
                at += length + (at[length] == '\n');
        }
}

static bool do_act(const struct installation *installation, const struct act *act)
{
        const struct options *options = &installation->cli->options;
        bool on_terminal = !options->quiet && isatty(2) == 1;
        _cleanup_free_ char *output = NULL, *command = NULL;

        if (act->kind == ACT_RELOAD) {
                int r = program_reload(&installation->fs, act->pid, act->daemon);
                if (r < 0)
                        complain("%s (process %d) cannot be told to reread its hooks: %s", act->daemon,
                                 act->pid, strerror(-r));
                return r >= 0;
        }
        if (command_text(act, &command) < 0) {
                complain("%s: %s", act->command[0], strerror(ENOMEM));
                return false;
        }
        if (options->verbose)
                complain("%s", command);
        else if (on_terminal)
                (void)fprintf(stderr, "\r\033[K%s ...", command);
        int r = program_run(act->command, &output);
        if (on_terminal && !options->verbose)
                (void)fputs("\r\033[K", stderr);
        if (r == 0)
                return true;
        if (r < 0)
                complain("%s cannot be run: %s", act->command[0], strerror(-r));
        else
                complain("%s failed with exit status %d%s", command, r, output && *output ? ":" : "");
        if (output)
                show_output(output);
        return false;
}

int installation_apply(struct installation *installation)
{
        bool whole = true;

        for (size_t i = 0; i < installation->n_changes; i++) {
                const struct change *change = &installation->changes[i];
                int r = do_change(&installation->fs, change);
                if (r >= 0)
                        continue;
                complain("%s: cannot %s it: %s%s", change->path, kind_name(change->kind), strerror(-r),
                         r == -EACCES || r == -EPERM ? "; run it as root" : "");
                return put_back(installation, i);
        }
        for (size_t i = 0; i < installation->n_acts; i++) {
                const struct act *act = &installation->acts[i];
                if (do_act(installation, act))
                        continue;
                if (act->is_vital)
                        return put_back(installation, installation->n_changes);
                whole = false;
                complain("the files are in order; when that is mended, run %s", act->fallback);
        }
        return whole ? CODE_DONE : CODE_FAILED;
}
