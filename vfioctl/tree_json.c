/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json.h"
#include "tree.h"

static struct json_object *number_or_null(unsigned int value)
{
        return value == 0 ? NULL : json_object_new_int64(value);
}

/* NULL when nothing is known. */
static struct json_object *link_json(struct vfioctl_link link)
{
        if (link.width == 0 && link.max_width == 0)
                return NULL;
        struct json_object *object = json_object_new_object();

        json_put(object, "width", number_or_null(link.width));
        json_put(object, "max_width", number_or_null(link.max_width));
        json_put(object, "speed", number_or_null(link.speed));
        json_put(object, "max_speed", number_or_null(link.max_speed));
        json_put(object, "narrow", json_object_new_boolean(tree_link_is_narrow(&link)));
        return object;
}

static struct json_object *bridge_json(const struct vfioctl_function *bridge)
{
        enum vfioctl_pcie_type type = vfioctl_function_pcie_type(bridge);
        struct json_object *object = json_object_new_object();

        json_put(object, "address", json_string(vfioctl_function_address(bridge)));
        json_put(object, "type",
                 json_string(type == VFIOCTL_PCIE_UNKNOWN ? NULL : vfioctl_pcie_type_name(type)));
        json_put(object, "vendor", json_hex(vfioctl_function_vendor(bridge), 4));
        json_put(object, "device", json_hex(vfioctl_function_device(bridge), 4));
        json_put(object, "name", json_string(vfioctl_function_name(bridge)));
        json_put(object, "iommu_group", json_number_or_null(vfioctl_function_group_number(bridge)));
        json_put(object, "link", link_json(vfioctl_function_link(bridge)));
        return object;
}

/* Those of the path from `from` on, and below `to`. */
static struct json_object *bridges_json(const struct vfioctl_gpu *gpu, size_t from, size_t to)
{
        struct json_object *array = json_object_new_array();

        for (size_t i = from; i < to; i++)
                json_append(array, bridge_json(vfioctl_gpu_path(gpu, i)));
        return array;
}

static struct json_object *gpu_json(const struct tree_card *card, const struct tree_gpu *item)
{
        const struct vfioctl_gpu *gpu = item->gpu;
        const struct vfioctl_group *group = vfioctl_gpu_group(gpu);
        struct json_object *object = json_object_new_object(), *functions = json_object_new_array();

        json_put(object, "name", json_string(vfioctl_gpu_name(gpu)));
        json_put(object, "address", json_string(vfioctl_gpu_address(gpu)));
        json_put(object, "alias", json_string(vfioctl_gpu_alias(gpu)));
        json_put(object, "mode", json_string(vfioctl_mode_name(vfioctl_gpu_mode(gpu))));
        json_put(object, "iommu_group", group ? json_object_new_int(vfioctl_group_number(group)) : NULL);
        json_put(object, "state", json_string(tree_state_name(item->state)));
        json_put(object, "use", json_string(status_use_name(item->use.kind)));
        json_put(object, "used_by", json_string(item->use.text));
        json_put(object, "vm", json_string(item->use.vm));
        json_put(object, "broken", json_string(item->broken));
        json_put(object, "link", link_json(item->link));
        json_put(object, "bridges",
                 bridges_json(gpu, tree_board_bridges(card, gpu), vfioctl_gpu_path_count(gpu)));
        for (size_t i = 0; i < vfioctl_gpu_function_count(gpu); i++)
                json_append(functions, json_string(vfioctl_function_address(vfioctl_gpu_function(gpu, i))));
        json_put(object, "functions", functions);
        return object;
}

static struct json_object *card_json(const struct tree_card *card)
{
        struct json_object *object = json_object_new_object(), *gpus = json_object_new_array();
        const struct vfioctl_gpu *first = card->gpus[0].gpu;

        json_put(object, "card_index", json_object_new_int((int)card->index));
        json_put(object, "place", json_string(card->place));
        json_put(object, "slot", json_string(card->slot));
        json_put(object, "on_board", json_object_new_boolean(card->on_board));
        json_put(object, "name", json_string(card->name));
        json_put(object, "address", json_string(card->address));
        json_put(object, "link", link_json(card->link));
        json_put(object, "bridges", bridges_json(first, 0, tree_board_bridges(card, first)));
        for (size_t i = 0; i < card->n_gpus; i++)
                json_append(gpus, gpu_json(card, &card->gpus[i]));
        json_put(object, "gpus", gpus);
        return object;
}

static struct json_object *node_json(const struct tree_node *node)
{
        struct json_object *object = json_object_new_object(), *cards = json_object_new_array();

        json_put(object, "node", json_number_or_null(node->number));
        for (size_t i = 0; i < node->n_cards; i++)
                json_append(cards, card_json(&node->cards[i]));
        json_put(object, "cards", cards);
        return object;
}

static struct json_object *socket_json(const struct tree_socket *socket)
{
        struct json_object *object = json_object_new_object(), *nodes = json_object_new_array();

        json_put(object, "cpu", number_or_null(socket->count));
        json_put(object, "package", json_number_or_null(socket->package));
        for (size_t i = 0; i < socket->n_nodes; i++)
                json_append(nodes, node_json(&socket->nodes[i]));
        json_put(object, "nodes", nodes);
        return object;
}

struct json_object *tree_json(const struct tree *tree)
{
        struct json_object *object = json_object_new_object(), *sockets = json_object_new_array();

        json_put(object, "host", json_string(tree->host));
        json_put(object, "board", json_string(tree->board));
        for (size_t i = 0; i < tree->n_sockets; i++)
                json_append(sockets, socket_json(&tree->sockets[i]));
        json_put(object, "sockets", sockets);
        return object;
}
