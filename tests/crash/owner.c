/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <stdio.h>
#include <unistd.h>

#include "owner.h"

/* Here the test itself plays the kernel, and whoever got a buffer: it writes where no ring of a program allows it. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allow_user_poisoning=0"; }

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
	struct nmx__ring_plan ring = { .slots = slots, .held_bufs = seg->num_bufs };
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

/* ---- looking */

struct nmx__audit look(struct nmx__segment *seg, const char *when)
{
	struct nmx__audit audit;

	must(nmx__audit(seg, &audit) == 0, "%s: no audit", when);
	must_add_up(when, NULL);
	return audit;
}

static bool is_used(const struct nmx__segment *seg, uint32_t index) { return atomic_load(&seg->used[index / 64]) >> index % 64 & 1; }

void must_be_used(const struct nmx__segment *seg, const struct owner *owner, bool held, bool rest, const char *when)
{
	for (uint32_t i = 0; i < owner->num_held; i++)
		must(is_used(seg, owner->held[i]) == held, "%s: buffer %u, which the kernel held, is %s", when, owner->held[i],
		     held ? "free" : "used");
	for (uint32_t i = 0; i < owner->num_rest; i++)
		must(is_used(seg, owner->rest[i]) == rest, "%s: buffer %u of the dead is %s", when, owner->rest[i], rest ? "free" : "used");
}

void recover(struct nmx__segment *seg)
{
	lock_to_claim(seg);
	nmx__seg_unlock(seg);
}

bool is_gone(const struct nmx__segment *seg, uint32_t member)
{
	char file[NMX__FILE_NAME_MAX], path[192];

	nmx__seg_file(seg, file, "m%u", member);
	snprintf(path, sizeof(path), "%s/%s", attack.dir, file);
	return atomic_load(&seg->members[member].gen) == 0 && access(path, F_OK) < 0;
}

/* Everything that is free goes to somebody for a moment: none of it may be the kernel's. */
void others_get_none(struct nmx__segment *seg, const struct owner *owner, const char *when)
{
	uint32_t slots = (look(seg, when).free - 1) / 2;
	struct nmx__extent all;

	lock_to_claim(seg);
	owner_build(&all, seg, slots, 0);
	must_add_up(when, NULL);
	for (uint32_t ring = 0; ring < 2; ring++)
		for (uint32_t i = 0; i < slots; i++)
			for (uint32_t h = 0; h < owner->num_held; h++)
				must(nmx__own_netmap_ring(nmx__extent_ring(&all, ring))->slot[i].buf_idx != owner->held[h],
				     "%s: buffer %u was given away, and the kernel holds it", when, owner->held[h]);
	nmx__extent_release(&all);
	nmx__seg_unlock(seg);
}

void must_be_empty(const char *when)
{
	must(count_files(attack.dir, "") == 0, "%s: files are left: %s", when, list_files(attack.dir));
}

void await_its_end(struct nmx__segment *seg, const struct owner *owner, int64_t at_most_ms, const char *when)
{
	int64_t deadline = now_ms() + at_most_ms;

	for (recover(seg); !is_gone(seg, owner->member); recover(seg)) {
		must(now_ms() < deadline, "%s: the dead member is still there after %lld ms", when, (long long)at_most_ms);
		nap_us(5000);
	}
}

void await_the_end(struct nmx__segment *seg, const struct owner *owner, int64_t at_most_ms, const char *when)
{
	struct nmx__audit audit;

	await_its_end(seg, owner, at_most_ms, when);
	audit = look(seg, when);
	must(audit.quarantined == 0 && audit.held == 0 && audit.free == audit.buffers && audit.free_mentioned == 0,
	     "%s: %u of %u buffers are free", when, audit.free, audit.buffers);
}
