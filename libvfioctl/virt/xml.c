/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <libxml/xmlerror.h>

#include "xml.h"

static bool xml_is(const xmlNode *node, const char *name, const char *namespace)
{
        if (node->type != XML_ELEMENT_NODE || !util_equal((const char *)node->name, name))
                return false;
        return util_equal(node->ns ? (const char *)node->ns->href : NULL, namespace);
}

static xmlNode *xml_first(xmlNode *node, const char *name, const char *namespace)
{
        while (node && !xml_is(node, name, namespace))
                node = node->next;
        return node;
}

xmlNode *xml_child(const xmlNode *parent, const char *name, const char *namespace)
{
        return parent ? xml_first(parent->children, name, namespace) : NULL;
}

xmlNode *xml_next(const xmlNode *node, const char *name, const char *namespace)
{
        return node ? xml_first(node->next, name, namespace) : NULL;
}

const char *xml_attribute(const xmlNode *node, const char *name)
{
        if (!node)
                return NULL;
        for (const xmlAttr *attribute = node->properties; attribute; attribute = attribute->next) {
                if (attribute->ns || !util_equal((const char *)attribute->name, name))
                        continue;
                if (!attribute->children)
                        return "";
                return attribute->children->next ? NULL : (const char *)attribute->children->content;
        }
        return NULL;
}

int xml_number(const xmlNode *node, const char *name, uint64_t maximum, uint64_t *ret)
{
        const char *text = xml_attribute(node, name);

        return text ? util_parse_u64(text, 0, maximum, ret) : -ENOENT;
}

int xml_pci_address(const xmlNode *node, struct vfioctl_address *ret)
{
        static const struct {
                const char *name;
                uint64_t maximum;
        } parts[] = {{"domain", UINT32_MAX}, {"bus", UINT8_MAX}, {"slot", 31}, {"function", 7}};
        uint64_t values[ELEMENTSOF(parts)] = {0};
        bool any = false;

        for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
                int r = xml_number(node, parts[i].name, parts[i].maximum, &values[i]);
                if (r < 0 && r != -ENOENT)
                        return r;
                any = any || r == 0;
        }
        if (!any)
                return -ENOENT;
        *ret = (struct vfioctl_address){
                .domain = (uint32_t)values[0],
                .bus = (uint8_t)values[1],
                .device = (uint8_t)values[2],
                .function = (uint8_t)values[3],
        };
        return 0;
}

xmlNode *xml_new(xmlNode *parent, const char *name)
{
        _cleanup_(xml_freep) xmlNode *node = xmlNewNode(NULL, (const xmlChar *)name);

        if (!node || !node->name || (parent && !xmlAddChild(parent, node)))
                return NULL;
        return util_steal(node);
}

int xml_set(xmlNode *node, const char *name, const char *format, ...)
{
        _cleanup_free_ char *value = NULL;
        va_list arguments;

        va_start(arguments, format);
        int r = vasprintf(&value, format, arguments);
        va_end(arguments);
        if (r < 0) {
                value = NULL;
                return -ENOMEM;
        }
        return xmlSetProp(node, (const xmlChar *)name, (const xmlChar *)value) ? 0 : -ENOMEM;
}

/*
 * The line break and the blanks that end a text, or NULL. Only so much is ever inserted or removed in front
 * of an element: an empty line there belongs to somebody else.
 */
static const char *text_last_line(const xmlNode *node)
{
        if (!node || node->type != XML_TEXT_NODE || !node->content)
                return NULL;
        const char *line = strrchr((const char *)node->content, '\n');
        return line && line[1 + strspn(line + 1, " \t")] == '\0' ? line : NULL;
}

/* The document's unit of indentation: that of the first thing in the root element. */
static const char *indent_unit(const xmlNode *node)
{
        const xmlNode *root = node->doc ? xmlDocGetRootElement(node->doc) : NULL;
        const char *line = root ? text_last_line(root->children) : NULL;

        return line && line[1] ? line + 1 : "  ";
}

static int add_text_before(xmlNode *node, const char *text)
{
        xmlNode *space = xmlNewText((const xmlChar *)text);

        if (!space)
                return -ENOMEM;
        if (!xmlAddPrevSibling(node, space)) {
                xmlFreeNode(space);
                return -ENOMEM;
        }
        return 0;
}

/* Indents what is in a tree of our own; what has text has nothing else. */
static int indent_children(xmlNode *node, const char *line, const char *unit)
{
        _cleanup_free_ char *inner = NULL;
        int r;

        if (!node->children || node->children->type == XML_TEXT_NODE)
                return 0;
        r = util_format(&inner, "%s%s", line, unit);
        if (r < 0)
                return r;
        for (xmlNode *child = node->children; child; child = child->next) {
                r = add_text_before(child, inner);
                if (r < 0)
                        return r;
                r = indent_children(child, inner, unit);
                if (r < 0)
                        return r;
        }
        xmlNode *end = xmlNewText((const xmlChar *)line);
        if (!end)
                return -ENOMEM;
        if (!xmlAddChild(node, end)) {
                xmlFreeNode(end);
                return -ENOMEM;
        }
        return 0;
}

int xml_insert(xmlNode *parent, xmlNode *after, xmlNode *node)
{
        _cleanup_free_ char *line = NULL;
        int r = 0;

        if (!after)
                for (after = parent->last; after && after->type == XML_TEXT_NODE;)
                        after = after->prev;

        if (after) {
                const char *found = NULL;
                for (const xmlNode *n = after->prev; n && !found; n = n->prev)
                        found = text_last_line(n);
                r = util_copy(found, &line);
        } else {
                const char *end = text_last_line(parent->last);
                if (end)
                        r = util_format(&line, "%s%s", end, indent_unit(parent));
        }
        if (r < 0)
                return r;

        /* What can fail comes before the tree is linked, so that a failure leaves the document alone. */
        _cleanup_(xml_freep) xmlNode *space = line ? xmlNewText((const xmlChar *)line) : NULL;
        if (line) {
                if (!space)
                        return -ENOMEM;
                r = indent_children(node, line, indent_unit(parent));
                if (r < 0)
                        return r;
        }
        xmlNode *linked;
        if (after)
                linked = xmlAddNextSibling(after, node);
        else if (parent->children)
                linked = xmlAddPrevSibling(parent->children, node);
        else
                linked = xmlAddChild(parent, node);
        if (!linked)
                return -ENOMEM;
        if (space && xmlAddPrevSibling(node, space))
                space = NULL;
        return 0;
}

int xml_remove(xmlNode *node)
{
        xmlNode *before = node->prev, *behind = node->next;
        const char *line = text_last_line(before);

        if (line && line > (const char *)before->content) {
                /* Never in place: the parser lets text nodes share their content. */
                xmlChar *kept = xmlStrndup(before->content, (int)(line - (const char *)before->content));
                if (!kept)
                        return -ENOMEM;
                xmlNodeSetContent(before, kept);
                xmlFree(kept);
                if (!before->content)
                        return -ENOMEM;
        } else if (line) {
                xmlUnlinkNode(before);
                xmlFreeNode(before);
                before = NULL;
        }
        xmlUnlinkNode(node);
        xmlFreeNode(node);
        if (before && before->type == XML_TEXT_NODE && behind && behind->type == XML_TEXT_NODE)
                return xmlTextMerge(before, behind) ? 0 : -ENOMEM;
        return 0;
}

int xml_insert_before(xmlNode *next, xmlNode *node)
{
        _cleanup_free_ char *line = NULL;

        int r = util_copy(text_last_line(next->prev), &line);
        if (r < 0)
                return r;
        _cleanup_(xml_freep) xmlNode *space = line ? xmlNewText((const xmlChar *)line) : NULL;
        if (line) {
                if (!space)
                        return -ENOMEM;
                r = indent_children(node, line, indent_unit(next));
                if (r < 0)
                        return r;
        }
        if (!xmlAddPrevSibling(next, node))
                return -ENOMEM;
        if (space && xmlAddPrevSibling(next, space))
                space = NULL;
        return 0;
}

int xml_append(xmlNode *parent, xmlNode *node)
{
        const char *line = NULL;

        for (const xmlNode *n = parent->prev; !parent->children && n && !line; n = n->prev)
                line = text_last_line(n);
        if (line) {
                xmlNode *end = xmlNewText((const xmlChar *)line);
                if (!end)
                        return -ENOMEM;
                if (!xmlAddChild(parent, end)) {
                        xmlFreeNode(end);
                        return -ENOMEM;
                }
        }
        return xml_insert(parent, NULL, node);
}

bool xml_is_empty(const xmlNode *node)
{
        for (const xmlNode *child = node ? node->children : NULL; child; child = child->next)
                if (!xmlIsBlankNode(child))
                        return false;
        return true;
}

int xml_text(const xmlNode *node, char **ret)
{
        char *copy = NULL, *text = (char *)xmlNodeGetContent(node);

        if (!text)
                return -ENOMEM;
        int r = util_copy(util_trim(text + strspn(text, " \t\n")), &copy);
        xmlFree(text);
        if (r >= 0)
                *ret = copy;
        return r;
}

int xml_set_text(xmlNode *node, const char *text)
{
        _cleanup_free_ char *now = NULL;

        int r = xml_text(node, &now);
        if (r < 0)
                return r;
        if (util_equal(now, text))
                return 0;
        for (xmlNode *child = node->children, *next; child; child = next) {
                next = child->next;
                if (child->type == XML_COMMENT_NODE)
                        continue;
                xmlUnlinkNode(child);
                xmlFreeNode(child);
        }
        xmlNode *fresh = xmlNewText((const xmlChar *)text);
        if (!fresh)
                return -ENOMEM;
        if (!xmlAddChild(node, fresh)) {
                xmlFreeNode(fresh);
                return -ENOMEM;
        }
        return 0;
}

void xml_unset(xmlNode *node, const char *name)
{
        (void)xmlUnsetProp(node, (const xmlChar *)name);
}

int xml_clear(xmlNode *node)
{
        for (xmlNode *child = xmlFirstElementChild(node); child; child = xmlFirstElementChild(node)) {
                int r = xml_remove(child);
                if (r < 0)
                        return r;
        }
        while (xml_is_empty(node) && node->children) {
                xmlNode *blank = node->children;
                xmlUnlinkNode(blank);
                xmlFreeNode(blank);
        }
        return 0;
}

void xml_begin(void)
{
        xmlResetLastError();
}

int xml_end(int r)
{
        const xmlError *error = xmlGetLastError();

        return error && error->code == XML_ERR_NO_MEMORY ? -ENOMEM : r;
}
