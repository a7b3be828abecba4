/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <string.h>
#include <sys/mman.h>

#include "base/fork.h"
#include "base/poison.h"
#include "base/region.h"
#include "base/report.h"
#include "backend/local.h"

static int in_range(uint32_t value, uint32_t low, uint32_t high, const char *what, const struct nmx_port *port, struct nmx_report *why)
{
	if (value == 0 || (value >= low && value <= high))
		return 0;
	return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "%u %s: a %s port has %u to %u", value, what, nmx_backend_name(port->backend->id), low,
	                 high);
}

int nmx__local_check(const struct nmx_port *port, struct nmx_report *why)
{
	const struct nmx__name *name = &port->name;
	const struct nmx_options *o = &port->options;
	int err;

	if (name->mode != NMX__ALL_NIC || (name->flags & (NMX__NAME_ZCOPY_MON | NMX__NAME_MON_TX | NMX__NAME_MON_RX)) || name->mem_id ||
	    *name->extmem || name->has_offset || *name->share || name->host_tx_rings || name->host_rx_rings)
		return nmx__fail(why, NMX_ERR_FALLBACK_UNSUPPORTED, 0,
		                 "a %s port has no host rings, single rings, monitors or memory ids; write its name alone",
		                 nmx_backend_name(port->backend->id));
	if ((err = in_range(o->tx_slots, NMX__MIN_SLOTS, NMX__MAX_SLOTS, "transmit slots", port, why)) < 0 ||
	    (err = in_range(o->rx_slots, NMX__MIN_SLOTS, NMX__MAX_SLOTS, "receive slots", port, why)) < 0 ||
	    (err = in_range(o->tx_rings, 1, NMX__MAX_RINGS, "transmit rings", port, why)) < 0 ||
	    (err = in_range(o->rx_rings, 1, NMX__MAX_RINGS, "receive rings", port, why)) < 0)
		return err;
	return 0;
}

int nmx__local_make(struct nmx__local *local, struct nmx_port *port, size_t table_bytes, uint32_t slots, struct nmx_report *why)
{
	uint32_t extra = port->info.extra_bufs;
	size_t tables = (table_bytes + nmx__local_size(extra * sizeof(uint32_t)) + NMX__PAGE - 1) / NMX__PAGE * NMX__PAGE;
	void *memory;

	local->num_bufs = NMX__FIRST_BUF + slots + extra;
	local->next_buf = NMX__FIRST_BUF;
	local->bytes = tables + (size_t)local->num_bufs * NMX__BUF_LEN;
	memory = mmap(NULL, local->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, errno, "cannot map %zu KiB for the rings and buffers", local->bytes / 1024);
	if (nmx__map_track(memory, local->bytes, false) < 0) { /* a child sees empty rings */
		munmap(memory, local->bytes);
		return nmx__fail(why, NMX_ERR_NO_MEMORY, ENOMEM, "cannot map the rings and buffers");
	}
	local->memory = memory;
	local->bufs = local->memory + tables;
	local->at = 0;
	local->region = nmx__next_region();
	port->info.region = local->region;
	port->bufs = local->bufs;
	port->buf_stride = NMX__BUF_LEN;
	port->held = nmx__local_take(local, extra * sizeof(uint32_t));
	for (uint32_t i = 0; i < extra; i++)
		port->held[i] = local->next_buf++;
	return 0;
}

void nmx__local_free(struct nmx__local *local)
{
	if (!local->memory)
		return;
	nmx__unpoison(local->memory, local->bytes);
	nmx__map_untrack(local->memory);
	munmap(local->memory, local->bytes);
	local->memory = NULL;
}

void *nmx__local_take(struct nmx__local *local, size_t bytes)
{
	void *start = local->memory + local->at;

	local->at += nmx__local_size(bytes);
	return start;
}

struct nmx__own_ring *nmx__local_ring(struct nmx__local *local, uint32_t slots, bool is_tx)
{
	struct nmx__own_ring *own = nmx__local_take(local, nmx__qring_bytes(slots));

	nmx__qring_init(own, slots, is_tx);
	struct netmap_ring *ring = nmx__own_netmap_ring(own);

	ring->num_slots = slots;
	ring->nr_buf_size = NMX__BUF_LEN;
	ring->buf_ofs = local->bufs - (uint8_t *)ring;
	ring->dir = is_tx;
	for (uint32_t i = 0; i < slots; i++)
		ring->slot[i].buf_idx = local->next_buf++;
	return own;
}

void nmx__local_handle(struct nmx_port *port, const struct nmx__local *local, struct nmx__ring *r, struct nmx__own_ring *own)
{
	uint32_t frags = own->num_slots - 1 < NETMAP_MAX_FRAGS ? own->num_slots - 1 : NETMAP_MAX_FRAGS;
	struct netmap_ring *ring = nmx__own_netmap_ring(own);

	ring->ringid = (uint16_t)r->index;
	if (r->is_tx)
		r->handle.tx = (struct nmx_tx){ .ring = ring, .bufs = local->bufs, .transit = &own->transit, .num_slots = own->num_slots,
			                        .buf_size = NMX__BUF_LEN, .max_len = NMX__BUF_LEN, .region = local->region, .max_frags = frags };
	else
		r->handle.rx = (struct nmx_rx){ .ring = ring, .bufs = local->bufs, .transit = &own->transit, .num_slots = own->num_slots,
			                        .buf_size = NMX__BUF_LEN, .max_len = NMX__BUF_LEN, .region = local->region };
	*(r->is_tx ? &port->info.tx_slots : &port->info.rx_slots) = own->num_slots;
	port->info.max_len = NMX__BUF_LEN;
	port->info.max_frags = frags;
	port->info.flags = port->options.flags & (NMX_TX_ONLY | NMX_RX_ONLY | NMX_CHAINS);
}

void nmx__local_stats(struct nmx__own_ring *const *own, uint32_t n, struct nmx_stats *stats)
{
	uint64_t sum[NMX__NUM_COUNTERS] = { 0 };

	for (uint32_t ring = 0; ring < n; ring++)
		for (unsigned i = 0; i < NMX__NUM_COUNTERS; i++)
			sum[i] += atomic_load_explicit(&own[ring]->counters.at[i], memory_order_relaxed);
	memcpy(stats, sum, sizeof(*stats));
}
