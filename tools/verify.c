/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "verify.h"

#include <stdlib.h>
#include <string.h>

#include "units.h"

struct verify *verify_new(void) { return calloc(1, sizeof(struct verify)); }
void verify_free(struct verify *verify) { free(verify); }

static bool flow_is(const struct verify_flow *flow, const struct frame_stamp *stamp)
{
	return flow->used && flow->flow == stamp->flow && flow->run == stamp->run;
}

/* The flow's place in the table, linear probing; NULL when the table is full. */
static struct verify_flow *flow_find(struct verify *verify, const struct frame_stamp *stamp)
{
	uint32_t first = (stamp->flow ^ (uint32_t)stamp->run * 40503u) % VERIFY_FLOWS;

	for (uint32_t i = 0; i < VERIFY_FLOWS; i++) {
		struct verify_flow *flow = &verify->flows[(first + i) % VERIFY_FLOWS];
		if (flow_is(flow, stamp))
			return flow;
		if (!flow->used) {
			flow->used = true;
			flow->flow = stamp->flow;
			flow->run = stamp->run;
			verify->num_flows++;
			return flow;
		}
	}
	return NULL;
}

static uint64_t *word_of(struct verify_flow *flow, uint64_t sequence)
{
	return &flow->seen[sequence % VERIFY_WINDOW / 64];
}

static uint64_t bit_of(uint64_t sequence) { return UINT64_C(1) << sequence % 64; }

/* Forgets what stood in the places of [first, end). */
static void forget(struct verify_flow *flow, uint64_t first, uint64_t end)
{
	if (end - first >= VERIFY_WINDOW)
		memset(flow->seen, 0, sizeof(flow->seen));
	else
		for (; first < end; first++)
			*word_of(flow, first) &= ~bit_of(first);
}

static void account(struct verify *verify, struct verify_flow *flow, uint32_t ring, uint64_t sequence)
{
	uint64_t *ring_next = &flow->ring_next[ring % VERIFY_RINGS];

	if (sequence >= flow->next) {
		verify->lost += sequence - flow->next;
		forget(flow, flow->next, sequence);
		*word_of(flow, sequence) |= bit_of(sequence);
		flow->next = sequence + 1;
	} else if (flow->next - sequence > VERIFY_WINDOW) {
		verify->too_late++;
	} else if (*word_of(flow, sequence) & bit_of(sequence)) {
		verify->duplicate++;
	} else {
		*word_of(flow, sequence) |= bit_of(sequence);
		*(sequence < *ring_next ? &verify->reordered : &verify->overtaken) += 1;
		verify->lost--;
	}
	if (sequence >= *ring_next)
		*ring_next = sequence + 1;
}

void verify_packet_on(struct verify *verify, uint32_t ring, const uint8_t *data, uint32_t len, uint64_t now_ns)
{
	struct frame_stamp stamp;
	enum frame_kind kind = frame_check(data, len, &stamp);

	if (kind != FRAME_INTACT) {
		*(kind == FRAME_CORRUPT ? &verify->corrupt : &verify->foreign) += 1;
		return;
	}
	verify->intact++;
	hist_add(&verify->latency, frame_age(&stamp, now_ns));
	if (!verify->last || !flow_is(verify->last, &stamp))
		verify->last = flow_find(verify, &stamp);
	if (verify->last)
		account(verify, verify->last, ring, stamp.sequence);
	else
		verify->untracked++;
}

uint64_t verify_bad(const struct verify *v)
{
	return v->lost + v->reordered + v->duplicate + v->too_late + v->corrupt + v->untracked;
}

void verify_json(const struct verify *v, struct json *json)
{
	json_u64(json, "intact", v->intact);
	json_u64(json, "lost", v->lost);
	json_u64(json, "reordered", v->reordered);
	json_u64(json, "duplicate", v->duplicate);
	json_u64(json, "too_late", v->too_late);
	json_u64(json, "corrupt", v->corrupt);
	json_u64(json, "foreign", v->foreign);
	json_u64(json, "untracked", v->untracked);
	json_u64(json, "flows", v->num_flows);
	hist_json(&v->latency, json, "latency_ns");
}

void verify_say(const struct verify *v, FILE *to)
{
	const struct {
		uint64_t count;
		const char *what;
		bool always;
	} rows[] = {
		{ v->lost, "lost", true },
		{ v->reordered, "reordered", true },
		{ v->duplicate, "duplicate", true },
		{ v->corrupt, "corrupt", true },
		{ v->too_late, "too late", false },
		{ v->untracked, "of too many flows", false },
		{ v->foreign, "not stamped", false },
		{ v->overtaken, "overtaken by others of their flow on another ring", false },
	};
	char text[UNITS_TEXT];

	fprintf(to, "%s intact", units_grouped(text, v->intact));
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (rows[i].always || rows[i].count)
			fprintf(to, ", %s %s", units_grouped(text, rows[i].count), rows[i].what);
	fputs("\nlatency  ", to);
	hist_line(&v->latency, to);
}
