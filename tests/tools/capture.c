/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "capture.h"

#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

const char *const capture_kind_names[NUM_CAPTURE_KINDS] = { "us", "ns", "us-swapped", "ns-swapped", "pcapng" };

static bool is_swapped(const struct capture *c) { return c->kind == CAPTURE_US_SWAPPED || c->kind == CAPTURE_NS_SWAPPED; }
static bool has_ns(const struct capture *c) { return c->kind == CAPTURE_NS || c->kind == CAPTURE_NS_SWAPPED; }

static void put32(const struct capture *c, uint32_t value)
{
	value = is_swapped(c) ? __builtin_bswap32(value) : value;
	fwrite(&value, sizeof(value), 1, c->file);
}

static void put16(const struct capture *c, uint16_t value)
{
	value = is_swapped(c) ? __builtin_bswap16(value) : value;
	fwrite(&value, sizeof(value), 1, c->file);
}

/* draft-ietf-opsawg-pcap, section 4. */
static void pcap_header(const struct capture *c, uint16_t link)
{
	put32(c, has_ns(c) ? 0xa1b23c4d : 0xa1b2c3d4);
	put16(c, 2);
	put16(c, 4);
	put32(c, 0);
	put32(c, 0);
	put32(c, 262144);
	put32(c, link);
}

/* draft-ietf-opsawg-pcapng, sections 4.1 and 4.2: a section and its one interface, stamps in nanoseconds. */
static void pcapng_header(const struct capture *c, uint16_t link)
{
	put32(c, 0x0a0d0d0a);
	put32(c, 28);
	put32(c, 0x1a2b3c4d);
	put16(c, 1);
	put16(c, 0);
	put32(c, 0xffffffff);
	put32(c, 0xffffffff);
	put32(c, 28);
	put32(c, 1);
	put32(c, 32);
	put16(c, link);
	put16(c, 0);
	put32(c, 262144);
	put16(c, 9); /* if_tsresol: 10 to the power of -9 */
	put16(c, 1);
	put32(c, 9);
	put32(c, 0); /* the end of the options */
	put32(c, 32);
}

void capture_begin(struct capture *c, const char *path, enum capture_kind kind, uint16_t link)
{
	*c = (struct capture){ .file = fopen(path, "wb"), .kind = kind };
	if (!c->file) {
		perror(path);
		exit(1);
	}
	if (kind == CAPTURE_NG)
		pcapng_header(c, link);
	else
		pcap_header(c, link);
}

static void put_bytes(const struct capture *c, uint32_t len)
{
	uint32_t state = c->packets * 2654435761u + 1;

	for (uint32_t i = 0; i < len; i++) {
		state = state * 1664525u + 1013904223u;
		fputc((int)(state >> 24), c->file);
	}
}

void capture_add(struct capture *c, uint32_t len, uint64_t stamp_ns)
{
	uint32_t padded = (len + 3) / 4 * 4;

	if (c->kind == CAPTURE_NG) {
		put32(c, 6);
		put32(c, 32 + padded);
		put32(c, 0);
		put32(c, (uint32_t)(stamp_ns >> 32));
		put32(c, (uint32_t)stamp_ns);
	} else {
		put32(c, (uint32_t)(stamp_ns / 1000000000));
		put32(c, (uint32_t)(stamp_ns % 1000000000 / (has_ns(c) ? 1 : 1000)));
	}
	put32(c, len);
	put32(c, len);
	put_bytes(c, len);
	if (c->kind == CAPTURE_NG) {
		for (uint32_t i = len; i < padded; i++)
			fputc(0, c->file);
		put32(c, 32 + padded);
	}
	c->packets++;
}

void capture_end(struct capture *c)
{
	if (fclose(c->file) != 0) {
		perror("capture");
		exit(1);
	}
}

static bool can_pass(const struct pcap_pkthdr *head, uint64_t max_len) { return head->caplen > 0 && head->caplen <= max_len; }

bool capture_count(const char *path, uint64_t max_len, struct carried *carried)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *in = pcap_open_offline(path, error);
	struct pcap_pkthdr *head;
	const u_char *data;
	int got;

	*carried = (struct carried){ 0 };
	if (!in)
		return false;
	carried->link = pcap_datalink(in);
	while ((got = pcap_next_ex(in, &head, &data)) == 1) {
		bool pass = can_pass(head, max_len);

		carried->packets += pass;
		carried->bytes += pass ? head->caplen : 0;
		carried->empty += head->caplen == 0;
		carried->too_long += head->caplen > max_len;
	}
	carried->cut = got != PCAP_ERROR_BREAK;
	pcap_close(in);
	return true;
}

/* The next that can pass; false: the end. */
static bool next_carried(pcap_t *in, uint64_t max_len, struct pcap_pkthdr **head, const u_char **data)
{
	while (pcap_next_ex(in, head, data) == 1)
		if (can_pass(*head, max_len))
			return true;
	return false;
}

static bool same_turn(pcap_t *a, pcap_t *b, uint64_t max_len, const char *in)
{
	struct pcap_pkthdr *ahead, *bhead;
	const u_char *adata, *bdata;

	for (uint64_t n = 0; next_carried(a, max_len, &ahead, &adata); n++) {
		if (!EXPECT(pcap_next_ex(b, &bhead, &bdata) == 1, "%s: packet %llu is missing", in, (unsigned long long)n))
			return false;
		if (!EXPECT(bhead->caplen == ahead->caplen && bhead->len == ahead->caplen, "%s: packet %llu has %u of %u bytes, not %u", in,
		            (unsigned long long)n, bhead->caplen, bhead->len, ahead->caplen))
			return false;
		if (!EXPECT(memcmp(adata, bdata, ahead->caplen) == 0, "%s: packet %llu differs", in, (unsigned long long)n))
			return false;
	}
	return true;
}

bool capture_same(const char *in, const char *out, uint64_t max_len, unsigned turns)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *b = pcap_open_offline(out, error);
	struct pcap_pkthdr *head;
	const u_char *data;
	bool same = EXPECT(b, "%s: %s", out, error);

	for (unsigned turn = 0; same && turn < turns; turn++) {
		pcap_t *a = pcap_open_offline(in, error);

		same = EXPECT(a, "%s: %s", in, error) && same_turn(a, b, max_len, in);
		if (a)
			pcap_close(a);
	}
	same = same && EXPECT(pcap_next_ex(b, &head, &data) != 1, "%s: more came out than went in", in);
	if (b)
		pcap_close(b);
	return same;
}
