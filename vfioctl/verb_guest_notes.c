/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest_notes.h"
#include "json.h"
#include "use.h"

#include <libvfioctl-hardware.h>

static void clear(struct guest_notes *notes)
{
        for (size_t i = 0; i < notes->n_notes; i++) {
                free(notes->notes[i].text);
                free(notes->notes[i].command);
        }
        free(notes->notes);
        free(notes->gpus);
}

/* ---- the GPUs of a definition ---- */

static const char *known_value(const struct vfioctl_gpu *gpu, const char *name)
{
        for (size_t i = 0; i < vfioctl_gpu_known_count(gpu); i++)
                if (util_equal(vfioctl_gpu_known_name(gpu, i), name))
                        return vfioctl_gpu_known_value(gpu, i);
        return NULL;
}

static void describe(struct guest_gpu *item)
{
        const struct vfioctl_gpu *gpu = item->gpu;

        if (!gpu)
                return;
        const struct vfioctl_function *function = vfioctl_gpu_function(gpu, 0);
        item->vendor = vfioctl_function_vendor(function);
        item->class = vfioctl_function_class(function) >> 8;
        item->drivers = known_value(gpu, "guest-driver");
        item->windows_driver = known_value(gpu, "windows-driver");
        item->guest_words = known_value(gpu, "guest");
        item->encoder = known_value(gpu, "encoder");
        item->encoder_unit = known_value(gpu, "encoder-unit");
        /* Processing accelerators have no connector by their class. */
        item->is_headless = note_has_word(item->guest_words, "headless") || item->class >> 8 == 0x12;
}

static struct guest_gpu *find_gpu_of(struct guest_notes *notes, const struct vfioctl_gpu *gpu)
{
        for (size_t i = 0; gpu && i < notes->n_gpus; i++)
                if (notes->gpus[i].gpu == gpu)
                        return &notes->gpus[i];
        return NULL;
}

static int add_gpu(const struct virt_calls *calls, const struct vfioctl_domain *domain, size_t hostdev,
                   const struct vfioctl_gpu *gpu, struct guest_notes *notes)
{
        struct guest_gpu item = {.gpu = gpu};

        vfioctl_address_format(calls->hostdev(domain, hostdev), item.host);
        item.place_error = calls->hostdev_place(domain, hostdev, &item.place);
        if (item.place_error == -ENOMEM)
                return -ENOMEM;
        if (item.place_error >= 0)
                vfioctl_address_format(&item.place.address, item.address);
        describe(&item);
        int r = util_grow(&notes->gpus, &notes->allocated_gpus, notes->n_gpus + 1, sizeof(*notes->gpus));
        if (r >= 0)
                notes->gpus[notes->n_gpus++] = item;
        return r;
}

static int add_companion(const struct virt_calls *calls, const struct vfioctl_domain *domain, size_t hostdev,
                         struct guest_gpu *item)
{
        struct vfioctl_guest_place place;

        int r = calls->hostdev_place(domain, hostdev, &place);
        if (r >= 0 && item->n_companions < GUEST_FUNCTIONS_MAX)
                vfioctl_address_format(&place.address, item->companions[item->n_companions++]);
        return r == -ENOMEM ? r : 0;
}

/* A GPU that our metadata records counts although the host has it no more: the first of its functions. */
static bool is_recorded(const struct virt_calls *calls, const struct vfioctl_domain *domain,
                        const struct vfioctl_address *host)
{
        for (size_t i = 0; i < calls->gpu_count(domain); i++) {
                const struct vfioctl_domain_entry *entry = calls->gpu_entry(domain, i);
                if (entry->n_functions > 0 && vfioctl_address_compare(&entry->functions[0], host) == 0)
                        return true;
        }
        return false;
}

/* GPUs first, in whatever order the definition has their functions. */
static int look_at_gpus(const struct virt_calls *calls, const struct vfioctl_domain *domain,
                        const struct vfioctl_snapshot *snapshot, struct guest_notes *notes)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < calls->hostdev_count(domain); i++) {
                const struct vfioctl_address *host = calls->hostdev(domain, i);
                const struct vfioctl_gpu *gpu = vfioctl_snapshot_gpu_at(snapshot, host);
                char text[VFIOCTL_ADDRESS_SIZE];
                if (gpu ? util_equal(vfioctl_gpu_address(gpu), vfioctl_address_format(host, text))
                        : is_recorded(calls, domain, host))
                        r = add_gpu(calls, domain, i, gpu, notes);
        }
        for (size_t i = 0; r >= 0 && i < calls->hostdev_count(domain); i++) {
                const struct vfioctl_address *host = calls->hostdev(domain, i);
                struct guest_gpu *item = find_gpu_of(notes, vfioctl_snapshot_gpu_at(snapshot, host));
                char text[VFIOCTL_ADDRESS_SIZE];
                if (item && !util_equal(item->host, vfioctl_address_format(host, text)))
                        r = add_companion(calls, domain, i, item);
        }
        return r;
}

/* ---- for a person ---- */

static const char *why_no_place(int error)
{
        return error == -ENODATA ? "not known: libvirt has not placed it, or a bridge, yet"
                                 : "not known: the bridges of the definition make no sense";
}

static void print_gpu(const struct guest_gpu *item)
{
        char card[80], address[VFIOCTL_ADDRESS_SIZE];

        if (item->gpu)
                printf("GPU %-7s %s, %04x:%04x class %04x%s\n", vfioctl_gpu_name(item->gpu),
                       printable(vfioctl_gpu_card(item->gpu), card, sizeof(card)), item->vendor,
                       vfioctl_function_device(vfioctl_gpu_function(item->gpu, 0)), item->class,
                       item->is_headless ? ", without a connector" : "");
        else
                printf("GPU ?       %s on the host, where no GPU is now\n", item->host);
        printf("  guest     ");
        if (!*item->address)
                printf("%s", why_no_place(item->place_error));
        else if (item->place.n_path == 0)
                printf("%s", item->address);
        else
                printf("%s  (", item->address);
        for (size_t i = 0; *item->address && i < item->place.n_path; i++)
                printf("%s -> ", short_address(vfioctl_address_format(&item->place.path[i], address)));
        if (*item->address && item->place.n_path > 0)
                printf("%s)", short_address(item->address));
        for (size_t i = 0; i < item->n_companions; i++)
                printf("%s%s", i == 0 ? "  and " : " ", short_address(item->companions[i]));
        printf("\n  host      %s\n", item->host);
        if (!item->encoder)
                printf("  encoder   not known\n");
        else
                printf("  encoder   %s%s%s%s\n", item->encoder, item->encoder_unit ? "  (" : "",
                       item->encoder_unit ? item->encoder_unit : "", item->encoder_unit ? ")" : "");
}

static const char *guest_name(enum vfioctl_guest guest)
{
        return guest == VFIOCTL_GUEST_WINDOWS ? "windows" : guest == VFIOCTL_GUEST_LINUX ? "linux" : "other";
}

#define TEXT_INDENT 12
#define TEXT_WIDTH  88

/* Behind what stands on the line already, and in lines below it. */
static void print_wrapped(const char *text)
{
        size_t column = 0;

        for (const char *at = text; *at; at += strspn(at, " ")) {
                int length = (int)strcspn(at, " ");
                if (column > 0 && column + (size_t)length + 1 > TEXT_WIDTH) {
                        printf("\n%*s", TEXT_INDENT, "");
                        column = 0;
                }
                printf("%s%.*s", column > 0 ? " " : "", length, at);
                column += (size_t)length + (column > 0 ? 1 : 0);
                at += length;
        }
}

static int print_note(const struct note *note)
{
        bool is_sure = note->proof == NOTE_KNOWN;
        _cleanup_free_ char *text =
                note_text("%s%s%s%s", note->text, is_sure ? "" : " [",
                          is_sure ? "" : note_proof_name(note->proof), is_sure ? "" : "]");

        if (!text)
                return complain_errno(-ENOMEM, "cannot show it");
        printf("%-*s", TEXT_INDENT, note->topic);
        print_wrapped(text);
        printf("\n");
        if (note->command)
                printf("%*s  %s\n", TEXT_INDENT, "", note->command);
        return CODE_DONE;
}

static int print_text(const struct guest_notes *notes)
{
        int code = CODE_DONE;

        char os[80];

        printf("VM          %s\nsystem      %s%s%s%s\n", notes->vm, guest_name(notes->guest),
               notes->facts.os ? "  (" : "",
               notes->facts.os ? printable(notes->facts.os, os, sizeof(os)) : "", notes->facts.os ? ")" : "");
        for (size_t i = 0; i < notes->n_gpus; i++)
                print_gpu(&notes->gpus[i]);
        for (size_t i = 0; code == CODE_DONE && i < notes->n_notes; i++)
                code = print_note(&notes->notes[i]);
        return code;
}

/* ---- for programs ---- */

static struct json_object *words_json(const char *words)
{
        struct json_object *array = json_object_new_array();

        for (const char *at = words; at && *at; at += strspn(at, " ")) {
                size_t length = strcspn(at, " ");
                json_append(array, json_object_new_string_len(at, (int)length));
                at += length;
        }
        return array;
}

static struct json_object *gpu_json(const struct guest_gpu *item)
{
        struct json_object *object = json_object_new_object(), *path = json_object_new_array(),
                           *companions = json_object_new_array();
        char address[VFIOCTL_ADDRESS_SIZE];

        for (size_t i = 0; *item->address && i < item->place.n_path; i++)
                json_append(path, json_string(vfioctl_address_format(&item->place.path[i], address)));
        for (size_t i = 0; i < item->n_companions; i++)
                json_append(companions, json_string(item->companions[i]));
        json_put(object, "name", json_string(item->gpu ? vfioctl_gpu_name(item->gpu) : NULL));
        json_put(object, "card", json_string(item->gpu ? vfioctl_gpu_card(item->gpu) : NULL));
        json_put(object, "address", json_string(item->host));
        json_put(object, "guest_address", json_string(*item->address ? item->address : NULL));
        json_put(object, "guest_path", path);
        json_put(object, "guest_companions", companions);
        json_put(object, "class", item->gpu ? json_hex(item->class, 4) : NULL);
        json_put(object, "headless", item->gpu ? json_object_new_boolean(item->is_headless) : NULL);
        json_put(object, "encoder",
                 !item->encoder                         ? NULL
                 : note_has_word(item->encoder, "none") ? json_object_new_array()
                                                        : words_json(item->encoder));
        json_put(object, "encoder_unit", json_string(item->encoder_unit));
        return object;
}

static int notes_json(const struct guest_notes *notes)
{
        struct json_object *object = json_object_new_object(), *gpus = json_object_new_array(),
                           *list = json_object_new_array();

        for (size_t i = 0; i < notes->n_gpus; i++)
                json_append(gpus, gpu_json(&notes->gpus[i]));
        for (size_t i = 0; i < notes->n_notes; i++) {
                struct json_object *item = json_object_new_object();
                json_put(item, "topic", json_string(notes->notes[i].topic));
                json_put(item, "text", json_string(notes->notes[i].text));
                json_put(item, "command", json_string(notes->notes[i].command));
                json_put(item, "proof", json_string(note_proof_name(notes->notes[i].proof)));
                json_append(list, item);
        }
        json_put(object, "vm", json_string(notes->vm));
        json_put(object, "system", json_string(guest_name(notes->guest)));
        json_put(object, "os", json_string(notes->facts.os));
        json_put(object, "display", json_object_new_boolean(notes->facts.has_display));
        json_put(object, "uefi", json_object_new_boolean(notes->facts.has_uefi));
        json_put(object, "secure_boot", json_object_new_boolean(notes->facts.has_secure_boot));
        json_put(object, "gpus", gpus);
        json_put(object, "notes", list);
        return json_print(object);
}

/* ---- the verb ---- */

static int read_domain(struct cli *cli, const struct virt_calls *calls, struct vfioctl_domain **ret)
{
        _cleanup_findings_ struct vfioctl_findings *findings = NULL;
        struct vfioctl_virt *virt = NULL;

        int r = vfioctl_findings_new(&findings);
        if (r < 0)
                return complain_errno(r, "cannot ask libvirt");
        r = calls->open(virt_uri(cli), true, findings, &virt);
        if (r >= 0)
                r = calls->look(virt, cli->arguments[0], findings, ret);
        (void)calls->free(virt);
        print_findings(NULL, findings, cli->options.quiet ? VFIOCTL_REFUSAL : VFIOCTL_WARNING);
        if (r == -ENOMEM)
                return complain_errno(r, "cannot ask libvirt");
        return r >= 0 ? 0 : r == -EPERM ? CODE_REFUSED : CODE_FAILED;
}

static int compose(struct guest_notes *notes)
{
        int r = notes->guest == VFIOCTL_GUEST_LINUX     ? guest_linux_notes(notes)
                : notes->guest == VFIOCTL_GUEST_WINDOWS ? guest_windows_notes(notes)
                                                        : 0;

        return r < 0 ? r : guest_common_notes(notes);
}

static int report(struct cli *cli, const struct virt_calls *calls, const struct vfioctl_domain *domain,
                  struct guest_notes *notes)
{
        _cleanup_snapshot_ struct vfioctl_snapshot *snapshot = NULL;
        const char *os = cli->options.vm.os;

        int code = take_snapshot(cli, VFIOCTL_SNAPSHOT_NAMES | VFIOCTL_SNAPSHOT_DETAILS, false, &snapshot);
        if (code != 0)
                return code;
        notes->facts = calls->guest_facts(domain);
        notes->guest = util_equal(os, "linux")     ? VFIOCTL_GUEST_LINUX
                       : util_equal(os, "windows") ? VFIOCTL_GUEST_WINDOWS
                                                   : calls->domain_guest(domain);
        int r = look_at_gpus(calls, domain, snapshot, notes);
        if (r >= 0 && notes->n_gpus == 0) {
                complain("VM \"%s\" has no GPU; to give it one: vfioctl assign %s", notes->vm, notes->typed);
                return CODE_REFUSED;
        }
        if (r >= 0)
                r = compose(notes);
        if (r < 0)
                return complain_errno(r, "cannot show it");
        return cli->options.json ? notes_json(notes) : print_text(notes);
}

int verb_guest_notes(struct cli *cli)
{
        struct guest_notes notes = {.n_gpus = 0};
        struct vfioctl_domain *domain = NULL;
        struct virt_calls calls;
        char name[80];

        if (!virt_uri(cli) && !vfioctl_ctx_is_live(cli->ctx)) {
                complain("a simulated host has no libvirt of its own; name one with --connect");
                return CODE_USAGE;
        }
        if (virt_load(&calls) < 0)
                return CODE_FAILED;
        int code = read_domain(cli, &calls, &domain);
        if (code != 0)
                return code;
        notes.vm = printable(calls.domain_name(domain), name, sizeof(name));
        notes.typed = typed_vm(calls.domain_name(domain), calls.domain_uuid(domain));
        code = report(cli, &calls, domain, &notes);
        clear(&notes);
        (void)calls.domain_free(domain);
        return code;
}
