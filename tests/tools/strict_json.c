/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "strict_json.h"

#include <stddef.h>
#include <string.h>

/* Each returns where what it read ends, and NULL with *bad set when it is not what it should be. */
static const char *value(const char *at, const char **bad, int depth);

static const char *blanks(const char *at) { return at + strspn(at, " \t\r\n"); }

static const char *fail(const char *at, const char **bad)
{
	*bad = *bad ? *bad : at;
	return NULL;
}

static const char *escape(const char *at, const char **bad)
{
	if (*at == 'u')
		return strspn(at + 1, "0123456789abcdefABCDEF") >= 4 ? at + 5 : fail(at, bad);
	return *at && strchr("\"\\/bfnrt", *at) ? at + 1 : fail(at, bad);
}

static const char *string(const char *at, const char **bad)
{
	if (*at++ != '"')
		return fail(at - 1, bad);
	while (at && *at != '"') {
		if ((unsigned char)*at < 0x20)
			return fail(at, bad);
		at = *at == '\\' ? escape(at + 1, bad) : at + 1;
	}
	return at ? at + 1 : NULL;
}

static const char *digits(const char *at, const char **bad)
{
	size_t n = strspn(at, "0123456789");

	return n ? at + n : fail(at, bad);
}

static const char *number(const char *at, const char **bad)
{
	at += *at == '-';
	at = *at == '0' ? at + 1 : digits(at, bad);
	if (at && *at == '.')
		at = digits(at + 1, bad);
	if (at && (*at == 'e' || *at == 'E')) {
		at++;
		at = digits(at + (*at == '+' || *at == '-'), bad);
	}
	return at;
}

/* What stands between brackets; keys too when it is an object. */
static const char *list(const char *at, char end, const char **bad, int depth)
{
	at = blanks(at + 1);
	if (*at == end)
		return at + 1;
	for (;;) {
		if (end == '}') {
			at = string(at, bad);
			if (!at)
				return NULL;
			at = blanks(at);
			if (*at++ != ':')
				return fail(at - 1, bad);
		}
		at = value(blanks(at), bad, depth);
		if (!at)
			return NULL;
		at = blanks(at);
		if (*at == end)
			return at + 1;
		if (*at != ',')
			return fail(at, bad);
		at = blanks(at + 1);
	}
}

static const char *word(const char *at, const char **bad)
{
	static const char *const words[] = { "true", "false", "null" };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strncmp(at, words[i], strlen(words[i])) == 0)
			return at + strlen(words[i]);
	return fail(at, bad);
}

static const char *value(const char *at, const char **bad, int depth)
{
	if (depth == 0)
		return fail(at, bad);
	switch (*at) {
	case '{':
		return list(at, '}', bad, depth - 1);
	case '[':
		return list(at, ']', bad, depth - 1);
	case '"':
		return string(at, bad);
	case 't':
	case 'f':
	case 'n':
		return word(at, bad);
	default:
		return number(at, bad);
	}
}

const char *strict_json(const char *text)
{
	const char *bad = NULL, *end = value(text, &bad, 64);

	if (!end)
		return bad;
	return strcmp(end, "\n") == 0 ? NULL : end;
}
