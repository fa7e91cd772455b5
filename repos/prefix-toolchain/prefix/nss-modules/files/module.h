/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of the functions of an NSS module, see "NSS Module Function Internals" in glibc's manual.
   Each function returns its result in a buffer of the caller: TRYAGAIN with ERANGE asks for a
   larger one. UNAVAIL means that the service does not exist here, and NOTFOUND that it has no
   such entry. */
#ifndef MODULE_H
#define MODULE_H

#include <errno.h>
#include <nss.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#ifndef MODULE
#error "define MODULE, the name of the service in nsswitch.conf"
#endif
#define JOIN_(module, function) _nss_##module##_##function
#define JOIN(module, function) JOIN_(module, function)
#define NSS(function) __attribute__((visibility("default"))) enum nss_status JOIN(MODULE, function)

static inline enum nss_status too_small(int *error)
{
	*error = ERANGE;
	return NSS_STATUS_TRYAGAIN;
}

static inline enum nss_status not_found(int *error)
{
	*error = ENOENT;
	return NSS_STATUS_NOTFOUND;
}

static inline enum nss_status unavailable(int *error)
{
	*error = ENOENT;
	return NSS_STATUS_UNAVAIL;
}

/* Space in the caller's buffer. */
struct space {
	char *next;
	size_t left;
};

/* Return aligned bytes of the buffer; NULL if it is too small. */
static inline void *take(struct space *space, size_t size, size_t alignment)
{
	size_t gap = -(uintptr_t)space->next % alignment;
	char *found = space->next + gap;

	if (space->left < gap || space->left - gap < size)
		return NULL;
	space->next = found + size;
	space->left -= gap + size;
	return found;
}

#endif
