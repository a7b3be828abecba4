/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Reads a name from left to right: prefix, port, rings, then any number of "/flags" and "@memory", then options.
 * Each reader takes what is its own and leaves `at` behind it.  The grammar is in name.h. */
#include <stdarg.h>
#include <stdio.h>

#include "core/name_parser.h"
#include "base/report.h"

enum {
	RING_LAST = 4094,    /* netmap keeps a ring index in 12 bits and refuses the last value */
	MEM_ID_LAST = 65535, /* uint16_t in netmap's requests */
	SHOWN_MAX = 40,      /* characters of a quoted text: two of them and a sentence fit a report */
	QUOTED_SIZE = 4 * SHOWN_MAX + sizeof("\"\"..."),
	SENTENCE_SIZE = 160,
};

_Static_assert(2 * QUOTED_SIZE + SENTENCE_SIZE <= sizeof(((struct nmx_report *)0)->text), "no report is cut");

/* Anything beyond printable ASCII is escaped: a report may go to a terminal. */
static void quote(char out[QUOTED_SIZE], struct nmx__part part)
{
	char *end = out;

	*end++ = '"';
	for (size_t i = 0; i < part.len && i < SHOWN_MAX; i++) {
		unsigned char c = (unsigned char)part.start[i];

		if (c < 0x20 || c >= 0x7f)
			end += snprintf(end, sizeof("\\xff"), "\\x%02x", c);
		else if (c == '"' || c == '\\')
			end += snprintf(end, sizeof("\\\\"), "\\%c", c);
		else
			*end++ = (char)c;
	}
	memcpy(end, "\"...", sizeof("\"..."));
	if (part.len <= SHOWN_MAX)
		end[1] = '\0';
}

int nmx__name_refuse(const struct nmx__parser *p, struct nmx__part part, const char *format, ...)
{
	char name[QUOTED_SIZE], quoted[QUOTED_SIZE], sentence[SENTENCE_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	quote(name, whole(p->text));
	quote(quoted, part);
	if (is(part, p->text))
		return nmx__fail(p->why, NMX_ERR_BAD_NAME, 0, "%s %s", name, sentence);
	return nmx__fail(p->why, NMX_ERR_BAD_NAME, 0, "%s: %s %s", name, quoted, sentence);
}

bool nmx__name_number(struct nmx__part part, uint32_t first, uint32_t last, uint32_t *value)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < part.len; i++) {
		if (!is_digit(part.start[i]))
			return false;
		sum = sum * 10 + (uint64_t)(part.start[i] - '0');
		if (sum > last)
			return false;
	}
	if (!part.len || sum < first)
		return false;
	*value = (uint32_t)sum;
	return true;
}

static bool is_identifier(struct nmx__part part)
{
	size_t n = 0;

	while (n < part.len && is_id_char(part.start[n]))
		n++;
	return n == part.len;
}

/* The end of the text counts as one of chars. */
static bool ends_at(char c, const char *chars)
{
	return strchr(chars, c) != NULL;
}

/* ---- prefix ---- */

static const struct {
	const char *word;
	enum nmx_backend backend;
} prefixes[] = {
	{ "netmap", NMX_ANY }, { "xdp", NMX_XDP }, { "loop", NMX_LOOP }, { "null", NMX_NULL }, { "pcap", NMX_PCAP },
};

/* As in netmap, where every name that begins so is one of a switch port. */
static bool begins_like_a_switch(const char *text)
{
	return !strncmp(text, "vale", strlen("vale"));
}

/* A ':' further on belongs to an option. */
static struct nmx__part before_colon(const char *text)
{
	return (struct nmx__part){ text, strcspn(text, ":{}^*/@") };
}

static int read_prefix(struct nmx__parser *p)
{
	struct nmx__part word = before_colon(p->at);

	if (p->at[word.len] != ':' || begins_like_a_switch(p->at))
		return 0;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (is(word, prefixes[i].word)) {
			p->name->backend = prefixes[i].backend;
			p->at += word.len + 1;
			return 0;
		}
	}
	word.len++;
	return nmx__name_refuse(p, word,
				"is not a prefix; write netmap:eth0, vale0:a (any switch), xdp:eth0, loop:, "
				"null: or pcap:FILE");
}

/* "vale", the switch's identifier, which may be empty, ':'. */
static int read_switch(struct nmx__parser *p)
{
	struct nmx__part word = before_colon(p->at);

	if (p->at[word.len] != ':')
		return nmx__name_refuse(p, word,
					"begins like a switch and names no port of it; write vale0:a (an "
					"interface of this name: xdp:NAME)");
	if (!is_identifier(word))
		return nmx__name_refuse(p, word, "is not a switch; write vale and letters, digits or _: vale0:a");
	p->name->backend = NMX_SWITCH;
	p->at += word.len + 1;
	return 0;
}

/* ---- port ---- */

/* Between the '-' of a ring and the end of the name are only digits (or, by mistake, nothing). */
static bool is_ring_dash(const char *dash)
{
	return ends_at(dash[1 + strspn(dash + 1, "0123456789")], "^*/@");
}

/* No name begins with '-' and no pipe identifier holds one, so there it always belongs to a ring. */
static size_t port_length(const char *text)
{
	bool in_pipe = false;
	size_t n = 0;

	for (; !ends_at(text[n], "^*/@"); n++) {
		in_pipe = in_pipe || text[n] == '{' || text[n] == '}';
		if (text[n] == '-' && (n == 0 || in_pipe || is_ring_dash(text + n)))
			break;
	}
	return n;
}

/* As in "a-3-4" and "a-3{1": a port of this name could not be opened by itself. */
static bool ends_like_a_ring(struct nmx__part name)
{
	size_t n = name.len;

	while (n && is_digit(name.start[n - 1]))
		n--;
	return n && name.start[n - 1] == '-';
}

static int check_name(const struct nmx__parser *p, struct nmx__part name)
{
	if (!name.len)
		return nmx__name_refuse(p, whole(p->text),
					"names no port; write eth0, netmap:eth0, vale0:a, x{1 or "
					"loop:");
	if (is(name, ".") || is(name, ".."))
		return nmx__name_refuse(p, name,
					"cannot be a name; write eth0 for an interface, pcap:FILE for a file");
	for (size_t i = 0; i < name.len; i++) {
		struct nmx__part c = { name.start + i, 1 };

		if (strchr(" :\x7f", *c.start) || (unsigned char)*c.start < 0x20)
			return nmx__name_refuse(p, c, "cannot be in the name of a port; write eth0, vale0:a or x{1");
	}
	if (ends_like_a_ring(name))
		return nmx__name_refuse(p, name,
					"ends like a ring number; write one ring, and write it last: eth0-3, "
					"x{1-3");
	return 0;
}

static int read_pipe(struct nmx__parser *p, struct nmx__part pipe)
{
	struct nmx__part id = after(pipe, 1);

	if (p->name->backend != NMX_ANY && p->name->backend != NMX_SWITCH)
		return nmx__name_refuse(p, pipe, "makes it a pipe, which takes no such prefix; write x{1");
	if (!id.len)
		return nmx__name_refuse(p, pipe,
					"lacks the pipe's identifier; write x{1 for one end, x}1 for the other");
	if (!is_identifier(id))
		return nmx__name_refuse(p, id, "is not a pipe's identifier; write letters, digits or _: x{1");
	p->name->backend = NMX_PIPE;
	p->name->end = *pipe.start;
	copy(p->name->pipe, id);
	return 0;
}

/* own: the port without its switch. */
static int read_names(struct nmx__parser *p, struct nmx__part port, struct nmx__part own)
{
	struct nmx__part base = head(own, "{}");
	int err;

	if (port.len > NMX__NAME_MAX)
		return nmx__name_refuse(p, port, "has %zu characters; the name of a port has at most %d", port.len,
					NMX__NAME_MAX);
	err = check_name(p, base);
	if (!err && base.len < own.len)
		err = read_pipe(p, after(own, base.len));
	if (err)
		return err;
	copy(p->name->port, port);
	port.len -= own.len - base.len;
	copy(p->name->base, port);
	return 0;
}

/* A switch may come after "netmap:" too: libnetmap hands on what follows that prefix as it is, and to the kernel
 * vale0:a is a switch port. */
int nmx__name_read_port(struct nmx__parser *p)
{
	struct nmx__part port, own;
	int err = read_prefix(p);

	port.start = p->at;
	if (!err && p->name->backend == NMX_ANY && begins_like_a_switch(p->at))
		err = read_switch(p);
	if (err || p->name->backend == NMX_PCAP)
		return err;
	own = (struct nmx__part){ p->at, port_length(p->at) };
	p->at += own.len;
	port.len = (size_t)(p->at - port.start);
	if (!own.len && (p->name->backend == NMX_LOOP || p->name->backend == NMX_NULL))
		return 0;
	return read_names(p, port, own);
}

/* '/' and '@' are common in paths, so nothing can follow one. */
static int read_path(struct nmx__parser *p)
{
	struct nmx__part path = take(p, "");

	if (!path.len)
		return nmx__name_refuse(p, whole(p->text), "names no file; write pcap:FILE");
	if (path.len > NMX__PATH_MAX)
		return nmx__name_refuse(p, path, "has %zu characters; the name of a file has at most %d", path.len,
					NMX__PATH_MAX);
	copy(p->name->path, path);
	return 0;
}

/* ---- rings, flags, memory ---- */

static int read_ring(struct nmx__parser *p, enum nmx__name_mode mode, const char *example)
{
	struct nmx__part number = take(p, "/@");

	if (!nmx__name_number(number, 0, RING_LAST, &p->name->ring))
		return nmx__name_refuse(p, number, "is not a ring number (0 to %d); write %s", RING_LAST, example);
	p->name->mode = mode;
	return 0;
}

static int read_rings(struct nmx__parser *p)
{
	switch (*p->at) {
	case '-':
		p->at++;
		return read_ring(p, NMX__ONE_NIC, "eth0-3 for ring 3");
	case '*':
		p->at++;
		p->name->mode = NMX__NIC_HOST;
		return 0;
	case '^':
		p->at++;
		p->name->mode = NMX__HOST;
		if (ends_at(*p->at, "/@"))
			return 0;
		return read_ring(p, NMX__ONE_HOST, "eth0^ for all host rings, eth0^2 for host ring 2");
	default:
		return 0;
	}
}

/* 0: none. */
static uint32_t flag_of(char letter)
{
	static const char letters[] = "xztrRT"; /* in the order of the bits */
	const char *found = strchr(letters, letter);

	_Static_assert(NMX__NAME_EXCLUSIVE == 1 && NMX__NAME_TX_ONLY == 1 << (sizeof(letters) - 2), "a bit each");
	return found ? 1u << (found - letters) : 0;
}

static int read_flags(struct nmx__parser *p)
{
	const uint32_t neither = NMX__NAME_RX_ONLY | NMX__NAME_TX_ONLY;
	struct nmx__part letters;

	p->at++;
	letters = take(p, "@");
	if (!letters.len)
		return nmx__name_refuse(p, whole(p->text), "has no flag after the /; write some of xztrRT: eth0/R");
	for (size_t i = 0; i < letters.len; i++) {
		struct nmx__part letter = { letters.start + i, 1 };
		uint32_t flag = flag_of(*letter.start);

		if (!flag)
			return nmx__name_refuse(p, letter,
						"is not a flag; write x (exclusive), R (receive only), T "
						"(transmit only), or z, t, r (monitors): eth0/R");
		p->name->flags |= flag;
	}
	if ((p->name->flags & neither) == neither)
		return nmx__name_refuse(p, letters,
					"leaves nothing: R is receive only, T is transmit only; write one "
					"or none");
	return 0;
}

static int read_mem_id(struct nmx__parser *p)
{
	struct nmx__part number;
	uint32_t mem_id;

	p->at++;
	number = take(p, "/@");
	if (!nmx__name_number(number, 1, MEM_ID_LAST, &mem_id))
		return nmx__name_refuse(p, number, "is not a memory id (1 to %d); write eth0@2 for memory 2",
					MEM_ID_LAST);
	if (p->name->mem_id && p->name->mem_id != mem_id)
		return nmx__name_refuse(p, number, "is another memory id than %u before it; write one",
					p->name->mem_id);
	p->name->mem_id = mem_id;
	return 0;
}

static int read_suffixes(struct nmx__parser *p)
{
	int err = 0;

	while (!err && *p->at) {
		if (*p->at == '/')
			err = read_flags(p);
		else if (*p->at != '@')
			err = nmx__name_refuse(p, whole(p->at),
					       "cannot stand here; write port, rings, /flags, @options in "
					       "this order");
		else
			err = is_digit(p->at[1]) ? read_mem_id(p) : nmx__name_read_options(p);
	}
	return err;
}

static int read_all(struct nmx__parser *p)
{
	int err = nmx__name_read_port(p);

	if (!err && p->name->backend == NMX_PCAP)
		return read_path(p);
	if (!err)
		err = read_rings(p);
	return err ? err : read_suffixes(p);
}

int nmx__name_parse(const char *text, struct nmx__name *name, struct nmx_report *why)
{
	struct nmx__parser p = { text, text, name, why };
	int err;

	memset(name, 0, sizeof(*name));
	if (!text)
		return nmx__fail(why, NMX_ERR_BAD_NAME, 0,
				 "no port name was given; write eth0, vale0:a, x{1 or loop:");
	err = read_all(&p);
	if (err)
		memset(name, 0, sizeof(*name));
	return err;
}
