/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the two halves of the name parser share: name.c reads ports, rings and flags, name_options.c what follows. */
#ifndef NMX_CORE_NAME_PARSER_H
#define NMX_CORE_NAME_PARSER_H

#include "core/name.h"

struct nmx__parser {
	const char *text; /* all of it, for the report */
	const char *at;   /* what is still to be read */
	struct nmx__name *name;
	struct nmx_report *why;
};

/* A piece of nmx__parser.text; not terminated. */
struct nmx__part {
	const char *start;
	size_t len;
};

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* netmap's nm_is_identifier(), without asking the locale what a letter is. */
static inline bool is_id_char(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static inline bool is(struct nmx__part part, const char *word)
{
	return part.len == strlen(word) && !memcmp(part.start, word, part.len);
}

static inline struct nmx__part whole(const char *text)
{
	return (struct nmx__part){ text, strlen(text) };
}

static inline struct nmx__part head(struct nmx__part from, const char *stops)
{
	size_t n = 0;

	while (n < from.len && !strchr(stops, from.start[n]))
		n++;
	return (struct nmx__part){ from.start, n };
}

static inline struct nmx__part after(struct nmx__part from, size_t n)
{
	return (struct nmx__part){ from.start + n, from.len - n };
}

static inline struct nmx__part take(struct nmx__parser *p, const char *stops)
{
	struct nmx__part part = { p->at, strcspn(p->at, stops) };

	p->at += part.len;
	return part;
}

/* The caller has checked that it fits. */
static inline void copy(char *to, struct nmx__part from)
{
	memcpy(to, from.start, from.len);
	to[from.len] = '\0';
}

/* Fails; the report reads: "the name": "the part" <sentence>, and format is the sentence. */
int nmx__name_refuse(const struct nmx__parser *p, struct nmx__part part, const char *format, ...)
    __attribute__((__format__(__printf__, 3, 4), __cold__));

/* Decimal digits and nothing else: no sign, no blank, no base; a number out of range is refused, never cut. */
bool nmx__name_number(struct nmx__part part, uint32_t first, uint32_t last, uint32_t *value);

/* A prefix and a port, up to the rings. */
int nmx__name_read_port(struct nmx__parser *p);

/* All "@option"s there are; reads to the end. */
int nmx__name_read_options(struct nmx__parser *p);

#endif
