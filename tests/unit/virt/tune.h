/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_TEST_VIRT_TUNE_H
#define VFIOCTL_TEST_VIRT_TUNE_H

/* Definitions that are tuned, and short forms of it. */

#include "domains.h"

static const char *const samples[] = {"virt-install.xml", "by-hand.xml", "cells.xml", "q35.xml", "i440fx.xml",
                                      "foreign.xml",      "compact.xml", "empty.xml", "dos.xml"};

static const char *const cpus[] = {"1", "29", "2", "30", "3", "31", "4", "32"};

static inline struct vfioctl_vm_share share_of(const struct vfioctl_domain *domain)
{
        struct vfioctl_vm_share share;
        char *pinned = NULL;

        assert_int_equal(vfioctl_domain_share(domain, &share, &pinned), 0);
        free(pinned);
        share.pinned = NULL;
        return share;
}

static inline unsigned int vcpus_of(const struct vfioctl_domain *domain)
{
        return share_of(domain).vcpus;
}

static inline uint64_t memory_of(const struct vfioctl_domain *domain)
{
        return share_of(domain).memory;
}

static inline struct vfioctl_place place_for(const struct vfioctl_domain *domain)
{
        unsigned int count = vcpus_of(domain);

        assert_true(count > 0 && count <= ELEMENTSOF(cpus));
        return (struct vfioctl_place){.node = 0,
                                      .is_exclusive = true,
                                      .is_strict = true,
                                      .threads = count % 2 ? 1 : 2,
                                      .n_vcpus = count,
                                      .vcpus = cpus,
                                      .services = "0,28",
                                      .nodes = "0",
                                      .page = 1 << 20};
}

static const struct vfioctl_tuning whole = {.kvm = true,
                                            .guest = VFIOCTL_GUEST_WINDOWS,
                                            .large_bars = 48ull << 30,
                                            .hides_kvm = true,
                                            .keeps_hypervisor = true,
                                            .topoext = true,
                                            .rom = "off",
                                            .has_audio = true};

static inline void tune(struct vfioctl_domain *domain, const struct vfioctl_tuning *tuning)
{
        assert_int_equal(vfioctl_domain_tune(domain, tuning, NULL), 0);
}

/* With a place for as many vCPUs as it has. */
static inline void tune_at(struct vfioctl_domain *domain, const struct vfioctl_tuning *tuning)
{
        const struct vfioctl_place place = place_for(domain);
        struct vfioctl_tuning at = *tuning;

        at.place = &place;
        tune(domain, &at);
}

/* The codes of what is found. */
static inline char *tune_finds(struct vfioctl_domain *domain, const struct vfioctl_tuning *tuning,
                               int expected)
{
        struct vfioctl_findings *findings;
        char *codes = calloc(1, 256);

        assert_non_null(codes);
        assert_int_equal(vfioctl_findings_new(&findings), 0);
        assert_int_equal(vfioctl_domain_tune(domain, tuning, findings), expected);
        for (size_t i = 0; i < vfioctl_findings_count(findings); i++) {
                const struct vfioctl_finding *finding = vfioctl_findings_get(findings, i);
                if (i > 0)
                        strcat(codes, " ");
                strcat(codes, finding->code);
                assert_true(finding->severity == VFIOCTL_NOTE || expected < 0);
                assert_string_equal(finding->culprit, vfioctl_domain_name(domain));
        }
        vfioctl_findings_free(findings);
        return codes;
}

#endif
