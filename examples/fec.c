/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * fec: carries a file one way, with as many packets to spare as the path may lose: forward error correction.
 *
 *     build/examples/fec receive 'fec}1' COPY [LOSE]        in one terminal, and in another:
 *     build/examples/fec send 'fec{1' FILE [K [M]]          K 8, M 3
 *
 * K packets of the file and M of parity (Reed-Solomon, by ISA-L) are a group: any K of them give back the K of the file.
 * With LOSE the receiver throws so many of each group away, every time others: up to M are made good.  The path may lose
 * packets, but not change the order of groups.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <isa-l/crc.h>
#include <isa-l/erasure_code.h>

#include <nmx/nmx.h>

#include "number.h"

enum { PIECE = 1024, MAX_K = 32, MAX_M = 16, MAX = MAX_K + MAX_M, LAST = 1, DRAIN_MS = 10000, QUIET_MS = 2000 };

/* The beginning of every packet, little endian, as the machines are that nmx runs on. */
struct head {
	uint8_t dst[6], src[6], type[2];
	uint8_t k, m;
	uint32_t group, len; /* len: bytes of the file in this group */
	uint8_t index, flags; /* index: below k, of the file; from k on, of parity */
	uint8_t pad[6];
};

/* To everybody: a path of one way has no other use for addresses.  0x88b5 is the EtherType of local experiments. */
static const struct head to_all = { .dst = { 255, 255, 255, 255, 255, 255 }, .src = { 2, 0, 0, 0, 0, 1 }, .type = { 0x88, 0xb5 } };

static uint8_t matrix[MAX * MAX_K];          /* row i gives packet i of a group from the K of the file */
static uint8_t tables[32 * MAX_K * MAX];     /* made of rows of it, for ISA-L */

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "fec: %s: %s\n", what, why);
	return 1;
}

static int done(const char *did, uint64_t bytes, uint32_t groups, uint32_t crc)
{
	printf("%s %llu bytes in %u groups, CRC-32 %08x\n", did, (unsigned long long)bytes, groups, crc);
	return 0;
}

/* ---- the sender: reads and encodes right in the buffers that are sent */

/* Returns the bytes of the file that the group has, or -1. */
static int64_t build_group(struct nmx_batch *batch, int file, struct head head, uint32_t *crc)
{
	uint8_t *packet[MAX], *piece[MAX];
	uint32_t k = head.k, m = head.m, len = 0;

	for (uint32_t i = 0; i < k + m; i++) {
		ssize_t got;

		packet[i] = nmx_batch_packet(batch, sizeof(head) + PIECE);
		if (!packet[i])
			return -1;
		piece[i] = packet[i] + sizeof(head);
		if (i >= k)
			continue; /* parity, below */
		got = pread(file, piece[i], PIECE, ((off_t)head.group * k + i) * PIECE);
		if (got < 0)
			return -1;
		memset(piece[i] + got, 0, PIECE - (size_t)got);
		*crc = crc32_gzip_refl(*crc, piece[i], (uint64_t)got);
		len += (uint32_t)got;
	}
	ec_encode_data(PIECE, (int)k, (int)m, tables, piece, piece + k);
	for (uint32_t i = 0; i < k + m; i++) {
		head.index = (uint8_t)i;
		head.len = len;
		memcpy(packet[i], &head, sizeof(head));
	}
	return len;
}

static int send_groups(struct nmx_tx *tx, int file, struct head head, uint32_t groups, uint32_t *crc)
{
	uint32_t all = (uint32_t)head.k + head.m;
	struct nmx_batch batch;
	int n;

	while (head.group < groups) {
		if ((n = nmx_tx_sync(tx)) >= 0 && (uint32_t)n < all)
			n = nmx_tx_wait(tx, all, -1);
		if (n < 0)
			return n;
		if (nmx_tx_space(tx) < all)
			continue;
		if ((n = nmx_tx_reserve(tx, all, &batch)) < 0)
			return n;
		head.flags = head.group + 1 == groups ? LAST : 0;
		if (build_group(&batch, file, head, crc) < 0)
			return NMX_ERR_IO;
		nmx_batch_commit(&batch);
		head.group++;
	}
	return nmx_tx_drain(tx, DRAIN_MS);
}

static int send_file(const char *name, const char *path, uint32_t k, uint32_t m)
{
	struct nmx_options options = { .tx_rings = 1, .flags = NMX_TX_ONLY };
	int file = open(path, O_RDONLY | O_CLOEXEC), err;
	struct head head = to_all;
	uint32_t crc = 0, groups;
	struct nmx_report why;
	NMX_AUTO(port) port = NULL;
	NMX_AUTO(tx) tx = NULL;
	struct stat st;

	if (file < 0 || fstat(file, &st) < 0 || !S_ISREG(st.st_mode))
		return fail(path, "not a file that can be read");
	if (nmx_open(&port, name, &options, &why) < 0)
		return fail(name, why.text);
	if ((err = nmx_tx_ring(port, 0, &tx)) < 0)
		return fail(name, nmx_strerror(err));
	if (k + m > tx->num_slots - 1)
		return fail(name, "its ring has too few slots for a group");
	head.k = (uint8_t)k;
	head.m = (uint8_t)m;
	gf_gen_cauchy1_matrix(matrix, (int)(k + m), (int)k);
	ec_init_tables((int)k, (int)m, matrix + (size_t)k * k, tables);
	groups = st.st_size > 0 ? (uint32_t)((st.st_size + k * PIECE - 1) / (k * PIECE)) : 1;
	err = send_groups(tx, file, head, groups, &crc);
	close(file);
	return err < 0 ? fail(name, nmx_strerror(err)) : done("sent", (uint64_t)st.st_size, groups, crc);
}

/* ---- the receiver */

struct receiver {
	FILE *file;
	struct head head;               /* of the group at hand; k 0: none yet */
	struct nmx_buf kept[MAX + MAX_M]; /* packet i of the group in kept[i]; the rest are for what is worked out */
	bool is_kept[MAX], is_done;
	uint32_t num_kept, lose;
	uint64_t losing;                /* a bit for each packet of the group that is thrown away */
	uint32_t groups, lost_groups, crc;
	uint64_t bytes, repaired;
};

/* The next larger number with as many bits: so every choice has its turn. */
static uint64_t next_choice(uint64_t bits, uint32_t lose, uint32_t all)
{
	uint64_t low = bits & (0 - bits), carried = bits + low;

	if (lose == 0)
		return 0;
	bits = bits ? carried | ((bits ^ carried) / low) >> 2 : (1ull << lose) - 1;
	return (bits >> all) ? (1ull << lose) - 1 : bits;
}

static uint8_t *piece_of(struct receiver *r, uint32_t i) { return r->kept[i].data + sizeof(struct head); }

/* The missing packets of the file are the survivors, multiplied by rows of the inverse of what made those. */
static void repair(struct receiver *r, uint8_t *piece[MAX_K])
{
	uint32_t k = r->head.k, missing = 0, used = 0;
	uint8_t rows[MAX_K * MAX_K], inverse[MAX_K * MAX_K], wanted[MAX_K * MAX_K];
	uint8_t *from[MAX_K], *to[MAX_K];

	for (uint32_t i = 0; used < k; i++)
		if (r->is_kept[i]) {
			memcpy(rows + (size_t)used * k, matrix + (size_t)i * k, k);
			from[used++] = piece_of(r, i);
		}
	if (gf_invert_matrix(rows, inverse, (int)k) < 0)
		return; /* cannot be, with a Cauchy matrix */
	for (uint32_t i = 0; i < k; i++) {
		if (r->is_kept[i])
			continue;
		memcpy(wanted + (size_t)missing * k, inverse + (size_t)i * k, k);
		piece[i] = to[missing] = piece_of(r, MAX + missing);
		missing++;
	}
	ec_init_tables((int)k, (int)missing, wanted, tables);
	ec_encode_data(PIECE, (int)k, (int)missing, tables, from, to);
	r->repaired += missing;
}

/* K packets are there. */
static void finish_group(struct receiver *r)
{
	uint32_t k = r->head.k, missing = 0, left = r->head.len;
	uint8_t *piece[MAX_K] = { NULL };

	for (uint32_t i = 0; i < k; i++) {
		piece[i] = r->is_kept[i] ? piece_of(r, i) : NULL;
		missing += !r->is_kept[i];
	}
	if (missing)
		repair(r, piece);
	for (uint32_t i = 0; i < k && piece[i]; i++) {
		uint32_t len = left < PIECE ? left : PIECE;

		r->crc = crc32_gzip_refl(r->crc, piece[i], len);
		fwrite(piece[i], 1, len, r->file);
		left -= len;
	}
	r->bytes += r->head.len - left;
	r->is_done = true;
}

static void begin_group(struct receiver *r, const struct head *head)
{
	uint32_t next = r->head.k ? r->head.group + 1 : 0;

	r->lost_groups += (r->head.k && !r->is_done) + (head->group - next);
	r->groups = head->group + 1;
	if (r->head.k != head->k || r->head.m != head->m)
		gf_gen_cauchy1_matrix(matrix, head->k + head->m, head->k);
	r->head = *head;
	r->losing = next_choice(r->losing, r->lose, (uint32_t)head->k + head->m);
	r->num_kept = 0;
	r->is_done = false;
	memset(r->is_kept, 0, sizeof(r->is_kept));
}

/* Ours, and in range?  Anything may come. */
static bool read_head(const struct nmx_frame *frame, struct head *head)
{
	if (frame->len != sizeof(*head) + PIECE)
		return false;
	memcpy(head, frame->data, sizeof(*head));
	return memcmp(head->type, to_all.type, sizeof(head->type)) == 0 && head->k > 0 && head->k <= MAX_K && head->m > 0 &&
	       head->m <= MAX_M && head->index < head->k + head->m && head->len <= (uint32_t)head->k * PIECE;
}

static int take(struct receiver *r, struct nmx_frame *frame)
{
	struct head head;
	int err;

	if (!read_head(frame, &head) || (r->head.k && head.group < r->head.group))
		return 0;
	if (!r->head.k || head.group > r->head.group)
		begin_group(r, &head);
	if (r->is_done || head.k != r->head.k || head.m != r->head.m || r->is_kept[head.index] || r->losing >> head.index & 1)
		return 0;
	err = nmx_frame_take(frame, &r->kept[head.index]); /* for a spare buffer: no copy */
	if (err < 0)
		return err;
	r->is_kept[head.index] = true;
	if (++r->num_kept == r->head.k)
		finish_group(r);
	return 0;
}

/* Until the last group is complete, or nothing comes any more. */
static int receive_groups(struct receiver *r, struct nmx_rx *rx)
{
	int n, err;

	while (!(r->is_done && (r->head.flags & LAST))) {
		while ((n = nmx_rx_sync(rx)) > 0)
			nmx_rx_for_each (rx, frame)
				if ((err = take(r, &frame)) < 0)
					return err;
		if (n == NMX_ERR_PEER_GONE)
			return 0;
		if (n < 0 && n != NMX_ERR_LINK_DOWN)
			return n;
		n = nmx_rx_wait(rx, r->head.k ? QUIET_MS : -1);
		if (n < 0)
			return n;
		if (n == 0)
			return 0;
	}
	return 0;
}

static int receive_file(const char *name, const char *path, uint32_t lose)
{
	struct nmx_options options = { .rx_rings = 1, .extra_bufs = MAX + MAX_M, .flags = NMX_RX_ONLY };
	static struct receiver r;
	struct nmx_report why;
	NMX_AUTO(port) port = NULL;
	NMX_AUTO(rx) rx = NULL;
	int err;

	r.lose = lose;
	r.file = fopen(path, "we");
	if (!r.file)
		return fail(path, "cannot be written");
	if (nmx_open(&port, name, &options, &why) < 0)
		return fail(name, why.text);
	if ((err = nmx_rx_ring(port, 0, &rx)) < 0 || (err = nmx_buf_get(port, r.kept, MAX + MAX_M) == MAX + MAX_M ? 0 : NMX_ERR_NO_MEMORY) < 0)
		return fail(name, nmx_strerror(err));
	err = receive_groups(&r, rx);
	if (fclose(r.file) != 0 && err == 0)
		err = NMX_ERR_IO;
	if (err < 0)
		return fail(name, nmx_strerror(err));
	r.lost_groups += r.head.k && !r.is_done;
	printf("%llu packets repaired\n", (unsigned long long)r.repaired);
	if (r.lost_groups || !(r.head.flags & LAST)) {
		fprintf(stderr, "fec: %u of %u groups lost more than they had to spare%s\n", r.lost_groups, r.groups,
		        r.head.flags & LAST ? "" : ", and the end is missing");
		return 1;
	}
	return done("received", r.bytes, r.groups, r.crc);
}

int main(int argc, char **argv)
{
	bool is_sender = argc > 1 && strcmp(argv[1], "send") == 0, is_receiver = argc > 1 && strcmp(argv[1], "receive") == 0;
	uint64_t k = argc > 4 && is_sender ? read_number("fec: K", argv[4]) : 8;
	uint64_t m = argc > 5 && is_sender ? read_number("fec: M", argv[5]) : 3;
	uint64_t lose = argc > 4 && is_receiver ? read_number("fec: LOSE", argv[4]) : 0;
	bool help = argc == 2 && strcmp(argv[1], "--help") == 0;

	if (argc < 4 || argc > (is_sender ? 6 : 5) || (!is_sender && !is_receiver) || k < 1 || k > MAX_K || m < 1 || m > MAX_M ||
	    lose > MAX_M) {
		fprintf(help ? stdout : stderr, "usage: fec send PORT FILE [K [M]]\n"
		                                "       fec receive PORT COPY [LOSE]\n"
		                                "Carries FILE to COPY one way.  Of K packets of the file (1 to %d, 8) and M of parity "
		                                "(1 to %d, 3), any K\nare enough.  LOSE: throws so many of each group away.\n",
		        MAX_K, MAX_M);
		return help ? 0 : 2;
	}
	return is_sender ? send_file(argv[2], argv[3], (uint32_t)k, (uint32_t)m) : receive_file(argv[2], argv[3], (uint32_t)lose);
}
