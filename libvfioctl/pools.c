/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pools.h"

/* What is more is no memory that a host has; sums of these fit into 64 bits. */
#define MEMORY_LIMIT (1ull << 44) /* KiB */
#define PAGE_LIMIT   (1ull << 30) /* KiB */
#define PAGES_LIMIT  (1u << 28)

uint64_t pools_kib(const char *meminfo, const char *key)
{
        unsigned long long value;
        const char *line = strstr(meminfo, key);

        if (!line || sscanf(line + strlen(key), ": %llu kB", &value) != 1)
                return 0;
        return value > MEMORY_LIMIT ? 0 : value;
}

static uint64_t read_number(const struct vfioctl_ctx *ctx, const char *folder, const char *pool,
                            const char *name)
{
        char path[PATH_MAX], text[64];
        uint64_t value = 0;

        if (path_format(path, "%s/%s/%s", folder, pool, name) && host_read(ctx, path, text, sizeof(text)) > 0)
                (void)util_parse_u64(util_trim(text), 10, PAGES_LIMIT, &value);
        return value;
}

static int compare_pools(const void *a, const void *b)
{
        const struct page_pool *x = a, *y = b;

        return x->size < y->size ? -1 : x->size > y->size;
}

/* hugepages-2048kB, hugepages-1048576kB: Documentation/admin-guide/mm/hugetlbpage.rst. */
int pools_read(const struct vfioctl_ctx *ctx, const char *folder, struct page_pool pools[PAGE_POOLS_MAX],
               size_t *n)
{
        _cleanup_dir_ DIR *dir = NULL;
        unsigned long long size;

        int r = host_opendir_optional(ctx, folder, &dir);
        for (struct dirent *entry; dir && *n < PAGE_POOLS_MAX && (entry = readdir(dir));)
                if (sscanf(entry->d_name, "hugepages-%10llukB", &size) == 1 && size > 0 && size <= PAGE_LIMIT)
                        pools[(*n)++] = (struct page_pool){
                                .size = size,
                                .count = read_number(ctx, folder, entry->d_name, "nr_hugepages"),
                                .free = read_number(ctx, folder, entry->d_name, "free_hugepages"),
                        };
        if (*n > 0)
                qsort(pools, *n, sizeof(*pools), compare_pools);
        return r;
}
