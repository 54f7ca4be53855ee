/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Preloaded: libvirt's calls that FAILVIRT names (define, start, destroy, remove; again: each connection but
 * the first) fail, with a reason; and FAILVIRT_GRAB, a command, runs when a disk is made, which is between
 * the look at the host and the change.
 */
#include <dlfcn.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static _Thread_local int failed;

static void *real(const char *name)
{
        void *library = dlopen("libvirt.so.0", RTLD_LAZY | RTLD_LOCAL),
             *found = library ? dlsym(library, name) : NULL;

        if (!found)
                abort();
        return found;
}

static int fails(const char *what)
{
        const char *list = getenv("FAILVIRT");

        failed = list && strstr(list, what);
        return failed;
}

EXPORT virErrorPtr virGetLastError(void)
{
        static virError error = {.code = VIR_ERR_INTERNAL_ERROR,
                                 .message = (char *)(size_t) "the test says no"};
        virErrorPtr (*next)(void);

        if (failed)
                return &error;
        *(void **)&next = real("virGetLastError");
        return next();
}

EXPORT virConnectPtr virConnectOpen(const char *uri)
{
        virConnectPtr (*next)(const char *);
        static int opened;

        if (opened++ && fails("again"))
                return NULL;
        *(void **)&next = real("virConnectOpen");
        return next(uri);
}

EXPORT virDomainPtr virDomainDefineXMLFlags(virConnectPtr connection, const char *xml, unsigned int flags)
{
        virDomainPtr (*next)(virConnectPtr, const char *, unsigned int);

        if (fails("define"))
                return NULL;
        *(void **)&next = real("virDomainDefineXMLFlags");
        return next(connection, xml, flags);
}

EXPORT int virDomainCreate(virDomainPtr domain)
{
        int (*next)(virDomainPtr);

        if (fails("start"))
                return -1;
        *(void **)&next = real("virDomainCreate");
        return next(domain);
}

EXPORT int virDomainDestroy(virDomainPtr domain)
{
        int (*next)(virDomainPtr);

        if (fails("destroy"))
                return -1;
        *(void **)&next = real("virDomainDestroy");
        return next(domain);
}

EXPORT int virDomainUndefineFlags(virDomainPtr domain, unsigned int flags)
{
        int (*next)(virDomainPtr, unsigned int);

        if (fails("remove"))
                return -1;
        *(void **)&next = real("virDomainUndefineFlags");
        return next(domain, flags);
}

EXPORT int ftruncate(int fd, off_t size)
{
        const char *command = getenv("FAILVIRT_GRAB");
        int (*next)(int, off_t);

        if (command) {
                char *copy = strdup(command);
                (void)unsetenv("FAILVIRT_GRAB");
                (void)unsetenv("LD_PRELOAD");
                if (!copy || system(copy) != 0)
                        abort();
                free(copy);
        }
        *(void **)&next = dlsym(RTLD_NEXT, "ftruncate64");
        return next(fd, size);
}
