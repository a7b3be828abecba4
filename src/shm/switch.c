/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Switches and their ports: making, joining, leaving.  docs/segment-protocol.md, "Switches". */
#include <string.h>
#include <time.h>

#include "base/report.h"
#include "shm/switch.h"

#define AWAIT_TRIES  20
#define AWAIT_NAP_US 100

/* ---- switches */

struct nmx__record *nmx__switch_find(const struct nmx__segment *seg, const char *name)
{
	struct nmx__record *record = nmx__record_find(seg, NMX__RECORD_SWITCH, name);
	struct nmx__record_geometry g;

	return record && nmx__record_read(seg, record, &g) && g.kind == NMX__RECORD_SWITCH ? record : NULL;
}

int nmx__switch_get(struct nmx__segment *seg, const char *name, struct nmx__record **record, struct nmx_report *why)
{
	struct nmx__record_plan plan = { .name = name, .geometry = { .kind = NMX__RECORD_SWITCH } };
	int err;

	*record = nmx__switch_find(seg, name);
	if (*record)
		return 0;
	err = nmx__record_make(seg, &plan, record, why);
	if (err == 0)
		atomic_store(&nmx__switch_of(seg, *record)->ageing_s, NMX__FDB_AGEING_S);
	return err;
}

struct nmx__switch *nmx__switch_of(const struct nmx__segment *seg, const struct nmx__record *record)
{
	return (struct nmx__switch *)nmx__record_control(seg, record, &(struct nmx__record_geometry){ .kind = NMX__RECORD_SWITCH });
}

bool nmx__port_is_of(const struct nmx__segment *seg, const struct nmx__record *port, const struct nmx__record *home)
{
	const volatile struct nmx__record *r = port;

	return atomic_load(&port->live) && r->kind == NMX__RECORD_PORT && r->home == nmx__record_index(seg, home) &&
	       r->home_gen == atomic_load(&home->live) && (atomic_load(&port->end[1]) || nmx__record_stays(port));
}

bool nmx__switch_is_used(const struct nmx__segment *seg, const struct nmx__record *record)
{
	for (uint32_t i = 0; i < nmx__num_records(seg); i++)
		if (nmx__port_is_of(seg, &seg->records[i], record))
			return true;
	return nmx__record_stays(record);
}

void nmx__switch_drop(struct nmx__segment *seg, struct nmx__record *record)
{
	if (atomic_load(&record->live) && record->kind == NMX__RECORD_SWITCH && !nmx__switch_is_used(seg, record))
		atomic_store(&record->live, 0); /* no queues, no buffers */
}

/* ---- ports */

static uint32_t number_of(const struct nmx__record *port) { return *(const volatile uint16_t *)&port->number; }

/* The tables of the port's switch, and its number there, which is read this once; NULL when that is no more, or nonsense. */
static struct nmx__switch *home_of(const struct nmx__segment *seg, const struct nmx__record *port, uint32_t *number)
{
	uint32_t home = *(const volatile uint32_t *)&port->home, gen = *(const volatile uint32_t *)&port->home_gen;
	struct nmx__record_geometry g;

	*number = number_of(port);
	if (home >= NMX__MAX_RECORDS || !gen || atomic_load(&seg->records[home].live) != gen ||
	    !nmx__record_read(seg, &seg->records[home], &g) || g.kind != NMX__RECORD_SWITCH || *number - 1 >= NMX__SWITCH_PORTS)
		return NULL;
	return nmx__switch_of(seg, &seg->records[home]);
}

static bool is_there(const struct nmx__segment *seg, const struct nmx__switch *sw, const struct nmx__record *port, uint32_t number)
{
	uint64_t word = atomic_load(&sw->port[number]);

	return word && word >> 32 == nmx__record_index(seg, port);
}

struct nmx__record *nmx__port_find(const struct nmx__segment *seg, const struct nmx__record *home, const char *name)
{
	for (uint32_t i = 0; i < nmx__num_records(seg); i++)
		if (nmx__port_is_of(seg, &seg->records[i], home) && strncmp(seg->records[i].name, name, sizeof(seg->records[i].name)) == 0)
			return &seg->records[i];
	return NULL;
}

/* The lowest that no port of the switch has; 0: all have one. */
static uint32_t free_number(const struct nmx__segment *seg, const struct nmx__record *home)
{
	uint64_t taken[4] = { 1 };

	for (uint32_t i = 0; i < nmx__num_records(seg); i++)
		if (nmx__port_is_of(seg, &seg->records[i], home)) {
			uint32_t number = number_of(&seg->records[i]);

			taken[number / 64 % 4] |= 1ull << number % 64;
		}
	for (uint32_t number = 1; number <= NMX__SWITCH_PORTS; number++)
		if (!(taken[number / 64] >> number % 64 & 1))
			return number;
	return 0;
}

int nmx__port_make(struct nmx__segment *seg, struct nmx__record *home, const struct nmx__port_plan *port,
                   struct nmx__record **record, struct nmx_report *why)
{
	struct nmx__record_plan plan = { .name = port->name, .home = home, .number = (uint16_t)free_number(seg, home),
		                         .tx_rings = port->tx_rings, .tx_slots = port->tx_slots };

	if (!plan.number)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, 0, "the switch \"%.40s\" has its %u ports; close one, or use another switch", home->name,
		                 NMX__SWITCH_PORTS);
	plan.geometry = (struct nmx__record_geometry){ .kind = NMX__RECORD_PORT, .rings = { port->rx_rings }, .slots = { port->rx_slots } };
	return nmx__record_make(seg, &plan, record, why);
}

void nmx__port_join(struct nmx__segment *seg, struct nmx__record *port, uint32_t attach_gen, bool deaf)
{
	uint32_t number;
	struct nmx__switch *sw = home_of(seg, port, &number);
	struct nmx__fdb fdb;

	if (!sw)
		return;
	fdb = nmx__fdb_of(seg, sw);
	nmx__fdb_forget(&fdb, number); /* of who had the number before */
	atomic_store(&port->flags, (atomic_load(&port->flags) & NMX__RECORD_STAYS) | (deaf ? NMX__RECORD_DEAF : 0u));
	if (number > atomic_load(&sw->num_ports))
		atomic_store(&sw->num_ports, number);
	atomic_store(&sw->port[number], nmx__port_word(nmx__record_index(seg, port), attach_gen));
}

/* Whoever is inside a lane now goes out, and whoever comes in sees that the port is not there.  Only looks: a hold that
 * has ended, or is another, began after the word was taken away. */
static bool await_lanes(const struct nmx__record *port)
{
	for (uint32_t lane = 0, tries = 0; lane < NMX__PORT_RINGS; lane++) {
		uint32_t seen = atomic_load(&port->lane[lane].lock);

		while (seen && atomic_load(&port->lane[lane].lock) == seen) {
			if (++tries == AWAIT_TRIES)
				return false; /* stopped in there; or dead, and not recovered yet */
			nanosleep(&(struct timespec){ .tv_nsec = AWAIT_NAP_US * 1000 }, NULL);
		}
	}
	return true;
}

bool nmx__port_leave(struct nmx__segment *seg, struct nmx__record *port)
{
	uint32_t number;
	struct nmx__switch *sw = home_of(seg, port, &number);

	if (atomic_load(&port->flags) & NMX__RECORD_LEFT)
		return true;
	if (sw && is_there(seg, sw, port, number)) {
		struct nmx__fdb fdb = nmx__fdb_of(seg, sw);

		atomic_store(&sw->port[number], 0); /* pairs with nmx__way_leads() */
		nmx__fdb_forget(&fdb, number);
		nmx__switch_wake_senders(seg, sw);
	}
	if (!await_lanes(port))
		return false;
	atomic_fetch_or(&port->flags, NMX__RECORD_LEFT);
	return true;
}

/* Each full buffer becomes the entry's empty one, which means nothing until one store of head makes all of them so. */
static void empty_queue(struct nmx__queue *q, uint32_t capacity)
{
	uint32_t head = atomic_load(&q->head), tail = atomic_load(&q->tail);

	if (tail - head > capacity)
		return; /* nonsense, which its receiver will say */
	for (uint32_t at = head; at != tail; at++) {
		struct nmx__entry *entry = &q->entry[at & (capacity - 1)];

		atomic_store(&entry->empty, (uint32_t)atomic_load(&entry->full));
	}
	atomic_store(&q->head, tail);
}

bool nmx__port_empty(struct nmx__segment *seg, struct nmx__record *port)
{
	struct nmx__record_geometry g;

	if (!nmx__port_leave(seg, port) || !nmx__record_read(seg, port, &g) || g.kind != NMX__RECORD_PORT)
		return false;
	for (uint32_t ring = 0; ring < g.rings[0]; ring++)
		empty_queue(nmx__record_queue(seg, port, &g, 0, ring), nmx__queue_capacity(g.slots[0]));
	return true;
}

/* ---- who sleeps */

static void wake_lane(struct nmx__segment *seg, uint32_t record, uint32_t lane)
{
	_Atomic uint32_t *word = &seg->records[record].lane[lane].tx_sleep;
	struct nmx__bell bell;

	if (atomic_load(word) % 2 == 0)
		return;
	nmx__bell_init(&bell, seg, record, lane, 't');
	nmx__wake(word, &bell);
	nmx__bell_close(&bell);
}

static void wake_port(struct nmx__segment *seg, const struct nmx__switch *sw, uint32_t port)
{
	uint64_t word = atomic_load(&sw->port[port]);

	for (uint32_t lane = 0; lane < NMX__PORT_RINGS && word && word >> 32 < NMX__MAX_RECORDS; lane++)
		wake_lane(seg, (uint32_t)(word >> 32), lane);
}

void nmx__switch_wake_senders(struct nmx__segment *seg, struct nmx__switch *sw)
{
	for (uint32_t port = 1; port <= NMX__SWITCH_PORTS; port++)
		wake_port(seg, sw, port);
}

void nmx__lane_wake_waiters(struct nmx__segment *seg, const struct nmx__switch *sw, struct nmx__lane *lane)
{
	for (uint32_t i = 0; i < 4; i++)
		/* Taken away first: who waits again from here on puts its bit back, and looks for room after that. */
		for (uint64_t bits = atomic_exchange(&lane->waiters[i], 0); bits; bits &= bits - 1)
			wake_port(seg, sw, i * 64 + (uint32_t)__builtin_ctzll(bits));
}
