/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LIBVFIOCTL_VIRT_H
#define LIBVFIOCTL_VIRT_H

/**
 * libvfioctl-virt: GPUs in libvirt's domain definitions.
 *
 * A library of its own because it loads libxml2, which a change of mode must not (it costs more than the
 * whole rest). The first half, vfioctl_domain_*(), is pure: text in, text out. The second, vfioctl_virt_*(),
 * is the only code that talks to libvirt; it loads libvirt with the first vfioctl_virt_open(), so that a hook
 * can use the first half with no libvirt in its process.
 */

#include <libvfioctl-placement.h>
#include <libvfioctl.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vfioctl_domain;
struct vfioctl_virt;

/* ---- domain XML, pure ---------------------------------------------------------------------------- */

/** The namespace of our one element below <metadata>. Since 0.1. */
#define VFIOCTL_DOMAIN_NAMESPACE "urn:vfioctl:domain:1"

/**
 * Parses a libvirt domain definition: UTF-8 whatever it declares, no network, no entities, at most 10 MiB.
 * Errors: -EINVAL when it is no well-formed <domain> with a name, -E2BIG, -ENOMEM; the parser's reason
 * goes to *ret_error when that is not NULL (the caller's to free). A DOCTYPE is refused. Since 0.1.
 */
int vfioctl_domain_parse(const char *xml, size_t size, struct vfioctl_domain **ret, char **ret_error);
struct vfioctl_domain *vfioctl_domain_free(struct vfioctl_domain *domain);
/** The whole document as text, the caller's to free. What was not edited is as it was. Since 0.1. */
int vfioctl_domain_format(const struct vfioctl_domain *domain, char **ret);

const char *vfioctl_domain_name(const struct vfioctl_domain *domain);
/** The UUID, or NULL when the document has none. Since 0.1. */
const char *vfioctl_domain_uuid(const struct vfioctl_domain *domain);

/**
 * The host NUMA node that the VM is bound to: <numatune><memory nodeset=...>, when it names exactly one;
 * else -1. Since 0.1.
 */
int vfioctl_domain_numa_node(const struct vfioctl_domain *domain);

/**
 * The huge pages that the VM's memory is made of (<memoryBacking><hugepages>), or NULL: none, or pages of
 * several sizes. Since 0.1.
 */
const struct vfioctl_hugepages *vfioctl_domain_hugepages(const struct vfioctl_domain *domain);

/**
 * What the VM takes of the host's processors and memory. `ret->pinned` is *ret_pinned, the caller's to free;
 * both NULL: its vCPUs are not pinned. -ENOMEM. Since 0.1.
 */
int vfioctl_domain_share(const struct vfioctl_domain *domain, struct vfioctl_vm_share *ret,
                         char **ret_pinned);

/**
 * The PCI functions that the definition passes through. Addresses from here are good until the definition is
 * edited. Since 0.1.
 */
size_t vfioctl_domain_hostdev_count(const struct vfioctl_domain *domain);
/** Host address of hostdev `index`. Since 0.1. */
const struct vfioctl_address *vfioctl_domain_hostdev(const struct vfioctl_domain *domain, size_t index);
/** Guest address of hostdev `index`, or NULL when the definition leaves it to libvirt. Since 0.1. */
const struct vfioctl_address *vfioctl_domain_hostdev_guest(const struct vfioctl_domain *domain, size_t index);

/** Bridges above a device of a guest, at most. Since 0.1. */
#define VFIOCTL_GUEST_PATH_MAX 16
/** Where a device is for the guest's firmware and kernel, which number buses by themselves. Since 0.1. */
struct vfioctl_guest_place {
        struct vfioctl_address address;
        size_t n_path;
        struct vfioctl_address path[VFIOCTL_GUEST_PATH_MAX]; /**< the bridges above, the root's side first */
};
/**
 * Where the guest will see hostdev `index`, from the addresses of all PCI controllers. -ENODATA: libvirt has
 * not placed it, or some controller, yet (a definition that libvirt gave is placed). -EINVAL: no such
 * hostdev, or it is on a bus that the definition lacks; -ELOOP: bridges in a circle, or too many. -ENOMEM.
 * Since 0.1.
 */
int vfioctl_domain_hostdev_place(const struct vfioctl_domain *domain, size_t index,
                                 struct vfioctl_guest_place *ret);

/** What a definition says of its guest; `os` is good until the definition is edited. Since 0.1. */
struct vfioctl_guest_facts {
        const char *os;        /**< ID in libosinfo's database ("http://microsoft.com/win/11"), or NULL */
        bool has_display;      /**< an emulated one, besides GPUs */
        bool has_uefi;         /**< */
        bool has_secure_boot;  /**< asked for */
        bool hides_kvm;        /**< <kvm><hidden state='on'/> */
        bool hides_hypervisor; /**< the CPU feature of that name is off */
};
struct vfioctl_guest_facts vfioctl_domain_guest_facts(const struct vfioctl_domain *domain);

/** True when our metadata says that we added hostdev `index`, edited or not. Since 0.1. */
bool vfioctl_domain_hostdev_is_ours(const struct vfioctl_domain *domain, size_t index);

/** A GPU to add to a definition. Since 0.1. */
struct vfioctl_domain_gpu {
        const char *name;                        /**< short name, for a person who reads the XML */
        const char *identity;                    /**< vfioctl_gpu_identity() */
        const struct vfioctl_address *functions; /**< the GPU first, then its companions */
        size_t n_functions;                      /**< 1 to 8 */
};

/**
 * Adds hostdevs (managed='yes') for all functions of the GPU, as functions of one guest slot on a
 * pcie-root-port of its own, and the metadata element. The port is one that we added before and that is free
 * again, or a new one at the next free index. A machine without PCIe (i440fx) gets a free slot of its PCI bus
 * instead.
 * Errors: -EEXIST when the definition already passes one of the functions through, -ENOSPC when the guest
 * has no free port or slot, -EINVAL for no or too many functions, one named twice, or a name or identity that
 * is no line of UTF-8, -ENOMEM. The definition is unchanged then. Since 0.1.
 */
int vfioctl_domain_add_gpu(struct vfioctl_domain *domain, const struct vfioctl_domain_gpu *gpu);

/**
 * Takes out every hostdev of these host addresses, the metadata about them, and the ports that we added
 * for them and that are the last ones by now (libvirt fills a gap with ports of its own); one that is not
 * goes with the removal that makes it the last. Adding and then removing leaves the document as it was.
 * Returns how many hostdevs were removed, or -ENOMEM with the definition unchanged. Since 0.1.
 */
int vfioctl_domain_remove_gpu(struct vfioctl_domain *domain, const struct vfioctl_address *functions,
                              size_t n_functions);

/**
 * A GPU that our metadata records, as it was when it was assigned or last moved. What it points to is good
 * until the definition is edited. Since 0.1.
 */
struct vfioctl_domain_entry {
        const char *name;                        /**< short name of then; "" when the metadata lacks it */
        const char *identity;                    /**< vfioctl_gpu_identity() of then; "" as above */
        const struct vfioctl_address *functions; /**< the GPU first, then its companions */
        size_t n_functions;                      /**< 1 to 8, or 0 when the metadata is damaged there */
        /**
         * Somebody edited it by hand: the definition does not have exactly one hostdev at each of the
         * addresses, a later entry names one of them too, or the metadata is damaged (an attribute is
         * missing, or says what we do not write). An entry that is edited is left alone.
         */
        bool is_edited;
};

/** How many GPUs our metadata records; 0 without any. Since 0.1. */
size_t vfioctl_domain_gpu_count(const struct vfioctl_domain *domain);
/** Entry `index`, in the order of the metadata, or NULL. Since 0.1. */
const struct vfioctl_domain_entry *vfioctl_domain_gpu_entry(const struct vfioctl_domain *domain,
                                                            size_t index);

/** New addresses for the GPU of one entry. Since 0.1. */
struct vfioctl_domain_move {
        size_t index;                            /**< as in vfioctl_domain_gpu_entry() */
        const struct vfioctl_address *functions; /**< the GPU first, then its companions */
        size_t n_functions;                      /**< 1 to 8; more or fewer than the entry has is fine */
};

/**
 * Writes new host addresses into the hostdevs and the metadata of these entries, all at once: one may get
 * what another one has. The GPU stays the first function; a companion is the one of the same function number,
 * or else the next one left. One that is new is added behind as a further function of the GPU's guest slot,
 * one that is gone is removed. All else stays to the byte: guest addresses, ports, comments, the order. A
 * record of which nothing is left, and that names one of the new addresses, is dropped, as by an add. Errors:
 * -EINVAL when there is no such entry, it is edited, or it is named twice, and for no or too many functions,
 * or one named twice; -EEXIST when one of the addresses is passed through, or recorded, by what does not
 * move; -ENOSPC when the guest slot has no function left; -ENOMEM. The definition is unchanged then. Since
 * 0.1.
 */
int vfioctl_domain_move_gpus(struct vfioctl_domain *domain, const struct vfioctl_domain_move *moves,
                             size_t n);

/* ---- a VM that is made, or brought up to standard; pure -------------------------------------------- */

/** What runs in a VM. Since 0.1. */
enum vfioctl_guest { VFIOCTL_GUEST_OTHER, VFIOCTL_GUEST_LINUX, VFIOCTL_GUEST_WINDOWS };
/**
 * It is told by <libosinfo:os id=...> of the metadata, as virt-install writes it; without that, a VM with
 * Hyper-V's features is a Windows. Else, and for other systems: OTHER. Since 0.1.
 */
enum vfioctl_guest vfioctl_domain_guest(const struct vfioctl_domain *domain);

/** A display besides the GPU. Since 0.1. */
enum vfioctl_display {
        VFIOCTL_DISPLAY_KEEP,   /**< as it is */
        VFIOCTL_DISPLAY_NONE,   /**< the GPU only */
        VFIOCTL_DISPLAY_RESCUE, /**< virtio, on a local socket, to install and repair */
};

/** What a VM with GPUs is to be like. Since 0.1. */
struct vfioctl_tuning {
        bool kvm; /**< for a type that is neither kvm nor qemu: not emulated, which knows no host-passthrough
                   */
        enum vfioctl_guest guest; /**< what runs in it, noted in the metadata; OTHER: what that says */
        unsigned int vcpus;       /**< 0: as they are */
        uint64_t memory;          /**< KiB; 0: as it is */
        /** For as many vCPUs as it will have; NULL: no pins, nodes or huge pages are touched. */
        const struct vfioctl_place *place;
        bool keeps_pages; /**< huge pages stay as they are, whatever the place says */
        enum vfioctl_display display;
        uint64_t large_bars;      /**< what 64-bit BARs of all its GPUs take: vfioctl_gpu_bar_room() */
        bool hides_kvm;           /**< a driver of the guest wants no hypervisor: NVIDIA's before R465 */
        bool keeps_hypervisor;    /**< one asks for it: AMD's. An earlier "off" is taken away */
        bool topoext;             /**< the host is AMD's: siblings need that CPU feature said */
        bool refuses_secure_boot; /**< a driver for Windows is not signed: told where the firmware wants that
                                   */
        const char *rom;          /**< "on", "off" for <rom bar=...> of its GPUs; NULL: as it is */
        bool has_audio;           /**< a GPU brings a sound card: emulated ones are no use */
};

/**
 * Brings a definition to the standard that `tuning` describes: cputune, numatune, huge pages, cpu, features,
 * clock, pm, rom, memballoon, iothreads of virtio disks, the 64-bit window, and the display as far as that is
 * asked for. What it does not own stays to the byte; done twice, the second time changes nothing. What stands
 * in the way (several guest NUMA cells, i440fx, ...) stays, and is told as a note in `findings` (may be
 * NULL). -EPERM and a refusal "guest-cells" when vCPUs or memory cannot be changed; -EINVAL for a place of
 * another number of vCPUs, or a number of vCPUs in the definition that cannot be read; -ENOMEM. The
 * definition is unchanged then. Since 0.1.
 */
int vfioctl_domain_tune(struct vfioctl_domain *domain, const struct vfioctl_tuning *tuning,
                        struct vfioctl_findings *findings);

/* ---- libvirt ------------------------------------------------------------------------------------- */

/*
 * No call waits for ever: after 10 s for a connection, 15 s for a report, 30 s for a change a daemon that
 * does not answer is given up. That is "libvirt-unreachable" for an open, else -EIO and "libvirt-failed", and
 * every further call with this connection fails so at once. A change that was given up may still happen.
 */

/**
 * Connects. `uri` NULL means qemu:///system. `read_only` for reports. When libvirt cannot be reached, or is
 * not installed: -ENOTCONN and a refusal "libvirt-unreachable" that names the URI and libvirt's reason. Sets
 * libvirt's error function of the process (virSetErrorFunc) to a silent one: libvirt prints to stderr
 * otherwise. Since 0.1.
 */
int vfioctl_virt_open(const char *uri, bool read_only, struct vfioctl_findings *findings,
                      struct vfioctl_virt **ret);
struct vfioctl_virt *vfioctl_virt_free(struct vfioctl_virt *virt);

/**
 * The same for a program that nobody looks at: this call and all further ones with the connection get
 * `milliseconds` together, and no call more than it gets anyway; 0 is no such limit. When they are used up,
 * what follows fails like a call that got no answer, and is not even begun. Since 0.1.
 */
int vfioctl_virt_open_within(const char *uri, bool read_only, unsigned int milliseconds,
                             struct vfioctl_findings *findings, struct vfioctl_virt **ret);

/**
 * Gives all further calls `milliseconds` together, from now on and whatever there was before; 0 takes the
 * limit away. A connection that did not answer stays given up. Since 0.1.
 */
void vfioctl_virt_set_deadline(struct vfioctl_virt *virt, unsigned int milliseconds);

/**
 * Every VM, ordered by UUID, with its flags, with the PCI functions that its definition and its running
 * instance name, and with the assignments that our metadata in the definition records. A transient VM has no
 * definition: of it only the instance counts. The share of processors and memory is noted of VMs that run,
 * have a device, or are pinned. Only what names devices or processors is parsed; a text that cannot be gives
 * a warning "vm-unreadable". -EIO and a refusal "libvirt-failed" when libvirt fails. Since 0.1.
 */
int vfioctl_virt_list(struct vfioctl_virt *virt, struct vfioctl_findings *findings, struct vfioctl_vms **ret);

/**
 * Reads the inactive definition of the VM called `name` (or with this UUID), with its secrets.
 * Refusals (-EPERM): "vm-unknown", "vm-transient", "vm-managed-save"; each names the VM and the way out.
 * Other errors: -EIO with finding "libvirt-failed". `*ret_xml` (may be NULL) gets libvirt's own text, the
 * caller's to free. Since 0.1.
 */
int vfioctl_virt_read(struct vfioctl_virt *virt, const char *name, struct vfioctl_findings *findings,
                      struct vfioctl_domain **ret, char **ret_xml);

/**
 * The same for a report, with a connection that only reads: without secrets, and of any VM, transient or with
 * a managed save. "vm-unknown" is the only refusal. Since 0.1.
 */
int vfioctl_virt_look(struct vfioctl_virt *virt, const char *name, struct vfioctl_findings *findings,
                      struct vfioctl_domain **ret);

/**
 * Replaces the definition of VM `name` by `new_xml`, if it still reads `old_xml` (the text that
 * vfioctl_virt_read() gave): else -ESTALE and a refusal "vm-changed". A running VM goes on as it is.
 * Refusals (-EPERM): "vm-unknown", "vm-transient"; a managed save does not hinder it, so that an old
 * definition can be put back.
 * `*ret_now` (may be NULL) gets the definition as libvirt has it afterwards, the caller's to free: pass it as
 * `old_xml` to put the old definition back. -EIO and a finding "libvirt-failed" when libvirt refuses. Since
 * 0.1.
 */
int vfioctl_virt_define(struct vfioctl_virt *virt, const char *name, const char *old_xml, const char *new_xml,
                        struct vfioctl_findings *findings, char **ret_now);

/**
 * Starts VM `name` (or with this UUID), as `virsh start` does: with a managed save it goes on from there. 0
 * also when it runs already. Refusals: "vm-unknown" (-EPERM); -EIO and "libvirt-failed" with libvirt's
 * reason, which may be that of a hook. A start that was given up for its deadline may still happen. Since
 * 0.1.
 */
int vfioctl_virt_start(struct vfioctl_virt *virt, const char *name, struct vfioctl_findings *findings);

/**
 * Starts a VM that has no definition but this one: nothing of it is left when it has ended, and it ends with
 * the connection at the latest. -EIO and "libvirt-failed" with libvirt's reason; a start that was given up
 * for its deadline may still happen. Since 0.1.
 */
int vfioctl_virt_create(struct vfioctl_virt *virt, const struct vfioctl_domain *domain,
                        struct vfioctl_findings *findings);
/** Ends VM `name` (or with this UUID) at once, as pulling its plug; 0 also when it has ended. Errors as
 * above. Since 0.1. */
int vfioctl_virt_destroy(struct vfioctl_virt *virt, const char *name, struct vfioctl_findings *findings);

/** Versions of libvirt and of its hypervisor, as major * 1000000 + minor * 1000 + release. Since 0.1. */
int vfioctl_virt_versions(struct vfioctl_virt *virt, struct vfioctl_findings *findings,
                          unsigned long *ret_libvirt, unsigned long *ret_hypervisor);

#ifdef __cplusplus
}
#endif

#include "libvfioctl-make.h"

#endif
