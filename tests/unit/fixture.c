/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

void lines_log(void *userdata, enum vfioctl_log_level level, const char *line)
{
        struct lines *lines = userdata;
        char *longer;

        (void)level;
        assert_null(strchr(line, '\n'));
        assert_int_equal(util_format(&longer, "%s%s\n", lines->text ? lines->text : "", line), 0);
        free(lines->text);
        lines->text = longer;
        lines->count++;
}

void lines_clear(struct lines *lines)
{
        free(lines->text);
        *lines = (struct lines){.text = NULL};
}

/* ---- snapshots ---- */

void fixture_init(struct fixture *fixture)
{
        memset(fixture, 0, sizeof(*fixture));
        fixture->snapshot.flags = VFIOCTL_SNAPSHOT_ALL;
        fixture->snapshot.has_iommu = true;
        fixture->snapshot.has_vfio_driver = true;
        fixture->snapshot.functions = fixture->function_list;
        fixture->snapshot.groups = fixture->group_list;
        fixture->snapshot.gpus = fixture->gpu_list;
}

static struct vfioctl_group *fixture_group(struct fixture *fixture, int number)
{
        struct vfioctl_snapshot *snapshot = &fixture->snapshot;

        for (size_t i = 0; i < snapshot->n_groups; i++)
                if (snapshot->groups[i]->number == number)
                        return snapshot->groups[i];
        size_t index = snapshot->n_groups++;
        assert_true(index < ELEMENTSOF(fixture->groups));
        struct vfioctl_group *group = &fixture->groups[index];
        group->number = number;
        group->members = fixture->members[index];
        return snapshot->groups[index] = group;
}

static void insert(struct vfioctl_function **list, size_t *count, struct vfioctl_function *function)
{
        size_t at = (*count)++;

        for (; at > 0 && vfioctl_address_compare(&list[at - 1]->address, &function->address) > 0; at--)
                list[at] = list[at - 1];
        list[at] = function;
}

struct vfioctl_function *fixture_function(struct fixture *fixture, const char *address, int group,
                                          const char *driver)
{
        struct vfioctl_snapshot *snapshot = &fixture->snapshot;
        struct vfioctl_function *function = &fixture->functions[snapshot->n_functions];

        assert_true(snapshot->n_functions < ELEMENTSOF(fixture->functions));
        assert_int_equal(vfioctl_address_parse(address, &function->address), 0);
        (void)vfioctl_address_format(&function->address, function->text);
        function->vendor = 0x1002;
        function->device = 0x6864;
        function->class = 0x020000;
        function->group = group;
        function->numa_node = -1;
        function->driver = (char *)(uintptr_t)driver;
        function->driver_override_known = true;
        insert(snapshot->functions, &snapshot->n_functions, function);
        if (group >= 0) {
                struct vfioctl_group *members = fixture_group(fixture, group);
                assert_true(members->n_members < ELEMENTSOF(fixture->members[0]));
                insert(members->members, &members->n_members, function);
        }
        return function;
}

struct vfioctl_gpu *fixture_gpu(struct fixture *fixture, const char *name, const char *address,
                                unsigned int card, int node, int group, const char *driver)
{
        size_t index = fixture->snapshot.n_gpus++;
        struct vfioctl_gpu *gpu = &fixture->gpus[index];

        assert_true(index < ELEMENTSOF(fixture->gpus));
        gpu->name = (char *)(uintptr_t)name;
        gpu->has_short_name = true;
        gpu->identity = (char *)(uintptr_t)address;
        gpu->card_index = card;
        gpu->holders_known = true;
        gpu->functions = fixture->gpu_functions[index];
        gpu->path = fixture->paths[index];
        gpu->holders = fixture->holders[index];
        fixture->gpu_list[index] = gpu;
        struct vfioctl_function *function = fixture_companion(fixture, gpu, address, group, driver);
        function->class = 0x038000;
        function->numa_node = node;
        gpu->group = group >= 0 ? fixture_group(fixture, group) : NULL;
        return gpu;
}

struct vfioctl_function *fixture_companion(struct fixture *fixture, struct vfioctl_gpu *gpu,
                                           const char *address, int group, const char *driver)
{
        struct vfioctl_function *function = fixture_function(fixture, address, group, driver);

        assert_true(gpu->n_functions < ELEMENTSOF(fixture->gpu_functions[0]));
        function->class = 0x040300;
        function->gpu = gpu;
        return gpu->functions[gpu->n_functions++] = function;
}

void fixture_holder(struct fixture *fixture, struct vfioctl_gpu *gpu, int pid, const char *command,
                    const char *unit, const char *node)
{
        assert_true(gpu->n_holders < ELEMENTSOF(fixture->holders[0]));
        gpu->holders[gpu->n_holders++] = (struct vfioctl_holder){.pid = pid,
                                                                 .command = (char *)(uintptr_t)command,
                                                                 .unit = (char *)(uintptr_t)unit,
                                                                 .node = (char *)(uintptr_t)node};
}

struct vfioctl_function *fixture_port(struct fixture *fixture, struct vfioctl_gpu *gpu, const char *address,
                                      enum vfioctl_pcie_type type, bool has_acs)
{
        struct vfioctl_function *port =
                fixture_function(fixture, address, gpu->functions[0]->group, "pcieport");

        assert_true(gpu->n_path < ELEMENTSOF(fixture->paths[0]));
        port->class = 0x060400;
        port->is_bridge = true;
        port->pcie_type = type;
        port->acs_known = true;
        port->has_acs = has_acs;
        port->acs_cap = port->acs_ctl = ACS_ISOLATES;
        return gpu->path[gpu->n_path++] = port;
}

void vms_add(struct vfioctl_vms *vms, const char *name, bool running, const char *address)
{
        struct vfioctl_address parsed;

        int index = vfioctl_vms_add(vms, name, "00000000-0000-0000-0000-000000000001", running);
        assert_true(index >= 0);
        if (!address)
                return;
        assert_int_equal(vfioctl_address_parse(address, &parsed), 0);
        assert_int_equal(vfioctl_vms_add_device(vms, (size_t)index, &parsed), 0);
}

/* ---- what came of it ---- */

const struct vfioctl_finding *finding_by(const struct vfioctl_findings *findings, const char *code,
                                         const char *gpu)
{
        for (size_t i = 0; i < vfioctl_findings_count(findings); i++) {
                const struct vfioctl_finding *finding = vfioctl_findings_get(findings, i);
                if (util_equal(finding->code, code) && (!gpu || util_equal(finding->gpu, gpu)))
                        return finding;
        }
        return NULL;
}

static const char *or_dash(const char *text)
{
        return text ? text : "-";
}

/* Texts are collected by the stream of open_memstream(). */
static FILE *dump_open(char **text, size_t *size)
{
        FILE *file = open_memstream(text, size);

        assert_non_null(file);
        return file;
}

char *findings_dump(const struct vfioctl_findings *findings)
{
        char *text = NULL;
        size_t size;
        FILE *file = dump_open(&text, &size);

        for (size_t i = 0; i < vfioctl_findings_count(findings); i++) {
                const struct vfioctl_finding *f = vfioctl_findings_get(findings, i);
                fprintf(file, "%s %s gpu=%s culprit=%s text=%s fix=%s\n", vfioctl_severity_name(f->severity),
                        f->code, or_dash(f->gpu), or_dash(f->culprit), or_dash(f->text), or_dash(f->fix));
        }
        assert_int_equal(fclose(file), 0);
        return text;
}

static void dump_write(FILE *file, const char *label, const struct write *write)
{
        fprintf(file, " %s %s=%s wait %d %s", label, or_dash(write->attribute), or_dash(write->value),
                (int)write->wait.kind, or_dash(write->wait.value));
}

char *plan_dump(const struct vfioctl_plan *plan)
{
        char *text = findings_dump(plan->findings), *steps = NULL, *both;
        size_t size;
        FILE *file = dump_open(&steps, &size);

        for (size_t i = 0; i < plan->n_steps; i++) {
                const struct vfioctl_step *step = plan->steps[i];
                fprintf(file, "%d %s %s %s|", (int)step->kind, or_dash(step->gpu), step->function,
                        step->text);
                dump_write(file, "do", &step->write);
                for (size_t k = 0; k < step->n_undo; k++)
                        dump_write(file, "undo", &step->undo[k]);
                fprintf(file, " vm %s module %s\n", or_dash(step->vm), or_dash(step->module));
        }
        for (size_t i = 0; i < plan->n_gpus; i++)
                fprintf(file, "lock %s\n", plan->gpus[i].address);
        assert_int_equal(fclose(file), 0);
        assert_int_equal(util_format(&both, "%s%s", text, steps), 0);
        free(text);
        free(steps);
        return both;
}

char *snapshot_dump(const struct vfioctl_snapshot *snapshot)
{
        char *text = NULL;
        size_t size;
        FILE *file = dump_open(&text, &size);

        fprintf(file, "iommu %d vfio %d\n", snapshot->has_iommu, snapshot->has_vfio_driver);
        for (size_t i = 0; i < snapshot->n_functions; i++) {
                const struct vfioctl_function *f = snapshot->functions[i];
                fprintf(file,
                        "%s %04x:%04x %04x:%04x %06x %02x %s %s group %d node %d type %d acs %d %x %x vfs "
                        "%u/%u",
                        f->text, f->vendor, f->device, f->subsystem_vendor, f->subsystem_device, f->class,
                        f->revision, or_dash(f->driver), or_dash(f->driver_override), f->group, f->numa_node,
                        (int)f->pcie_type, f->has_acs, f->acs_cap, f->acs_ctl, f->vfs_enabled, f->vfs_total);
                fprintf(file, " %s %s %s %s %s %s stuck %d boot %d console %d\n", or_dash(f->reset_method),
                        or_dash(f->power_state), or_dash(f->modalias), or_dash(f->name),
                        or_dash(f->host_driver), or_dash(f->host_use), f->is_stuck, f->is_boot_vga,
                        f->is_console);
        }
        for (size_t i = 0; i < snapshot->n_groups; i++)
                fprintf(file, "group %d: %zu\n", snapshot->groups[i]->number, snapshot->groups[i]->n_members);
        for (size_t i = 0; i < snapshot->n_gpus; i++) {
                const struct vfioctl_gpu *gpu = snapshot->gpus[i];
                fprintf(file, "gpu %s %s [%s] %s %s card %u functions %zu path %zu stuck %d known %d\n",
                        gpu->name, gpu->functions[0]->text, gpu->identity, or_dash(gpu->card),
                        or_dash(gpu->slot), gpu->card_index, gpu->n_functions, gpu->n_path, gpu->is_stuck,
                        gpu->holders_known);
                for (size_t k = 0; k < gpu->n_holders; k++)
                        fprintf(file, " holder %d %s %s %s\n", gpu->holders[k].pid, gpu->holders[k].command,
                                or_dash(gpu->holders[k].unit), gpu->holders[k].node);
        }
        assert_int_equal(fclose(file), 0);
        return text;
}
