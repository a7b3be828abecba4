/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Any text is a port name with a meaning that holds together, or is refused with a report. */
#include <stdio.h>
#include <stdlib.h>

#include "core/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

#define IS_TEXT(field) (strnlen(field, sizeof(field)) < sizeof(field))

static void check_report(const struct nmx_report *why)
{
	CHECK(why->err == NMX_ERR_BAD_NAME);
	CHECK(why->sys_errno == 0);
	CHECK(IS_TEXT(why->text));
	CHECK(strlen(why->text) < sizeof(why->text) - 1); /* not cut */
	CHECK(why->text[0]);
	for (const char *c = why->text; *c; c++)
		CHECK(*c >= ' ' && *c <= '~');
}

static void check_is_zeros(const struct nmx__name *name)
{
	static const struct nmx__name zeros;

	CHECK(!memcmp(name, &zeros, sizeof(zeros)));
}

static void check_numbers(const struct nmx__name *name)
{
	const uint32_t both = NMX__NAME_RX_ONLY | NMX__NAME_TX_ONLY;

	CHECK(name->mode <= NMX__ONE_HOST);
	CHECK(name->ring < 4095);
	CHECK(name->ring == 0 || name->mode == NMX__ONE_NIC || name->mode == NMX__ONE_HOST);
	CHECK(name->flags < 1 << 7 && (name->flags & both) != both);
	CHECK(!(name->flags & NMX__NAME_BLOCK) || name->backend == NMX_SWITCH);
	CHECK(name->mem_id <= 65535);
	CHECK(name->tx_rings <= 65535 && name->rx_rings <= 65535);
	CHECK(name->host_tx_rings <= 65535 && name->host_rx_rings <= 65535);
	CHECK(name->offset_bits <= 64);
	CHECK(name->has_offset || (!name->offset_initial && !name->offset_bits));
}

static void check_texts(const struct nmx__name *name)
{
	CHECK(IS_TEXT(name->port) && IS_TEXT(name->base) && IS_TEXT(name->pipe) && IS_TEXT(name->path));
	CHECK(IS_TEXT(name->share) && IS_TEXT(name->segment) && IS_TEXT(name->extmem));
	CHECK(!strpbrk(name->port, "^*/@ ") && !strpbrk(name->base, "{}") && !strpbrk(name->pipe, "{}-"));
	CHECK(!strpbrk(name->segment, "./"));
	CHECK(!name->port[0] == !name->base[0]);
	CHECK(name->port[0] || name->path[0] || name->backend == NMX_LOOP || name->backend == NMX_NULL);
	CHECK(!name->path[0] == (name->backend != NMX_PCAP));
	CHECK(!name->pipe[0] == (name->backend != NMX_PIPE));
}

static void check_pipe(const struct nmx__name *name)
{
	char joined[2 * NMX__NAME_MAX + 2];

	CHECK(name->end == '{' || name->end == '}');
	snprintf(joined, sizeof(joined), "%s%c%s", name->base, name->end, name->pipe);
	CHECK(!strcmp(joined, name->port));
}

/* A port is a name: of the same port, with all its rings and no options. */
static void check_parses_as_itself(const char *prefix, const char *port, enum nmx_backend backend)
{
	char text[sizeof("netmap:") + NMX__NAME_MAX];
	struct nmx__name name;

	snprintf(text, sizeof(text), "%s%s", prefix, port);
	CHECK(!nmx__name_parse(text, &name, NULL));
	CHECK(!strcmp(name.port, port));
	CHECK(name.backend == backend && name.mode == NMX__ALL_NIC && !name.flags && !name.mem_id);
}

static void check_port(const struct nmx__name *name)
{
	static const char *const prefixes[] = { [NMX_ANY] = "",     [NMX_SWITCH] = "",    [NMX_PIPE] = "",
						[NMX_XDP] = "xdp:", [NMX_LOOP] = "loop:", [NMX_NULL] = "null:" };
	struct nmx__name other;

	check_parses_as_itself(prefixes[name->backend], name->port, name->backend);
	if (name->backend != NMX_XDP && name->backend != NMX_LOOP && name->backend != NMX_NULL)
		check_parses_as_itself("netmap:", name->port, name->backend);
	if (name->backend == NMX_PIPE) {
		check_pipe(name);
		CHECK(!nmx__name_parse(name->base, &other, NULL));
		CHECK(!strcmp(other.port, name->base));
	} else {
		CHECK(!strcmp(name->port, name->base) && !name->end);
	}
}

static void check_share(const char *share)
{
	struct nmx__name name;

	CHECK(!nmx__name_parse(share, &name, NULL));
	CHECK(!strcmp(name.port, share));
}

static void check(const char *text)
{
	struct nmx_report why;
	struct nmx__name name, again;
	int err;

	memset(&name, 0xff, sizeof(name));
	memset(&why, 0xff, sizeof(why));
	err = nmx__name_parse(text, &name, &why);
	CHECK(err == nmx__name_parse(text, &again, NULL));
	CHECK(!memcmp(&name, &again, sizeof(name)));
	if (err) {
		CHECK(err == NMX_ERR_BAD_NAME);
		check_is_zeros(&name);
		check_report(&why);
		return;
	}
	check_texts(&name);
	check_numbers(&name);
	if (name.port[0])
		check_port(&name);
	if (name.share[0])
		check_share(name.share);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Of the heap and of the exact size, so that reading beyond the end is seen. */
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	check(text);
	free(text);
	return 0;
}
