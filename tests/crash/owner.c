/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "owner.h"

struct nmx__segment *join(void)
{
	struct nmx__segment *seg;
	struct nmx_report why;

	must(nmx__seg_get(&seg, attack.dir, NULL, SEGMENT_BUFS, &why) == 0, "cannot join: %s", why.text);
	return seg;
}

void leave(struct nmx__segment *seg) { nmx__seg_put(seg); }

void lock_to_claim(struct nmx__segment *seg)
{
	struct nmx_report why;

	must(nmx__seg_lock_to_claim(seg, &why) == 0, "no lock: %s", why.text);
}

void owner_build(struct nmx__extent *extent, struct nmx__segment *seg, uint32_t slots, uint32_t spares)
{
	struct nmx__ring_plan ring = { .slots = slots, .held_words = nmx__held_words(seg->num_bufs) };
	struct nmx__extent_plan plan = { .kind = NMX__EXTENT_DEVICE, .num_tx = 1, .num_rx = 1, .ring = { ring, ring },
		                         .num_held = spares, .attach_gen = nmx__seg_next_gen(seg) };
	struct nmx_report why;

	must(nmx__extent_build(extent, seg, &plan, &why) == 0, "no extent: %s", why.text);
}

static uint32_t *slot_of(struct nmx__own_ring *own, uint32_t slot) { return &nmx__own_netmap_ring(own)->slot[slot].buf_idx; }

void owner_push(struct nmx__extent *extent, uint32_t ring, uint32_t slot)
{
	struct nmx__own_ring *own = nmx__extent_ring(extent, ring);
	uint32_t *place = slot_of(own, slot);

	nmx__held_put(nmx__dring_held(own), *place);
	*(volatile uint32_t *)place = 0;
	nmx__order_for_death();
}

void owner_pull(struct nmx__extent *extent, uint32_t ring, uint32_t slot, uint32_t index)
{
	struct nmx__own_ring *own = nmx__extent_ring(extent, ring);

	*(volatile uint32_t *)slot_of(own, slot) = index;
	nmx__order_for_death();
	nmx__held_take(nmx__dring_held(own), index);
}

/* The extent's buffers by who has them, for the test to know. */
static void share_out(struct owner *owner, struct nmx__extent *extent)
{
	for (uint32_t i = 0; i < 2 * OWNER_SLOTS; i++) {
		uint32_t ring = i < OWNER_SLOTS, slot = i % OWNER_SLOTS, index = *slot_of(nmx__extent_ring(extent, ring), slot);

		must(index >= NMX__FIRST_BUF, "slot %u of ring %u has no buffer", slot, ring);
		if (i < owner->to_hold) {
			owner_push(extent, ring, slot);
			owner->held[i] = index;
			atomic_store(&owner->num_held, i + 1);
		} else
			owner->rest[owner->num_rest++] = index;
	}
	for (uint32_t i = 0; i < OWNER_SPARES; i++)
		owner->rest[owner->num_rest++] = *nmx__extent_held(extent, i);
}

void be_owner(void *arg)
{
	struct nmx_options small = { .tx_slots = 8, .rx_slots = 8 };
	struct nmx__segment *seg = join();
	struct owner *owner = arg;
	struct nmx__extent extent;
	struct nmx_report why;
	struct nmx_port *port;

	if (owner->with_pipe)
		must(open_port(&port, "owned{1", &small, &why) == 0, "owner: %s", why.text);
	lock_to_claim(seg);
	owner_build(&extent, seg, OWNER_SLOTS, OWNER_SPARES);
	nmx__seg_unlock(seg);
	share_out(owner, &extent);
	owner->member = seg->member;
	atomic_store(&owner->state, OWNER_READY);
	for (;;)
		nap_us(1000000);
}

pid_t owner_start(struct owner *owner)
{
	int64_t deadline = now_ms() + 10000;
	pid_t pid;

	atomic_store(&owner->state, OWNER_STARTS);
	atomic_store(&owner->num_held, 0);
	owner->num_rest = 0;
	pid = spawn(be_owner, owner);
	for (; atomic_load(&owner->state) != OWNER_READY; nap_us(100))
		must(now_ms() < deadline, "an owner does not start");
	return pid;
}
