/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VFIOCTL_VIRT_XML_H
#define VFIOCTL_VIRT_XML_H

/*
 * Edits of an XML tree that can be undone to the byte: an element goes in with the indentation of its
 * neighbours and takes exactly that with it when it goes. Pure.
 */

#include <libxml/tree.h>

#include "../util.h"
#include "libvfioctl-virt.h"

/*
 * First child element, and next sibling element, of this name and namespace (NULL: none). Both take NULL for
 * the node.
 */
xmlNode *xml_child(const xmlNode *parent, const char *name, const char *namespace);
xmlNode *xml_next(const xmlNode *node, const char *name, const char *namespace);

/* Value of an attribute without a namespace, borrowed; NULL when there is none. */
const char *xml_attribute(const xmlNode *node, const char *name);

/* An attribute as libvirt reads numbers (decimal, 0x, 0). -ENOENT, -EINVAL, -ERANGE. */
int xml_number(const xmlNode *node, const char *name, uint64_t maximum, uint64_t *ret);

/*
 * Reads the attributes domain, bus, slot, function; a missing one is 0, as in libvirt. -ENOENT when none is
 * there, -EINVAL, -ERANGE.
 */
int xml_pci_address(const xmlNode *node, struct vfioctl_address *ret);

/* A new element below `parent` (NULL: on its own), for a tree that is still to be inserted. */
xmlNode *xml_new(xmlNode *parent, const char *name);

/* Sets an attribute. 0 or -ENOMEM. */
int xml_set(xmlNode *node, const char *name, const char *format, ...) _printf_(3, 4);

/*
 * Puts the new tree `node` behind `after`, or behind the last child of `parent` when `after` is NULL, and
 * indents it as its neighbours are. On failure, -ENOMEM, `node` is still the caller's.
 */
int xml_insert(xmlNode *parent, xmlNode *after, xmlNode *node);

/*
 * The same behind the last child that is an element or a comment; a parent that has nothing in it is opened,
 * with its end on a line of its own where the parent is.
 */
int xml_append(xmlNode *parent, xmlNode *node);

/* The same in front of `next`, an element. */
int xml_insert_before(xmlNode *next, xmlNode *node);

/* Whether nothing but blanks is in it; NULL is empty. */
bool xml_is_empty(const xmlNode *node);

/* The text of an element, without blanks around it, the caller's to free; "" when it has none. */
int xml_text(const xmlNode *node, char **ret);
/* Sets the text of an element that has no others in it; one that is equal stays as it is. 0 or -ENOMEM. */
int xml_set_text(xmlNode *node, const char *text);

/* Takes an attribute away, and the elements in a node. */
void xml_unset(xmlNode *node, const char *name);
int xml_clear(xmlNode *node);

/* Takes out and frees `node` and the line break and indentation in front of it. 0 or -ENOMEM. */
int xml_remove(xmlNode *node);

/*
 * libxml2 goes on when memory runs out, and leaves out what it had no room for. Its last error, a thread's
 * own, tells: xml_begin() clears it, and xml_end() gives `r`, or -ENOMEM when it was that.
 */
void xml_begin(void);
int xml_end(int r);

static inline xmlNode *xml_free(xmlNode *node)
{
        xmlFreeNode(node);
        return NULL;
}
DEFINE_CLEANUP(xmlNode, xml_free)

#endif
