/* SPDX-License-Identifier: BSD-3-Clause */
/* An NSS module for the names that nss-myhostname(8) knows: the machine's own name and localhost.
   It does not know _gateway and _outbound, which need the kernel's routes. */
#define _GNU_SOURCE
#include "module.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <limits.h>
#include <netdb.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { MOST = 64 };

struct addresses {
	unsigned char data[MOST][sizeof(struct in6_addr)];
	size_t count, size;
	int family;
};

static bool is_localhost(const char *name)
{
	static const char suffix[] = ".localhost";
	size_t length = strlen(name), dot = length && name[length - 1] == '.';

	length -= dot;
	if (length == 9)
		return strncasecmp(name, "localhost", 9) == 0;
	if (length == 21 && strncasecmp(name, "localhost.localdomain", 21) == 0)
		return true;
	return length > 10 && strncasecmp(name + length - 10, suffix, 10) == 0;
}

static bool own_name(char *name, size_t length)
{
	if (gethostname(name, length) != 0 || !*name)
		return false;
	name[length - 1] = '\0';
	return !is_localhost(name);
}

static void add(struct addresses *list, const void *address)
{
	if (list->count < MOST)
		memcpy(list->data[list->count++], address, list->size);
}

/* Add 127.0.0.<last> or ::1. */
static void add_loopback(struct addresses *list, unsigned char last)
{
	struct in_addr address = { htonl(0x7f000000u | last) };

	if (list->family == AF_INET)
		add(list, &address);
	else
		add(list, &in6addr_loopback);
}

/* Add the addresses of the interfaces; those that only one link knows are left out. */
static void add_interfaces(struct addresses *list)
{
	struct ifaddrs *first, *each;

	if (getifaddrs(&first) != 0)
		return;
	for (each = first; each; each = each->ifa_next) {
		if (!each->ifa_addr || each->ifa_addr->sa_family != list->family)
			continue;
		if (list->family == AF_INET) {
			struct in_addr *found = &((struct sockaddr_in *)each->ifa_addr)->sin_addr;
			if (ntohl(found->s_addr) >> 24 != 127)
				add(list, found);
		} else {
			struct in6_addr *found = &((struct sockaddr_in6 *)each->ifa_addr)->sin6_addr;
			if (!IN6_IS_ADDR_LOOPBACK(found) && !IN6_IS_ADDR_LINKLOCAL(found))
				add(list, found);
		}
	}
	freeifaddrs(first);
}

static bool prepare(struct addresses *list, int family)
{
	list->count = 0;
	list->family = family;
	list->size = family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
	return family == AF_INET || family == AF_INET6;
}

static enum nss_status answer(const char *name, const struct addresses *list, struct hostent *entry,
			      char *buffer, size_t length, int *error, int *h_error)
{
	struct space space = { buffer, length };
	char **pointers = take(&space, (list->count + 2) * sizeof(char *), alignof(char *));
	char *data = pointers ? take(&space, list->count * list->size, 8) : NULL;
	char *own = data ? take(&space, strlen(name) + 1, 1) : NULL;

	if (!own) {
		*h_error = NETDB_INTERNAL;
		return too_small(error);
	}
	strcpy(own, name);
	*entry = (struct hostent){ own, pointers + list->count + 1, list->family, (int)list->size,
				   pointers };
	for (size_t i = 0; i < list->count; i++)
		pointers[i] = memcpy(data + i * list->size, list->data[i], list->size);
	pointers[list->count] = pointers[list->count + 1] = NULL;
	*h_error = NETDB_SUCCESS;
	return NSS_STATUS_SUCCESS;
}

static enum nss_status nothing(int *error, int *h_error)
{
	*h_error = HOST_NOT_FOUND;
	return not_found(error);
}

NSS(gethostbyname2_r)(const char *name, int family, struct hostent *entry, char *buffer,
		      size_t length, int *error, int *h_error)
{
	struct addresses list;
	char own[HOST_NAME_MAX + 1];

	if (!prepare(&list, family))
		return nothing(error, h_error);
	if (is_localhost(name)) {
		add_loopback(&list, 1);
	} else if (own_name(own, sizeof own) && strcasecmp(name, own) == 0) {
		add_interfaces(&list);
		if (list.count == 0)
			add_loopback(&list, 2);
	} else {
		return nothing(error, h_error);
	}
	return answer(name, &list, entry, buffer, length, error, h_error);
}

NSS(gethostbyname_r)(const char *name, struct hostent *entry, char *buffer, size_t length,
		     int *error, int *h_error)
{
	return JOIN(MODULE, gethostbyname2_r)(name, AF_INET, entry, buffer, length, error, h_error);
}

NSS(gethostbyaddr_r)(const void *address, socklen_t size, int family, struct hostent *entry,
		     char *buffer, size_t length, int *error, int *h_error)
{
	struct addresses list, asked;
	char own[HOST_NAME_MAX + 1];

	if (!prepare(&list, family) || size != list.size)
		return nothing(error, h_error);
	prepare(&asked, family);
	add(&asked, address);
	add_loopback(&list, 1);
	if (memcmp(list.data[0], address, size) == 0)
		return answer("localhost", &asked, entry, buffer, length, error, h_error);
	add_loopback(&list, 2);
	add_interfaces(&list);
	for (size_t i = 1; i < list.count; i++)
		if (memcmp(list.data[i], address, size) == 0 && own_name(own, sizeof own))
			return answer(own, &asked, entry, buffer, length, error, h_error);
	return nothing(error, h_error);
}
