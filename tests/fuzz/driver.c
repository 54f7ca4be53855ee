/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz.h"

#include <dirent.h>
#include <sys/stat.h>

/*
 * usage: fuzz-NAME ROUNDS SEED...
 *
 * Runs the entry over the seeds (files, or folders of files), and over ROUNDS changes of them: always the
 * same ones, so what fails once fails again. The input under way is in FUZZ_INPUT, if that is set.
 */

#define SEEDS_MAX 256
#define INPUT_MAX 65536

static struct seed {
        uint8_t *data;
        size_t size;
} seeds[SEEDS_MAX];
static size_t n_seeds;
static uint64_t state = 88172645463325252u;

/* xorshift64 */
static uint64_t next_random(uint64_t below)
{
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return below ? state % below : 0;
}

static void add_seed(const char *path)
{
        struct stat status;

        require(stat(path, &status) == 0);
        if (S_ISDIR(status.st_mode)) {
                struct dirent **entries;
                int count = scandir(path, &entries, NULL, alphasort);
                require(count >= 0);
                for (int i = 0; i < count; i++) {
                        char below[PATH_MAX];
                        (void)snprintf(below, sizeof(below), "%s/%s", path, entries[i]->d_name);
                        if (entries[i]->d_name[0] != '.')
                                add_seed(below);
                        free(entries[i]);
                }
                free(entries);
                return;
        }
        require(n_seeds < SEEDS_MAX);
        struct seed *seed = &seeds[n_seeds++];
        seed->data = malloc(INPUT_MAX);
        FILE *file = fopen(path, "re");
        require(seed->data && file);
        seed->size = fread(seed->data, 1, INPUT_MAX, file);
        require(fclose(file) == 0);
}

static void run(const uint8_t *data, size_t size)
{
        const char *path = getenv("FUZZ_INPUT");

        if (path) {
                FILE *file = fopen(path, "we");
                require(file && fwrite(data, 1, size, file) == size && fclose(file) == 0);
        }
        /* A copy of the exact size, so that a read beyond its end is seen. */
        uint8_t *copy = malloc(size ? size : 1);
        require(copy);
        memcpy(copy, data, size);
        require(LLVMFuzzerTestOneInput(copy, size) == 0);
        free(copy);
}

static size_t change(uint8_t *data, size_t size)
{
        static const uint8_t bytes[] = {0,   1,   7,   9,   0x7f, 0x80, 0xff, '\n',
                                        ' ', '/', ':', '<', '>',  '"',  '&',  '='};
        size_t at = (size_t)next_random(size), n = (size_t)next_random(32) + 1;
        const struct seed *other = &seeds[next_random(n_seeds)];

        switch (next_random(8)) {
        case 0:
                if (size > 0)
                        data[at] ^= (uint8_t)(1u << next_random(8));
                return size;
        case 1:
                if (size > 0)
                        data[at] = bytes[next_random(sizeof(bytes))];
                return size;
        case 2:
                return at;
        case 3: /* cut out */
                if (n > size - at)
                        n = size - at;
                memmove(data + at, data + at + n, size - at - n);
                return size - n;
        case 4: /* twice */
                if (n > size - at)
                        n = size - at;
                if (size + n > INPUT_MAX)
                        return size;
                memmove(data + at + n, data + at, size - at);
                return size + n;
        case 5: /* of another seed */
                if (other->size == 0)
                        return size;
                n = (size_t)next_random(other->size) + 1;
                if (at + n > INPUT_MAX)
                        return size;
                memcpy(data + at, other->data + next_random(other->size - n + 1), n);
                return at + n > size ? at + n : size;
        case 6:
                for (size_t i = at; i < size && i < at + n; i++)
                        data[i] = (uint8_t)next_random(256);
                return size;
        default:
                if (size == INPUT_MAX)
                        return size;
                memmove(data + at + 1, data + at, size - at);
                data[at] = bytes[next_random(sizeof(bytes))];
                return size + 1;
        }
}

int main(int argc, char **argv)
{
        static uint8_t data[INPUT_MAX];

        if (argc < 3) {
                fprintf(stderr, "usage: %s ROUNDS SEED...\n", argv[0]);
                return 2;
        }
        unsigned long rounds = strtoul(argv[1], NULL, 10);
        for (int i = 2; i < argc; i++)
                add_seed(argv[i]);
        require(n_seeds > 0);
        run(data, 0);
        for (size_t i = 0; i < n_seeds; i++)
                run(seeds[i].data, seeds[i].size);
        for (unsigned long i = 0; i < rounds; i++) {
                const struct seed *seed = &seeds[next_random(n_seeds)];
                size_t size = seed->size;
                memcpy(data, seed->data, size);
                for (uint64_t n = next_random(6) + 1; n > 0; n--)
                        size = change(data, size);
                run(data, size);
        }
        printf("%zu seeds, %lu changes\n", n_seeds, rounds);
        for (size_t i = 0; i < n_seeds; i++)
                free(seeds[i].data);
        return 0;
}
