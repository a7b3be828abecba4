/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * pcap:FILE is a capture as a port.  It is read (a receive ring), or with NMX_TX_ONLY written (a transmit ring).
 *
 * libpcap does the reading and writing.  It is loaded when the first such port is opened, not when the library is: it
 * brings a dozen libraries along, which a program that only wants rings should not pay for.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backend/local.h"
#include "base/poison.h"
#include "base/report.h"

#ifdef NMX_HAVE_PCAP
#include <pcap/pcap.h>

#define SNAP_LEN 262144

static struct {
	__typeof__(&pcap_open_offline_with_tstamp_precision) open_offline;
	__typeof__(&pcap_open_dead_with_tstamp_precision) open_dead;
	__typeof__(&pcap_next_ex) next_ex;
	__typeof__(&pcap_geterr) geterr;
	__typeof__(&pcap_datalink) datalink;
	__typeof__(&pcap_close) close;
	__typeof__(&pcap_dump_fopen) dump_fopen;
	__typeof__(&pcap_dump_file) dump_file;
	__typeof__(&pcap_dump) dump;
	__typeof__(&pcap_dump_flush) dump_flush;
	__typeof__(&pcap_dump_close) dump_close;
	bool loaded;
} lib;

struct pcap_ring {
	struct nmx__ring ring;
	struct nmx__own_ring *own;
	uint32_t hwcur, tail, num_bufs;
	pcap_t *pcap;
	pcap_dumper_t *dumper;
	const uint8_t *next; /* a packet that was read and did not fit yet */
	uint32_t next_len;
	int ended;           /* what sync says when the ring is empty: 0, or the error after the last packet */
};

struct pcap_port {
	struct nmx__local local;
	struct nmx__own_ring *own[1];
	pcap_t *pcap;
	pcap_dumper_t *dumper;
};

static void load(void)
{
	static const char *const names[] = { "libpcap.so.0.8", "libpcap.so.1", "libpcap.so.8", "libpcap.so" };
	void *handle = NULL;

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]) && !handle; i++)
		handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		return;
	lib.loaded = true;
#define LOAD(field, name) (*(void **)&lib.field = dlsym(handle, name), lib.loaded &= lib.field != NULL)
	LOAD(open_offline, "pcap_open_offline_with_tstamp_precision");
	LOAD(open_dead, "pcap_open_dead_with_tstamp_precision");
	LOAD(next_ex, "pcap_next_ex");
	LOAD(geterr, "pcap_geterr");
	LOAD(datalink, "pcap_datalink");
	LOAD(close, "pcap_close");
	LOAD(dump_fopen, "pcap_dump_fopen");
	LOAD(dump_file, "pcap_dump_file");
	LOAD(dump, "pcap_dump");
	LOAD(dump_flush, "pcap_dump_flush");
	LOAD(dump_close, "pcap_dump_close");
#undef LOAD
}

/* ---- reading */

/* Looks at the next packet.  False: there is none; ring->ended says why. */
static bool read_next(struct pcap_ring *r)
{
	struct pcap_pkthdr *header;
	const u_char *data;
	int got;

	if (r->next || r->ended)
		return r->next != NULL;
	got = lib.next_ex(r->pcap, &header, &data);
	if (got == 1) {
		r->next = data;
		r->next_len = header->caplen;
		return true;
	}
	r->ended = got == PCAP_ERROR_BREAK ? NMX_ERR_PEER_GONE : NMX_ERR_IO; /* the end, or a file that was cut */
	return false;
}

static uint8_t *slot_data(const struct pcap_ring *r, const struct netmap_slot *slot)
{
	return r->ring.handle.rx.bufs + (size_t)slot->buf_idx * NMX__BUF_LEN;
}

/* The frames before head are dead. */
static void give_back(struct pcap_ring *r, struct netmap_ring *ring)
{
	for (; r->hwcur != ring->head; r->hwcur = nmx__next(r->hwcur, r->own->num_slots))
		nmx__poison(slot_data(r, &ring->slot[r->hwcur]), NMX__BUF_LEN);
}

static void put_packet(struct pcap_ring *r, struct netmap_ring *ring, uint32_t slots)
{
	const uint8_t *from = r->next;
	uint32_t left = r->next_len;

	for (; slots > 0; slots--) {
		struct netmap_slot *slot = &ring->slot[r->tail];
		uint32_t part = left < NMX__BUF_LEN ? left : NMX__BUF_LEN;

		nmx__unpoison(slot_data(r, slot), NMX__BUF_LEN);
		memcpy(slot_data(r, slot), from, part);
		slot->len = (uint16_t)part;
		slot->flags = slots > 1 ? NS_MOREFRAG : 0;
		r->tail = nmx__next(r->tail, r->own->num_slots);
		from += part;
		left -= part;
	}
}

static int fill(struct pcap_ring *r, struct netmap_ring *ring)
{
	uint32_t n = r->own->num_slots, max_frags = n - 1 < NETMAP_MAX_FRAGS ? n - 1 : NETMAP_MAX_FRAGS;
	bool chains = (r->ring.port->options.flags & NMX_CHAINS) != 0;

	while (read_next(r)) {
		uint32_t slots = (r->next_len + NMX__BUF_LEN - 1) / NMX__BUF_LEN;

		if (slots == 0)
			NMX__COUNT(r->own, drop_too_short, 1);
		else if (slots > (chains ? max_frags : 1))
			NMX__COUNT(r->own, drop_too_long, 1);
		else if (slots > n - 1 - nmx__distance(ring->head, r->tail, n))
			break;
		else {
			put_packet(r, ring, slots);
			NMX__COUNT(r->own, rx_packets, 1);
			NMX__COUNT(r->own, rx_bytes, r->next_len);
		}
		r->next = NULL;
	}
	ring->tail = r->tail;
	return (int)nmx__distance(ring->cur, r->tail, n);
}

/* A program that writes the ring itself may have put anything there. */
static bool slots_valid(const struct pcap_ring *r, const struct netmap_ring *ring, uint32_t from, uint32_t to)
{
	for (; from != to; from = nmx__next(from, r->own->num_slots))
		if (ring->slot[from].buf_idx - NMX__FIRST_BUF >= r->num_bufs - NMX__FIRST_BUF)
			return false;
	return true;
}

/* ---- writing */

static int write_packet(struct pcap_ring *r, const uint8_t *data, uint32_t len)
{
	struct pcap_pkthdr header = { .caplen = len, .len = len };
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	header.ts.tv_sec = now.tv_sec;
	header.ts.tv_usec = now.tv_nsec; /* nanoseconds: the file says so */
	lib.dump((u_char *)r->dumper, &header, data);
	NMX__COUNT(r->own, tx_packets, 1);
	NMX__COUNT(r->own, tx_bytes, len);
	return ferror(lib.dump_file(r->dumper)) ? NMX_ERR_IO : 0;
}

static int write_out(struct pcap_ring *r, struct netmap_ring *ring)
{
	uint8_t joined[NETMAP_MAX_FRAGS * NMX__BUF_LEN];
	uint32_t n = r->own->num_slots, len = 0;
	int err = 0;

	for (; r->hwcur != ring->head && err == 0; r->hwcur = nmx__next(r->hwcur, n)) {
		struct netmap_slot *slot = &ring->slot[r->hwcur];
		uint32_t part = slot->len;

		if (part > NMX__BUF_LEN || part > sizeof(joined) - len) {
			NMX__COUNT(r->own, drop_too_long, 1);
			len = 0;
			continue;
		}
		memcpy(joined + len, r->ring.handle.tx.bufs + (size_t)slot->buf_idx * NMX__BUF_LEN, part);
		len += part;
		if (slot->flags & NS_MOREFRAG)
			continue;
		err = write_packet(r, joined, len);
		len = 0;
	}
	if (lib.dump_flush(r->dumper) < 0)
		err = NMX_ERR_IO;
	ring->tail = r->tail = (r->hwcur ? r->hwcur : n) - 1;
	return err < 0 ? err : (int)nmx__distance(ring->cur, ring->tail, n);
}

static int pcap_port_sync(struct nmx__ring *base)
{
	struct pcap_ring *r = (struct pcap_ring *)base;
	struct netmap_ring *ring = nmx__own_netmap_ring(r->own);
	uint32_t n = r->own->num_slots, owned = nmx__distance(r->hwcur, r->tail, n);
	int waiting;

	if (ring->head >= n || ring->cur >= n || nmx__distance(r->hwcur, ring->cur, n) > owned ||
	    nmx__distance(r->hwcur, ring->head, n) > nmx__distance(r->hwcur, ring->cur, n) ||
	    !slots_valid(r, ring, r->hwcur, ring->head)) {
		ring->head = ring->cur = r->hwcur;
		ring->tail = r->tail;
		NMX__COUNT(r->own, resets, 1);
		return NMX_ERR_RESET;
	}
	if (base->is_tx) {
		NMX__COUNT(r->own, tx_syncs, 1);
		return write_out(r, ring);
	}
	NMX__COUNT(r->own, rx_syncs, 1);
	give_back(r, ring);
	waiting = fill(r, ring);
	return waiting ? waiting : r->ended;
}

/* ---- a file never makes anybody wait */

static int pcap_arm(struct nmx__ring *ring, uint32_t slots)
{
	(void)ring, (void)slots;
	return 1;
}

static void pcap_nothing(struct nmx__ring *ring) { (void)ring; }

static int pcap_poll_fds(struct nmx__ring *ring, struct pollfd fds[NMX__WAIT_FDS])
{
	(void)ring, (void)fds;
	return 0;
}

/* ---- open and close */

static void pcap_port_close(struct nmx_port *port)
{
	struct pcap_port *state = port->state;

	if (state->dumper)
		lib.dump_close(state->dumper);
	if (state->pcap)
		lib.close(state->pcap);
	nmx__local_free(&state->local);
	free(state);
}

static int open_for_reading(struct pcap_port *state, const char *path, struct nmx_report *why)
{
	char text[PCAP_ERRBUF_SIZE] = "";

	state->pcap = lib.open_offline(path, PCAP_TSTAMP_PRECISION_NANO, text);
	if (!state->pcap) {
		bool named = strncmp(text, path, strlen(path)) == 0; /* most of libpcap's sentences begin with the file's name */

		/* There, but no capture; or not to be read at all. */
		return nmx__fail(why, access(path, R_OK) == 0 ? NMX_ERR_BIND_FAIL : NMX_ERR_NO_SUCH, 0,
		                 "cannot read a capture: %.200s%s%.200s", named ? "" : path, named ? "" : ": ", text);
	}
	if (lib.datalink(state->pcap) != DLT_EN10MB)
		return nmx__fail(why, NMX_ERR_FALLBACK_UNSUPPORTED, 0, "the capture \"%.200s\" is not of Ethernet (link type %d)", path,
		                 lib.datalink(state->pcap));
	return 0;
}

/* The file to write into.  One that holds something is left alone: the name of a port is typed more lightly than that
 * of an output file. */
static FILE *new_file(const char *path, int *err, struct nmx_report *why)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	struct stat st;
	FILE *file;

	if (fd < 0) {
		*err = nmx__fail(why, errno == EACCES || errno == EPERM ? NMX_ERR_PERMISSION : NMX_ERR_NO_SUCH, errno,
		                 "cannot write the capture \"%.200s\"", path);
		return NULL;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
		close(fd);
		*err = nmx__fail(why, NMX_ERR_BUSY, 0, "the capture \"%.200s\" exists already, and is left alone: remove it, or name another",
		                 path);
		return NULL;
	}
	file = fdopen(fd, "wb");
	if (!file) {
		close(fd);
		*err = nmx__fail(why, NMX_ERR_NO_MEMORY, ENOMEM, "cannot write the capture \"%.200s\"", path);
	}
	return file;
}

static int open_for_writing(struct pcap_port *state, const char *path, struct nmx_report *why)
{
	FILE *file;
	int err = 0;

	state->pcap = lib.open_dead(DLT_EN10MB, SNAP_LEN, PCAP_TSTAMP_PRECISION_NANO);
	if (!state->pcap)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, ENOMEM, "cannot write a capture");
	file = new_file(path, &err, why);
	if (!file)
		return err;
	state->dumper = lib.dump_fopen(state->pcap, file);
	if (!state->dumper) {
		fclose(file);
		return nmx__fail(why, NMX_ERR_IO, 0, "cannot write the capture \"%.200s\": %.200s", path, lib.geterr(state->pcap));
	}
	/* The file's header now: a child that is forked and exits would write its copy of it a second time. */
	if (lib.dump_flush(state->dumper) < 0)
		return nmx__fail(why, NMX_ERR_IO, errno, "cannot write the capture \"%.200s\"", path);
	return 0;
}

static int make_ring(struct nmx_port *port, struct pcap_port *state, bool is_tx, struct nmx_report *why)
{
	uint32_t asked = is_tx ? port->options.tx_slots : port->options.rx_slots, slots = asked ? asked : NMX__LOCAL_SLOTS;
	struct pcap_ring *r;
	int err = nmx__local_make(&state->local, port, nmx__local_size(nmx__qring_bytes(slots)), slots, why);

	if (err < 0)
		return err;
	r = (struct pcap_ring *)nmx__port_add_ring(port, is_tx, 0);
	if (!r)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, ENOMEM, "cannot set up the ring of a capture");
	r->own = state->own[0] = nmx__local_ring(&state->local, slots, is_tx);
	r->num_bufs = state->local.num_bufs;
	r->pcap = state->pcap;
	r->dumper = state->dumper;
	nmx__local_handle(port, &state->local, &r->ring, r->own);
	r->tail = nmx__own_netmap_ring(r->own)->tail = is_tx ? slots - 1 : 0;
	*(is_tx ? &port->info.tx_rings : &port->info.rx_rings) = 1;
	return 0;
}

static int pcap_port_check(const struct nmx_port *port, struct nmx_report *why)
{
	if (port->options.tx_rings > 1 || port->options.rx_rings > 1)
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "a capture has one ring");
	return nmx__local_check(port, why);
}

static int pcap_port_open(struct nmx_port *port, struct nmx_report *why)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	bool is_tx = (port->options.flags & NMX_TX_ONLY) != 0;
	struct pcap_port *state;
	int err;

	pthread_once(&once, load);
	if (!lib.loaded)
		return nmx__fail(why, NMX_ERR_UNSUPPORTED_PLATFORM, 0, "libpcap is not installed: apt-get install libpcap0.8");
	state = calloc(1, sizeof(*state));
	if (!state)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, ENOMEM, "cannot open a capture");
	port->state = state;
	err = is_tx ? open_for_writing(state, port->name.path, why) : open_for_reading(state, port->name.path, why);
	if (err == 0)
		err = make_ring(port, state, is_tx, why);
	if (err < 0)
		pcap_port_close(port);
	return err;
}

static void pcap_port_stats(struct nmx_port *port, struct nmx_stats *stats)
{
	struct pcap_port *state = port->state;

	nmx__local_stats(state->own, 1, stats);
}

const struct nmx__backend nmx__pcap_backend = {
	.id = NMX_PCAP,
	.ring_bytes = sizeof(struct pcap_ring),
	.check = pcap_port_check,
	.open = pcap_port_open,
	.close = pcap_port_close,
	.sync = pcap_port_sync,
	.arm = pcap_arm,
	.disarm = pcap_nothing,
	.poll_fds = pcap_poll_fds,
	.release = pcap_nothing,
	.stats = pcap_port_stats,
};

#else

const struct nmx__backend nmx__pcap_backend = {
	.id = NMX_PCAP,
	.missing = "the library was built without libpcap",
};

#endif
