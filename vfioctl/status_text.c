/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "status.h"
#include "use.h"

#include <libsmartcols.h>
#include <time.h>

#define RED   "\033[1;31m"
#define GREEN "\033[32m"
#define BOLD  "\033[1m"
#define PLAIN "\033[0m"

#define NAME_SIZE 64

/* Names, reasons and records are from outside: nothing of them is for the terminal to obey. */
static void put(FILE *file, const char *text)
{
        for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
                bool is_c1 = *at == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0;
                (void)fputc(*at < ' ' || *at == 127 || is_c1 ? '?' : *at, file);
                at += is_c1;
        }
}

static void heading(FILE *file, unsigned int flags, const char *color, const char *text)
{
        bool on = flags & STATUS_TEXT_COLOR;

        (void)fprintf(file, "%s%s%s\n", on ? color : "", text, on ? PLAIN : "");
}

static const char *time_text(const struct status *status, unsigned int flags, int64_t when, char buffer[40])
{
        int64_t age = status->now > when ? status->now - when : 0;
        time_t seconds = (time_t)when;
        struct tm parts;

        if (flags & STATUS_TEXT_TIMES) {
                if (!localtime_r(&seconds, &parts) || strftime(buffer, 40, "at %F %T", &parts) == 0)
                        buffer[0] = '\0';
        } else if (age < 2) {
                (void)snprintf(buffer, 40, "just now");
        } else if (age < 120) {
                (void)snprintf(buffer, 40, "%d s ago", (int)age);
        } else if (age < 7200) {
                (void)snprintf(buffer, 40, "%d min ago", (int)(age / 60));
        } else if (age < 172800) {
                (void)snprintf(buffer, 40, "%d h ago", (int)(age / 3600));
        } else {
                (void)snprintf(buffer, 40, "%lld days ago", (long long)(age / 86400));
        }
        return buffer;
}

/* ---- the table ---- */

static bool has_aliases(const struct status *status)
{
        for (size_t i = 0; i < vfioctl_snapshot_gpu_count(status->snapshot); i++)
                if (vfioctl_gpu_alias(vfioctl_snapshot_gpu(status->snapshot, i)))
                        return true;
        return false;
}

static int set_cell(struct libscols_line *line, size_t *column, const char *text)
{
        char shown[128];

        return scols_line_set_data(line, (*column)++, printable(text, shown, sizeof(shown)));
}

static int add_row(const struct status *status, struct libscols_table *table, const struct vfioctl_gpu *gpu,
                   bool aliases, bool color)
{
        struct libscols_line *line = scols_table_new_line(table, NULL);
        const char *alias = vfioctl_gpu_alias(gpu);
        struct use use = {.kind = USE_FREE};
        size_t column = 0;

        int r = line ? status_use(status, gpu, &use) : -ENOMEM;
        if (r >= 0)
                r = set_cell(line, &column, short_address(vfioctl_gpu_name(gpu)));
        if (r >= 0 && aliases)
                r = set_cell(line, &column, alias ? alias : "-");
        if (r >= 0)
                r = set_cell(line, &column, vfioctl_gpu_card(gpu));
        if (r >= 0)
                r = set_cell(line, &column, vfioctl_mode_name(vfioctl_gpu_mode(gpu)));
        if (r >= 0)
                r = set_cell(line, &column, use.text);
        if (r >= 0 && color && (use.kind == USE_STUCK || use.kind == USE_RUNNING))
                r = scols_cell_set_color(scols_line_get_cell(line, column - 1),
                                         use.kind == USE_STUCK ? RED : GREEN);
        free(use.text);
        return r;
}

static int fill_table(const struct status *status, struct libscols_table *table, bool color)
{
        bool aliases = has_aliases(status);

        if (!scols_table_new_column(table, "GPU", 0, 0) ||
            (aliases && !scols_table_new_column(table, "ALIAS", 0, 0)) ||
            !scols_table_new_column(table, "CARD", 0.3, SCOLS_FL_TRUNC) ||
            !scols_table_new_column(table, "MODE", 0, 0) ||
            !scols_table_new_column(table, "USED BY", 0.4, SCOLS_FL_TRUNC))
                return -ENOMEM;
        for (size_t i = 0; i < vfioctl_snapshot_gpu_count(status->snapshot); i++) {
                int r = add_row(status, table, vfioctl_snapshot_gpu(status->snapshot, i), aliases, color);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int put_table(const struct status *status, unsigned int flags, FILE *file)
{
        struct libscols_table *table = scols_new_table();
        _cleanup_free_ char *text = NULL;
        bool color = flags & STATUS_TEXT_COLOR;

        int r = table ? fill_table(status, table, color) : -ENOMEM;
        if (r >= 0) {
                (void)scols_table_enable_noheadings(table, status->cli.options.no_headings);
                (void)scols_table_enable_colors(table, color);
                r = scols_print_table_to_string(table, &text);
        }
        if (r >= 0 && text && *text)
                (void)fprintf(file, "%s%s", text, text[strlen(text) - 1] == '\n' ? "" : "\n");
        scols_unref_table(table);
        return r;
}

static int put_count(const struct status *status, FILE *file)
{
        struct status_count count;

        int r = status_count(status, &count);
        if (r < 0)
                return r;
        (void)fprintf(file, "%zu GPU%s: %zu vm (%zu running), %zu host (%zu used)", count.all,
                      count.all == 1 ? "" : "s", count.vm, count.running, count.host, count.used);
        if (count.none > 0)
                (void)fprintf(file, ", %zu none", count.none);
        (void)fputc('\n', file);
        return 0;
}

/* ---- findings ---- */

static int put_findings(const struct status *status, unsigned int flags, enum vfioctl_severity severity,
                        const char *title, FILE *file)
{
        bool quiet = status->cli.options.quiet, first = true;

        for (size_t i = 0; i < vfioctl_findings_count(status->findings); i++) {
                const struct vfioctl_finding *finding = vfioctl_findings_get(status->findings, i);
                if (finding->severity != severity)
                        continue;
                _cleanup_free_ char *line = finding_line(status->snapshot, finding);
                if (!line)
                        return -ENOMEM;
                if (first && !quiet)
                        heading(file, flags, severity == VFIOCTL_REFUSAL ? RED : BOLD, title);
                first = false;
                (void)fputs(quiet ? "" : "  ", file);
                put(file, line);
                (void)fputc('\n', file);
        }
        return 0;
}

static void put_refused(const struct status *status, unsigned int flags, FILE *file)
{
        char name[NAME_SIZE], when[40];

        if (status->n_refused > 0)
                heading(file, flags, BOLD, "Refused starts:");
        for (size_t i = 0; i < status->n_refused; i++) {
                const struct refused_start *start = &status->refused[i];
                (void)fputs("  ", file);
                put(file, printable(start->vm, name, sizeof(name)));
                (void)fprintf(file, ", %s: ", time_text(status, flags, start->when, when));
                put(file, start->reason);
                (void)fputc('\n', file);
        }
}

/* ---- what runs by itself ---- */

static const char *boot_text(const struct status *status)
{
        if (status->parts.late == BOOT_OTHER)
                return "ran, with another configuration";
        if (status->parts.late == BOOT_NOT_RUN)
                return status->parts.early == BOOT_NOT_RUN ? "has not run" : "ran in the initramfs alone";
        if (status->parts.early == BOOT_NOT_RUN)
                return "ran, but not in the initramfs";
        return status->parts.early == BOOT_SAME ? "ran, in the initramfs too"
                                                : "ran, in the initramfs with another configuration";
}

static void put_reconcile(const struct status *status, unsigned int flags, FILE *file)
{
        char when[40];

        if (!status->has_reconciled)
                (void)fputs("reconcile  never since the host booted", file);
        else if (status->reconcile_code == CODE_DONE)
                (void)fprintf(file, "reconcile  %s", time_text(status, flags, status->reconcile_when, when));
        else
                (void)fprintf(file, "reconcile  %s, with exit status %d",
                              time_text(status, flags, status->reconcile_when, when), status->reconcile_code);
        if (status->has_timer)
                (void)fputs("; by systemd's timer", file);
        if (status->has_cron)
                (void)fputs("; by cron", file);
        if (!status->has_timer && !status->has_cron)
                (void)fputs("; neither timer nor cron runs it", file);
        (void)fputc('\n', file);
}

static int compose(const struct status *status, unsigned int flags, FILE *file)
{
        if (status->cli.options.quiet)
                return put_findings(status, flags, VFIOCTL_REFUSAL, "", file);
        int r = put_table(status, flags, file);
        if (r >= 0)
                r = put_count(status, file);
        if (r < 0)
                return r;
        (void)fprintf(file, "hook       %s\n",
                      status->parts.hook_is_live        ? "live"
                      : status->parts.hook_is_installed ? "installed, not called yet"
                                                        : "not installed");
        (void)fprintf(file, "boot step  %s\n", boot_text(status));
        put_reconcile(status, flags, file);
        put_refused(status, flags, file);
        r = put_findings(status, flags, VFIOCTL_REFUSAL, "Problems:", file);
        if (r >= 0)
                r = put_findings(status, flags, VFIOCTL_WARNING, "Remarks:", file);
        if (r >= 0)
                r = put_findings(status, flags, VFIOCTL_NOTE, "Not seen:", file);
        if (r >= 0 && !vfioctl_findings_have_refusal(status->findings))
                heading(file, flags, GREEN, "no problems");
        return r;
}

int status_text(const struct status *status, unsigned int flags, char **ret)
{
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *file = open_memstream(&text, &size);

        if (!file)
                return -ENOMEM;
        int r = compose(status, flags, file);
        bool failed = ferror(file);
        if (fclose(file) == EOF || failed)
                r = -ENOMEM;
        if (r >= 0)
                *ret = util_steal(text);
        return r;
}
