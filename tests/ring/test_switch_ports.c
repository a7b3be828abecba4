/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Ports of switches: making, taking over, how many; what stays; who sleeps. */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <nmx/switch.h>

#include "shm/switch.h"
#include "support.h"

enum { LEN = 60 };
static const struct nmx_options small = { .tx_slots = 4, .rx_slots = 4 };

static const uint8_t to_all[LEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1 };
static const uint8_t to_1[LEN] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };

static void send_on(struct nmx_port *port, const uint8_t *frame)
{
	NMX_AUTO(tx) tx = support_tx(port, 0);

	require_result(nmx_tx_send(tx, frame, LEN), 0);
	require(nmx_tx_sync(tx) >= 0);
}

static uint32_t receive_on(struct nmx_port *port)
{
	NMX_AUTO(rx) rx = support_rx(port, 0);
	int n = nmx_rx_sync(rx);

	require(n >= 0);
	nmx_rx_for_each (rx, frame)
		require_equal(frame.len, LEN);
	require(nmx_rx_sync(rx) >= 0);
	return (uint32_t)n;
}

/* ---- ports */

static void a_port_is_opened_once(void **state)
{
	struct nmx_port *port = support_open("vale0:a", &small);

	(void)state;
	support_open_refused("vale0:a", &small, NMX_ERR_BUSY, "is open already, by");
	nmx_close(port);
	nmx_close(support_open("vale0:a", &small));
}

static void wrong_options_are_refused(void **state)
{
	(void)state;
	support_open_refused("vale0:a", &(struct nmx_options){ .tx_rings = 17 }, NMX_ERR_BAD_OPTION,
	                     "17 transmit rings: a port of a switch has 1 to 16");
	support_open_refused("vale0:a", &(struct nmx_options){ .rx_slots = 40000 }, NMX_ERR_BAD_OPTION, "2 to 32768");
	support_open_refused("vale0:a^", NULL, NMX_ERR_FALLBACK_UNSUPPORTED, "write \"vale0:a\" alone");
	support_open_refused("vale0:a/z", NULL, NMX_ERR_FALLBACK_UNSUPPORTED, "monitors");
	support_open_refused("vale0:a@share=eth0", NULL, NMX_ERR_FALLBACK_UNSUPPORTED, "@segment=");
	support_open_refused("vale0:a@conf:slots=32768", NULL, NMX_ERR_NO_MEMORY, "segment_bufs");
}

/* A tenth of a second's worth at once; what is for one is not touched, and what nobody knows floods also where there is
 * only one other. */
static void what_floods_is_limited_where_the_port_says_so(void **state)
{
	static const uint8_t all_of_2[LEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2 };
	static const uint8_t unknown[LEN] = { 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 2 };
	const struct nmx_options options = { .tx_slots = 256, .rx_slots = 256, .flood_pps = 1000 };
	struct nmx_port *a = support_open("vale0:a", &options), *b = support_open("vale0:b", &options);
	NMX_AUTO(tx) tx = support_tx(a, 0);

	(void)state;
	send_on(b, to_all);
	for (int i = 0; i < 50; i++) {
		require_result(nmx_tx_send(tx, to_1, LEN), 0);
		for (int k = 0; k < 2; k++) {
			require_result(nmx_tx_send(tx, all_of_2, LEN), 0);
			require_result(nmx_tx_send(tx, unknown, LEN), 0);
		}
	}
	require(nmx_tx_sync(tx) >= 0);
	require_equal(receive_on(b), 150);
	require_equal(support_stats(a).tx_packets, 150);
	require_equal(support_stats(a).drop_flood, 100);
	require_equal(support_stats(a).drop_full, 0);
	nmx_close(a);
	nmx_close(b);
}

static void any_slot_counts_will_do(void **state)
{
	static const uint32_t counts[] = { 2, 3, 5, 63, 1023 };

	(void)state;
	for (unsigned i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		const struct nmx_options o = { .tx_slots = counts[i], .rx_slots = counts[sizeof(counts) / sizeof(*counts) - 1 - i] };
		NMX_AUTO(port) a = support_open("vale0:a", &o);
		NMX_AUTO(port) b = support_open("vale0:b", &o);

		for (uint32_t n = 0; n < 3 * counts[i]; n++) {
			send_on(a, to_all);
			require_equal(receive_on(b), 1);
		}
	}
}

static void a_switch_has_254_ports(void **state)
{
	static struct nmx_port *ports[255];
	const struct nmx_options o = { .tx_slots = 2, .rx_slots = 2 };
	char name[24];

	(void)state;
	for (int i = 0; i < 254; i++) {
		snprintf(name, sizeof(name), "vale0:p%d", i);
		ports[i] = support_open(name, &o);
	}
	support_open_refused("vale0:more", &o, NMX_ERR_NO_MEMORY, "has its 254 ports");
	ports[254] = support_open("vale1:more", &o);
	send_on(ports[253], to_all);
	for (int i = 0; i < 253; i++)
		require_equal(receive_on(ports[i]), 1);
	send_on(ports[7], to_1); /* known, though the number is the highest */
	require_equal(receive_on(ports[253]), 1);
	require_equal(receive_on(ports[254]), 0); /* another switch */
	for (int i = 0; i < 255; i++)
		nmx_close(ports[i]);
}

static void a_number_that_is_used_again_has_no_past(void **state)
{
	struct nmx_port *a = support_open("vale0:a", &small), *b = support_open("vale0:b", &small), *c = support_open("vale0:c", &small);
	struct nmx_info was, is;

	(void)state;
	send_on(a, to_all);
	receive_on(b), receive_on(c);
	nmx_port_info(a, &was);
	nmx_close(a);
	a = support_open("vale0:other", &small);
	nmx_port_info(a, &is);
	require_equal(is.switch_port, was.switch_port);
	send_on(b, to_1); /* not known any more: to everybody */
	require_equal(receive_on(a), 1);
	require_equal(receive_on(c), 1);
	nmx_close(a);
	nmx_close(b);
	nmx_close(c);
}

static void who_only_sends_is_sent_nothing(void **state)
{
	NMX_AUTO(port) a = support_open("vale0:a", &small);
	NMX_AUTO(port) b = support_open("vale0:b/T", &small);
	NMX_AUTO(port) c = support_open("vale0:c", &small);

	(void)state;
	send_on(b, to_all);
	require_equal(receive_on(a), 1);
	require_equal(receive_on(c), 1);
	send_on(a, to_1); /* is at b */
	require_equal(receive_on(c), 0);
	require_equal(support_stats(a).drop_no_port, 1);
	send_on(a, to_all);
	require_equal(support_stats(a).drop_full, 0);
}

/* ---- what stays */

struct seen {
	uint32_t ports, stay, used;
	char last[64];
	uint64_t received;
};

static int see(const struct nmx_switch_port *port, void *arg)
{
	struct seen *seen = arg;

	seen->ports++;
	seen->stay += port->stays;
	seen->used += *port->user != '\0';
	seen->received += port->stats.rx_packets;
	memcpy(seen->last, port->name, sizeof(seen->last));
	return 0;
}

static struct seen look(void)
{
	struct seen seen = { 0 };

	require_result(nmx_switch_list(&(struct nmx_switch_options){ 0 }, see, &seen, NULL), 0);
	return seen;
}

static void a_port_that_was_made_to_stay_does(void **state)
{
	const struct nmx_switch_options shape = { .rx_slots = 8, .rx_rings = 2 };
	struct nmx_report why;
	struct nmx_info info;
	struct nmx_port *a, *b;

	(void)state;
	require_equal(look().ports, 0);
	require_result(nmx_switch_create("vale0:v", &shape, &why), 0);
	require_result(nmx_switch_create("vale0:v", &shape, &why), NMX_ERR_BUSY);
	require_equal(look().stay, 1);
	require_equal(look().used, 0);
	a = support_open("vale0:v", NULL);
	nmx_port_info(a, &info);
	require_equal(info.rx_rings, 2);
	require_equal(info.rx_slots, 8);
	b = support_open("vale0:b", &small);
	send_on(b, to_all);
	require_equal(receive_on(a), 1);
	require_equal(look().used, 2);
	require_equal(look().received, 1);
	require_result(nmx_switch_remove("vale0:v", NULL, &why), NMX_ERR_BUSY);
	send_on(b, to_all); /* is not received, and not for the next who has the port */
	nmx_close(a);
	support_open_refused("vale0:v@conf:rx-rings=1", NULL, NMX_ERR_BAD_OPTION, "was made with 2 receive rings");
	a = support_open("vale0:v", NULL);
	require_equal(receive_on(a), 0);
	require_equal(support_stats(a).rx_packets, 1); /* of who had it before */
	nmx_close(a);
	nmx_close(b);
	require_equal(look().ports, 1);
	require_result(nmx_switch_remove("vale0:v", NULL, &why), 0);
	require_equal(support_directory_entries(), 0);
	require(nmx_switch_remove("vale0:v", NULL, &why) == NMX_ERR_NO_SUCH);
}

static int take_name(const struct nmx_switch_port *port, void *arg)
{
	memcpy(arg, port->name, sizeof(port->name));
	return 0;
}

static void names_are_shown_without_controls(void **state)
{
	const char wrong[] = "vale0:\x1b[2J\x7f\xc2\x9b\x9b \xc3\x9f", shown[] = "vale0:?[2J?\xc2???\xc3\x9f";
	struct nmx_switch_options options = { 0 };
	struct nmx_port *port = support_open("vale0:a", NULL);
	struct nmx__segment *seg;
	struct nmx_report why;
	char name[64];

	(void)state;
	require_result(nmx__seg_get(&seg, NULL, NULL, 0, &why), 0);
	memcpy(nmx__port_find(seg, nmx__switch_find(seg, "vale0"), "vale0:a")->name, wrong, sizeof(wrong));
	require_result(nmx_switch_list(&options, take_name, name, &why), 0);
	require_equal(strcmp(name, shown), 0);
	nmx__seg_put(seg);
	nmx_close(port);
}

static void a_switch_may_stay_too(void **state)
{
	struct nmx_report why;

	(void)state;
	require_result(nmx_switch_create("vale7", NULL, &why), 0);
	nmx_close(support_open("vale7:a", &small));
	require(support_directory_entries() > 0);
	require_result(nmx_switch_create("eth0", NULL, &why), NMX_ERR_BAD_NAME);
	require_result(nmx_switch_create("vale7:a/R", NULL, &why), NMX_ERR_BAD_NAME);
	require_result(nmx_switch_attach("vale7:eth0", NULL, &why), NMX_ERR_FALLBACK_UNSUPPORTED);
	require_contains(why.text, "nmx switch attach vale7:eth0");
	require_result(nmx_switch_remove("vale7", NULL, &why), 0);
	require_equal(support_directory_entries(), 0);
}

static int see_switch(const char *name, const struct nmx_switch_info *info, void *arg)
{
	struct seen *seen = arg;

	seen->ports += info->ports;
	seen->stay += info->stays;
	snprintf(seen->last, sizeof(seen->last), "%s", name);
	return 0;
}

static void a_switch_is_found_also_without_ports(void **state)
{
	struct nmx_port *a = support_open("vale1:a", &small);
	struct seen seen = { 0 };

	(void)state;
	require_result(nmx_switch_create("vale3", NULL, NULL), 0);
	require_result(nmx_switch_each(NULL, see_switch, &seen, NULL), 0);
	require(seen.ports == 1 && seen.stay == 1 && strcmp(seen.last, "vale3") == 0);
	require_result(nmx_switch_remove("vale1", NULL, NULL), NMX_ERR_BUSY);
	nmx_close(a);
	require_result(nmx_switch_remove("vale3", NULL, NULL), 0);
	require_result(nmx_switch_remove("vale3", NULL, NULL), NMX_ERR_NO_SUCH);
}

/* ---- sleep */

static void *receive_one(void *arg)
{
	NMX_AUTO(rx) rx = support_rx(arg, 0);
	struct nmx_frame frame;

	while (nmx_rx_sync(rx) == 0)
		require(nmx_rx_wait(rx, -1) >= 0);
	require(nmx_rx_recv(rx, &frame));
	return NULL;
}

static void a_sleeping_receiver_is_woken_and_a_busy_one_costs_no_call(void **state)
{
	NMX_AUTO(port) a = support_open("vale0:a", &small);
	NMX_AUTO(port) b = support_open("vale0:b", &small);
	pthread_t thread;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		send_on(a, to_all);
		require_equal(receive_on(b), 1);
	}
	require_equal(support_stats(a).wakeups, 0);
	for (int i = 0; i < 20; i++) {
		uint64_t sleeps = support_stats(b).sleeps;

		require_equal(pthread_create(&thread, NULL, receive_one, b), 0);
		while (support_stats(b).sleeps == sleeps)
			usleep(100);
		send_on(a, to_all);
		require_equal(pthread_join(thread, NULL), 0);
	}
	require(support_stats(a).wakeups > 0);
}

static void *drain_slowly(void *arg)
{
	NMX_AUTO(rx) rx = support_rx(arg, 0);
	uint64_t next = 0;

	while (next < 20000) {
		int n = nmx_rx_sync(rx);

		require(n >= 0);
		nmx_rx_for_each (rx, frame) {
			uint64_t id;

			memcpy(&id, frame.data + 14, sizeof(id));
			require_equal(id, next++);
		}
		if (n == 0)
			require(nmx_rx_wait(rx, 1000) >= 0);
	}
	return NULL;
}

static void a_sender_sleeps_until_there_is_room(void **state)
{
	NMX_AUTO(port) b = support_open("vale0:b", &small);
	NMX_AUTO(port) a = support_open("vale0:a@block", &(struct nmx_options){ .tx_slots = 16 });
	uint8_t frame[LEN] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };
	NMX_AUTO(tx) tx = support_tx(a, 0);
	pthread_t thread;

	(void)state;
	send_on(b, to_all);
	require_equal(pthread_create(&thread, NULL, drain_slowly, b), 0);
	for (uint64_t id = 0; id < 20000;) {
		memcpy(frame + 14, &id, sizeof(id));
		if (nmx_tx_send(tx, frame, LEN) == 0) {
			id++;
			continue;
		}
		if (nmx_tx_sync(tx) == 0)
			require(nmx_tx_wait(tx, 1 + (uint32_t)(id % 15), -1) >= 0);
	}
	require_result(nmx_tx_drain(tx, 10000), 0);
	require_equal(pthread_join(thread, NULL), 0);
	require_equal(support_stats(a).drop_full, 0);
}

static void *wait_for_all_slots(void *tx)
{
	require_result(nmx_tx_drain(tx, 10000), 0);
	nmx_tx_unbind(tx);
	return NULL;
}

/* The sender still looks at the queue, when its memory is another's.  (For ThreadSanitizer.) */
static void a_port_goes_and_another_comes_while_a_sender_wakes_up(void **state)
{
	NMX_AUTO(port) a = support_open("vale0:a@block", &(struct nmx_options){ .tx_slots = 8 });
	struct nmx_port *b = support_open("vale0:b", &small);
	NMX_AUTO(tx) tx = support_tx(a, 0);
	pthread_t thread;

	(void)state;
	for (int i = 0; i < 6; i++)
		require_result(nmx_tx_send(tx, to_1, LEN), 0);
	require_result(nmx_tx_sync(tx), 5); /* two wait */
	nmx_tx_unbind(tx);
	require_equal(pthread_create(&thread, NULL, wait_for_all_slots, tx), 0);
	while (support_stats(a).sleeps == 0)
		usleep(100);
	nmx_close(b);
	b = support_open("vale0:b", &small);
	require_equal(pthread_join(thread, NULL), 0);
	nmx_close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_port_is_opened_once),
		cmocka_unit_test(wrong_options_are_refused),
		cmocka_unit_test(what_floods_is_limited_where_the_port_says_so),
		cmocka_unit_test(any_slot_counts_will_do),
		cmocka_unit_test(a_switch_has_254_ports),
		cmocka_unit_test(a_number_that_is_used_again_has_no_past),
		cmocka_unit_test(who_only_sends_is_sent_nothing),
		cmocka_unit_test(a_port_that_was_made_to_stay_does),
		cmocka_unit_test(names_are_shown_without_controls),
		cmocka_unit_test(a_switch_may_stay_too),
		cmocka_unit_test(a_switch_is_found_also_without_ports),
		cmocka_unit_test(a_sleeping_receiver_is_woken_and_a_busy_one_costs_no_call),
		cmocka_unit_test(a_sender_sleeps_until_there_is_room),
		cmocka_unit_test(a_port_goes_and_another_comes_while_a_sender_wakes_up),
	};

	return cmocka_run_group_tests_name("switch_ports", tests, support_make_directory, support_remove_directory);
}
