/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <libvirt/libvirt.h>
#include <time.h>
#include <unistd.h>

#include "libvfioctl-virt.h"
#include "util.h"

/*
 * usage: bench-vms [VMS [GPUS [NTH]]]
 *
 * VMs in libvirt's test driver, the first GPUS of them with a GPU of ours, every NTH running (8). In turn: a
 * bare loop of virConnectListAllDomains() and virDomainGetXMLDesc(), and vfioctl_virt_list(). Prints the
 * medians, their ratio, and the peak of the process's memory, which has the VMs themselves in it.
 */

#define ROUNDS 15

#define CHECK(condition)                                                                                     \
        do {                                                                                                 \
                if (!(condition)) {                                                                          \
                        fprintf(stderr, "%s:%d: %s failed\n", __FILE__, __LINE__, #condition);               \
                        exit(1);                                                                             \
                }                                                                                            \
        } while (0)

static const char template[] =
        "<domain type='test'>\n"
        "  <name>vm%u</name>\n"
        "  <uuid>00000000-0000-4000-8000-%012u</uuid>\n"
        "  <memory unit='KiB'>1024</memory>\n"
        "  <vcpu placement='static'>2</vcpu>\n"
        "  <os><type arch='i686' machine='pc'>hvm</type><boot dev='hd'/></os>\n"
        "  <features><acpi/><apic/></features>\n"
        "  <clock offset='utc'><timer name='rtc' tickpolicy='catchup'/><timer name='hpet' "
        "present='no'/></clock>\n"
        "  <devices>\n"
        "    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source "
        "file='/var/lib/vm%u.img'/>"
        "<target dev='vda' bus='virtio'/></disk>\n"
        "    <disk type='block' device='disk'><driver name='qemu' type='raw' cache='none'/>"
        "<source dev='/dev/vg/vm%u'/><target dev='vdb' bus='virtio'/></disk>\n"
        "    <interface type='network'><mac address='52:54:00:%02x:%02x:01'/><source network='default'/>"
        "<model type='virtio'/></interface>\n"
        "    <interface type='bridge'><mac address='52:54:00:%02x:%02x:02'/><source bridge='br0'/>"
        "<model type='virtio'/></interface>\n"
        "    <serial type='pty'><target port='0'/></serial>\n"
        "    <console type='pty'><target type='serial' port='0'/></console>\n"
        "    <graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1'/>\n"
        "    <video><model type='vga' vram='16384' heads='1'/></video>\n"
        "  </devices>\n"
        "</domain>\n";

static char *definition(unsigned int i, bool has_gpu)
{
        struct vfioctl_domain *domain = NULL;
        char *xml = NULL, *with = NULL, name[16];

        CHECK(util_format(&xml, template, i, i, i, i, i >> 8, i & 255, i >> 8, i & 255) == 0);
        if (!has_gpu)
                return xml;
        const struct vfioctl_address functions[] = {{.bus = (uint8_t)(i % 250 + 1)},
                                                    {.bus = (uint8_t)(i % 250 + 1), .function = 1}};
        (void)snprintf(name, sizeof(name), "%ua", i);
        CHECK(vfioctl_domain_parse(xml, strlen(xml), &domain, NULL) == 0);
        CHECK(vfioctl_domain_add_gpu(domain, &(struct vfioctl_domain_gpu){
                                                     name, "0000 \\_SB_.PC00/0 02.0/00.0 1002:6864 1002:0c00",
                                                     functions, 2}) == 0);
        CHECK(vfioctl_domain_format(domain, &with) == 0);
        (void)vfioctl_domain_free(domain);
        free(xml);
        return with;
}

static void define_all(virConnectPtr connection, unsigned int n_vms, unsigned int n_gpus, unsigned int nth)
{
        for (unsigned int i = 0; i < n_vms; i++) {
                char *xml = definition(i, i < n_gpus);
                virDomainPtr domain = virDomainDefineXML(connection, xml);
                CHECK(domain);
                CHECK(i % nth != 0 || virDomainCreate(domain) == 0);
                (void)virDomainFree(domain);
                free(xml);
        }
}

static size_t bare(virConnectPtr connection)
{
        virDomainPtr *domains = NULL;
        size_t size = 0;

        int count = virConnectListAllDomains(connection, &domains, 0);
        CHECK(count >= 0);
        for (int i = 0; i < count; i++) {
                char *xml = virDomainGetXMLDesc(domains[i], VIR_DOMAIN_XML_INACTIVE);
                CHECK(xml);
                size += strlen(xml);
                free(xml);
                (void)virDomainFree(domains[i]);
        }
        free(domains);
        return size;
}

/* One list; how many assignments there are. */
static size_t ours(struct vfioctl_virt *virt)
{
        struct vfioctl_findings *findings = NULL;
        struct vfioctl_vms *vms = NULL;
        size_t count = 0;

        CHECK(vfioctl_findings_new(&findings) == 0);
        CHECK(vfioctl_virt_list(virt, findings, &vms) == 0 && vfioctl_findings_count(findings) == 0);
        for (size_t i = 0; i < vfioctl_vms_count(vms); i++)
                count += vfioctl_vms_assignment_count(vms, i);
        (void)vfioctl_vms_free(vms);
        (void)vfioctl_findings_free(findings);
        return count;
}

static double now(void)
{
        struct timespec time;

        (void)clock_gettime(CLOCK_MONOTONIC, &time);
        return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static int compare(const void *a, const void *b)
{
        return *(const double *)a < *(const double *)b ? -1 : *(const double *)a > *(const double *)b;
}

static double median(double *times)
{
        qsort(times, ROUNDS, sizeof(*times), compare);
        return times[ROUNDS / 2];
}

/* A field of /proc/self/status, in KiB. */
static long memory(const char *field)
{
        char line[256];
        long value = -1;
        FILE *file = fopen("/proc/self/status", "re");

        CHECK(file);
        while (fgets(line, sizeof(line), file))
                if (util_has_prefix(line, field))
                        value = strtol(line + strlen(field) + 1, NULL, 10);
        (void)fclose(file);
        return value;
}

int main(int argc, char **argv)
{
        unsigned int n_vms = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 10) : 1000;
        unsigned int n_gpus = argc > 2 ? (unsigned int)strtoul(argv[2], NULL, 10) : 64;
        unsigned int nth = argc > 3 ? (unsigned int)strtoul(argv[3], NULL, 10) : 8;
        double bare_times[ROUNDS], our_times[ROUNDS];
        struct vfioctl_findings *findings = NULL;
        struct vfioctl_virt *virt = NULL;

        CHECK(nth > 0);
        long empty = memory("VmRSS");
        virConnectPtr connection = virConnectOpen("test:///default");
        CHECK(connection);
        define_all(connection, n_vms, n_gpus, nth);
        CHECK(vfioctl_findings_new(&findings) == 0);
        CHECK(vfioctl_virt_open("test:///default", true, findings, &virt) == 0);
        long defined = memory("VmRSS");
        size_t size = bare(connection);
        for (size_t i = 0; i < ROUNDS; i++) {
                double start = now();
                CHECK(bare(connection) == size);
                double between = now();
                CHECK(ours(virt) == n_gpus);
                bare_times[i] = between - start;
                our_times[i] = now() - between;
        }
        double bare_median = median(bare_times), our_median = median(our_times);
        printf("%u VMs, %u GPUs, %zu KiB of definitions; median of %d\n", n_vms, n_gpus, size / 1024, ROUNDS);
        printf("  bare loop          %8.2f ms\n", bare_median);
        printf("  vfioctl_virt_list  %8.2f ms, %.2f times that\n", our_median, our_median / bare_median);
        printf("  memory: %.1f MB at the start, %.1f MB with libvirt and the VMs, %.1f MB at the peak\n",
               (double)empty / 1024, (double)defined / 1024, (double)memory("VmHWM") / 1024);
        (void)vfioctl_virt_free(virt);
        (void)vfioctl_findings_free(findings);
        (void)virConnectClose(connection);
        return 0;
}
