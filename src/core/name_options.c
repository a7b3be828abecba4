/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The options of a name: "@option=value" and "@option:key=value,key=value". */
#include <stddef.h>
#include <stdio.h>

#include "core/name_parser.h"

enum {
	RINGS_LAST = 65535, /* uint16_t in netmap's requests */
	BITS_LAST = 64,     /* of a slot's ptr */
	KEY_LIST_SIZE = 128,
};

struct key {
	const char *word;
	int (*read)(struct nmx__parser *p, const struct key *key, struct nmx__part value);
	size_t field, other; /* offsets of the uint32_t that it sets; only general keys have another */
	uint32_t first, last;
};

static uint32_t *number_at(struct nmx__name *name, size_t offset)
{
	return (void *)((char *)name + offset);
}

static int to_number(struct nmx__parser *p, const struct key *key, struct nmx__part value, uint32_t *number)
{
	if (nmx__name_number(value, key->first, key->last, number))
		return 0;
	return nmx__name_refuse(p, value, "is not a number for %s (%u to %u); write %s=%u", key->word, key->first,
				key->last, key->word, key->first ? key->first : 64);
}

static int read_number(struct nmx__parser *p, const struct key *key, struct nmx__part value)
{
	return to_number(p, key, value, number_at(p->name, key->field));
}

/* Leaves what a more specific key has set (never to 0), so that the order of the keys does not matter. */
static int read_general_number(struct nmx__parser *p, const struct key *key, struct nmx__part value)
{
	uint32_t *field = number_at(p->name, key->field), *other = number_at(p->name, key->other), number;
	int err = to_number(p, key, value, &number);

	if (err)
		return err;
	*field = *field ? *field : number;
	*other = *other ? *other : number;
	return 0;
}

static int read_offset(struct nmx__parser *p, const struct key *key, struct nmx__part value)
{
	p->name->has_offset = true;
	return read_number(p, key, value);
}

static int read_file(struct nmx__parser *p, const struct key *key, struct nmx__part value)
{
	if (!value.len || value.len > NMX__PATH_MAX)
		return nmx__name_refuse(p, value, "is not a %s name of 1 to %d characters; write @extmem=FILE",
					key->word, NMX__PATH_MAX);
	copy(p->name->extmem, value);
	return 0;
}

/* It is a port's memory that is shared, so rings and flags make no sense here. */
static int read_share(struct nmx__parser *p, const struct key *key, struct nmx__part value)
{
	char text[sizeof("netmap:") + NMX__NAME_MAX];
	struct nmx__name name = { .backend = NMX_ANY };
	struct nmx__parser inner = { text, text, &name, NULL };

	(void)key;
	if (value.len < sizeof(text)) {
		copy(text, value);
		if (!nmx__name_read_port(&inner) && !*inner.at && name.port[0] && name.backend != NMX_XDP &&
		    name.backend != NMX_LOOP && name.backend != NMX_NULL) {
			memcpy(p->name->share, name.port, sizeof(name.port));
			return 0;
		}
	}
	return nmx__name_refuse(p, value,
				"is not a port to share memory with; write @share=netmap:eth0, "
				"@share=vale0:a or @share=x{1");
}

static int read_segment(struct nmx__parser *p, const struct key *key, struct nmx__part value)
{
	size_t n = 0;

	(void)key;
	while (n < value.len && (is_id_char(value.start[n]) || value.start[n] == '-'))
		n++;
	if (!n || n < value.len || n > NMX__SEGMENT_MAX)
		return nmx__name_refuse(p, value,
					"is not the name of a segment; write 1 to %d letters, digits, _ or -",
					NMX__SEGMENT_MAX);
	copy(p->name->segment, value);
	return 0;
}

#define FIELD(member) offsetof(struct nmx__name, member)

/* The first key of each option is the one that "@option=value" sets. */
static const struct key share_keys[] = { { "port", read_share, 0, 0, 0, 0 } };
static const struct key segment_keys[] = { { "name", read_segment, 0, 0, 0, 0 } };
static const struct key conf_keys[] = {
	{ "rings", read_general_number, FIELD(tx_rings), FIELD(rx_rings), 1, RINGS_LAST },
	{ "host-rings", read_general_number, FIELD(host_tx_rings), FIELD(host_rx_rings), 1, RINGS_LAST },
	{ "slots", read_general_number, FIELD(tx_slots), FIELD(rx_slots), 1, UINT32_MAX },
	{ "tx-rings", read_number, FIELD(tx_rings), 0, 1, RINGS_LAST },
	{ "rx-rings", read_number, FIELD(rx_rings), 0, 1, RINGS_LAST },
	{ "host-tx-rings", read_number, FIELD(host_tx_rings), 0, 1, RINGS_LAST },
	{ "host-rx-rings", read_number, FIELD(host_rx_rings), 0, 1, RINGS_LAST },
	{ "tx-slots", read_number, FIELD(tx_slots), 0, 1, UINT32_MAX },
	{ "rx-slots", read_number, FIELD(rx_slots), 0, 1, UINT32_MAX },
};
static const struct key extmem_keys[] = {
	{ "file", read_file, 0, 0, 0, 0 },
	{ "if-num", read_number, FIELD(if_num), 0, 1, UINT32_MAX },
	{ "if-size", read_number, FIELD(if_size), 0, 1, UINT32_MAX },
	{ "ring-num", read_number, FIELD(ring_num), 0, 1, UINT32_MAX },
	{ "ring-size", read_number, FIELD(ring_size), 0, 1, UINT32_MAX },
	{ "buf-num", read_number, FIELD(buf_num), 0, 1, UINT32_MAX },
	{ "buf-size", read_number, FIELD(buf_size), 0, 1, UINT32_MAX },
};
static const struct key offset_keys[] = {
	{ "initial", read_offset, FIELD(offset_initial), 0, 0, UINT32_MAX },
	{ "bits", read_number, FIELD(offset_bits), 0, 1, BITS_LAST },
};

/* What is set by the option's name alone. */
static int read_block(struct nmx__parser *p, struct nmx__part body, struct nmx__part word)
{
	if (word.len < body.len)
		return nmx__name_refuse(p, body, "has a value, and takes none; write @block");
	if (p->name->backend != NMX_SWITCH)
		return nmx__name_refuse(p, body, "is for ports of switches; write vale0:a@block (others never drop what they cannot send)");
	p->name->flags |= NMX__NAME_BLOCK;
	return 0;
}

static const struct option {
	const char *word, *example;
	const struct key *keys;
	size_t num_keys;
	bool needs_first;
} options[] = {
#define KEYS(keys) keys, sizeof(keys) / sizeof((keys)[0])
	{ "share", "@share=netmap:eth0", KEYS(share_keys), true },
	{ "conf", "@conf:rings=2,slots=512", KEYS(conf_keys), false },
	{ "extmem", "@extmem=FILE or @extmem:file=FILE,buf-num=1024", KEYS(extmem_keys), true },
	{ "offset", "@offset=64 or @offset:initial=64,bits=16", KEYS(offset_keys), true },
	{ "segment", "@segment=NAME", KEYS(segment_keys), true },
	{ "block", "@block", NULL, 0, false },
#undef KEYS
};

enum { NUM_OPTIONS = sizeof(options) / sizeof(options[0]) };

/* libnetmap documents its keys with '-', declares them with '_', and takes both. */
static bool is_key(struct nmx__part part, const char *word)
{
	if (part.len != strlen(word))
		return false;
	for (size_t i = 0; i < part.len; i++)
		if (part.start[i] != word[i] && !(part.start[i] == '_' && word[i] == '-'))
			return false;
	return true;
}

static int refuse_key(const struct nmx__parser *p, const struct option *option, struct nmx__part word)
{
	char list[KEY_LIST_SIZE] = "";

	for (size_t i = 0; i < option->num_keys; i++) {
		size_t used = strlen(list);

		snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "", option->keys[i].word);
	}
	return nmx__name_refuse(p, word, "is not a key of @%s: %s", option->word, list);
}

/* "key=value"; sets the key's bit in *seen. */
static int read_key(struct nmx__parser *p, const struct option *option, struct nmx__part item, uint32_t *seen)
{
	struct nmx__part word = head(item, "=");
	size_t i = 0;

	while (i < option->num_keys && !is_key(word, option->keys[i].word))
		i++;
	if (i == option->num_keys)
		return refuse_key(p, option, word);
	if (*seen & 1u << i)
		return nmx__name_refuse(p, item, "sets %s again; write each key once", option->keys[i].word);
	if (word.len == item.len)
		return nmx__name_refuse(p, item, "has no value; write %s", option->example);
	*seen |= 1u << i;
	return option->keys[i].read(p, &option->keys[i], after(item, word.len + 1));
}

static int read_keys(struct nmx__parser *p, const struct option *option, struct nmx__part list)
{
	struct nmx__part rest = list, item = head(list, ",");
	uint32_t seen = 0;
	int err = read_key(p, option, item, &seen);

	while (!err && item.len < rest.len) {
		rest = after(rest, item.len + 1);
		item = head(rest, ",");
		err = read_key(p, option, item, &seen);
	}
	if (!err && option->needs_first && !(seen & 1))
		err = nmx__name_refuse(p, list, "leaves out %s; write %s", option->keys[0].word, option->example);
	return err;
}

/* "option=value" or "option:keys"; sets the option's bit in *seen. */
static int read_option(struct nmx__parser *p, uint32_t *seen)
{
	struct nmx__part body = take(p, "@"), word = head(body, ":=");
	size_t i = 0;

	while (i < NUM_OPTIONS && !is(word, options[i].word))
		i++;
	if (i == NUM_OPTIONS)
		return nmx__name_refuse(p, word,
					"is not an option; write @2 for memory 2, or @share, @conf, @extmem, "
					"@offset, @segment or @block");
	if (*seen & 1u << i)
		return nmx__name_refuse(p, body, "gives %s again; write each option once", options[i].word);
	if (!options[i].keys) {
		*seen |= 1u << i;
		return read_block(p, body, word);
	}
	if (word.len == body.len)
		return nmx__name_refuse(p, word, "has no value; write %s", options[i].example);
	*seen |= 1u << i;
	body = after(body, word.len + 1);
	if (body.start[-1] == '=')
		return options[i].keys[0].read(p, &options[i].keys[0], body);
	return read_keys(p, &options[i], body);
}

int nmx__name_read_options(struct nmx__parser *p)
{
	uint32_t seen = 0;
	int err = 0;

	while (!err && *p->at) {
		p->at++; /* '@' */
		err = read_option(p, &seen);
	}
	return err;
}
