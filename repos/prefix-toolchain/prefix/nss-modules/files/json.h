/* SPDX-License-Identifier: BSD-3-Clause */
/* A reader of JSON texts (RFC 8259) that a trusted service wrote: it finds members and values in
   place, and takes no memory. A broken text gives NULL or false. */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_DEPTH = 64 };

static const char *json_space(const char *at)
{
	return at + strspn(at, " \t\r\n");
}

/* Return the end of the string at the quotation mark. */
static const char *json_string_end(const char *at)
{
	for (at++; *at && *at != '"'; at++)
		if (*at == '\\' && !*++at)
			return NULL;
	return *at ? at + 1 : NULL;
}

/* Return the end of the value. */
static const char *json_end(const char *at, int depth)
{
	char close;

	at = json_space(at);
	if (*at == '"')
		return json_string_end(at);
	if (*at != '{' && *at != '[')
		return at + strcspn(at, " \t\r\n,]}");
	if (depth == JSON_DEPTH)
		return NULL;
	close = *at == '{' ? '}' : ']';
	at = json_space(at + 1);
	while (*at && *at != close) {
		at = json_end(at, depth + 1);
		at = at ? json_space(at) : "";
		if (*at == ',' || *at == ':')
			at = json_space(at + 1);
		else if (*at != close)
			return NULL;
	}
	return *at ? at + 1 : NULL;
}

/* Return the value of a member of the object; NULL if it has none. */
static const char *json_member(const char *object, const char *name)
{
	const char *at = object ? json_space(object) : "";
	size_t length = strlen(name);

	if (*at != '{')
		return NULL;
	at = json_space(at + 1);
	while (*at == '"') {
		const char *end = json_string_end(at), *value = end ? json_space(end) : "";
		bool is_it = end && (size_t)(end - at) == length + 2 && !memcmp(at + 1, name, length);

		if (*value != ':')
			return NULL;
		value = json_space(value + 1);
		if (is_it)
			return value;
		at = json_end(value, 0);
		at = at ? json_space(at) : "";
		if (*at == ',')
			at = json_space(at + 1);
	}
	return NULL;
}

static bool json_number(const char *value, unsigned long *number)
{
	char *end;

	if (!value || *value < '0' || *value > '9')
		return false;
	*number = strtoul(value, &end, 10);
	return !*end || strchr(" \t\r\n,]}", *end);
}

/* Write a character as UTF-8; return the number of bytes. */
static size_t json_encode(unsigned long code, char *to)
{
	size_t count = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	static const unsigned char first[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

	for (size_t i = count - 1; i > 0; i--, code >>= 6)
		to[i] = (char)(0x80 | (code & 0x3f));
	to[0] = (char)(first[count] | code);
	return count;
}

/* Read four hexadecimal digits. */
static bool json_hex(const char *at, unsigned long *code)
{
	char digits[5] = { 0 };

	if (strspn(at, "0123456789abcdefABCDEF") < 4)
		return false;
	memcpy(digits, at, 4);
	*code = strtoul(digits, NULL, 16);
	return true;
}

/* Decode the string into a buffer of at least the length of its text; return false if the value is
   no string, or has a NUL character. */
static bool json_string(const char *value, char *to)
{
	static const char plain[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";

	if (!value || *value != '"')
		return false;
	for (value++; *value && *value != '"'; value++) {
		unsigned long code, low;
		const char *known;

		if (*value != '\\') {
			*to++ = *value;
			continue;
		}
		value++;
		if (*value && (known = strchr(plain, *value))) {
			*to++ = meant[known - plain];
			continue;
		}
		if (*value != 'u' || !json_hex(value + 1, &code))
			return false;
		value += 4;
		if (code >= 0xd800 && code < 0xdc00) {
			if (value[1] != '\\' || value[2] != 'u' || !json_hex(value + 3, &low))
				return false;
			if (low < 0xdc00 || low > 0xdfff)
				return false;
			code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
			value += 6;
		}
		if (code == 0 || (code >= 0xd800 && code < 0xe000))
			return false;
		to += json_encode(code, to);
	}
	*to = '\0';
	return *value == '"';
}

#endif
