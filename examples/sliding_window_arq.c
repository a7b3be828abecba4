/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * sliding_window_arq: carries a file over a path that loses, doubles and reorders packets.
 *
 *     build/examples/sliding_window_arq receive 'arq}1' COPY         in one terminal, and in another:
 *     build/examples/sliding_window_arq send 'arq{1' FILE            or any other ports that lead to each other
 *
 * The sender has at most WINDOW pieces on the way.  The receiver answers with what it misses first (the cumulative
 * acknowledgement) and a bitmap of what it has beyond (the selective one).  Every packet sent has a number of its own, its
 * shot: what was sent well before a packet that has arrived, and has not arrived, is lost and is sent again at once; a
 * timer does for the rest.  There is no congestion control: it is for links of your own.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <nmx/nmx.h>

enum { PIECE = 1024, WINDOW = 256, REORDER = 48, MIN_PACKET = 60 };
enum { FIRST_RTO_US = 20000, MIN_RTO_US = 2000, MAX_RTO_US = 100000, GIVE_UP_US = 10000000, LINGER_MS = 2000 };
enum { DATA = 1, ACK, BYE };

/* The beginning of every packet, little endian, as the machines are that nmx runs on. */
struct head {
	uint8_t dst[6], src[6], type[2];
	uint16_t kind;
	uint32_t session; /* of this run of the sender: what an earlier one left on the way is not ours */
	uint32_t seq;     /* DATA: number of the piece; ACK: the first one that is missing */
	uint32_t shot;    /* DATA: of this packet; ACK: the highest that has arrived */
	uint32_t len;     /* DATA: bytes of the piece; less than PIECE: it is the last */
};
struct ack {
	struct head head;
	uint64_t have[WINDOW / 64]; /* bit i: piece head.seq + 1 + i has arrived */
};

/* 0x88b5 is the EtherType of local experiments; the addresses are locally administered. */
static const struct head to_receiver = { { 2, 0, 0, 0, 0, 2 }, { 2, 0, 0, 0, 0, 1 }, { 0x88, 0xb5 }, 0, 0, 0, 0, 0 };
static const struct head to_sender = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 }, { 0x88, 0xb5 }, 0, 0, 0, 0, 0 };

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Ours, and as long as it says?  Anything may come. */
static bool read_head(const struct nmx_frame *frame, struct head *head)
{
	if (frame->len < sizeof(*head))
		return false;
	memcpy(head, frame->data, sizeof(*head));
	if (memcmp(head->type, to_sender.type, sizeof(head->type)) != 0)
		return false;
	return head->kind == BYE || (head->kind == ACK && frame->len >= sizeof(struct ack)) ||
	       (head->kind == DATA && head->len <= PIECE && frame->len >= sizeof(*head) + head->len);
}

/* ---- the sender */

struct piece {
	int64_t sent_us;
	uint32_t shot; /* the last time that it was sent */
	bool arrived;
};

struct sender {
	struct nmx_tx *tx;
	struct nmx_rx *rx;
	int file;
	uint32_t session, pieces;
	uint32_t base, next;         /* [base, next) is on the way; piece i is in window[i % WINDOW] */
	struct piece window[WINDOW];
	uint32_t shots, high;        /* sent so far; the highest that has arrived */
	int64_t rtt_us, spread_us, rto_us, heard_us;
	uint64_t again, by_timer;
};

/* RFC 6298, but for its minimum of a second.  A shot is sent once, so it is clear which packet an answer is to. */
static void measure(struct sender *s, int64_t rtt)
{
	int64_t off = rtt > s->rtt_us ? rtt - s->rtt_us : s->rtt_us - rtt;

	s->spread_us = s->rtt_us ? (3 * s->spread_us + off) / 4 : rtt / 2;
	s->rtt_us = s->rtt_us ? (7 * s->rtt_us + rtt) / 8 : rtt;
}

static void arrived(struct sender *s, uint32_t seq, uint32_t shot, int64_t now)
{
	struct piece *piece = &s->window[seq % WINDOW];

	if (!piece->arrived && piece->shot == shot)
		measure(s, now - piece->sent_us);
	piece->arrived = true;
}

static void take_ack(struct sender *s, const struct ack *ack, int64_t now)
{
	const struct head *head = &ack->head;
	uint32_t first = head->seq;

	if (head->kind != ACK || head->session != s->session || first < s->base || first > s->next || head->shot > s->shots)
		return;
	s->heard_us = now;
	s->high = head->shot > s->high ? head->shot : s->high;
	for (uint32_t seq = s->base; seq != s->next; seq++)
		if (seq < first || (seq > first && ack->have[(seq - first - 1) / 64] >> (seq - first - 1) % 64 & 1))
			arrived(s, seq, head->shot, now);
	if (first != s->base) { /* progress: the timer is as measured again */
		int64_t rto = s->rtt_us + 4 * s->spread_us;

		s->rto_us = rto < MIN_RTO_US ? MIN_RTO_US : rto > MAX_RTO_US ? MAX_RTO_US : rto;
	}
	s->base = first;
}

/* Reads a piece of the file into the next packet of the batch.  False: the batch is full. */
static bool put_piece(struct sender *s, struct nmx_batch *batch, uint32_t seq, int64_t now)
{
	struct head head = to_receiver;
	uint8_t *data = nmx_batch_packet(batch, sizeof(head) + PIECE);
	uint32_t len;
	ssize_t got;

	if (!data)
		return false;
	got = pread(s->file, data + sizeof(head), PIECE, (off_t)seq * PIECE);
	head.kind = DATA;
	head.session = s->session;
	head.seq = seq;
	head.shot = ++s->shots;
	head.len = got > 0 ? (uint32_t)got : 0;
	memcpy(data, &head, sizeof(head));
	len = sizeof(head) + head.len;
	if (len < MIN_PACKET) { /* Ethernet's least */
		memset(data + len, 0, MIN_PACKET - len);
		len = MIN_PACKET;
	}
	nmx_batch_trim(batch, len);
	s->window[seq % WINDOW] = (struct piece){ .sent_us = now, .shot = head.shot };
	return true;
}

/* What is lost, what the timer says, and then what is new.  Returns when the timer is to be asked again. */
static int64_t send_due(struct sender *s, struct nmx_batch *batch, int64_t now)
{
	int64_t rto = s->rto_us, soonest = now + MAX_RTO_US;
	bool is_late = false, has_room = true;

	for (uint32_t seq = s->base; seq != s->next && has_room; seq++) {
		const struct piece *piece = &s->window[seq % WINDOW];
		bool lost = !piece->arrived && piece->shot + REORDER < s->high, late = now - piece->sent_us >= rto;

		if (!piece->arrived && (lost || late) && (has_room = put_piece(s, batch, seq, now))) {
			s->again++;
			s->by_timer += !lost;
			is_late |= !lost;
		}
		if (!piece->arrived && piece->sent_us + rto < soonest)
			soonest = piece->sent_us + rto;
	}
	while (s->next < s->pieces && s->next - s->base < WINDOW && put_piece(s, batch, s->next, now))
		s->next++;
	if (is_late)
		s->rto_us = 2 * rto < MAX_RTO_US ? 2 * rto : MAX_RTO_US;
	return soonest;
}

static int take_acks(struct sender *s)
{
	struct ack ack;
	struct head head;
	int n;

	while ((n = nmx_rx_sync(s->rx)) > 0)
		nmx_rx_for_each (s->rx, frame)
			if (read_head(&frame, &head) && head.kind == ACK) {
				memcpy(&ack, frame.data, sizeof(ack));
				take_ack(s, &ack, now_us());
			}
	return n == NMX_ERR_LINK_DOWN ? 0 : n; /* it may come up again */
}

static int send_pieces(struct sender *s)
{
	struct nmx_batch batch;
	int64_t now, soonest;
	int n;

	while (s->base < s->pieces) {
		if ((n = nmx_tx_sync(s->tx)) < 0 || (n = nmx_tx_reserve(s->tx, WINDOW, &batch)) < 0)
			return n;
		now = now_us();
		soonest = send_due(s, &batch, now);
		nmx_batch_commit(&batch);
		if ((n = nmx_tx_sync(s->tx)) < 0)
			return n;
		n = nmx_rx_wait(s->rx, soonest > now ? (int)((soonest - now) / 1000) + 1 : 0);
		if (n < 0 || (n = take_acks(s)) < 0)
			return n;
		if (s->high > 0 && now - s->heard_us > GIVE_UP_US)
			return NMX_ERR_TIMED_OUT;
	}
	return 0;
}

static int send_file(struct nmx_port *port, const char *path)
{
	struct sender s = { .file = open(path, O_RDONLY | O_CLOEXEC), .rto_us = FIRST_RTO_US };
	NMX_AUTO(tx) tx = NULL;
	NMX_AUTO(rx) rx = NULL;
	struct ack bye = { .head = to_receiver };
	int64_t start = now_us();
	struct stat st;
	double seconds;
	int err;

	if (s.file < 0 || fstat(s.file, &st) < 0 || !S_ISREG(st.st_mode)) {
		fprintf(stderr, "sliding_window_arq: %s is not a file that can be read\n", path);
		return 1;
	}
	s.pieces = (uint32_t)(st.st_size / PIECE + 1); /* the last one is short, or empty */
	s.session = (uint32_t)start ^ (uint32_t)getpid() << 16;
	if ((err = nmx_tx_ring(port, 0, &tx)) == 0 && (err = nmx_rx_ring(port, 0, &rx)) == 0) {
		s.tx = tx;
		s.rx = rx;
		err = send_pieces(&s);
	}
	close(s.file);
	if (err < 0) {
		fprintf(stderr, "sliding_window_arq: after %u of %u pieces: %s\n", s.base, s.pieces, nmx_strerror(err));
		return 1;
	}
	seconds = (double)(now_us() - start) / 1e6;
	bye.head.kind = BYE; /* so that the receiver need not wait; closing the ring sends them */
	bye.head.session = s.session;
	for (int i = 0; i < 3; i++)
		(void)!nmx_tx_send(tx, &bye, sizeof(bye));
	printf("sent %lld bytes in %.3f s: %.1f MB/s; %u packets, %llu of them again, %llu of those by the timer\n",
	       (long long)st.st_size, seconds, (double)st.st_size / seconds / 1e6, s.shots, (unsigned long long)s.again,
	       (unsigned long long)s.by_timer);
	return 0;
}

/* ---- the receiver */

struct receiver {
	struct nmx_tx *tx;
	FILE *file;
	uint32_t session, next; /* next: the first piece that is missing */
	uint32_t high;
	bool has_session, has_all, is_over;
	struct nmx_buf kept[WINDOW]; /* spares, and pieces that came before their turn: piece i is in kept[i % WINDOW] */
	bool is_kept[WINDOW];
	uint32_t kept_len[WINDOW];
	uint64_t bytes, early, twice;
};

static void deliver(struct receiver *r, const uint8_t *packet, uint32_t len)
{
	fwrite(packet + sizeof(struct head), 1, len, r->file);
	r->bytes += len;
	r->next++;
	r->has_all = len < PIECE;
}

/* In turn: to the file.  Before its turn: kept, without a copy, by an exchange of buffers.  Returns 0 or an error. */
static int take_piece(struct receiver *r, struct nmx_frame *frame, const struct head *head)
{
	uint32_t at = head->seq % WINDOW;
	int err;

	if (head->seq < r->next || head->seq - r->next >= WINDOW || r->is_kept[at]) {
		r->twice++;
		return 0;
	}
	if (head->seq > r->next) {
		if ((err = nmx_frame_take(frame, &r->kept[at])) < 0)
			return err;
		r->is_kept[at] = true;
		r->kept_len[at] = head->len;
		r->early++;
		return 0;
	}
	deliver(r, frame->data, head->len);
	for (at = r->next % WINDOW; r->is_kept[at] && !r->has_all; at = r->next % WINDOW) {
		r->is_kept[at] = false;
		deliver(r, r->kept[at].data, r->kept_len[at]);
	}
	return 0;
}

/* One answer for all that came since the last.  If the ring is full it is lost, as others are on the way. */
static int answer(struct receiver *r)
{
	struct ack ack = { .head = to_sender };
	int n;

	ack.head.kind = ACK;
	ack.head.session = r->session;
	ack.head.seq = r->next;
	ack.head.shot = r->high;
	for (uint32_t i = 0; i + 1 < WINDOW; i++)
		if (r->is_kept[(r->next + 1 + i) % WINDOW])
			ack.have[i / 64] |= 1ull << i % 64;
	(void)!nmx_tx_send(r->tx, &ack, sizeof(ack));
	n = nmx_tx_sync(r->tx);
	return n == NMX_ERR_PEER_GONE ? 0 : n; /* the receive ring says so when it is empty */
}

/* Returns 1: a piece came; 0: it was something else; or an error. */
static int take_packet(struct receiver *r, struct nmx_frame *frame)
{
	struct head head;
	int err;

	if (!read_head(frame, &head) || head.kind == ACK)
		return 0;
	if (!r->has_session || (head.session != r->session && r->next == 0)) {
		memset(r->is_kept, 0, sizeof(r->is_kept));
		r->high = 0;
		r->session = head.session;
		r->has_session = true;
	}
	if (head.session != r->session)
		return 0;
	if (head.kind == BYE) {
		r->is_over = r->has_all;
		return 0;
	}
	r->high = head.shot > r->high ? head.shot : r->high;
	err = take_piece(r, frame, &head);
	return err < 0 ? err : 1;
}

/* Until the sender says that it has heard of it all, or says nothing more. */
static int receive_pieces(struct receiver *r, struct nmx_rx *rx)
{
	int n = 0, came;

	while (!r->is_over && n >= 0) {
		n = nmx_rx_wait(rx, r->has_all ? LINGER_MS : -1);
		if (n == 0 && r->has_all)
			return 0;
		came = 0;
		while (n >= 0 && (n = nmx_rx_sync(rx)) > 0)
			nmx_rx_for_each (rx, frame) {
				int was = take_packet(r, &frame);

				if (was < 0)
					return was;
				came |= was;
			}
		if (n >= 0 && came)
			n = answer(r);
		if (n == NMX_ERR_LINK_DOWN)
			n = 0;
	}
	return n == NMX_ERR_PEER_GONE && r->has_all ? 0 : n;
}

static int receive_file(struct nmx_port *port, const char *path)
{
	static struct receiver r;
	NMX_AUTO(tx) tx = NULL;
	NMX_AUTO(rx) rx = NULL;
	int err;

	r.file = fopen(path, "we");
	if (!r.file) {
		fprintf(stderr, "sliding_window_arq: %s cannot be written\n", path);
		return 1;
	}
	if (nmx_buf_get(port, r.kept, WINDOW) != WINDOW)
		err = NMX_ERR_INSUFFICIENT_SPACE;
	else if ((err = nmx_tx_ring(port, 0, &tx)) == 0 && (err = nmx_rx_ring(port, 0, &rx)) == 0) {
		r.tx = tx;
		err = receive_pieces(&r, rx);
	}
	if (fclose(r.file) != 0 && err == 0)
		err = NMX_ERR_IO;
	if (err < 0) {
		fprintf(stderr, "sliding_window_arq: after %u pieces: %s\n", r.next, nmx_strerror(err));
		return 1;
	}
	printf("received %llu bytes; %llu packets came before their turn, %llu for nothing\n", (unsigned long long)r.bytes,
	       (unsigned long long)r.early, (unsigned long long)r.twice);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	struct nmx_options options = { .tx_rings = 1, .rx_rings = 1, .extra_bufs = WINDOW, .flags = NMX_PROMISC };
	bool is_sender = strcmp(what, "send") == 0, help = strcmp(what, "--help") == 0;
	struct nmx_report why;
	NMX_AUTO(port) port = NULL;

	if (argc != 4 || (!is_sender && strcmp(what, "receive") != 0)) {
		fprintf(help ? stdout : stderr, "usage: sliding_window_arq send PORT FILE\n"
		                                "       sliding_window_arq receive PORT COPY\n"
		                                "Carries FILE to COPY, whatever the path between the two ports loses, doubles or "
		                                "reorders;\nfor instance 'arq{1' and 'arq}1', or eth0 of two machines.\n");
		return help ? 0 : 2;
	}
	if (nmx_open(&port, argv[2], &options, &why) < 0) {
		fprintf(stderr, "sliding_window_arq: %s\n", why.text);
		return 1;
	}
	return is_sender ? send_file(port, argv[3]) : receive_file(port, argv[3]);
}
