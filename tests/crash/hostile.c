/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A member that writes anything anywhere in the segment, all the time, while others send, receive, wait, open and
 * close.  They may see errors and counted drops; they may not crash, hang, or leave the segment's memory.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/switch.h"
#include "victims.h"

static struct arena *arena;

/* ---- values and places */

static uint32_t bad_value(struct rng *rng, uint32_t old)
{
	switch (rng_below(rng, 9)) {
	case 0:
		return 0;
	case 1:
		return ~0u;
	case 2:
		return old + 1;
	case 3:
		return old - 1;
	case 4:
		return old ^ 1u << rng_below(rng, 32);
	case 5:
		return SEGMENT_BUFS + rng_below(rng, 3) - 1;
	case 6:
		return rng_below(rng, SEGMENT_BUFS);
	case 7:
		return 0x80000000u + rng_below(rng, 3) - 1;
	default:
		return (uint32_t)rng_next(rng);
	}
}

/* One 32-bit word at any place of [start, start + bytes); sometimes 64 bits, sometimes exchanged with another. */
static void spoil(struct rng *rng, void *start, size_t bytes)
{
	volatile uint32_t *words = start;
	uint32_t n = (uint32_t)(bytes / 4), i = rng_below(rng, n), j = rng_below(rng, n), old = words[i];

	switch (rng_below(rng, 8)) {
	case 0:
		words[i] = words[j];
		words[j] = old;
		break;
	case 1:
		words[i] = bad_value(rng, old);
		words[i ^ 1u] = bad_value(rng, words[i ^ 1u]);
		break;
	default:
		words[i] = bad_value(rng, old);
	}
}

static void spoil_header(struct rng *rng, struct nmx__segment *seg)
{
	struct nmx__seg_header *h = seg->header;

	switch (rng_below(rng, 8)) {
	case 0:
		atomic_store(&h->lock_owner, bad_value(rng, h->lock_owner));
		break;
	case 1:
		atomic_store(&h->lock_owner, 1 + rng_below(rng, 5)); /* a member that lives, and is not inside */
		break;
	case 2:
		atomic_store(&h->last_gen, bad_value(rng, h->last_gen));
		break;
	case 3:
	case 4:
		atomic_store(&h->num_records, bad_value(rng, h->num_records));
		break;
	case 5:
		if (rng_below(rng, 10) == 0)
			spoil(rng, h, 32); /* magic, version, geometry: nobody can come any more */
		break;
	default:
		spoil(rng, (uint8_t *)h + 32, 64);
	}
}

static struct nmx__record *some_record(struct rng *rng, struct nmx__segment *seg)
{
	return &seg->records[rng_below(rng, 12)];
}

static void spoil_queue(struct rng *rng, struct nmx__segment *seg)
{
	struct nmx__record *record = some_record(rng, seg);
	struct nmx__record_geometry g;
	struct nmx__queue *q;

	if (!nmx__record_read(seg, record, &g))
		return;
	if (g.kind == NMX__RECORD_SWITCH)
		return;
	q = nmx__record_queue(seg, record, &g, g.kind == NMX__RECORD_PIPE ? rng_below(rng, 2) : 0, 0);
	switch (rng_below(rng, 6)) {
	case 0:
		atomic_store(&q->tail, bad_value(rng, q->tail));
		break;
	case 1:
		atomic_store(&q->head, bad_value(rng, q->head));
		break;
	case 2:
		atomic_store(&q->rx_sleep, bad_value(rng, q->rx_sleep));
		atomic_store(&q->tx_sleep, bad_value(rng, q->tx_sleep));
		break;
	default:
		spoil(rng, q->entry, nmx__queue_capacity(g.slots[0] < g.slots[1] ? g.slots[0] : g.slots[1]) * sizeof(struct nmx__entry));
	}
}

/* Locks, maps and words of ports; tables of switches. */
static void spoil_switch(struct rng *rng, struct nmx__segment *seg)
{
	struct nmx__record *record = some_record(rng, seg);
	struct nmx__record_geometry g;

	switch (rng_below(rng, 4)) {
	case 0: /* somebody who lives and has it not, or nobody, or nonsense */
		atomic_store(&record->lane[rng_below(rng, 2)].lock,
		             rng_below(rng, 2) ? nmx__hold_make(rng_below(rng, 8), rng_below(rng, 8)) : bad_value(rng, record->lane[0].lock));
		break;
	case 1:
		atomic_store(&record->lane[0].lock, 0);
		break;
	case 2:
		spoil(rng, record->lane, 2 * sizeof(*record->lane));
		break;
	default:
		if (!nmx__record_read(seg, record, &g) || g.kind != NMX__RECORD_SWITCH)
			return;
		spoil(rng, nmx__switch_of(seg, record), rng_below(rng, 2) ? 128 : sizeof(struct nmx__switch));
	}
}

/* Floods a bell, or steals what is in it. */
static void spoil_bell(struct rng *rng, struct nmx__segment *seg)
{
	char file[NMX__FILE_NAME_MAX], bytes[4096] = { 0 };
	int fd;

	nmx__seg_file(seg, file, "b%u.%u.%c", rng_below(rng, 4), rng_below(rng, 2), "rt"[rng_below(rng, 2)]);
	fd = openat(seg->dir.fd, file, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	for (int i = 0; i < 20; i++)
		if ((rng_below(rng, 2) ? write(fd, bytes, sizeof(bytes)) : read(fd, bytes, sizeof(bytes))) < 0)
			break;
	close(fd);
	if (rng_below(rng, 4) == 0)
		unlinkat(seg->dir.fd, file, 0);
}

enum { THEMES = 16 };

static void spoil_something(struct rng *rng, struct nmx__segment *seg, uint32_t theme)
{
	switch (theme) {
	case 0:
		spoil_header(rng, seg);
		break;
	case 1:
		spoil(rng, seg->members, 16 * sizeof(*seg->members));
		break;
	case 2:
		spoil(rng, some_record(rng, seg), 128);
		break;
	case 3:
		spoil(rng, some_record(rng, seg), sizeof(struct nmx__record));
		break;
	case 4:
		spoil(rng, (void *)seg->used, SEGMENT_BUFS / 8);
		break;
	case 5:
		spoil_bell(rng, seg);
		break;
	case 6:
		spoil(rng, seg->control, (size_t)seg->control_pages * NMX__PAGE / 8);
		break;
	case 7:
	case 8:
		spoil_switch(rng, seg);
		break;
	case 9:
		spoil(rng, nmx__seg_buf(seg, NMX__FIRST_BUF), (size_t)256 * seg->buf_stride);
		break;
	default:
		spoil_queue(rng, seg);
	}
}

/* ---- the attacker */

/* What nobody can attach to any more is removed, as a person would, so that the victims get something new to lose. */
static void remove_segment(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/default", attack.dir);
	unlink(path);
}

static void attack_segment(void *unused)
{
	struct rng rng = rng_of(attack.seed, 1);
	uint64_t blows = 0;

	(void)unused;
	while (!atomic_load(&arena->stop)) {
		struct nmx__segment *seg;
		struct nmx_report why;
		uint32_t blows_at_once = rng_scaled(&rng, 60), pause_us = rng_scaled(&rng, 20000);
		uint32_t theme = rng_below(&rng, 2 * THEMES); /* one kind of place for a while, or all of them */
		int64_t until = now_ms() + 20 + rng_below(&rng, 200);

		if (nmx__seg_look(&seg, attack.dir, "default", &why) < 0) {
			remove_segment();
			nap_us(10000);
			continue;
		}
		while (now_ms() < until) {
			for (uint32_t i = 0; i < blows_at_once; i++, blows++)
				spoil_something(&rng, seg, theme < THEMES ? theme : rng_below(&rng, THEMES));
			nap_us(pause_us);
		}
		nmx__seg_unlook(seg);
		if (rng_below(&rng, 8) == 0)
			remove_segment(); /* a new start */
	}
}

/* ---- the referee */

enum { MAX_SILENCE_MS = 12000 };

static void watch(pid_t pid[VICTIMS], pid_t attacker)
{
	int64_t until = now_ms() + (int64_t)attack.seconds * 1000;

	while (now_ms() < until) {
		nap_us(20000);
		must(waitpid(attacker, NULL, WNOHANG) == 0, "the attacker has ended");
		for (int v = 0; v < VICTIMS; v++) {
			struct toll *toll = &arena->toll[v];
			int status;

			if (waitpid(pid[v], &status, WNOHANG) == 0) {
				must(now_ms() - atomic_load(&toll->turn_at_ms) < MAX_SILENCE_MS, "the %s hangs: no turn for %lld ms", victim_names[v],
				     (long long)(now_ms() - atomic_load(&toll->turn_at_ms)));
				continue;
			}
			must(!WIFSIGNALED(status), "the %s crashed: %s", victim_names[v], strsignal(WTERMSIG(status)));
			die("the %s failed (it said why above)", victim_names[v]);
		}
	}
}

int main(int argc, char **argv)
{
#ifdef NMX_CHECKED
	puts("skipped: a checked library stops at a buffer that is in two places, and that is what the attacker does");
	return 77;
#endif
	static struct victim victims[VICTIMS];
	pid_t pid[VICTIMS], attacker;
	uint64_t packets = 0, opens = 0, errors = 0;
	int64_t sync = 0, wait = 0, open = 0;

	attack_begin("hostile", argc, argv, 1, 10);
	arena = mmap(NULL, sizeof(*arena), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(arena != MAP_FAILED, "no memory");
	for (int v = 0; v < VICTIMS; v++) {
		victims[v] = (struct victim){ arena, (enum victim_kind)v };
		atomic_store(&arena->toll[v].turn_at_ms, now_ms());
		pid[v] = spawn(be_victim, &victims[v]);
	}
	nap_us(20000);
	attacker = spawn(attack_segment, NULL);
	watch(pid, attacker);
	atomic_store(&arena->stop, 1);
	reap_ok(attacker, 5000, "the attacker");
	for (int v = 0; v < VICTIMS; v++) {
		const struct toll *toll = &arena->toll[v];

		reap_ok(pid[v], 20000, victim_names[v]);
		packets += toll->packets;
		opens += toll->opens;
		errors += toll->open_errors + toll->sync_errors;
		sync = toll->longest_sync_ms > sync ? toll->longest_sync_ms : sync;
		wait = toll->longest_wait_ms > wait ? toll->longest_wait_ms : wait;
		open = toll->longest_open_ms > open ? toll->longest_open_ms : open;
	}
	remove_segment();
	must_work("when the attacker has gone, in a new segment");
	return attack_end("%u s: %llu packets, %llu opens, %llu errors; longest sync %lld ms, wait %lld ms, open %lld ms", attack.seconds,
	                  (unsigned long long)packets, (unsigned long long)opens, (unsigned long long)errors, (long long)sync,
	                  (long long)wait, (long long)open);
}
