/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>

/* Bytes of the UTF-8 character at s (RFC 3629: no surrogates, no overlong forms), or 0: it is none. */
static size_t utf8_len(const unsigned char *s)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t len;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return len;
}

static void put_string(FILE *to, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	fputc('"', to);
	while (*s) {
		size_t len = utf8_len(s);
		if (len == 0)
			fputs("\\ufffd", to);
		else if (*s == '"' || *s == '\\')
			fprintf(to, "\\%c", *s);
		else if (*s < 0x20)
			fprintf(to, "\\u%04x", *s);
		else
			fwrite(s, 1, len, to);
		s += len ? len : 1;
	}
	fputc('"', to);
}

static void put_key(struct json *json, const char *key)
{
	if (json->comma)
		fputs(", ", json->to);
	json->comma = true;
	if (key) {
		put_string(json->to, key);
		fputs(": ", json->to);
	}
}

static void open_with(struct json *json, const char *key, char bracket)
{
	put_key(json, key);
	fputc(bracket, json->to);
	json->comma = false;
}

static void close_with(struct json *json, char bracket)
{
	fputc(bracket, json->to);
	json->comma = true;
}

void json_begin(struct json *json, FILE *to)
{
	*json = (struct json){ .to = to };
	open_with(json, NULL, '{');
}

int json_end(struct json *json)
{
	fputs("}\n", json->to);
	return fflush(json->to) == 0 && !ferror(json->to) ? 0 : -1;
}

void json_u64(struct json *json, const char *key, uint64_t value)
{
	put_key(json, key);
	fprintf(json->to, "%" PRIu64, value);
}

void json_double(struct json *json, const char *key, double value)
{
	put_key(json, key);
	if (isfinite(value))
		fprintf(json->to, "%.6f", value);
	else
		fputs("null", json->to);
}

void json_text(struct json *json, const char *key, const char *value)
{
	put_key(json, key);
	put_string(json->to, value);
}

void json_bool(struct json *json, const char *key, bool value)
{
	put_key(json, key);
	fputs(value ? "true" : "false", json->to);
}

void json_object(struct json *json, const char *key)
{
	open_with(json, key, '{');
}
void json_array(struct json *json, const char *key)
{
	open_with(json, key, '[');
}
void json_close_object(struct json *json)
{
	close_with(json, '}');
}
void json_close_array(struct json *json)
{
	close_with(json, ']');
}
