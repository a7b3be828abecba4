/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Rings of 2 to 9 slots in every state that they can get into, each operation in each state, against the model of
 * world.h: breadth first, to the end where there is one within the bound; and long random walks. */
#include <string.h>

#include "backend/local.h"
#include "base/poison.h"
#include "core/check.h"
#include "world.h"

enum { TABLE_BYTES = 4096, MAX_BUFS = 2 * WORLD_MAX_SLOTS + 8 + 1 + NMX__FIRST_BUF };

/* All that a loop port remembers, so that it can be put back into a state. */
struct state {
	struct state *next;
	uint32_t depth;
	struct model model;
	struct nmx_batch batch;
	struct nmx_buf held;
	struct world_ring tx, rx;
	uint64_t ids[MAX_BUFS];
	uint8_t tables[TABLE_BYTES];
};

static struct nmx__local *local_of(struct world *w) { return w->link.tx_port->state; }

/* The marks of AddressSanitizer are not part of a state. */
static void unpoison(struct world *w)
{
	struct nmx__local *local = local_of(w);

	nmx__unpoison(local->bufs, (size_t)local->num_bufs * NMX__BUF_LEN);
}

static void save(struct world *w, struct state *s)
{
	struct nmx__local *local = local_of(w);

	require(local->at <= TABLE_BYTES && local->num_bufs <= MAX_BUFS);
	unpoison(w);
	s->model = w->model;
	s->batch = w->batch;
	s->held = w->held;
	s->tx = *world_tx(w);
	s->rx = *world_rx(w);
	memcpy(s->tables, local->memory, local->at);
	for (uint32_t i = 0; i < local->num_bufs; i++)
		memcpy(&s->ids[i], local->bufs + (size_t)i * NMX__BUF_LEN, sizeof(s->ids[i]));
}

static void restore(struct world *w, const struct state *s)
{
	struct nmx__local *local = local_of(w);

	unpoison(w);
	w->model = s->model;
	w->batch = s->batch;
	w->held = s->held;
	*world_tx(w) = s->tx;
	*world_rx(w) = s->rx;
	memcpy(local->memory, s->tables, local->at);
	for (uint32_t i = 0; i < local->num_bufs; i++)
		memcpy(local->bufs + (size_t)i * NMX__BUF_LEN, &s->ids[i], sizeof(s->ids[i]));
	/* A checked library compares with what its last sync left, which was in another state. */
	nmx__check_after_sync(&world_tx(w)->ring);
	nmx__check_after_sync(&world_rx(w)->ring);
}

/* ---- which states are the same: all but the numbers of packets and buffers */

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 29;
}

static uint64_t mix_fifo(uint64_t hash, const struct fifo *f)
{
	hash = mix(hash, f->count);
	for (uint32_t i = 0; i < f->count; i++)
		hash = mix(hash, f->at[i].more);
	return hash;
}

static uint64_t key_of(const struct world *w)
{
	const struct nmx__qend *tx = &world_tx(w)->end, *rx = &world_rx(w)->end;
	const struct model *m = &w->model;
	uint64_t key = 1;

	key = mix_fifo(key, &m->begun);
	key = mix_fifo(key, &m->committed);
	key = mix_fifo(key, &m->queued);
	key = mix_fifo(key, &m->waiting);
	key = mix(key, m->received.count);
	key = mix_fifo(key, &m->batch);
	key = mix(key, m->reserved << 16 | m->left);
	key = mix(key, m->space << 1 | (m->held.len > 0));
	key = mix(key, tx->hwcur << 16 | rx->hwcur); /* where in the rings, and in the queue */
	key = mix(key, tx->index & (tx->capacity - 1));
	key = mix(key, (tx->index - tx->peer) << 16 | (rx->peer - rx->index)); /* what each knows of the other */
	return key;
}

struct set {
	uint64_t *at;
	uint32_t size, count; /* size: a power of two, at least twice the count */
};

/* False: it was there. */
static bool add(struct set *set, uint64_t key)
{
	uint32_t i = (uint32_t)key & (set->size - 1);

	for (; set->at[i]; i = (i + 1) & (set->size - 1))
		if (set->at[i] == key)
			return false;
	set->at[i] = key;
	set->count++;
	return true;
}

/* ---- breadth first */

struct exploration {
	uint32_t slots;
	bool chains;
	uint32_t states; /* no more than these */
};

static bool single_slot_op(enum world_op op)
{
	return op != OP_SEND_LONG && op != OP_FRAGMENT && op != OP_PUT_MORE;
}

static void append(struct state **last, struct state *s)
{
	(*last)->next = s;
	s->next = NULL;
	*last = s;
}

static void explore(const struct exploration *e)
{
	struct set seen = { .size = 1u << 20 };
	struct state *first = malloc(sizeof(*first)), *last = first;
	uint64_t transitions = 0;
	uint32_t depth = 0;
	struct world w;

	seen.at = calloc(seen.size, sizeof(*seen.at));
	require(seen.at && first && e->states < seen.size / 2);
	world_open(&w, &support_loop, e->slots, e->chains);
	save(&w, first);
	first->next = NULL;
	first->depth = 0;
	add(&seen, key_of(&w));
	while (first) {
		struct state *s = first;

		for (enum world_op op = 0; op < WORLD_OPS; op++) {
			if (!e->chains && !single_slot_op(op))
				continue;
			restore(&w, s);
			world_apply(&w, op);
			world_check(&w);
			transitions++;
			if (seen.count >= e->states || !add(&seen, key_of(&w)))
				continue;
			struct state *found = malloc(sizeof(*found));

			require(found != NULL);
			save(&w, found);
			depth = found->depth = s->depth + 1;
			append(&last, found);
		}
		first = s->next;
		free(s);
	}
	print_message("    %u slots%s: %u states%s, depth %u, %llu operations\n", e->slots, e->chains ? ", chains" : "", seen.count,
	              seen.count < e->states ? ", all there are" : "", depth, (unsigned long long)transitions);
	w.model.dropped = (uint32_t)support_stats(w.link.rx_port).drop_too_long; /* of the last one restored */
	world_close(&w);
	free(seen.at);
}

static void every_state_of_small_rings_agrees_with_the_model(void **state)
{
	static const struct exploration singles[] = { { 2, false, 400000 }, { 3, false, 400000 }, { 4, false, 60000 },
		                                      { 5, false, 60000 },  { 6, false, 30000 },  { 7, false, 30000 },
		                                      { 8, false, 30000 },  { 9, false, 30000 } };

	(void)state;
	for (unsigned i = 0; i < sizeof(singles) / sizeof(singles[0]); i++)
		explore(&singles[i]);
}

static void every_state_of_small_rings_with_chains_agrees_with_the_model(void **state)
{
	static const struct exploration chains[] = { { 2, true, 400000 }, { 3, true, 100000 }, { 4, true, 60000 },
		                                     { 5, true, 60000 },  { 6, true, 30000 },  { 7, true, 30000 },
		                                     { 8, true, 30000 },  { 9, true, 30000 } };

	(void)state;
	for (unsigned i = 0; i < sizeof(chains) / sizeof(chains[0]); i++)
		explore(&chains[i]);
}

/* ---- at random */

static void walk(const struct backend_row *row, uint32_t slots, bool chains, uint32_t steps)
{
	uint32_t random = slots * 2 + chains;
	struct world w;

	world_open(&w, row, slots, chains);
	for (uint32_t i = 0; i < steps; i++) {
		world_apply(&w, (enum world_op)support_random(&random, WORLD_OPS));
		world_check(&w);
	}
	require(w.model.next_id > steps / WORLD_OPS); /* it went somewhere */
	world_close(&w);
}

static void long_random_walks_agree_with_the_model(void **state)
{
	for (uint32_t slots = 2; slots <= WORLD_MAX_SLOTS; slots++) {
		walk(*state, slots, true, 100000);
		walk(*state, slots, false, 100000); /* chains are sent, and dropped by the receiver */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_state_of_small_rings_agrees_with_the_model),
		cmocka_unit_test(every_state_of_small_rings_with_chains_agrees_with_the_model),
		OVER_EACH_BACKEND(long_random_walks_agree_with_the_model),
	};

	return cmocka_run_group_tests(tests, support_make_directory, support_remove_directory);
}
