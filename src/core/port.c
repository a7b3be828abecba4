/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Life of ports and rings: open, check out, give back, close. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fork.h"
#include "base/poison.h"
#include "base/report.h"
#include "core/check.h"
#include "core/port.h"
#include "core/ring.h"

#define MAX_EXTRA_BUFS (1u << 24) /* as many as the largest region has */
#define ALL_FLAGS                                                                                                       \
	(NMX_EXCLUSIVE | NMX_TX_ONLY | NMX_RX_ONLY | NMX_ZERO_COPY | NMX_CHAINS | NMX_BLOCKING | NMX_PROMISC | NMX_BUSY_POLL |  \
	 NMX_RAW_CHECKSUM)

/* ---- open */

bool nmx__read_struct(void *out, size_t out_size, const void *given, size_t size)
{
	const uint8_t *bytes = given;

	memset(out, 0, out_size);
	if (!given)
		return true;
	for (size_t i = out_size; i < size; i++)
		if (bytes[i])
			return false;
	memcpy(out, given, size < out_size ? size : out_size);
	return true;
}

static int read_options(struct nmx_options *out, const struct nmx_options *options, size_t size, struct nmx_report *why)
{
	if (!nmx__read_struct(out, sizeof(*out), options, size))
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "an option is set that this library (%s) does not know", nmx_version());
	if (out->flags & ~(uint32_t)ALL_FLAGS)
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "options.flags has unknown bits: %#x", out->flags & ~(uint32_t)ALL_FLAGS);
	if (out->extra_bufs > MAX_EXTRA_BUFS) /* before anything is allocated for them */
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "%u extra buffers: there can be %u", out->extra_bufs, MAX_EXTRA_BUFS);
	if ((out->flags & NMX_TX_ONLY) && (out->flags & NMX_RX_ONLY))
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "NMX_TX_ONLY and NMX_RX_ONLY exclude each other");
	return 0;
}

/* What a name and the options both say must be the same. */
static int merge_number(uint32_t *option, uint32_t name, const char *what, struct nmx_report *why)
{
	if (*option && name && *option != name)
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "%s: the name says %u, the options say %u", what, name, *option);
	if (name)
		*option = name;
	return 0;
}

static int merge_name(struct nmx_options *options, struct nmx__name *name, struct nmx_report *why)
{
	int err;

	if ((err = merge_number(&options->tx_rings, name->tx_rings, "transmit rings", why)) < 0 ||
	    (err = merge_number(&options->rx_rings, name->rx_rings, "receive rings", why)) < 0 ||
	    (err = merge_number(&options->tx_slots, name->tx_slots, "transmit slots", why)) < 0 ||
	    (err = merge_number(&options->rx_slots, name->rx_slots, "receive slots", why)) < 0)
		return err;
	options->flags |= (name->flags & NMX__NAME_TX_ONLY ? NMX_TX_ONLY : 0u) | (name->flags & NMX__NAME_RX_ONLY ? NMX_RX_ONLY : 0u) |
	                  (name->flags & NMX__NAME_EXCLUSIVE ? NMX_EXCLUSIVE : 0u) | (name->flags & NMX__NAME_BLOCK ? NMX_BLOCKING : 0u);
	if ((options->flags & NMX_TX_ONLY) && (options->flags & NMX_RX_ONLY))
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "\"%s\": the name and the options leave neither receive nor transmit rings",
		                 name->port);
	if (options->segment && *options->segment && *name->segment && strcmp(options->segment, name->segment) != 0)
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "the name says segment \"%s\", the options say \"%.32s\"", name->segment,
		                 options->segment);
	if (*name->segment)
		options->segment = name->segment;
	return 0;
}

int nmx__segment_check(const char *segment, struct nmx_report *why)
{
	if (!segment)
		return 0;
	if (strlen(segment) > NMX__SEGMENT_MAX || segment[strspn(segment, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")])
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "the segment's name \"%.40s\" is not made of at most %d letters, digits, _ and -",
		                 segment, NMX__SEGMENT_MAX);
	return 0;
}

static void free_port(struct nmx_port *port)
{
	for (int tx = 0; tx < 2; tx++) {
		for (uint32_t i = 0; i < port->num_rings[tx]; i++) {
			nmx__check_free(port->rings[tx][i]);
			free(port->rings[tx][i]);
		}
		free(port->rings[tx]);
	}
	nmx__poller_close(&port->poller);
	pthread_mutex_destroy(&port->lock);
	free(port->held_free);
	free(port->held_out);
	free(port);
}

static int prepare_held(struct nmx_port *port)
{
	port->held_count = port->info.extra_bufs;
	if (!port->held_count)
		return 0;
	port->held_free = calloc(port->held_count, sizeof(*port->held_free));
	port->held_out = calloc(port->held_count, sizeof(*port->held_out));
	if (!port->held_free || !port->held_out)
		return NMX_ERR_NO_MEMORY;
	for (uint32_t i = 0; i < port->held_count; i++)
		port->held_free[i] = i;
	return 0;
}

/* As it would be opened again. */
static void name_port(struct nmx_port *port)
{
	bool has_prefix = port->name.backend == NMX_LOOP || port->name.backend == NMX_NULL || port->name.backend == NMX_PCAP ||
	                  port->name.backend == NMX_XDP;
	const struct nmx__name *name = &port->name;
	char rings[16] = "";

	if (name->mode == NMX__ONE_NIC || name->mode == NMX__ONE_HOST)
		snprintf(rings, sizeof(rings), "%c%u", name->mode == NMX__ONE_NIC ? '-' : '^', name->ring);
	else if (name->mode != NMX__ALL_NIC)
		snprintf(rings, sizeof(rings), "%c", name->mode == NMX__HOST ? '^' : '*');
	if (has_prefix)
		snprintf(port->info.name, sizeof(port->info.name), "%s:%.46s%s", nmx_backend_name(name->backend),
		         name->backend == NMX_PCAP ? name->path : name->port, rings);
	else if (!*rings)
		memcpy(port->info.name, name->port, sizeof(port->info.name)); /* all 63 characters */
	else
		snprintf(port->info.name, sizeof(port->info.name), "%.48s%s", name->port, rings);
}

int nmx__port_prepare(struct nmx_port *port, const char *text, const struct nmx_options *options, size_t options_size,
                      const struct nmx__backend *refused, struct nmx_report *why)
{
	int err;

	if ((err = nmx__name_parse(text, &port->name, why)) < 0 || (err = read_options(&port->options, options, options_size, why)) < 0 ||
	    (err = merge_name(&port->options, &port->name, why)) < 0 || (err = nmx__segment_check(port->options.segment, why)) < 0)
		return err;
	name_port(port);
	port->backend = nmx__backend_choose(port, refused, &err, why);
	if (!port->backend)
		return err;
	port->info.backend = (uint32_t)port->backend->id;
	port->info.numa_node = -1;
	port->info.extra_bufs = port->options.extra_bufs;
	return port->backend->check(port, why);
}

/* *next: the backend that did not take the name, if it may be for another. */
static int open_by(struct nmx_port **out, const char *text, const struct nmx_options *options, size_t options_size,
                   const struct nmx__backend **refused, struct nmx_report *why)
{
	struct nmx_port *port = calloc(1, sizeof(*port));
	int err;

	if (!port)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, ENOMEM, "cannot open a port");
	pthread_mutex_init(&port->lock, NULL);
	port->refs = 1;
	port->poller = NMX__NO_POLLER;
	port->fork_generation = nmx__fork_generation();
	err = nmx__port_prepare(port, text, options, options_size, *refused, why);
	if (err == 0 && (err = prepare_held(port)) < 0)
		nmx__fail(why, err, ENOMEM, "cannot keep track of %u extra buffers", port->info.extra_bufs);
	if (err == 0)
		err = port->backend->open(port, why);
	if (err == 0) {
		*out = port;
		return 0;
	}
	*refused = nmx__backend_has_next(port, err) ? port->backend : NULL;
	free_port(port);
	return err;
}

int nmx_open_sized(struct nmx_port **out, const char *text, const struct nmx_options *options, size_t options_size,
                   struct nmx_report *why)
{
	const struct nmx__backend *refused = NULL;
	struct nmx_report first;
	int err;

	nmx__report_clear(why);
	nmx__report_clear(&first);
	err = open_by(out, text, options, options_size, &refused, &first);
	if (err < 0 && refused) {
		err = open_by(out, text, options, options_size, &refused, why);
		nmx__note(why, "the %s backend did not take it: %.200s", nmx_backend_name(NMX_NETMAP), first.text);
	} else if (why)
		*why = first;
	return err;
}

struct nmx__ring *nmx__port_add_ring(struct nmx_port *port, bool is_tx, uint32_t index)
{
	struct nmx__ring **more = realloc(port->rings[is_tx], (index + 1) * sizeof(*more));
	struct nmx__ring *ring;

	if (!more)
		return NULL;
	port->rings[is_tx] = more;
	ring = aligned_alloc(64, (port->backend->ring_bytes + 63) / 64 * 64);
	if (!ring)
		return NULL;
	memset(ring, 0, port->backend->ring_bytes);
	ring->port = port;
	ring->index = index;
	ring->is_tx = is_tx;
	ring->poller = NMX__NO_POLLER;
	port->rings[is_tx][index] = ring;
	port->num_rings[is_tx] = index + 1;
	return ring;
}

/* ---- close */

static void unref(struct nmx_port *port)
{
	uint32_t left;

	pthread_mutex_lock(&port->lock);
	left = --port->refs;
	pthread_mutex_unlock(&port->lock);
	if (left)
		return;
	port->backend->close(port);
	free_port(port);
}

void nmx_close(struct nmx_port *port)
{
	/* A child keeps the parent's structs until it ends: another thread of the parent may have held their locks. */
	if (port && !nmx__forked(port->fork_generation))
		unref(port);
}

/* ---- rings */

static int check_out(struct nmx_port *port, bool is_tx, uint32_t index, struct nmx__ring **out)
{
	struct nmx__ring *ring;
	int err = 0;

	if (nmx__forked(port->fork_generation))
		return NMX_ERR_FORKED;
	pthread_mutex_lock(&port->lock);
	if (index >= port->num_rings[is_tx])
		err = NMX_ERR_INVALID_RING_INDEX;
	else if (port->rings[is_tx][index]->checked_out)
		err = NMX_ERR_BUSY;
	else
		err = port->backend->check_out ? port->backend->check_out(port->rings[is_tx][index]) : 0;
	if (err == 0) {
		ring = *out = port->rings[is_tx][index];
		ring->checked_out = true;
		nmx__check_after_sync(ring); /* from here on its user could write where it must not */
		port->refs++;
		if (port->poller.fd >= 0 && !is_tx)
			nmx__ring_join_port_fd(ring);
	}
	pthread_mutex_unlock(&port->lock);
	return err;
}

int nmx_rx_ring(struct nmx_port *port, uint32_t index, struct nmx_rx **rx)
{
	struct nmx__ring *ring;
	int err = check_out(port, false, index, &ring);

	if (err == 0)
		*rx = &ring->handle.rx;
	return err;
}

int nmx_tx_ring(struct nmx_port *port, uint32_t index, struct nmx_tx **tx)
{
	struct nmx__ring *ring;
	int err = check_out(port, true, index, &ring);

	if (err == 0)
		*tx = &ring->handle.tx;
	return err;
}

static void give_back(struct nmx__ring *ring)
{
	struct nmx_port *port = ring->port;

	port->backend->release(ring);
	nmx__ring_close_fd(ring);
	pthread_mutex_lock(&port->lock);
	ring->checked_out = false;
	pthread_mutex_unlock(&port->lock);
	unref(port);
}

void nmx_rx_close(struct nmx_rx *rx)
{
	if (!rx || nmx__forked(nmx__ring_of_rx(rx)->port->fork_generation))
		return;
	rx->owner = 0;
	rx->ring->head = rx->ring->cur; /* read, though not given back: not to be counted as unread */
	give_back(nmx__ring_of_rx(rx));
}

void nmx_tx_close(struct nmx_tx *tx)
{
	if (!tx || nmx__forked(nmx__ring_of_tx(tx)->port->fork_generation))
		return;
	tx->owner = 0;
	tx->reserved = 0;
	nmx_tx_abandon(tx);
	(void)!nmx_tx_sync(tx);
	tx->owner = 0;
	give_back(nmx__ring_of_tx(tx));
}

void nmx_rx_unbind(struct nmx_rx *rx) { rx->owner = 0; }
void nmx_tx_unbind(struct nmx_tx *tx) { tx->owner = 0; }

/* ---- spare buffers */

uint32_t nmx_buf_get(struct nmx_port *port, struct nmx_buf *bufs, uint32_t n)
{
	uint32_t got = 0;

	if (nmx__forked(port->fork_generation))
		return 0;
	pthread_mutex_lock(&port->lock);
	while (got < n && port->held_count) {
		uint32_t cell = port->held_free[--port->held_count], *home = &port->held[cell];
		uint8_t *data = port->bufs + (size_t)*home * port->buf_stride;

		port->held_out[cell] = true;
		nmx__unpoison(data, port->info.max_len);
		bufs[got++] = (struct nmx_buf){ .data = data, .region = port->info.region, .home = home };
	}
	pthread_mutex_unlock(&port->lock);
	return got;
}

static bool is_handed_out(const struct nmx_port *port, const struct nmx_buf *buf)
{
	return buf->region == port->info.region && buf->home >= port->held && buf->home < port->held + port->info.extra_bufs &&
	       port->held_out[buf->home - port->held];
}

void nmx_buf_put(struct nmx_port *port, struct nmx_buf *bufs, uint32_t n)
{
	if (nmx__forked(port->fork_generation))
		return;
	pthread_mutex_lock(&port->lock);
	for (uint32_t i = 0; i < n; i++) {
		if (!bufs[i].home)
			continue; /* a variable that never held one */
		if (!is_handed_out(port, &bufs[i])) {
#ifdef NMX_CHECKED
			nmx__trap(NULL, *bufs[i].home, "not a buffer of this port, or given back twice", __func__, 0);
#endif
			continue;
		}
		nmx__poison(port->bufs + (size_t)*bufs[i].home * port->buf_stride, port->info.max_len);
		port->held_free[port->held_count++] = (uint32_t)(bufs[i].home - port->held);
		port->held_out[bufs[i].home - port->held] = false;
		bufs[i] = (struct nmx_buf){ 0 };
	}
	pthread_mutex_unlock(&port->lock);
}

/* ---- what a port is and has done */

void nmx_port_info_sized(const struct nmx_port *port, struct nmx_info *info, size_t size)
{
	memset(info, 0, size);
	memcpy(info, &port->info, size < sizeof(*info) ? size : sizeof(*info));
}

void nmx_port_stats_sized(const struct nmx_port *port, struct nmx_stats *stats, size_t size)
{
	struct nmx_stats all = { 0 };

	if (!nmx__forked(port->fork_generation)) {
		port->backend->stats((struct nmx_port *)port, &all);
		all.drop_too_long += __atomic_load_n(&port->forward_too_long, __ATOMIC_RELAXED);
		for (uint32_t i = 0; i < port->num_rings[1]; i++)
			all.tx_copied_bytes += __atomic_load_n(&port->rings[1][i]->forward_copied, __ATOMIC_RELAXED);
	}
	memset(stats, 0, size);
	memcpy(stats, &all, size < sizeof(all) ? size : sizeof(all));
}

int nmx_port_fd(struct nmx_port *port)
{
	int fd;

	if (nmx__forked(port->fork_generation))
		return -1;
	pthread_mutex_lock(&port->lock);
	if (port->poller.fd < 0 && nmx__poller_open(&port->poller, 0) == 0)
		for (uint32_t i = 0; i < port->num_rings[0]; i++)
			if (port->rings[0][i]->checked_out)
				nmx__ring_join_port_fd(port->rings[0][i]);
	fd = port->poller.fd;
	pthread_mutex_unlock(&port->lock);
	return fd;
}
