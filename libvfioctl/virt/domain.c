/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <libxml/SAX2.h>
#include <libxml/parser.h>
#include <libxml/xmlsave.h>

#include "domain_private.h"

#define XML_SIZE_MAX (10U * 1024U * 1024U)
#define NODE_MAX     1024U

static inline xmlDoc *document_free(xmlDoc *document)
{
        xmlFreeDoc(document);
        return NULL;
}
DEFINE_CLEANUP(xmlDoc, document_free)

static inline xmlParserCtxt *parser_free(xmlParserCtxt *parser)
{
        xmlFreeParserCtxt(parser);
        return NULL;
}
DEFINE_CLEANUP(xmlParserCtxt, parser_free)

static inline xmlBuffer *buffer_free(xmlBuffer *buffer)
{
        xmlBufferFree(buffer);
        return NULL;
}
DEFINE_CLEANUP(xmlBuffer, buffer_free)

/* One parse's errors, hung on its own context: nothing here is the process's. */
struct complaint {
        char *text; /* the first error: the others follow from it */
        bool no_memory;
};

#if LIBXML_VERSION >= 21200
static void note_error(void *userdata, const xmlError *error)
#else
static void note_error(void *userdata, xmlError *error)
#endif
{
        xmlParserCtxt *parser = userdata;
        struct complaint *complaint = parser->_private;

        if (error->code == XML_ERR_NO_MEMORY)
                complaint->no_memory = true;
        /* A prefix that is not found is only a warning where memory ran out for its declaration. */
        if ((error->level < XML_ERR_ERROR && error->code != XML_NS_ERR_UNDEFINED_NAMESPACE) ||
            complaint->text)
                return;
        if (util_format(&complaint->text, "line %d: %s", error->line,
                        error->message ? error->message : "not well-formed") < 0)
                complaint->no_memory = true;
        else
                util_trim(complaint->text);
}

/*
 * libvirt never writes a DOCTYPE, and whatever one is good for (entities, other files, exponential growth) is
 * nothing that a definition needs: it ends the parse before its content is looked at.
 */
static void refuse_doctype(void *userdata, const xmlChar *name, const xmlChar *external,
                           const xmlChar *system)
{
        xmlParserCtxt *parser = userdata;
        struct complaint *complaint = parser->_private;

        (void)name;
        (void)external;
        (void)system;
        if (!complaint->text && util_format(&complaint->text, "line %d: a DOCTYPE is not allowed",
                                            xmlSAX2GetLineNumber(parser)) < 0)
                complaint->no_memory = true;
        xmlStopParser(parser);
}

/*
 * What libxml2 takes for another encoding by its first bytes (XML 1.0, appendix F). libvirt writes UTF-8 and
 * nothing else; and libxml2 prints what it cannot recode.
 */
static bool is_recoded(const char *xml, size_t size)
{
        static const char marks[][5] = {"\xff\xfe", "\xfe\xff", "\x4c\x6f\xa7\x94"};

        for (size_t i = 0; i < ELEMENTSOF(marks); i++)
                if (size >= strlen(marks[i]) && memcmp(xml, marks[i], strlen(marks[i])) == 0)
                        return true;
        return memchr(xml, '\0', size < 4 ? size : 4) != NULL;
}

static int parse_document(const char *xml, size_t size, xmlDoc **ret, char **ret_error)
{
        struct complaint complaint = {0};

        xmlInitParser();
        _cleanup_(parser_freep) xmlParserCtxt *parser = xmlNewParserCtxt();
        if (!parser)
                return -ENOMEM;
        parser->_private = &complaint;
        parser->sax->serror = note_error;
        parser->sax->internalSubset = refuse_doctype;
        _cleanup_(document_freep) xmlDoc *document =
                xmlCtxtReadMemory(parser, xml, (int)size, NULL, NULL, XML_PARSE_NONET | XML_PARSE_IGNORE_ENC);
        /* An undeclared prefix is an error after which the parser gives a document all the same. */
        int r = document && !complaint.text ? 0 : -EINVAL;
        if (complaint.no_memory)
                r = -ENOMEM;
        if (r == -EINVAL)
                *ret_error = complaint.text;
        else
                free(complaint.text);
        if (r < 0)
                return r;
        *ret = util_steal(document);
        return 0;
}

/* Text of the first child of this name; NULL in *ret when there is no such child or it is empty. */
static int child_text(const xmlNode *parent, const char *name, char **ret)
{
        const xmlNode *node = xml_child(parent, name, NULL);

        if (!node) {
                *ret = NULL;
                return 0;
        }
        char *text = (char *)xmlNodeGetContent(node);
        if (!text)
                return -ENOMEM;
        char *copy = NULL;
        int r = *text ? util_copy(text, &copy) : 0;
        xmlFree(text);
        if (r < 0)
                return r;
        *ret = copy;
        return 0;
}

/* Reads "3", "0-3", "0-3,^1": node numbers as virBitmapParse() does. -1 unless exactly one is left. */
static int single_node(const char *text)
{
        bool nodes[NODE_MAX] = {false};
        int found = -1;

        while (text && *text) {
                uint64_t range[2];
                bool excluded = false;

                text += strspn(text, " ,");
                if (!*text)
                        break;
                if (*text == '^') {
                        excluded = true;
                        text++;
                }
                for (size_t i = 0; i < 2; i++) {
                        char digits[8] = "";
                        size_t length = strspn(text, "0123456789");
                        if (length == 0 || length >= sizeof(digits))
                                return -1;
                        memcpy(digits, text, length);
                        if (util_parse_u64(digits, 10, NODE_MAX - 1, &range[i]) < 0)
                                return -1;
                        text += length;
                        if (i == 0 && *text == '-' && !excluded)
                                text++;
                        else if (i == 0)
                                range[++i] = range[0];
                }
                for (uint64_t node = range[0]; node <= range[1]; node++)
                        nodes[node] = !excluded;
                text += strspn(text, " ");
                if (*text && *text != ',')
                        return -1;
        }
        for (size_t i = 0; i < NODE_MAX; i++) {
                if (!nodes[i])
                        continue;
                if (found >= 0)
                        return -1;
                found = (int)i;
        }
        return found;
}

static bool is_pci_hostdev(const xmlNode *node)
{
        const char *mode = xml_attribute(node, "mode");

        return util_equal(xml_attribute(node, "type"), "pci") && (!mode || util_equal(mode, "subsystem"));
}

int domain_collect(struct vfioctl_domain *domain, char **ret_error)
{
        const xmlNode *devices = xml_child(xmlDocGetRootElement(domain->document), "devices", NULL);

        domain->n_hostdevs = 0;
        for (xmlNode *node = xml_child(devices, "hostdev", NULL); node;
             node = xml_next(node, "hostdev", NULL)) {
                struct hostdev hostdev = {.node = node};

                if (!is_pci_hostdev(node))
                        continue;
                int r = xml_pci_address(xml_child(xml_child(node, "source", NULL), "address", NULL),
                                        &hostdev.host);
                if (r < 0) {
                        r = util_format(ret_error, "line %ld: hostdev without a PCI address that can be read",
                                        xmlGetLineNo(node));
                        return r < 0 ? r : -EINVAL;
                }
                const xmlNode *guest = xml_child(node, "address", NULL);
                hostdev.has_guest = util_equal(xml_attribute(guest, "type"), "pci") &&
                                    xml_pci_address(guest, &hostdev.guest) == 0;
                r = util_grow(&domain->hostdevs, &domain->allocated_hostdevs, domain->n_hostdevs + 1,
                              sizeof(*domain->hostdevs));
                if (r < 0)
                        return r;
                domain->hostdevs[domain->n_hostdevs++] = hostdev;
        }
        return domain_collect_gpus(domain);
}

uint64_t domain_unit_kib(const char *unit)
{
        if (!unit || util_equal(unit, "KiB") || util_equal(unit, "k"))
                return 1;
        if (util_equal(unit, "MiB") || util_equal(unit, "M"))
                return 1 << 10;
        if (util_equal(unit, "TiB") || util_equal(unit, "T"))
                return 1 << 30;
        return util_equal(unit, "GiB") || util_equal(unit, "G") ? 1 << 20 : 0;
}

/* <memoryBacking><hugepages/>: all memory in pages of one size; several sizes, by node, are not looked into.
 */
static int read_hugepages(const xmlNode *root, struct vfioctl_hugepages *ret)
{
        const xmlNode *pages = xml_child(xml_child(root, "memoryBacking", NULL), "hugepages", NULL);
        const xmlNode *memory = xml_child(root, "memory", NULL), *page = xml_child(pages, "page", NULL);
        struct vfioctl_hugepages found = {.size = 0};
        _cleanup_free_ char *text = NULL;
        uint64_t unit = domain_unit_kib(xml_attribute(memory, "unit"));

        if (!pages || !memory || xml_next(page, "page", NULL))
                return 0;
        int r = child_text(root, "memory", &text);
        if (r < 0)
                return r;
        if (!text || util_parse_u64(text, 10, UINT64_MAX >> 31, &found.memory) < 0)
                return 0;
        if (page && xml_number(page, "size", UINT64_MAX >> 31, &found.size) < 0)
                return 0;
        found.size *= domain_unit_kib(xml_attribute(page, "unit"));
        found.memory *= unit;
        if (!page || found.size > 0)
                *ret = found;
        return 0;
}

static int parse_domain(const char *xml, size_t size, struct vfioctl_domain **ret, char **ret_error)
{
        int r;

        if (size > XML_SIZE_MAX) {
                r = util_format(ret_error, "larger than %u MiB", XML_SIZE_MAX >> 20);
                return r < 0 ? r : -E2BIG;
        }
        if (is_recoded(xml, size)) {
                r = util_format(ret_error, "it is not in UTF-8");
                return r < 0 ? r : -EINVAL;
        }
        _cleanup_(document_freep) xmlDoc *document = NULL;
        r = parse_document(xml, size, &document, ret_error);
        if (r < 0)
                return r;

        _cleanup_(vfioctl_domain_freep) struct vfioctl_domain *domain = calloc(1, sizeof(*domain));
        if (!domain)
                return -ENOMEM;
        domain->document = util_steal(document);
        domain->has_declaration = size > 5 && memcmp(xml, "<?xml", 5) == 0;

        const xmlNode *root = xmlDocGetRootElement(domain->document);
        if (!root || root->ns || !util_equal((const char *)root->name, "domain")) {
                r = util_format(ret_error, "line %ld: the root element is not <domain>",
                                root ? xmlGetLineNo(root) : 1);
                return r < 0 ? r : -EINVAL;
        }
        r = child_text(root, "name", &domain->name);
        if (r < 0)
                return r;
        if (!domain->name) {
                r = util_format(ret_error, "line %ld: the domain has no <name>", xmlGetLineNo(root));
                return r < 0 ? r : -EINVAL;
        }
        r = child_text(root, "uuid", &domain->uuid);
        if (r < 0)
                return r;
        domain->numa_node = single_node(
                xml_attribute(xml_child(xml_child(root, "numatune", NULL), "memory", NULL), "nodeset"));
        r = read_hugepages(root, &domain->hugepages);
        if (r < 0)
                return r;
        r = domain_collect(domain, ret_error);
        if (r < 0)
                return r;
        *ret = util_steal(domain);
        return 0;
}

VFIOCTL_EXPORT int vfioctl_domain_parse(const char *xml, size_t size, struct vfioctl_domain **ret,
                                        char **ret_error)
{
        _cleanup_(vfioctl_domain_freep) struct vfioctl_domain *domain = NULL;
        _cleanup_free_ char *error = NULL;

        xml_begin();
        int r = xml_end(parse_domain(xml, size, &domain, &error));
        if (r < 0) {
                if (ret_error && error)
                        *ret_error = util_steal(error);
                return r;
        }
        *ret = util_steal(domain);
        return 0;
}

VFIOCTL_EXPORT struct vfioctl_domain *vfioctl_domain_free(struct vfioctl_domain *domain)
{
        if (!domain)
                return NULL;
        free(domain->gpus);
        free(domain->hostdevs);
        free(domain->uuid);
        free(domain->name);
        xmlFreeDoc(domain->document);
        free(domain);
        return NULL;
}

VFIOCTL_EXPORT int vfioctl_domain_format(const struct vfioctl_domain *domain, char **ret)
{
        xml_begin();
        _cleanup_(buffer_freep) xmlBuffer *buffer = xmlBufferCreate();
        if (!buffer)
                return -ENOMEM;
        xmlSaveCtxt *save = xmlSaveToBuffer(buffer, "UTF-8", domain->has_declaration ? 0 : XML_SAVE_NO_DECL);
        if (!save)
                return -ENOMEM;
        long written = xmlSaveDoc(save, domain->document);
        if (xmlSaveClose(save) < 0 || written < 0 || xml_end(0) < 0 || !xmlBufferContent(buffer))
                return -ENOMEM;
        return util_copy((const char *)xmlBufferContent(buffer), ret);
}

VFIOCTL_EXPORT const char *vfioctl_domain_name(const struct vfioctl_domain *domain)
{
        return domain->name;
}

VFIOCTL_EXPORT const char *vfioctl_domain_uuid(const struct vfioctl_domain *domain)
{
        return domain->uuid;
}

VFIOCTL_EXPORT int vfioctl_domain_numa_node(const struct vfioctl_domain *domain)
{
        return domain->numa_node;
}

VFIOCTL_EXPORT const struct vfioctl_hugepages *vfioctl_domain_hugepages(const struct vfioctl_domain *domain)
{
        return domain->hugepages.memory > 0 ? &domain->hugepages : NULL;
}

VFIOCTL_EXPORT size_t vfioctl_domain_hostdev_count(const struct vfioctl_domain *domain)
{
        return domain->n_hostdevs;
}

VFIOCTL_EXPORT const struct vfioctl_address *vfioctl_domain_hostdev(const struct vfioctl_domain *domain,
                                                                    size_t index)
{
        return index < domain->n_hostdevs ? &domain->hostdevs[index].host : NULL;
}

VFIOCTL_EXPORT const struct vfioctl_address *vfioctl_domain_hostdev_guest(const struct vfioctl_domain *domain,
                                                                          size_t index)
{
        if (index >= domain->n_hostdevs || !domain->hostdevs[index].has_guest)
                return NULL;
        return &domain->hostdevs[index].guest;
}

const struct hostdev *domain_find(const struct vfioctl_domain *domain, const struct vfioctl_address *host)
{
        for (size_t i = 0; i < domain->n_hostdevs; i++)
                if (vfioctl_address_compare(&domain->hostdevs[i].host, host) == 0)
                        return &domain->hostdevs[i];
        return NULL;
}
