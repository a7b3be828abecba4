/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What there is in switches of user space, and ports and switches that stay when nobody has them: <nmx/switch.h>. */
#include <stdio.h>
#include <stdlib.h>

#include "backend/switch.h"
#include "base/clock.h"
#include "base/report.h"

/* ---- list */

static const char *segment_of(const struct nmx_switch_options *o) { return o->segment && *o->segment ? o->segment : "default"; }

/* The segment, to be given back with nmx__seg_unlook(); NULL: there is none in the directory, and so no switch. */
static int look(struct nmx__segment **seg, const struct nmx_switch_options *o, struct nmx_report *why)
{
	struct nmx__dir dir;
	int err = nmx__dir_open(&dir, o->directory, why); /* its absence is an error, for then there could not be a segment */

	*seg = NULL;
	if (err < 0)
		return err;
	nmx__dir_close(&dir);
	err = nmx__seg_look(seg, o->directory, segment_of(o), why);
	if (err != NMX_ERR_NO_SUCH)
		return err;
	nmx__report_clear(why);
	return 0;
}

static void describe(const struct nmx__segment *seg, uint32_t record, struct nmx_switch_port *port)
{
	const struct nmx__record *r = &seg->records[record];
	nmx__end_t owner = atomic_load(&r->end[1]);
	uint64_t sum[NMX__NUM_COUNTERS];

	*port = (struct nmx_switch_port){ .backend = NMX_SWITCH, .switch_index = r->home, .index = r->number, .has_stats = true };
	nmx__record_name(r, port->name);
	port->rx_rings = r->rings[0];
	port->rx_slots = r->slots[0];
	port->tx_rings = r->tx_rings;
	port->tx_slots = r->tx_slots;
	port->stays = nmx__record_stays(r);
	if (owner && nmx__end_member(owner) < NMX__MAX_MEMBERS && nmx__member_alive(seg, nmx__end_member(owner)))
		nmx__member_describe(seg, nmx__end_member(owner), port->user, sizeof(port->user));
	nmx__totals_read(&r->totals[1], sum);
	nmx__extent_counters_of(seg, record, owner, sum);
	memcpy(&port->stats, sum, sizeof(port->stats));
	for (uint32_t i = 0; i < NMX__PORT_RINGS; i++)
		port->stats.drop_no_buffer += atomic_load(&r->lane[i].drop_full);
}

/* Of the ports of one switch, by their numbers. */
static int list_switch(const struct nmx__segment *seg, const struct nmx__record *home, int (*fn)(const struct nmx_switch_port *, void *),
                       void *arg)
{
	struct nmx_switch_port port;
	int stop = 0;

	for (uint32_t number = 1; number <= NMX__SWITCH_PORTS && stop == 0; number++)
		for (uint32_t i = 0; i < nmx__num_records(seg) && stop == 0; i++)
			if (nmx__port_is_of(seg, &seg->records[i], home) && seg->records[i].number == number) {
				describe(seg, i, &port);
				stop = fn(&port, arg);
			}
	return stop;
}

static int list(const struct nmx_switch_options *o, int (*fn)(const struct nmx_switch_port *port, void *arg), void *arg,
                struct nmx_report *why)
{
	struct nmx__segment *seg;
	int err = look(&seg, o, why);

	if (err < 0 || !seg)
		return err;
	for (uint32_t i = 0; i < nmx__num_records(seg) && err == 0; i++)
		if (atomic_load(&seg->records[i].live) && seg->records[i].kind == NMX__RECORD_SWITCH)
			err = list_switch(seg, &seg->records[i], fn, arg);
	nmx__seg_unlook(seg);
	return err;
}

/* ---- switches */

static struct nmx_switch_info info_of(const struct nmx__segment *seg, const struct nmx__record *home)
{
	struct nmx__fdb fdb = nmx__fdb_of(seg, nmx__switch_of(seg, home));
	struct nmx_switch_info info = { .ageing_s = nmx__fdb_ageing(&fdb),
		                        .stays = nmx__record_stays(home),
		                        .switch_index = nmx__record_index(seg, home),
		                        .backend = NMX_SWITCH };

	for (uint32_t i = 0; i < nmx__num_records(seg); i++)
		info.ports += nmx__port_is_of(seg, &seg->records[i], home);
	return info;
}

static int each(const struct nmx_switch_options *o, int (*fn)(const char *name, const struct nmx_switch_info *info, void *arg), void *arg,
                struct nmx_report *why)
{
	struct nmx_switch_info info;
	struct nmx__segment *seg;
	char name[NMX__RECORD_NAME];
	int err = look(&seg, o, why);

	if (err < 0 || !seg)
		return err;
	for (uint32_t i = 0; i < nmx__num_records(seg) && err == 0; i++) {
		struct nmx__record_geometry g;

		if (!atomic_load(&seg->records[i].live) || !nmx__record_read(seg, &seg->records[i], &g) || g.kind != NMX__RECORD_SWITCH)
			continue;
		nmx__record_name(&seg->records[i], name);
		info = info_of(seg, &seg->records[i]);
		err = fn(name, &info, arg);
	}
	nmx__seg_unlook(seg);
	return err;
}

struct table {
	const struct nmx__segment *seg;
	int (*fn)(const struct nmx_switch_address *address, void *arg);
	void *arg;
};

static int table_entry(uint64_t mac, uint32_t port, uint32_t age_s, void *arg)
{
	const struct table *table = arg;
	struct nmx_switch_address address = { .port = port, .age_s = age_s };

	memcpy(address.mac, &mac, sizeof(address.mac));
	return table->fn(&address, table->arg);
}

/* The segment, to be given back with nmx__seg_unlook(), and the switch in it. */
static int look_at(const char *name, const struct nmx_switch_options *o, struct nmx__segment **seg, struct nmx__record **home,
                   struct nmx_report *why)
{
	int err = look(seg, o, why);

	if (err < 0)
		return err;
	*home = *seg ? nmx__switch_find(*seg, name) : NULL;
	if (*home)
		return 0;
	err = nmx__fail(why, NMX_ERR_NO_SUCH, 0, "there is no switch \"%.60s\" in the segment \"%.60s\"", name, segment_of(o));
	if (*seg)
		nmx__seg_unlook(*seg);
	return err;
}

static int inspect(const char *name, const struct nmx_switch_options *o, struct nmx_switch_info *info, struct nmx_report *why)
{
	struct nmx__record *home;
	struct nmx__segment *seg;
	int err = look_at(name, o, &seg, &home, why);

	if (err < 0)
		return err;
	*info = info_of(seg, home);
	nmx__seg_unlook(seg);
	return 0;
}

static int show_table(const char *name, const struct nmx_switch_options *o,
                      int (*fn)(const struct nmx_switch_address *address, void *arg), void *arg, struct nmx_report *why)
{
	struct table table = { .fn = fn, .arg = arg };
	struct nmx__record *home;
	struct nmx__segment *seg;
	struct nmx__fdb fdb;
	int err = look_at(name, o, &seg, &home, why);

	if (err < 0)
		return err;
	fdb = nmx__fdb_of(seg, nmx__switch_of(seg, home));
	err = nmx__fdb_each(&fdb, (uint32_t)(nmx__coarse_ms() / 1000), table_entry, &table);
	nmx__seg_unlook(seg);
	return err;
}

/* ---- what stays */

/* "vale0:a", or "vale0" for the switch: then name->port is "vale0". */
static int read_name(const char *text, struct nmx__name *name, struct nmx_report *why)
{
	bool is_switch = text && !strchr(text, ':');
	char whole[80];
	int err;

	if (is_switch && strncmp(text, "vale", 4) != 0)
		return nmx__fail(why, NMX_ERR_BAD_NAME, 0,
		                 "\"%.80s\": a switch in user space begins with vale; write vale0, or vale0:a for a port of it", text);
	snprintf(whole, sizeof(whole), "%.60s%s", text ? text : "", is_switch ? ":x" : "");
	err = nmx__name_parse(is_switch && strlen(text) <= 60 ? whole : text, name, why);
	if (err == 0 && (name->backend != NMX_SWITCH || strcmp(strncmp(whole, "netmap:", 7) == 0 ? whole + 7 : whole, name->port) != 0))
		err = nmx__fail(why, NMX_ERR_BAD_NAME, 0, "\"%.80s\" is not a port of a switch, or a switch; write vale0:a, or vale0", text);
	if (err == 0 && is_switch)
		name->port[strcspn(name->port, ":")] = '\0';
	return err;
}

static int make(struct nmx__segment *seg, const struct nmx__name *name, const struct nmx_switch_options *o, struct nmx_report *why)
{
	struct nmx__port_plan plan = nmx__switch_plan(name->port, o->tx_rings, o->rx_rings, o->tx_slots, o->rx_slots);
	struct nmx__record *home, *record;
	char key[NMX__NAME_MAX + 1];
	int err;

	snprintf(key, sizeof(key), "%.*s", (int)strcspn(name->port, ":"), name->port);
	err = nmx__switch_get(seg, key, &home, why);
	if (err < 0)
		return err;
	record = strchr(name->port, ':') ? nmx__port_find(seg, home, name->port) : home;
	if (record && (record != home || nmx__record_stays(home)))
		return nmx__fail(why, NMX_ERR_BUSY, 0, "\"%s\" is there already", name->port);
	if (!record)
		err = nmx__port_make(seg, home, &plan, &record, why);
	if (err < 0) {
		nmx__switch_drop(seg, home);
		return err;
	}
	if (record == home)
		atomic_store(&nmx__switch_of(seg, home)->ageing_s, o->ageing_s ? o->ageing_s : NMX__FDB_AGEING_S);
	atomic_fetch_or(&record->flags, NMX__RECORD_STAYS);
	return 0;
}

/* What is a switch's and what is a port's. */
static int check_options(const struct nmx__name *name, const struct nmx_switch_options *o, struct nmx_report *why)
{
	uint32_t ageing_s = o->ageing_s;
	bool is_port = strchr(name->port, ':');

	if (!is_port && (o->tx_rings || o->rx_rings || o->tx_slots || o->rx_slots))
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "rings and slots are a port's, and \"%s\" is a switch; write %s:a", name->port,
		                 name->port);
	if (ageing_s && is_port)
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "the ageing time is a switch's, and \"%s\" is a port; write %.*s", name->port,
		                 (int)strcspn(name->port, ":"), name->port);
	if (ageing_s > NMX__FDB_AGEING_MAX_S)
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "an ageing time of %u s: a switch has 1 to %u", ageing_s, NMX__FDB_AGEING_MAX_S);
	return 0;
}

static int create(const char *text, const struct nmx_switch_options *o, struct nmx_report *why)
{
	struct nmx__segment *seg;
	struct nmx__name name;
	int err;

	if ((err = read_name(text, &name, why)) < 0 || (err = check_options(&name, o, why)) < 0 ||
	    (err = nmx__switch_check_shape(o->tx_rings, o->rx_rings, o->tx_slots, o->rx_slots, why)) < 0 ||
	    (err = nmx__seg_get(&seg, o->directory, o->segment, 0, why)) < 0)
		return err;
	err = nmx__seg_lock_to_claim(seg, why);
	if (err == 0) {
		err = make(seg, &name, o, why);
		nmx__seg_unlock(seg);
	}
	nmx__seg_put(seg);
	return err;
}

static int no_such(const struct nmx__name *name, const struct nmx_switch_options *o, struct nmx_report *why)
{
	return nmx__fail(why, NMX_ERR_NO_SUCH, 0, "there is no %s \"%s\" in the segment \"%.60s\"",
	                 strchr(name->port, ':') ? "port" : "switch", name->port, segment_of(o));
}

static int unmake(struct nmx__segment *seg, const struct nmx__name *name, const struct nmx_switch_options *o, struct nmx_report *why)
{
	struct nmx__record *home, *record;
	char key[NMX__NAME_MAX + 1];

	snprintf(key, sizeof(key), "%.*s", (int)strcspn(name->port, ":"), name->port);
	home = nmx__switch_find(seg, key);
	record = home && strchr(name->port, ':') ? nmx__port_find(seg, home, name->port) : home;
	if (!record)
		return no_such(name, o, why);
	if (record == home && !nmx__record_stays(home) && nmx__switch_is_used(seg, home))
		return nmx__fail(why, NMX_ERR_BUSY, 0, "the switch \"%s\" was not made to stay: it goes with its last port", name->port);
	if (record != home && atomic_load(&record->end[1]))
		return nmx__fail(why, NMX_ERR_BUSY, 0, "\"%s\" is open: it goes when it is closed, unless it was made to stay", name->port);
	atomic_fetch_and(&record->flags, ~(uint32_t)NMX__RECORD_STAYS);
	nmx__record_sweep(seg);
	return 0;
}

static int remove_it(const char *text, const struct nmx_switch_options *o, struct nmx_report *why)
{
	struct nmx__segment *seg;
	struct nmx__name name;
	int err;

	if ((err = read_name(text, &name, why)) < 0 || (err = look(&seg, o, why)) < 0)
		return err;
	if (!seg)
		return no_such(&name, o, why);
	err = nmx__seg_lock(seg, why);
	if (err == 0) {
		err = nmx__recover_dead(seg, why);
		if (err == 0)
			err = unmake(seg, &name, o, why);
		if (err == 0 && !nmx__seg_has_members(seg) && !nmx__records_stay(seg))
			nmx__seg_remove(seg);
		nmx__seg_unlock(seg);
	}
	nmx__seg_unlook(seg);
	return err;
}

/* ---- interfaces */

static int by_a_process(const struct nmx__name *name, const char *word, struct nmx_report *why)
{
	return nmx__fail(why, NMX_ERR_FALLBACK_UNSUPPORTED, 0,
	                 "\"%s\": an interface is in a switch of user space as long as a process forwards for it: nmx switch %s %s", name->port,
	                 word, name->port);
}

static int attach(const struct nmx__name *name, const struct nmx_switch_options *o, struct nmx_report *why)
{
	(void)o;
	return by_a_process(name, "attach", why);
}

static int detach(const struct nmx__name *name, const struct nmx_switch_options *o, struct nmx_report *why)
{
	(void)o;
	return by_a_process(name, "detach", why);
}

const struct nmx__switch_ops nmx__switch_ops = {
	.list = list,
	.each = each,
	.inspect = inspect,
	.table = show_table,
	.create = create,
	.remove = remove_it,
	.attach = attach,
	.detach = detach,
};
