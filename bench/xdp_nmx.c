/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* nmx on interfaces, as a program would use it. */
#include <stdio.h>

#include <nmx/nmx.h>

#include "xdp.h"

static struct nmx_port *open_port(const struct xdp_plan *plan, const char *name, uint32_t flags)
{
	const struct nmx_options options = { .directory = plan->directory,
		                             .tx_rings = 1,
		                             .rx_rings = 1,
		                             .tx_slots = plan->slots,
		                             .rx_slots = plan->slots,
		                             .backend = NMX_XDP,
		                             .flags = flags };
	struct nmx_report why;
	struct nmx_port *port;

	if (nmx_open(&port, name, &options, &why) < 0)
		die("nmx_open", why.text);
	return port;
}

static void check(int err)
{
	if (err < 0)
		die("nmx", nmx_strerror(err));
}

static void receive_and_drop(const struct xdp_plan *plan, struct xdp_meeting *m, uint32_t flags)
{
	struct nmx_port *port = open_port(plan, "netmap:c0", NMX_RX_ONLY | flags);
	uint64_t count = 0, bytes = 0;
	struct nmx_rx *rx;

	check(nmx_rx_ring(port, 0, &rx));
	atomic_fetch_add(&m->ready, 1);
	while (!stopped(m)) {
		int n = nmx_rx_sync(rx);

		check(n);
		if (n == 0)
			continue;
		nmx_rx_for_each (rx, frame)
			bytes += frame.len;
		publish(&m->count, count += (uint32_t)n);
	}
	m->checksum += bytes;
	nmx_rx_close(rx);
	nmx_close(port);
}

/* Frames are written once, into each buffer that the ring has, as the bare loop does it. */
static void write_frames(struct nmx_tx *tx, const struct xdp_plan *plan)
{
	struct nmx_batch batch;
	uint8_t *data;

	check(nmx_tx_sync(tx));
	check(nmx_tx_reserve(tx, plan->slots, &batch));
	while ((data = nmx_batch_packet(&batch, plan->len)))
		write_frame(data, plan->len);
	nmx_batch_commit(&batch);
	check(nmx_tx_drain(tx, 1000));
}

static void transmit(const struct xdp_plan *plan, struct xdp_meeting *m)
{
	struct nmx_port *port = open_port(plan, "netmap:c0", NMX_TX_ONLY);
	struct nmx_batch batch;
	struct nmx_tx *tx;

	check(nmx_tx_ring(port, 0, &tx));
	write_frames(tx, plan);
	atomic_fetch_add(&m->ready, 1);
	while (!stopped(m)) {
		if (nmx_tx_space(tx) >= plan->batch) {
			check(nmx_tx_reserve(tx, plan->batch, &batch));
			while (nmx_batch_packet(&batch, plan->len))
				;
			nmx_batch_commit(&batch);
		}
		check(nmx_tx_sync(tx));
	}
	nmx_tx_close(tx);
	nmx_close(port);
}

static void forward(const struct xdp_plan *plan, struct xdp_meeting *m, uint32_t flags)
{
	struct nmx_port *from = open_port(plan, "netmap:c0", NMX_RX_ONLY | flags), *to = open_port(plan, "netmap:c1", NMX_TX_ONLY);
	struct nmx_rx *rx;
	struct nmx_tx *tx;

	check(nmx_rx_ring(from, 0, &rx));
	check(nmx_tx_ring(to, 0, &tx));
	if (!nmx_same_region(rx, tx))
		die("nmx", "two ports of one namespace directory are not of one region");
	atomic_fetch_add(&m->ready, 1);
	while (!stopped(m)) {
		check(nmx_rx_sync(rx));
		while (nmx_forward(rx, tx, plan->batch) > 0)
			check(nmx_tx_sync(tx));
		if (nmx_tx_space(tx) == 0)
			check(nmx_tx_sync(tx));
	}
	nmx_rx_close(rx);
	nmx_tx_close(tx);
	nmx_close(from);
	nmx_close(to);
}

static void run_with(const struct xdp_plan *plan, struct xdp_meeting *m, uint32_t flags)
{
	if (only_receives(plan->job))
		receive_and_drop(plan, m, flags);
	else if (plan->job == TX)
		transmit(plan, m);
	else
		forward(plan, m, flags);
}

/* As the others, which do not look at what they receive. */
static void nmx_run(const struct xdp_plan *plan, struct xdp_meeting *m) { run_with(plan, m, NMX_RAW_CHECKSUM); }

/* As it is on virtual interfaces unless it is told otherwise: looks for checksums that nobody has computed. */
static void sums_run(const struct xdp_plan *plan, struct xdp_meeting *m) { run_with(plan, m, 0); }

static void nmx_missing(const char *directory, char *why, size_t size)
{
	const struct nmx_options options = { .directory = directory, .backend = NMX_XDP };
	struct nmx_report report;
	struct nmx_port *port;

	if (nmx_open(&port, "netmap:c0", &options, &report) < 0)
		snprintf(why, size, "%s", report.text);
	else
		nmx_close(port);
}

const struct xdp_contender nmx_contender = { .is = { "nmx", nmx_missing }, .run = nmx_run };
const struct xdp_contender sums_contender = { .is = { "nmx+sums", nmx_missing }, .run = sums_run };
