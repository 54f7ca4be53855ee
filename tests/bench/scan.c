/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The least that a scan can do: read the class of every PCI function below DIR. Prints how many are displays.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
        unsigned int displays = 0, functions = 0;
        char path[512], text[64];

        if (argc != 2)
                return 2;
        DIR *dir = opendir(argv[1]);
        if (!dir)
                return 1;
        for (struct dirent *entry; (entry = readdir(dir));) {
                if (entry->d_name[0] == '.')
                        continue;
                int length = snprintf(path, sizeof(path), "%s/class", entry->d_name);
                if (length < 0 || (size_t)length >= sizeof(path))
                        return 1;
                int fd = openat(dirfd(dir), path, O_RDONLY | O_CLOEXEC);
                if (fd < 0)
                        return 1;
                ssize_t n = read(fd, text, sizeof(text) - 1);
                if (close(fd) < 0 || n < 0)
                        return 1;
                text[n] = '\0';
                functions++;
                displays += strtoul(text, NULL, 16) >> 16 == 0x03;
        }
        closedir(dir);
        printf("%u of %u\n", displays, functions);
        return 0;
}
