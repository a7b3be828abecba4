/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <string.h>

#include "contract.h"

/* ---- links */

bool rig_link(struct link *link, const char *from, const char *to, const struct nmx_options *options)
{
	link->tx_port = support_open(from, options);
	link->rx_port = support_open(to, options);
	link->tx = support_tx(link->tx_port, 0);
	link->rx = support_rx(link->rx_port, 0);
	return true;
}

bool rig_link_pipe(struct link *link, unsigned number, const struct nmx_options *options)
{
	char ends[2][32];

	snprintf(ends[0], sizeof(ends[0]), "e{%u", number);
	snprintf(ends[1], sizeof(ends[1]), "e}%u", number);
	return rig_link(link, ends[0], ends[1], options);
}

/* ---- a rig */

bool rig_join(struct rig *rig, const struct rig *other, const struct scene *scene, unsigned number, const struct nmx_options *options)
{
	*rig = (struct rig){ .kind = other->kind, .loop = other->loop, .random = number + 1 };
	if (!scene->place->link(&rig->link, number, options))
		return false;
	rig->slots = rig->link.tx->num_slots;
	return true;
}

bool rig_open(struct rig *rig, const struct scene *scene, unsigned number, const struct nmx_options *options)
{
	const char *why = "";
	void *loop = scene->kind->open(&why);

	if (!loop) {
		print_message("skipped: %s\n", why);
		skip();
	}
	if (rig_join(rig, &(struct rig){ .kind = scene->kind, .loop = loop }, scene, number, options))
		return true;
	scene->kind->close(loop);
	return false;
}

static void on_closed(void *arg) { ((struct rig *)arg)->closed++; }

void rig_leave(struct rig *rig)
{
	int64_t deadline = support_now_ms() + LOOP_FOREVER_MS;
	unsigned until = rig->closed + (rig->receiver != NULL) + (rig->sender != NULL);

	rig->kind->rx_close(rig->receiver, on_closed);
	rig->kind->tx_close(rig->sender, on_closed);
	while (rig->closed < until) {
		require(support_now_ms() < deadline);
		rig->kind->turn(rig->loop, LOOP_MOMENT_MS);
	}
	if (!rig->receiver)
		nmx_rx_close(rig->link.rx);
	if (!rig->sender)
		nmx_tx_close(rig->link.tx);
	if (rig->link.rx_port != rig->link.tx_port)
		nmx_close(rig->link.rx_port);
	nmx_close(rig->link.tx_port);
}

void rig_close(struct rig *rig)
{
	rig_leave(rig);
	rig->kind->close(rig->loop);
}

void rig_receive(struct rig *rig, nmx_on_packets *fn)
{
	require_result(rig->kind->rx_open(&rig->receiver, rig->loop, rig->link.rx, fn, rig), 0);
}

void rig_send(struct rig *rig, nmx_on_room *fn)
{
	require_result(rig->kind->tx_open(&rig->sender, rig->loop, rig->link.tx, fn, rig), 0);
}

void rig_run(struct rig *rig, const bool *done) { loop_run(rig->kind, rig->loop, done); }

/* ---- packets: a switch looks at addresses, so all of them have some */

enum { HEADER = 14 };

void rig_write(uint8_t *data, uint64_t id)
{
	static const uint8_t header[HEADER] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0x88, 0xb5 };

	memcpy(data, header, HEADER);
	support_write(data + HEADER, RIG_LEN - HEADER, id);
}

void rig_check(const uint8_t *data, uint64_t id) { support_check(data + HEADER, RIG_LEN - HEADER, id); }

void rig_put(struct nmx_tx *tx, uint64_t first, uint32_t count)
{
	uint8_t data[RIG_LEN];

	if (nmx_tx_space(tx) < count) /* the ring may not have looked lately */
		require(nmx_tx_sync(tx) >= 0);
	for (uint64_t id = first; id < first + count; id++) {
		rig_write(data, id);
		require_result(nmx_tx_send(tx, data, sizeof(data)), 0);
	}
	require(nmx_tx_sync(tx) >= 0);
}

/* ---- traffic */

void rig_on_packets(struct nmx_rx *rx, int err, void *arg)
{
	struct rig *rig = arg;
	uint32_t taken = 0;

	require(rx == rig->link.rx);
	rig->calls++;
	if (err < 0) {
		rig->err = err;
		rig->errors++;
		rig->done = true;
		return;
	}
	require(nmx_rx_waiting(rx) > 0);
	nmx_rx_for_each (rx, frame) {
		if (rig->take_most && taken++ == rig->take_most)
			break;
		require_equal(frame.len, RIG_LEN);
		rig_check(frame.data, rig->received++);
	}
	if (rig->to_send && rig->received == rig->to_send)
		rig->done = true;
}

void rig_on_room(struct nmx_tx *tx, int err, void *arg)
{
	struct rig *rig = arg;
	uint64_t left = rig->to_send - rig->sent;
	uint32_t count = 1 + support_random(&rig->random, rig->slots);
	struct nmx_batch batch;
	uint8_t *data;

	require(tx == rig->link.tx);
	rig->rooms++;
	if (err < 0) {
		rig->err = err;
		rig->errors++;
		return;
	}
	if (left == 0)
		return;
	require(nmx_tx_space(tx) > 0);
	require(nmx_tx_reserve(tx, count < left ? count : (uint32_t)left, &batch) > 0);
	while ((data = nmx_batch_packet(&batch, RIG_LEN)))
		rig_write(data, rig->sent++);
	nmx_batch_commit(&batch);
	if (rig->sent < rig->to_send)
		rig->kind->tx_want(rig->sender, 1 + support_random(&rig->random, rig->slots));
	else
		rig->kind->tx_want(rig->sender, UINT32_MAX);
}

/* ---- running */

static struct CMUnitTest *add(struct CMUnitTest *tests, unsigned *n, const struct contract_case *c, const struct loop_kind *kind,
                              const struct place *place)
{
	struct scene *scene = malloc(sizeof(*scene));
	char *name = malloc(128);

	tests = realloc(tests, (*n + 1) * sizeof(*tests));
	if (!scene || !name || !tests)
		abort();
	*scene = (struct scene){ kind, place };
	snprintf(name, 128, "%s [%s, %s]", c->name, kind->label, place->label);
	tests[(*n)++] = (struct CMUnitTest){ name, c->test, NULL, NULL, scene };
	return tests;
}

int contract_run(const struct contract_case *cases, const struct place *places, unsigned num_places)
{
	const struct loop_kind *kinds[] = { loop_uv, loop_uring };
	struct CMUnitTest *tests = NULL;
	unsigned n = 0;
	int failed;

	for (unsigned k = 0; k < 2; k++)
		for (unsigned p = 0; kinds[k] && p < num_places; p++)
			for (const struct contract_case *c = cases; c->name; c++)
				tests = add(tests, &n, c, kinds[k], &places[p]);
	failed = _cmocka_run_group_tests("contract", tests, n, NULL, NULL);
	for (unsigned i = 0; i < n; i++) {
		free(tests[i].initial_state);
		free((void *)(uintptr_t)tests[i].name);
	}
	free(tests);
	return failed;
}
