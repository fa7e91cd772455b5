/* SPDX-License-Identifier: BSD-3-Clause */
/* An NSS module that asks the machine's user database (systemd.io/USER_GROUP_API) by Varlink: for
   the users of services with DynamicUser=, of systemd-homed and of machines, and, where
   systemd-userdbd runs, for all users that the machine's own C library knows. It finds users and
   groups by name and number. It does not list them, and does not know memberships. */
#define _GNU_SOURCE
#include "json.h"
#include "module.h"

#include <dirent.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SERVICES
#define SERVICES "/run/systemd/userdb"
#endif
/* It asks all the others, and the machine's C library. */
#define MULTIPLEXER "io.systemd.Multiplexer"

enum { MOST = 1 << 20, NAME = 256, SECONDS = 10 };

/* A call of one service. */
struct call {
	const char *method;
	/* Members of its parameters, with a comma at the end. */
	const char *asks;
};

static int open_service(const char *service)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = SECONDS };
	int fd, length;

	length = snprintf(address.sun_path, sizeof address.sun_path, SERVICES "/%s", service);
	if (length < 0 || (size_t)length >= sizeof address.sun_path)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool send_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return false;
		data += sent;
		size -= (size_t)sent;
	}
	return true;
}

/* Return the text up to the next NUL, to be freed; NULL without one. */
static char *receive(int fd)
{
	size_t size = 0, room = 0;
	char *text = NULL;

	while (size < MOST) {
		ssize_t got;

		if (size == room) {
			char *larger = realloc(text, room += 4096);
			if (!larger)
				break;
			text = larger;
		}
		got = recv(fd, text + size, room - size, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		size += (size_t)got;
		if (!text[size - 1])
			return text;
	}
	free(text);
	return NULL;
}

/* Return the reply of one service, to be freed; NULL if it is not available. */
static char *ask(const char *service, struct call call)
{
	char text[2 * NAME + 512], *reply = NULL;
	int length, fd = open_service(service);

	if (fd < 0)
		return NULL;
	length = snprintf(text, sizeof text,
			  "{\"method\":\"io.systemd.UserDatabase.%s\",\"parameters\":{%s"
			  "\"service\":\"%s\"}}",
			  call.method, call.asks, service);
	if (length > 0 && (size_t)length < sizeof text && send_all(fd, text, (size_t)length + 1))
		reply = receive(fd);
	close(fd);
	return reply;
}

/* Call visit with the reply of each service until it returns true. Return whether a service
   replied. */
static bool ask_all(struct call call, bool (*visit)(const char *, void *), void *data)
{
	char *reply = ask(MULTIPLEXER, call);
	struct dirent *each;
	bool replied = false;
	DIR *services;

	if (reply) {
		visit(reply, data);
		free(reply);
		return true;
	}
	services = opendir(SERVICES);
	while (services && (each = readdir(services))) {
		bool done;

		if (each->d_name[0] == '.' || strcmp(each->d_name, MULTIPLEXER) == 0)
			continue;
		reply = ask(each->d_name, call);
		if (!reply)
			continue;
		replied = true;
		done = visit(reply, data);
		free(reply);
		if (done)
			break;
	}
	if (services)
		closedir(services);
	return replied;
}

/* Where a user or group goes. */
struct target {
	struct passwd *user;
	struct group *group;
	struct space space;
	enum nss_status status;
};

/* Return the decoded string in the caller's buffer; ``otherwise`` without such a member. */
static char *text_of(struct target *to, const char *record, const char *name, const char *otherwise)
{
	const char *value = json_member(record, name), *end = value ? json_end(value, 0) : NULL;
	size_t size = end ? (size_t)(end - value) : strlen(otherwise) + 1;
	char *text = take(&to->space, size, 1);
	bool broken = value && !end;

	if (!text)
		to->status = NSS_STATUS_TRYAGAIN;
	else if (!value)
		strcpy(text, otherwise);
	else
		broken = broken || !json_string(value, text);
	if (broken)
		to->status = NSS_STATUS_NOTFOUND;
	return text;
}

/* Return a section of the record for this machine. */
static const char *of_machine(const char *record, const char *section)
{
	char id[33] = "";
	FILE *file = fopen("/etc/machine-id", "re");
	bool known = file && fgets(id, sizeof id, file) && strlen(id) == 32;

	if (file)
		fclose(file);
	return known ? json_member(json_member(record, section), id) : NULL;
}

static bool number_of(const char *record, const char *name, unsigned long *number)
{
	return json_number(json_member(record, name), number) ||
	       json_number(json_member(of_machine(record, "binding"), name), number) ||
	       json_number(json_member(of_machine(record, "status"), name), number);
}

static void take_user(struct target *to, const char *record)
{
	const char *binding = of_machine(record, "binding");
	const char *home = json_member(record, "homeDirectory") ? record : binding;
	unsigned long uid, gid;

	if (!json_member(record, "userName") || !number_of(record, "uid", &uid) || uid >= (uid_t)-1)
		return;
	if (!number_of(record, "gid", &gid) || gid >= (gid_t)-1)
		gid = uid;
	to->status = NSS_STATUS_SUCCESS;
	to->user->pw_uid = (uid_t)uid;
	to->user->pw_gid = (gid_t)gid;
	to->user->pw_name = text_of(to, record, "userName", "");
	to->user->pw_passwd = text_of(to, NULL, "", "x");
	to->user->pw_gecos = text_of(to, record, "realName", "");
	to->user->pw_dir = text_of(to, home, "homeDirectory", "/");
	to->user->pw_shell = text_of(to, record, "shell", "/bin/sh");
}

static void take_group(struct target *to, const char *record)
{
	const char *members = json_member(record, "members"), *at;
	unsigned long gid;
	size_t count = 0, capacity = 1;

	if (!json_member(record, "groupName") || !number_of(record, "gid", &gid) || gid >= (gid_t)-1)
		return;
	to->status = NSS_STATUS_SUCCESS;
	to->group->gr_gid = (gid_t)gid;
	for (at = members ? members : ""; (at = strchr(at, ',')); at++)
		capacity++;
	to->group->gr_mem = take(&to->space, (capacity + 1) * sizeof(char *), alignof(char *));
	if (!to->group->gr_mem) {
		to->status = NSS_STATUS_TRYAGAIN;
		return;
	}
	to->group->gr_name = text_of(to, record, "groupName", "");
	to->group->gr_passwd = text_of(to, NULL, "", "x");
	at = members && *members == '[' ? json_space(members + 1) : "";
	while (*at == '"' && count < capacity) {
		const char *end = json_string_end(at);
		char *name = end ? take(&to->space, (size_t)(end - at), 1) : NULL;

		if (!name || !json_string(at, name)) {
			to->status = end && !name ? NSS_STATUS_TRYAGAIN : NSS_STATUS_NOTFOUND;
			return;
		}
		to->group->gr_mem[count++] = name;
		at = json_space(end);
		at = *at == ',' ? json_space(at + 1) : "";
	}
	to->group->gr_mem[count] = NULL;
}

static bool take_record(const char *reply, void *data)
{
	const char *record = json_member(json_member(reply, "parameters"), "record");
	struct target *to = data;

	if (!record || json_member(reply, "error"))
		return false;
	if (to->user)
		take_user(to, record);
	else
		take_group(to, record);
	return to->status != NSS_STATUS_NOTFOUND;
}

static enum nss_status look_up(const char *method, const char *asks, struct target *to, int *error)
{
	struct call call = { method, asks };

	to->status = NSS_STATUS_NOTFOUND;
	if (!ask_all(call, take_record, to))
		return unavailable(error);
	if (to->status == NSS_STATUS_TRYAGAIN)
		return too_small(error);
	return to->status == NSS_STATUS_SUCCESS ? to->status : not_found(error);
}

/* Write "<member>":"<name>", with the comma. Return false for a name that no user can have, and
   that JSON would spell differently. */
static bool quote(char *text, const char *member, const char *name)
{
	if (!*name || strlen(name) >= NAME)
		return false;
	for (const char *at = name; *at; at++)
		if ((unsigned char)*at < 0x20 || strchr("\"\\/:", *at))
			return false;
	sprintf(text, "\"%s\":\"%s\",", member, name);
	return true;
}

NSS(getpwnam_r)(const char *name, struct passwd *entry, char *buffer, size_t length, int *error)
{
	struct target to = { .user = entry, .space = { buffer, length } };
	char asks[NAME + 32];

	if (!quote(asks, "userName", name))
		return not_found(error);
	return look_up("GetUserRecord", asks, &to, error);
}

NSS(getpwuid_r)(uid_t id, struct passwd *entry, char *buffer, size_t length, int *error)
{
	struct target to = { .user = entry, .space = { buffer, length } };
	char asks[64];

	sprintf(asks, "\"uid\":%lu,", (unsigned long)id);
	return look_up("GetUserRecord", asks, &to, error);
}

NSS(getgrnam_r)(const char *name, struct group *entry, char *buffer, size_t length, int *error)
{
	struct target to = { .group = entry, .space = { buffer, length } };
	char asks[NAME + 32];

	if (!quote(asks, "groupName", name))
		return not_found(error);
	return look_up("GetGroupRecord", asks, &to, error);
}

NSS(getgrgid_r)(gid_t id, struct group *entry, char *buffer, size_t length, int *error)
{
	struct target to = { .group = entry, .space = { buffer, length } };
	char asks[64];

	sprintf(asks, "\"gid\":%lu,", (unsigned long)id);
	return look_up("GetGroupRecord", asks, &to, error);
}
