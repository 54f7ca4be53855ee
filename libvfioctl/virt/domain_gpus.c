/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain_private.h"

#define NAMESPACE VFIOCTL_DOMAIN_NAMESPACE

/* What our metadata says, and whether the definition still says the same. domain_edit.c tells the form. */

xmlNode *domain_gpus(const struct vfioctl_domain *domain)
{
        xmlNode *metadata = xml_child(xmlDocGetRootElement(domain->document), "metadata", NULL);

        return xml_child(metadata, "gpus", NAMESPACE);
}

bool domain_among(const struct vfioctl_address *address, const struct vfioctl_address *list, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (vfioctl_address_compare(address, &list[i]) == 0)
                        return true;
        return false;
}

/* The functions that a <vfioctl:gpu> names; how many, and 0 for one that somebody spoilt. */
static size_t read_functions(const xmlNode *gpu, struct vfioctl_address functions[GPU_MAX])
{
        const char *text = xml_attribute(gpu, "functions");
        size_t count = 0;

        while (text && *text) {
                char one[VFIOCTL_ADDRESS_SIZE] = "";
                size_t length = strcspn(text, " ");
                if (count == GPU_MAX || length == 0 || length >= sizeof(one))
                        return 0;
                memcpy(one, text, length);
                if (vfioctl_address_parse(one, &functions[count]) < 0 ||
                    domain_among(&functions[count], functions, count))
                        return 0;
                count++;
                text += length;
                text += strspn(text, " ");
        }
        return count;
}

static size_t count_hostdevs(const struct vfioctl_domain *domain, const struct vfioctl_address *host)
{
        size_t count = 0;

        for (size_t i = 0; i < domain->n_hostdevs; i++)
                count += vfioctl_address_compare(&domain->hostdevs[i].host, host) == 0;
        return count;
}

/* True when the definition has what the record says, and the record says what we would have written. */
static bool is_as_written(const struct vfioctl_domain *domain, size_t index)
{
        const struct gpu_entry *entry = &domain->gpus[index];
        const char *address = xml_attribute(entry->node, "address");
        struct vfioctl_address first;

        if (entry->n_functions == 0 || !xml_attribute(entry->node, "name") ||
            !xml_attribute(entry->node, "identity") || !address ||
            vfioctl_address_parse(address, &first) < 0 ||
            vfioctl_address_compare(&first, &entry->functions[0]) != 0)
                return false;
        for (size_t i = 0; i < entry->n_functions; i++) {
                if (count_hostdevs(domain, &entry->functions[i]) != 1)
                        return false;
                /* What two records name is the later one's: an add appends its own. */
                for (size_t k = index + 1; k < domain->n_gpus; k++)
                        if (domain_among(&entry->functions[i], domain->gpus[k].functions,
                                         domain->gpus[k].n_functions))
                                return false;
        }
        return true;
}

int domain_collect_gpus(struct vfioctl_domain *domain)
{
        domain->n_gpus = 0;
        for (xmlNode *node = xml_child(domain_gpus(domain), "gpu", NAMESPACE); node;
             node = xml_next(node, "gpu", NAMESPACE)) {
                int r = util_grow(&domain->gpus, &domain->allocated_gpus, domain->n_gpus + 1,
                                  sizeof(*domain->gpus));
                if (r < 0)
                        return r;
                struct gpu_entry *entry = &domain->gpus[domain->n_gpus++];
                *entry = (struct gpu_entry){.node = node};
                entry->n_functions = read_functions(node, entry->functions);
        }
        /* Only now: the array has moved while it grew. */
        for (size_t i = 0; i < domain->n_gpus; i++) {
                struct gpu_entry *entry = &domain->gpus[i];
                const char *name = xml_attribute(entry->node, "name");
                const char *identity = xml_attribute(entry->node, "identity");
                entry->public = (struct vfioctl_domain_entry){
                        .name = name ? name : "",
                        .identity = identity ? identity : "",
                        .functions = entry->functions,
                        .n_functions = entry->n_functions,
                        .is_edited = !is_as_written(domain, i),
                };
        }
        return 0;
}

VFIOCTL_EXPORT size_t vfioctl_domain_gpu_count(const struct vfioctl_domain *domain)
{
        return domain->n_gpus;
}

VFIOCTL_EXPORT const struct vfioctl_domain_entry *
vfioctl_domain_gpu_entry(const struct vfioctl_domain *domain, size_t index)
{
        return index < domain->n_gpus ? &domain->gpus[index].public : NULL;
}

VFIOCTL_EXPORT bool vfioctl_domain_hostdev_is_ours(const struct vfioctl_domain *domain, size_t index)
{
        const struct vfioctl_address *host = vfioctl_domain_hostdev(domain, index);

        for (size_t i = 0; host && i < domain->n_gpus; i++)
                if (domain_among(host, domain->gpus[i].functions, domain->gpus[i].n_functions))
                        return true;
        return false;
}
