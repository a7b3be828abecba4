/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What a switch knows: which host is at which port, for how long, who may read it; and its forwarding table by itself. */
#include <string.h>

#include <nmx/switch.h>

#include "base/clock.h"
#include "shm/switch.h"
#include "switch_ends.h"

/* ---- of a live switch */

static int count_address(const struct nmx_switch_address *address, void *arg)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };

	require(memcmp(address->mac, mac, sizeof(mac)) == 0);
	++*(uint32_t *)arg;
	return 0;
}

static void the_table_can_be_read(void **state)
{
	struct nmx_report why;
	struct end ends[2];
	uint32_t n = 0;

	(void)state;
	open_ends(ends, 2, NULL);
	announce(&ends[0], 1, ends, 2);
	require_result(nmx_switch_table("vale0", NULL, count_address, &n, &why), 0);
	require_equal(n, 1);
	require_result(nmx_switch_table("vale3", NULL, count_address, &n, &why), NMX_ERR_NO_SUCH);
	close_ends(ends, 2);
}

/* Where the live switch's table has an address, seen from so many seconds from now. */
static uint32_t known_in(uint32_t seconds, uint64_t mac)
{
	struct nmx__segment *seg;
	struct nmx__fdb fdb;
	uint32_t port;

	require_result(nmx__seg_look(&seg, NULL, "default", NULL), 0);
	fdb = nmx__fdb_of(seg, nmx__switch_of(seg, nmx__switch_find(seg, "vale0")));
	port = nmx__fdb_find(&fdb, mac, (uint32_t)(nmx__coarse_ms() / 1000) + seconds, NULL);
	nmx__seg_unlook(seg);
	return port;
}

static uint32_t ageing_of(const char *name)
{
	struct nmx_switch_info info;

	require_result(nmx_switch_inspect(name, NULL, &info, NULL), 0);
	return info.ageing_s;
}

static void a_switch_forgets_after_the_time_that_it_was_made_with(void **state)
{
	const uint64_t host_1 = 0x010000000002; /* in the order of memory */
	struct nmx_switch_info info;
	struct nmx_report why;
	struct end ends[2];

	(void)state;
	require_result(nmx_switch_create("vale0", &(struct nmx_switch_options){ .ageing_s = 60 }, &why), 0);
	open_ends(ends, 2, NULL);
	announce(&ends[0], 1, ends, 2);
	require(known_in(50, host_1) > 0);
	require_equal(known_in(61, host_1), 0);
	require_equal(ageing_of("vale0"), 60);
	require_result(nmx_switch_inspect("vale0", NULL, &info, &why), 0);
	require(info.stays);
	require_result(nmx_switch_remove("vale0", NULL, &why), 0); /* it is there still, for its ports */
	require_result(nmx_switch_create("vale0", &(struct nmx_switch_options){ .ageing_s = 3600 }, &why), 0);
	require(known_in(3500, host_1) > 0);
	require_equal(known_in(3601, host_1), 0);
	close_ends(ends, 2);
	require_result(nmx_switch_remove("vale0", NULL, &why), 0);
	require_equal(support_directory_entries(), 0);
}

static void a_time_that_cannot_be_is_refused(void **state)
{
	struct nmx_switch_info info;
	struct nmx_report why;
	struct nmx_port *a;

	(void)state;
	require_result(nmx_switch_create("vale0", &(struct nmx_switch_options){ .ageing_s = 86401 }, &why), NMX_ERR_BAD_OPTION);
	require_contains(why.text, "86401 s: a switch has 1 to 86400");
	require_result(nmx_switch_create("vale0:v", &(struct nmx_switch_options){ .ageing_s = 60 }, &why), NMX_ERR_BAD_OPTION);
	require_contains(why.text, "\"vale0:v\" is a port; write vale0");
	require_equal(support_directory_entries(), 0);
	a = support_open("vale0:a", &small);
	require_equal(ageing_of("vale0"), 300);
	require_result(nmx_switch_inspect("vale1", NULL, &info, &why), NMX_ERR_NO_SUCH);
	nmx_close(a);
}

/* ---- the table by itself */

static struct nmx__fdb new_table(uint64_t key)
{
	struct nmx__switch *sw = aligned_alloc(128, sizeof(*sw));

	memset(sw, 0, sizeof(*sw));
	return (struct nmx__fdb){ .sw = sw, .key = key };
}

static uint64_t random_mac(uint32_t *seed)
{
	return ((uint64_t)support_random(seed, 1u << 24) << 24 | support_random(seed, 1u << 24)) & ~1ull;
}

static void an_address_is_forgotten_in_time(void **state)
{
	struct nmx__fdb fdb = new_table(77);
	const uint32_t starts[] = { 0, 1000, (1u << 18) - 100, 0xffffff00 };

	(void)state;
	for (unsigned i = 0; i < sizeof(starts) / sizeof(*starts); i++) {
		uint32_t at = starts[i];

		nmx__fdb_learn(&fdb, 0x20000000002, 5, at, NULL);
		require_equal(nmx__fdb_find(&fdb, 0x20000000002, at + 299, NULL), 5);
		require_equal(nmx__fdb_find(&fdb, 0x20000000002, at + 300, NULL), 0);
		nmx__fdb_learn(&fdb, 0x20000000002, 6, at + 200, NULL);
		require_equal(nmx__fdb_find(&fdb, 0x20000000002, at + 499, NULL), 6);
		for (uint32_t t = 200; t < 1000; t++)
			nmx__fdb_tick(&fdb, at + t);
		/* So long after that the words' clock has come round: it was cleaned away. */
		require_equal(nmx__fdb_find(&fdb, 0x20000000002, at + 200 + (1u << 18), NULL), 0);
		nmx__fdb_learn(&fdb, 0x20000000002, 6, at + 1000, NULL);
		nmx__fdb_tick(&fdb, at + 1000 + (1u << 18)); /* and after a long silence, all at once */
		require_equal(nmx__fdb_find(&fdb, 0x20000000002, at + 1000 + (1u << 18), NULL), 0);
	}
	free(fdb.sw);
}

static int check_learnt(uint64_t mac, uint32_t port, uint32_t age_s, void *arg)
{
	(void)age_s;
	require_equal(port, 1 + mac % 254);
	++*(uint32_t *)arg;
	return 0;
}

static void no_two_addresses_are_taken_for_each_other(void **state)
{
	(void)state;
	for (uint64_t key = 0; key < 5; key++) {
		struct nmx__fdb fdb = new_table(key * 0x9e3779b97f4a7c15);
		uint32_t seed = 1, again = 1, known = 0, listed = 0;

		for (uint32_t i = 0; i < 20000; i++) {
			uint64_t mac = random_mac(&seed);

			nmx__fdb_learn(&fdb, mac, 1 + (uint32_t)(mac % 254), 10, NULL);
			require_equal(nmx__fdb_find(&fdb, mac, 10, NULL), 1 + mac % 254);
		}
		for (uint32_t i = 0; i < 20000; i++) {
			uint64_t mac = random_mac(&again);
			uint32_t port = nmx__fdb_find(&fdb, mac, 10, NULL);

			require(port == 0 || port == 1 + mac % 254);
			known += port != 0;
			for (int bit = 0; bit < 48; bit++) /* neighbours */
				if ((port = nmx__fdb_find(&fdb, mac ^ 1ull << bit, 10, NULL)))
					require_equal(port, 1 + (mac ^ 1ull << bit) % 254);
		}
		require(known > 6000); /* of 8192 words */
		nmx__fdb_each(&fdb, 10, check_learnt, &listed); /* the addresses come out as they went in */
		require(listed > 6000 && listed <= NMX__FDB_BUCKETS * NMX__FDB_WAYS);
		nmx__fdb_forget(&fdb, 7);
		for (uint32_t i = 0; i < NMX__FDB_BUCKETS * NMX__FDB_WAYS; i++)
			require((((uint64_t *)fdb.sw->fdb)[i] >> 18 & 0xff) != 7);
		free(fdb.sw);
	}
}

static void a_table_flooded_with_addresses_forgets_the_oldest(void **state)
{
	struct nmx__fdb fdb = new_table(3);
	uint32_t seed = 9;

	(void)state;
	for (uint32_t now = 1; now < 20; now++) {
		nmx__fdb_learn(&fdb, 0x20000000002, 9, now, NULL);
		require_equal(nmx__fdb_find(&fdb, 0x20000000002, now, NULL), 9);
		for (uint32_t i = 0; i < 3000; i++)
			nmx__fdb_learn(&fdb, random_mac(&seed), 100, now, NULL);
	}
	nmx__fdb_learn(&fdb, 0x20000000002, 4, 20, NULL); /* learnt twice by two ports at once: then moved */
	require_equal(nmx__fdb_find(&fdb, 0x20000000002, 20, NULL), 4);
	free(fdb.sw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_can_be_read),
		cmocka_unit_test(a_switch_forgets_after_the_time_that_it_was_made_with),
		cmocka_unit_test(a_time_that_cannot_be_is_refused),
		cmocka_unit_test(an_address_is_forgotten_in_time),
		cmocka_unit_test(no_two_addresses_are_taken_for_each_other),
		cmocka_unit_test(a_table_flooded_with_addresses_forgets_the_oldest),
	};

	return cmocka_run_group_tests_name("switch_table", tests, support_make_directory, support_remove_directory);
}
