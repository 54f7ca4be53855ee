/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_CLI_VIRT_H
#define VFIOCTL_CLI_VIRT_H

#include <libvfioctl-virt.h>

#include "cli.h"

/*
 * libvfioctl-virt, loaded when a verb needs it: it brings libxml2, and libvirt with the first connection,
 * which cost more than everything else that this program does.
 */
struct virt_calls {
        void *library;
        __typeof__(vfioctl_virt_open) *open;
        __typeof__(vfioctl_virt_open_within) *open_within;
        __typeof__(vfioctl_virt_set_deadline) *set_deadline;
        __typeof__(vfioctl_virt_free) *free;
        __typeof__(vfioctl_virt_list) *list;
        __typeof__(vfioctl_virt_read) *read;
        __typeof__(vfioctl_virt_look) *look;
        __typeof__(vfioctl_virt_define) *define;
        __typeof__(vfioctl_virt_start) *start;
        __typeof__(vfioctl_virt_create) *create;
        __typeof__(vfioctl_virt_destroy) *destroy;
        __typeof__(vfioctl_virt_versions) *versions;
        __typeof__(vfioctl_domain_parse) *domain_parse;
        __typeof__(vfioctl_domain_free) *domain_free;
        __typeof__(vfioctl_domain_format) *domain_format;
        __typeof__(vfioctl_domain_name) *domain_name;
        __typeof__(vfioctl_domain_uuid) *domain_uuid;
        __typeof__(vfioctl_domain_numa_node) *domain_numa_node;
        __typeof__(vfioctl_domain_guest) *domain_guest;
        __typeof__(vfioctl_domain_share) *domain_share;
        __typeof__(vfioctl_domain_hugepages) *domain_hugepages;
        __typeof__(vfioctl_domain_tune) *domain_tune;
        __typeof__(vfioctl_domain_hostdev_count) *hostdev_count;
        __typeof__(vfioctl_domain_hostdev) *hostdev;
        __typeof__(vfioctl_domain_hostdev_place) *hostdev_place;
        __typeof__(vfioctl_domain_guest_facts) *guest_facts;
        __typeof__(vfioctl_domain_hostdev_is_ours) *hostdev_is_ours;
        __typeof__(vfioctl_domain_add_gpu) *add_gpu;
        __typeof__(vfioctl_domain_remove_gpu) *remove_gpu;
        __typeof__(vfioctl_domain_gpu_count) *gpu_count;
        __typeof__(vfioctl_domain_gpu_entry) *gpu_entry;
        __typeof__(vfioctl_domain_move_gpus) *move_gpus;
        __typeof__(vfioctl_domain_check_template) *check_template;
        __typeof__(vfioctl_domain_summary) *domain_summary;
        __typeof__(vfioctl_domain_network) *domain_network;
        __typeof__(vfioctl_domain_is_name) *is_vm_name;
        __typeof__(vfioctl_domain_is_path) *is_path;
        __typeof__(vfioctl_shared_memory) *shared_memory;
        __typeof__(vfioctl_domain_make) *domain_make;
        __typeof__(vfioctl_virt_define_new) *define_new;
        __typeof__(vfioctl_virt_undefine) *undefine;
        __typeof__(vfioctl_virt_disk_user) *disk_user;
        __typeof__(vfioctl_virt_find_network) *find_network;
};

/* Complains and returns a negative errno when the library is not there. */
int virt_load(struct virt_calls *ret);

/* The URI to use, or NULL for libvirt's system instance. */
const char *virt_uri(const struct cli *cli);

/*
 * The VMs, by a connection that only reads. A simulated host has no libvirt unless --connect or its
 * configuration names one: then *ret stays as it is. -ELIBACC, said, when the library is not there.
 */
int virt_ask(const struct cli *cli, struct vfioctl_findings *findings, struct vfioctl_vms **ret);

/*
 * The VMs for a report. A simulated host has no libvirt unless --connect or its configuration names one. When
 * libvirt cannot be asked, says so once, leaves *ret NULL and returns 0; with --connect that is an error.
 * Returns an exit code.
 */
int virt_report(struct cli *cli, struct vfioctl_vms **ret);

#endif
