/* SPDX-License-Identifier: BSD-3-Clause */
/* An NSS module for files in the directories DIRECTORIES. Immutable systems have their own users,
   groups, services and protocols there, and those of the administrator in /etc. */
#define _GNU_SOURCE
#include "module.h"

#include <arpa/inet.h>
#include <grp.h>
#include <limits.h>
#include <netdb.h>
#include <pwd.h>
#include <shadow.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const directories[] = { DIRECTORIES };
enum { COUNT = sizeof directories / sizeof *directories };

/* Read the next entry. Return 0, ENOENT at the end, or ERANGE if the buffer is too small. */
typedef int reader(FILE *file, void *entry, char *buffer, size_t length);
typedef bool matcher(const void *entry, const void *key);

/* Find the first entry of the files with this name that matches the key. */
static enum nss_status find(const char *name, reader *read, matcher *matches, const void *key,
			    void *entry, char *buffer, size_t length, int *error)
{
	bool exists = false;

	for (size_t i = 0; i < COUNT; i++) {
		char path[PATH_MAX];
		FILE *file;
		int code;

		snprintf(path, sizeof path, "%s/%s", directories[i], name);
		file = fopen(path, "re");
		if (!file)
			continue;
		exists = true;
		while ((code = read(file, entry, buffer, length)) == 0)
			if (matches(entry, key))
				break;
		fclose(file);
		if (code == 0)
			return NSS_STATUS_SUCCESS;
		if (code == ERANGE)
			return too_small(error);
	}
	return exists ? not_found(error) : unavailable(error);
}

/* The position of an enumeration. The C library locks it. */
struct cursor {
	FILE *file;
	size_t next;
};

static void rewind_cursor(struct cursor *cursor)
{
	if (cursor->file)
		fclose(cursor->file);
	*cursor = (struct cursor){ 0 };
}

static enum nss_status advance(struct cursor *cursor, const char *name, reader *read, void *entry,
			       char *buffer, size_t length, int *error)
{
	for (;;) {
		fpos_t before;
		int code;

		while (!cursor->file) {
			char path[PATH_MAX];

			if (cursor->next == COUNT)
				return not_found(error);
			snprintf(path, sizeof path, "%s/%s", directories[cursor->next++], name);
			cursor->file = fopen(path, "re");
		}
		fgetpos(cursor->file, &before);
		code = read(cursor->file, entry, buffer, length);
		if (code == 0)
			return NSS_STATUS_SUCCESS;
		if (code == ERANGE) {
			fsetpos(cursor->file, &before);
			return too_small(error);
		}
		fclose(cursor->file);
		cursor->file = NULL;
	}
}

#define ENUMERATION(set, get, end, name, type, read)                                         \
	static struct cursor get##_cursor;                                                   \
	NSS(set)(int stay) { (void)stay; rewind_cursor(&get##_cursor); return NSS_STATUS_SUCCESS; } \
	NSS(end)(void) { rewind_cursor(&get##_cursor); return NSS_STATUS_SUCCESS; }          \
	NSS(get)(struct type *entry, char *buffer, size_t length, int *error)                \
	{ return advance(&get##_cursor, name, read, entry, buffer, length, error); }

/* Users, groups and passwords. */

static int read_passwd(FILE *file, void *entry, char *buffer, size_t length)
{
	struct passwd *found;
	return fgetpwent_r(file, entry, buffer, length, &found);
}

static int read_group(FILE *file, void *entry, char *buffer, size_t length)
{
	struct group *found;
	return fgetgrent_r(file, entry, buffer, length, &found);
}

static int read_shadow(FILE *file, void *entry, char *buffer, size_t length)
{
	struct spwd *found;
	return fgetspent_r(file, entry, buffer, length, &found);
}

static bool user_has_name(const void *entry, const void *key)
{
	return strcmp(((const struct passwd *)entry)->pw_name, key) == 0;
}

static bool user_has_id(const void *entry, const void *key)
{
	return ((const struct passwd *)entry)->pw_uid == *(const uid_t *)key;
}

static bool group_has_name(const void *entry, const void *key)
{
	return strcmp(((const struct group *)entry)->gr_name, key) == 0;
}

static bool group_has_id(const void *entry, const void *key)
{
	return ((const struct group *)entry)->gr_gid == *(const gid_t *)key;
}

static bool shadow_has_name(const void *entry, const void *key)
{
	return strcmp(((const struct spwd *)entry)->sp_namp, key) == 0;
}

NSS(getpwnam_r)(const char *name, struct passwd *entry, char *buffer, size_t length, int *error)
{
	return find("passwd", read_passwd, user_has_name, name, entry, buffer, length, error);
}

NSS(getpwuid_r)(uid_t id, struct passwd *entry, char *buffer, size_t length, int *error)
{
	return find("passwd", read_passwd, user_has_id, &id, entry, buffer, length, error);
}

NSS(getgrnam_r)(const char *name, struct group *entry, char *buffer, size_t length, int *error)
{
	return find("group", read_group, group_has_name, name, entry, buffer, length, error);
}

NSS(getgrgid_r)(gid_t id, struct group *entry, char *buffer, size_t length, int *error)
{
	return find("group", read_group, group_has_id, &id, entry, buffer, length, error);
}

NSS(getspnam_r)(const char *name, struct spwd *entry, char *buffer, size_t length, int *error)
{
	return find("shadow", read_shadow, shadow_has_name, name, entry, buffer, length, error);
}

ENUMERATION(setpwent, getpwent_r, endpwent, "passwd", passwd, read_passwd)
ENUMERATION(setgrent, getgrent_r, endgrent, "group", group, read_group)

/* Services and protocols: a name, a value and aliases in each line. */

struct line {
	char *name, *value, **aliases;
};

static int read_line(FILE *file, struct line *line, char *buffer, size_t length)
{
	for (;;) {
		struct space space;
		size_t count = 0;
		char *state, *word, **aliases;

		if (length > INT_MAX)
			length = INT_MAX;
		if (length < 2)
			return ERANGE;
		if (!fgets(buffer, (int)length, file))
			return ENOENT;
		if (!strchr(buffer, '\n') && !feof(file))
			return ERANGE;
		space = (struct space){ buffer + strlen(buffer) + 1, length - strlen(buffer) - 1 };
		buffer[strcspn(buffer, "#\n")] = '\0';
		line->name = strtok_r(buffer, " \t", &state);
		line->value = line->name ? strtok_r(NULL, " \t", &state) : NULL;
		if (!line->value)
			continue;
		aliases = take(&space, sizeof *aliases, alignof(char *));
		line->aliases = aliases;
		while (aliases && (word = strtok_r(NULL, " \t", &state))) {
			line->aliases[count++] = word;
			aliases = take(&space, sizeof *aliases, alignof(char *));
		}
		if (!aliases)
			return ERANGE;
		line->aliases[count] = NULL;
		return 0;
	}
}

static bool is_called(const char *name, char *const *aliases, const char *wanted)
{
	bool found = strcmp(name, wanted) == 0;

	for (; !found && *aliases; aliases++)
		found = strcmp(*aliases, wanted) == 0;
	return found;
}

static int read_service(FILE *file, void *result, char *buffer, size_t length)
{
	struct servent *entry = result;
	struct line line;
	int code;

	while ((code = read_line(file, &line, buffer, length)) == 0) {
		char *slash;
		unsigned long port = strtoul(line.value, &slash, 10);

		if (*slash != '/' || port > 65535)
			continue;
		*entry = (struct servent){ line.name, line.aliases, htons((uint16_t)port), slash + 1 };
		break;
	}
	return code;
}

static int read_protocol(FILE *file, void *result, char *buffer, size_t length)
{
	struct protoent *entry = result;
	struct line line;
	int code = read_line(file, &line, buffer, length);

	if (code == 0)
		*entry = (struct protoent){ line.name, line.aliases, atoi(line.value) };
	return code;
}

struct service {
	const char *name, *protocol;
	int port;
};

static bool is_service(const void *found, const void *wanted)
{
	const struct servent *entry = found;
	const struct service *key = wanted;

	if (key->protocol && strcmp(entry->s_proto, key->protocol) != 0)
		return false;
	return key->name ? is_called(entry->s_name, entry->s_aliases, key->name)
			 : entry->s_port == key->port;
}

static bool protocol_has_name(const void *entry, const void *key)
{
	const struct protoent *protocol = entry;
	return is_called(protocol->p_name, protocol->p_aliases, key);
}

static bool protocol_has_number(const void *entry, const void *key)
{
	return ((const struct protoent *)entry)->p_proto == *(const int *)key;
}

NSS(getservbyname_r)(const char *name, const char *protocol, struct servent *entry, char *buffer,
		     size_t length, int *error)
{
	struct service key = { name, protocol, 0 };
	return find("services", read_service, is_service, &key, entry, buffer, length, error);
}

NSS(getservbyport_r)(int port, const char *protocol, struct servent *entry, char *buffer,
		     size_t length, int *error)
{
	struct service key = { NULL, protocol, port };
	return find("services", read_service, is_service, &key, entry, buffer, length, error);
}

NSS(getprotobyname_r)(const char *name, struct protoent *entry, char *buffer, size_t length,
		      int *error)
{
	return find("protocols", read_protocol, protocol_has_name, name, entry, buffer, length, error);
}

NSS(getprotobynumber_r)(int number, struct protoent *entry, char *buffer, size_t length, int *error)
{
	return find("protocols", read_protocol, protocol_has_number, &number, entry, buffer, length,
		    error);
}

ENUMERATION(setservent, getservent_r, endservent, "services", servent, read_service)
ENUMERATION(setprotoent, getprotoent_r, endprotoent, "protocols", protoent, read_protocol)
