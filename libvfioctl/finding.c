/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "finding.h"
#include "util.h"

/* A finding and its text are one allocation, so that the pointers of the public struct stay valid. */
struct vfioctl_findings {
        struct vfioctl_finding **items;
        size_t count;
        size_t allocated;
};

VFIOCTL_EXPORT const char *vfioctl_severity_name(enum vfioctl_severity severity)
{
        switch (severity) {
        case VFIOCTL_REFUSAL:
                return "refusal";
        case VFIOCTL_WARNING:
                return "warning";
        case VFIOCTL_NOTE:
                return "note";
        }
        return "note";
}

VFIOCTL_EXPORT int vfioctl_findings_new(struct vfioctl_findings **ret)
{
        struct vfioctl_findings *findings = calloc(1, sizeof(*findings));
        if (!findings)
                return -ENOMEM;
        *ret = findings;
        return 0;
}

VFIOCTL_EXPORT struct vfioctl_findings *vfioctl_findings_free(struct vfioctl_findings *findings)
{
        if (!findings)
                return NULL;
        for (size_t i = 0; i < findings->count; i++)
                free(findings->items[i]);
        free(findings->items);
        free(findings);
        return NULL;
}

static bool finding_equal(const struct vfioctl_finding *a, const struct vfioctl_finding *b)
{
        return a->severity == b->severity && util_equal(a->code, b->code) && util_equal(a->gpu, b->gpu) &&
               util_equal(a->culprit, b->culprit) && util_equal(a->text, b->text) &&
               util_equal(a->fix, b->fix);
}

static size_t text_size(const char *text)
{
        return text ? strlen(text) + 1 : 0;
}

static const char *put_text(char **at, const char *text)
{
        if (!text)
                return NULL;
        char *copy = *at;
        size_t size = text_size(text);
        memcpy(copy, text, size);
        *at += size;
        return copy;
}

VFIOCTL_EXPORT int vfioctl_findings_add(struct vfioctl_findings *findings,
                                        const struct vfioctl_finding *finding)
{
        for (size_t i = 0; i < findings->count; i++)
                if (finding_equal(findings->items[i], finding))
                        return 0;

        int r = util_grow(&findings->items, &findings->allocated, findings->count + 1,
                          sizeof(*findings->items));
        if (r < 0)
                return r;
        size_t size = sizeof(*finding) + text_size(finding->code) + text_size(finding->gpu) +
                      text_size(finding->culprit) + text_size(finding->text) + text_size(finding->fix);
        struct vfioctl_finding *copy = malloc(size);
        if (!copy)
                return -ENOMEM;
        char *at = (char *)(copy + 1);
        copy->severity = finding->severity;
        copy->code = put_text(&at, finding->code);
        copy->gpu = put_text(&at, finding->gpu);
        copy->culprit = put_text(&at, finding->culprit);
        copy->text = put_text(&at, finding->text);
        copy->fix = put_text(&at, finding->fix);
        findings->items[findings->count++] = copy;
        return 0;
}

int finding_addf(struct vfioctl_findings *findings, struct vfioctl_finding finding, const char *format, ...)
{
        _cleanup_free_ char *text = NULL;
        va_list arguments;

        va_start(arguments, format);
        int r = vasprintf(&text, format, arguments);
        va_end(arguments);
        if (r < 0) {
                text = NULL;
                return -ENOMEM;
        }
        finding.text = text;
        return vfioctl_findings_add(findings, &finding);
}

int findings_merge(struct vfioctl_findings *into, const struct vfioctl_findings *from)
{
        for (size_t i = 0; i < from->count; i++) {
                int r = vfioctl_findings_add(into, from->items[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

VFIOCTL_EXPORT size_t vfioctl_findings_count(const struct vfioctl_findings *findings)
{
        return findings->count;
}

VFIOCTL_EXPORT const struct vfioctl_finding *vfioctl_findings_get(const struct vfioctl_findings *findings,
                                                                  size_t index)
{
        return index < findings->count ? findings->items[index] : NULL;
}

VFIOCTL_EXPORT bool vfioctl_findings_have_refusal(const struct vfioctl_findings *findings)
{
        for (size_t i = 0; i < findings->count; i++)
                if (findings->items[i]->severity == VFIOCTL_REFUSAL)
                        return true;
        return false;
}
