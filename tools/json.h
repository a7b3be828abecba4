/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Writes one JSON object (RFC 8259), field by field, on one line. */
#ifndef NMX_TOOLS_JSON_H
#define NMX_TOOLS_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
	FILE *to;
	bool comma; /* something stands before the next field */
};

void json_begin(struct json *json, FILE *to);
int json_end(struct json *json); /* 0, or -1: it could not be written (errno) */

/* key is NULL in an array.  A text that is not UTF-8 is made so: each stray byte becomes U+FFFD. */
void json_u64(struct json *json, const char *key, uint64_t value);
void json_double(struct json *json, const char *key, double value); /* null when it is no finite number */
void json_text(struct json *json, const char *key, const char *value);
void json_bool(struct json *json, const char *key, bool value);
void json_object(struct json *json, const char *key);
void json_array(struct json *json, const char *key);
void json_close_object(struct json *json);
void json_close_array(struct json *json);

#endif
