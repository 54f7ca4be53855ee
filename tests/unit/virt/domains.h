/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_TEST_VIRT_DOMAINS_H
#define VFIOCTL_TEST_VIRT_DOMAINS_H

/* Definitions to test with, and short forms of the calls on them. */

#include "harness.h"

#define DOMAIN(content)  "<domain><name>n</name>" content "</domain>"
#define DEVICES(content) DOMAIN("<devices>" content "</devices>")
#define HOSTDEV(address)                                                                                     \
        "<hostdev mode='subsystem' type='pci' managed='no'><source><address " address "/></source></"        \
        "hostdev>"

static const char *const documents[] = {"q35.xml",     "i440fx.xml", "foreign.xml",
                                        "compact.xml", "empty.xml",  "dos.xml"};

DEFINE_CLEANUP(struct vfioctl_domain, vfioctl_domain_free)
#define _cleanup_domain_ _cleanup_(vfioctl_domain_freep)

static inline struct vfioctl_domain *parse(const char *xml)
{
        struct vfioctl_domain *domain = NULL;
        char *error = NULL;

        if (vfioctl_domain_parse(xml, strlen(xml), &domain, &error) < 0)
                fail_msg("%s: %s", error, xml);
        return domain;
}

static inline char *format(const struct vfioctl_domain *domain)
{
        char *text = NULL;

        assert_int_equal(vfioctl_domain_format(domain, &text), 0);
        return text;
}

static inline void assert_formats(const struct vfioctl_domain *domain, const char *expected)
{
        _cleanup_free_ char *text = format(domain);

        assert_string_equal(text, expected);
}

static inline struct vfioctl_address address(const char *text)
{
        struct vfioctl_address parsed;

        assert_int_equal(vfioctl_address_parse(text, &parsed), 0);
        return parsed;
}

static const struct vfioctl_address gpus[][2] = {
        {{.bus = 0x06}, {.bus = 0x06, .function = 1}},
        {{.domain = 0x10000, .bus = 0xe1, .device = 3},
         {.domain = 0x10000, .bus = 0xe1, .device = 3, .function = 7}},
        {{.bus = 0xff, .device = 0x1f}, {.bus = 0xff, .device = 0x1f, .function = 1}},
};

static inline int add(struct vfioctl_domain *domain, size_t gpu, size_t n_functions)
{
        return vfioctl_domain_add_gpu(domain, &(struct vfioctl_domain_gpu){
                                                      .name = "2a",
                                                      .identity = "pci0000:00/<&\"'>/1.0",
                                                      .functions = gpus[gpu],
                                                      .n_functions = n_functions,
                                              });
}

static inline int take(struct vfioctl_domain *domain, size_t gpu)
{
        return vfioctl_domain_remove_gpu(domain, gpus[gpu], 2);
}

static inline bool contains(const struct vfioctl_domain *domain, const char *part)
{
        _cleanup_free_ char *text = format(domain);

        return strstr(text, part) != NULL;
}

#endif
