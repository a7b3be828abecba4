/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A process dies while the kernel holds buffers of it.  All else that it had is free at once; those are nobody's for two
 * seconds, whoever cleans up, however often that dies, and whatever a hostile member writes about the time; and in the end
 * nothing is left of it.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nmx/inspect.h>

#include "owner.h"

enum { HELD = 40, AT_MOST_MS = 2 * NMX__QUARANTINE_MS + 1000 };

static struct owner *owners; /* in shared memory */
enum { OWNERS = 4 };

static uint64_t clock_ms(void) { return (uint64_t)now_ms(); }

/* One dies with HELD buffers in the kernel; we live in the segment. */
static struct nmx__segment *after_a_death(struct owner *owner)
{
	struct nmx__segment *seg = join();

	*owner = (struct owner){ .to_hold = HELD };
	kill_now(owner_start(owner));
	return seg;
}

/* ---- the course of things */

static void free_after_two_seconds_and_not_before(void)
{
	struct nmx_options small = { .tx_slots = 8, .rx_slots = 8 };
	struct nmx__segment *seg = join();
	struct owner *owner = owners;
	struct nmx__audit audit;
	struct nmx_report why;
	struct nmx_port *port;
	int64_t died;
	pid_t pid;

	*owner = (struct owner){ .to_hold = HELD, .with_pipe = true };
	pid = owner_start(owner);
	audit = look(seg, "with a living owner");
	must(audit.held == OWNER_BUFS + 16, "the living hold %u buffers", audit.held);
	kill_now(pid);
	died = now_ms();
	audit = look(seg, "after its death");
	must(audit.dead == 1 && audit.held == OWNER_BUFS + 16 && audit.quarantined == 0, "%u dead, %u held", audit.dead, audit.held);
	recover(seg);
	must_be_used(seg, owner, true, false, "after the first recovery");
	audit = look(seg, "in quarantine");
	must(audit.quarantined == HELD && audit.held == 0 && audit.queued == 0 && audit.free + HELD == audit.buffers,
	     "in quarantine: %u, held %u", audit.quarantined, audit.held);
	must(open_port(&port, "owned{1", &small, &why) == 0, "the dead one's end of a pipe: %s", why.text);
	nmx_close(port);
	while (now_ms() < died + NMX__QUARANTINE_MS - 200) {
		others_get_none(seg, owner, "in quarantine");
		must_be_used(seg, owner, true, false, "in quarantine");
		must(!is_gone(seg, owner->member), "the quarantine was over after %lld ms", (long long)(now_ms() - died));
		nap_us(50000);
	}
	await_the_end(seg, owner, AT_MOST_MS, "after the quarantine");
	must_be_used(seg, owner, false, false, "after the quarantine");
	leave(seg);
	must_be_empty("after the quarantine");
}

/* What came back was put into a slot before its mark was cleared, and what went was marked before it left the slot. */
static void only_what_the_kernel_holds_waits(void)
{
	struct nmx__segment *seg = join();
	struct owner *owner = owners;

	*owner = (struct owner){ .to_hold = 0 };
	kill_now(owner_start(owner));
	recover(seg);
	must(is_gone(seg, owner->member), "there is nothing to wait for");
	must_be_used(seg, owner, false, false, "with nothing in the kernel");
	leave(seg);
	must_be_empty("with nothing in the kernel");
}

/* The file mentions a buffer in both places in the middle of a push or a pull: it is the kernel's. */
static void die_in_the_middle(void *arg)
{
	struct nmx__segment *seg = join();
	struct nmx__extent extent;
	struct owner *owner = arg;

	lock_to_claim(seg);
	owner_build(&extent, seg, OWNER_SLOTS, 0);
	nmx__seg_unlock(seg);
	owner->member = seg->member;
	for (uint32_t ring = 0; ring < 2; ring++) {
		struct nmx__own_ring *own = nmx__extent_ring(&extent, ring);
		uint32_t index = nmx__own_netmap_ring(own)->slot[3].buf_idx, back = nmx__own_netmap_ring(own)->slot[5].buf_idx;

		nmx__held_put(nmx__dring_held(own), index); /* and not yet out of the slot */
		owner->held[owner->num_held++] = index;
		owner_push(&extent, ring, 5);
		owner_pull(&extent, ring, 5, back);
		owner->rest[owner->num_rest++] = back;
	}
	raise(SIGKILL);
}

static void a_buffer_in_both_places_is_the_kernels(void)
{
	struct nmx__segment *seg = join();
	struct owner *owner = owners;

	*owner = (struct owner){ .to_hold = 0 };
	reap(spawn(die_in_the_middle, owner), 5000, "the owner");
	recover(seg);
	must_be_used(seg, owner, true, false, "in both places");
	must(look(seg, "in both places").quarantined == 2, "%u in quarantine", look(seg, "in both places").quarantined);
	await_the_end(seg, owner, AT_MOST_MS, "in both places");
	leave(seg);
	must_be_empty("in both places");
}

/* ---- nobody is left */

static void the_last_to_leave_does_not_wait(void)
{
	struct nmx__segment *seg = after_a_death(owners);

	recover(seg);
	leave(seg);
	must_be_empty("the last one left during a quarantine");
}

static void cleaning_does_not_wait_when_nobody_is_in(void)
{
	struct nmx_report why;
	bool removed;
	int dead;

	owners[0] = (struct owner){ .to_hold = HELD };
	kill_now(owner_start(&owners[0]));
	dead = nmx_segment_clean(attack.dir, NULL, &removed, &why);
	must(dead == 1 && removed, "cleaning found %d dead, and %s the segment", dead, removed ? "removed" : "left");
	must_be_empty("after cleaning");
}

static void cleaning_waits_for_those_who_are_in(void)
{
	struct nmx__segment *seg = after_a_death(owners);
	struct nmx_report why;
	bool removed;
	int dead = nmx_segment_clean(attack.dir, NULL, &removed, &why);

	must(dead == 1 && !removed, "cleaning found %d dead, and %s the segment", dead, removed ? "removed" : "left");
	must_be_used(seg, owners, true, false, "after cleaning");
	await_the_end(seg, owners, AT_MOST_MS, "after cleaning");
	leave(seg);
	must_be_empty("after cleaning");
}

/* All dead: whoever comes works beside the quarantine, in the same segment. */
static void a_newcomer_works_beside_it(void)
{
	struct nmx__segment *seg;

	owners[0] = (struct owner){ .to_hold = HELD };
	kill_now(owner_start(&owners[0]));
	seg = join();
	must_be_used(seg, owners, true, false, "with a newcomer");
	must(seg->member != owners[0].member, "the newcomer has the id of the dead");
	must_work("beside a quarantine");
	others_get_none(seg, owners, "beside a quarantine");
	await_the_end(seg, owners, AT_MOST_MS, "with a newcomer");
	leave(seg);
	must_be_empty("with a newcomer");
}

static void find_it_removed(void *id)
{
	struct nmx__segment *seg = join();

	must(seg->id != *(uint64_t *)id, "the removal was not finished");
	must_work("after a removal that was cut short");
	leave(seg);
}

/* A removal that died after it had removed the files of members. */
static void a_removal_cut_short_is_finished(void)
{
	struct nmx__segment *seg = after_a_death(owners), *later;
	uint64_t id = seg->id;
	char file[NMX__FILE_NAME_MAX], path[192];

	recover(seg);
	atomic_store(&seg->header->removing, 1);
	must_work("while a hostile member says that all is being removed");
	later = join();
	must(later == seg, "the segment was left, with members in it");
	leave(later);
	nmx__seg_file(seg, file, "m%u", owners[0].member);
	snprintf(path, sizeof(path), "%s/%s", attack.dir, file);
	must(unlink(path) == 0, "no file of the dead");
	lock_to_claim(seg); /* it was the last: it had left, and then removed */
	nmx__member_leave(seg);
	nmx__seg_unlock(seg);
	reap_ok(spawn(find_it_removed, &id), 10000, "who comes after a removal that was cut short");
	must_be_empty("after a removal that was cut short");
	leave(seg);
	must_be_empty("after a removal that was cut short");
}

/* ---- the cleaner dies too */

/* Every state in which a cleaner can leave the dead one's place, by hand. */
enum cut { BITS_FREED, SOME_BITS_FREED, NOTED, OVER_NOTED, OVER_SOME_FREED, OVER_FREED, OVER_UNLINKED, CUTS };

static void free_some(struct nmx__segment *seg, const uint32_t *bufs, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		atomic_fetch_and(&seg->used[bufs[i] / 64], ~(1ull << bufs[i] % 64));
}

static void cut_short(struct nmx__segment *seg, const struct owner *owner, enum cut cut)
{
	_Atomic uint64_t *quarantine = &seg->members[owner->member].quarantine_ms;
	char file[NMX__FILE_NAME_MAX], path[192];

	if (cut != SOME_BITS_FREED)
		recover(seg);
	switch (cut) {
	case SOME_BITS_FREED:
		free_some(seg, owner->rest, owner->num_rest / 2);
		break;
	case BITS_FREED:
		atomic_store(quarantine, 0);
		break;
	case NOTED:
		break;
	case OVER_UNLINKED:
		nmx__seg_file(seg, file, "m%u", owner->member);
		snprintf(path, sizeof(path), "%s/%s", attack.dir, file);
		must(unlink(path) == 0, "no file of the dead");
		free_some(seg, owner->held, owner->num_held);
		atomic_store(quarantine, NMX__QUARANTINE_OVER);
		break;
	default:
		atomic_store(quarantine, NMX__QUARANTINE_OVER);
		free_some(seg, owner->held, cut == OVER_NOTED ? 0 : cut == OVER_SOME_FREED ? owner->num_held / 2 : owner->num_held);
	}
}

static void every_step_can_be_repeated(void)
{
	for (int cut = 0; cut < CUTS; cut++) {
		struct nmx__segment *seg = after_a_death(owners);
		char when[64];

		snprintf(when, sizeof(when), "cut short in state %d", cut);
		cut_short(seg, owners, (enum cut)cut);
		recover(seg);
		must_be_used(seg, owners, cut <= NOTED, false, when);
		must(is_gone(seg, owners[0].member) == (cut > NOTED), "%s: the dead one's place", when);
		must(look(seg, when).quarantined == (cut <= NOTED ? HELD : 0), "%s: %u in quarantine", when, look(seg, when).quarantined);
		if (cut <= NOTED)
			others_get_none(seg, owners, when);
		leave(seg);
		must_be_empty(when);
	}
}

/* Deaths inside of the library: at the n-th time that buffers are freed, half of them (a bitmap's words) are; at the n-th
 * time that a file is to be removed, it is not. */
static uint32_t steps_to_live; /* 0: for ever */

void __real_nmx__bufs_free_set(struct nmx__segment *seg, const uint64_t *set);
int __real_unlinkat(int dir, const char *file, int flags);
void __wrap_nmx__bufs_free_set(struct nmx__segment *seg, const uint64_t *set);
int __wrap_unlinkat(int dir, const char *file, int flags);

void __wrap_nmx__bufs_free_set(struct nmx__segment *seg, const uint64_t *set)
{
	if (steps_to_live && --steps_to_live == 0) {
		for (uint32_t i = 0; i < seg->num_bufs; i += 2)
			atomic_fetch_and(&seg->used[i / 64], ~(set[i / 64] & 1ull << i % 64));
		raise(SIGKILL);
	}
	__real_nmx__bufs_free_set(seg, set);
}

int __wrap_unlinkat(int dir, const char *file, int flags)
{
	if (steps_to_live && --steps_to_live == 0)
		raise(SIGKILL);
	return __real_unlinkat(dir, file, flags);
}

static void clean_for_so_long(void *steps)
{
	steps_to_live = *(uint32_t *)steps;
	leave(join());
}

static bool was_killed(int status)
{
	must(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0, "it failed (it said why above)");
	return WIFSIGNALED(status);
}

/* Before the quarantine, and at its end. */
static uint32_t cleaners_die_at_every_step(void)
{
	bool killed = true;
	uint32_t steps = 0;

	while (killed) {
		struct nmx__segment *seg = after_a_death(owners);
		struct nmx__seg_member *dead = &seg->members[owners[0].member];
		uint32_t gen = atomic_load(&dead->gen);

		steps++;
		killed = was_killed(reap(spawn(clean_for_so_long, &steps), 5000, "a cleaner"));
		recover(seg);
		must_be_used(seg, owners, true, false, "after a cleaner's death");
		must(look(seg, "after a cleaner's death").quarantined == HELD, "not all are in quarantine");
		others_get_none(seg, owners, "after a cleaner's death");
		atomic_store(&dead->quarantine_ms, clock_ms() - NMX__QUARANTINE_MS);
		killed |= was_killed(reap(spawn(clean_for_so_long, &steps), 5000, "a cleaner"));
		for (uint32_t i = 0; i < HELD; i++) /* whatever the next one's clock says: what is begun is brought to its end */
			must(atomic_load(&dead->gen) != gen || atomic_load(&dead->quarantine_ms) == NMX__QUARANTINE_OVER ||
			         atomic_load(&seg->used[owners[0].held[i] / 64]) >> owners[0].held[i] % 64 & 1,
			     "some are free, and it is not noted that the quarantine is over");
		await_the_end(seg, owners, 1, "after two cleaners' deaths");
		leave(seg);
		must_be_empty("after two cleaners' deaths");
	}
	return 2 * (steps - 1);
}

/* The kernel has let go, half is given back: then there is nothing to wait for. */
static void close_half_way(void *arg)
{
	struct nmx__segment *seg = join();
	struct nmx__extent extent;
	struct owner *owner = arg;

	lock_to_claim(seg);
	owner_build(&extent, seg, OWNER_SLOTS, 0);
	nmx__seg_unlock(seg);
	for (uint32_t i = 0; i < OWNER_SLOTS; i++)
		owner_push(&extent, 1, i);
	owner->member = seg->member;
	lock_to_claim(seg);
	steps_to_live = 1;
	nmx__extent_release(&extent);
}

static void a_close_that_dies_leaves_nothing_to_wait_for(void)
{
	struct nmx__segment *seg = join();

	must(was_killed(reap(spawn(close_half_way, owners), 5000, "who closes")), "it was not killed");
	await_the_end(seg, owners, 1, "after a close that died");
	leave(seg);
	must_be_empty("after a close that died");
}

/* The kernel goes on writing for a while; others take, fill, look whether it is still so, and give back; cleaners and
 * owners are killed all the time. */
static void take_and_look(void *arg)
{
	uint32_t mark = 0x10000000u | (uint32_t)getpid();

	(void)arg;
	for (;;) {
		struct nmx__segment *seg = join();
		struct nmx__extent extent;
		struct netmap_ring *ring;

		lock_to_claim(seg);
		owner_build(&extent, seg, 200, 0);
		nmx__seg_unlock(seg);
		ring = nmx__own_netmap_ring(nmx__extent_ring(&extent, 0));
		owner_unpoison(seg);
		for (uint32_t i = 0; i < 200; i++)
			*(volatile uint32_t *)nmx__seg_buf(seg, ring->slot[i].buf_idx) = mark;
		nap_us(3000);
		for (uint32_t i = 0; i < 200; i++)
			must(*(volatile uint32_t *)nmx__seg_buf(seg, ring->slot[i].buf_idx) == mark, "buffer %u is somebody else's as well",
			     ring->slot[i].buf_idx);
		must(nmx__seg_lock(seg, NULL) == 0, "no lock");
		nmx__extent_release(&extent);
		nmx__seg_unlock(seg);
		leave(seg);
	}
}

/* A device that does not know yet that its owner is dead: it writes for half of the time that it has. */
static void play_kernel(void *arg)
{
	const struct owner *all = arg;
	struct nmx__segment *seg = join();

	owner_unpoison(seg);
	for (;; nap_us(200))
		for (uint32_t o = 0; o < OWNERS; o++) {
			int64_t died = atomic_load(&all[o].died_ms);

			if (died && now_ms() > died + NMX__QUARANTINE_MS / 2)
				continue;
			for (uint32_t i = 0; i < atomic_load(&all[o].num_held); i++)
				*(volatile uint32_t *)nmx__seg_buf(seg, all[o].held[i]) = 0xdeadu;
		}
}

static pid_t kill_a_taker(pid_t pid)
{
	kill(pid, SIGKILL);
	must(WTERMSIG(reap(pid, 5000, "a taker")) == SIGKILL, "a taker failed (it said why above)");
	return spawn(take_and_look, NULL);
}

static uint32_t nobody_gets_what_is_written_to(void)
{
	struct rng rng = rng_of(attack.seed, attack.round);
	int64_t until = now_ms() + (int64_t)attack.seconds * 1000;
	pid_t takers[3], owner[OWNERS] = { 0 }, kernel;
	struct nmx__segment *seg = join();
	uint32_t deaths = 0;

	memset(owners, 0, OWNERS * sizeof(*owners));
	kernel = spawn(play_kernel, owners);
	for (int i = 0; i < 3; i++)
		takers[i] = spawn(take_and_look, NULL);
	while (now_ms() < until) {
		uint32_t who = rng_below(&rng, OWNERS), taker = rng_below(&rng, 3);

		if (!owner[who] && now_ms() > owners[who].died_ms + NMX__QUARANTINE_MS) {
			atomic_store(&owners[who].num_held, 0); /* before the next line: the kernel looks at both */
			atomic_store(&owners[who].died_ms, 0);
			owners[who].to_hold = 1 + rng_below(&rng, 2 * OWNER_SLOTS);
			owner[who] = owner_start(&owners[who]);
		} else if (owner[who] && now_ms() < until - 1000) {
			kill_now(owner[who]);
			atomic_store(&owners[who].died_ms, now_ms());
			owner[who] = 0;
		}
		nap_us(rng_below(&rng, 20000));
		takers[taker] = kill_a_taker(takers[taker]);
		deaths++;
	}
	for (int i = 0; i < 3; i++)
		kill_now(kill_a_taker(takers[i]));
	for (uint32_t o = 0; o < OWNERS; o++)
		if (owner[o])
			kill_now(owner[o]);
	kill(kernel, SIGKILL);
	must(WTERMSIG(reap(kernel, 5000, "the kernel")) == SIGKILL, "the kernel failed");
	for (uint32_t o = 1; o < OWNERS; o++)
		await_its_end(seg, &owners[o], AT_MOST_MS, "after many deaths");
	await_the_end(seg, &owners[0], AT_MOST_MS, "after many deaths");
	leave(seg);
	must_be_empty("after many deaths");
	return deaths;
}

/* ---- hostile times */

static void nonsense_is_never_for_ever(void)
{
	const uint64_t far[] = { UINT64_MAX, UINT64_MAX - 1, 1ull << 63, 1ull << 32, 1, 2, clock_ms() + NMX__QUARANTINE_MS + 60000,
		                 clock_ms() + NMX__QUARANTINE_MS + 5000, clock_ms() - NMX__QUARANTINE_MS - 1000 };

	for (uint32_t i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
		struct nmx__segment *seg = after_a_death(owners);

		recover(seg);
		atomic_store(&seg->members[owners[0].member].quarantine_ms, far[i]);
		await_the_end(seg, owners, 1, "after a time that cannot be");
		leave(seg);
		must_be_empty("after a time that cannot be");
	}
}

/* One that is near is believed, for as long as it can be. */
static void a_time_ahead_ends_too(void)
{
	struct nmx__segment *seg = after_a_death(owners);

	recover(seg);
	atomic_store(&seg->members[owners[0].member].quarantine_ms, clock_ms() + NMX__QUARANTINE_MS - 500);
	await_the_end(seg, owners, AT_MOST_MS, "after a time ahead");
	leave(seg);
	must_be_empty("after a time ahead");
}

/* Of the living it says nothing.  What it makes a recovery miss is lost until the segment goes, and no more than that. */
static void of_the_living_it_says_nothing(void)
{
	struct nmx_options small = { .tx_slots = 8, .rx_slots = 8 };
	struct nmx__segment *seg = join();
	struct owner *owner = owners;
	struct nmx__audit audit;
	struct nmx_report why;
	struct nmx_port *port;
	pid_t pid;

	*owner = (struct owner){ .to_hold = HELD, .with_pipe = true };
	pid = owner_start(owner);
	atomic_store(&seg->members[owner->member].quarantine_ms, clock_ms());
	atomic_store(&seg->members[seg->member].quarantine_ms, NMX__QUARANTINE_OVER);
	for (int i = 0; i < 3; i++) {
		recover(seg);
		must_work("with times for the living");
		audit = look(seg, "with times for the living");
		must(audit.held == OWNER_BUFS + 16 && audit.members == 2 && audit.quarantined == 0, "%u held by %u", audit.held, audit.members);
	}
	kill_now(pid);
	await_its_end(seg, owner, AT_MOST_MS, "with times for the living");
	must(open_port(&port, "owned{1", &small, &why) == 0, "the dead one's end of a pipe: %s", why.text);
	nmx_close(port);
	leave(seg);
	must_be_empty("with times for the living");
}

int main(int argc, char **argv)
{
	uint32_t deaths = 0;

	attack_begin("quarantine", argc, argv, 1, 6);
	owners = mmap(NULL, OWNERS * sizeof(*owners), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(owners != MAP_FAILED, "no memory");
	for (attack.round = 0; attack.round < attack.count; attack.round++) {
		if (!attack_wants(attack.round))
			continue;
		free_after_two_seconds_and_not_before();
		only_what_the_kernel_holds_waits();
		a_buffer_in_both_places_is_the_kernels();
		the_last_to_leave_does_not_wait();
		cleaning_does_not_wait_when_nobody_is_in();
		cleaning_waits_for_those_who_are_in();
		a_newcomer_works_beside_it();
		a_removal_cut_short_is_finished();
		every_step_can_be_repeated();
		deaths += cleaners_die_at_every_step();
		a_close_that_dies_leaves_nothing_to_wait_for();
		nonsense_is_never_for_ever();
		a_time_ahead_ends_too();
		of_the_living_it_says_nothing();
		deaths += nobody_gets_what_is_written_to();
	}
	return attack_end("%u rounds, %u cleaners killed", attack.count, deaths);
}
