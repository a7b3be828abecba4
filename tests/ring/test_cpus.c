/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* In what order CPUs are taken for workers, on machines that are files in a directory; and what the kernel says of ours. */
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cpus.h"
#include "support.h"

enum { MANY = 64 };

/* The files stay in the test's directory until its end, and are removed one by one. */
static char made[512][160];
static int num_made;

static void make(bool is_file, const char *path, const char *content)
{
	FILE *file;

	if (!is_file) {
		if (mkdir(path, 0700) < 0)
			return; /* by an earlier file */
	} else {
		file = fopen(path, "w");
		require(file != NULL);
		fputs(content, file);
		fclose(file);
	}
	require(num_made < 512);
	snprintf(made[num_made++], sizeof(made[0]), "%s", path);
}

static void say(const char *relative, const char *content)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", support_directory(), relative);
	for (char *slash = strchr(path + strlen(support_directory()) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		make(false, path, NULL);
		*slash = '/';
	}
	make(true, path, content);
}

static void say_siblings(int cpu, const char *list)
{
	char path[96];

	snprintf(path, sizeof(path), "devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
	say(path, list);
}

static void forget(void)
{
	while (num_made > 0)
		require(remove(made[--num_made]) == 0);
}

static struct nmx__cpus set_of(int from, int to)
{
	struct nmx__cpus set = { 0 };

	for (int cpu = from; cpu <= to; cpu++)
		nmx__cpus_add(&set, (uint32_t)cpu);
	return set;
}

static void require_order(const struct nmx__cpus *set, int node, uint32_t max, const char *expected, uint32_t expected_near)
{
	char text[512] = "";
	int order[MANY], n;
	uint32_t near = 99;

	n = nmx__cpus_order(set, support_directory(), node, order, max, &near);
	for (int i = 0; i < n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), i ? " %d" : "%d", order[i]);
	if (strcmp(text, expected) != 0)
		support_fail(__FILE__, __LINE__, "node %d, at most %u: \"%s\", expected \"%s\"", node, max, text, expected);
	require_equal(near, expected_near);
}

/* Two nodes of two cores with two threads each: the second threads have the high numbers, as on most machines. */
static void make_two_nodes(void)
{
	static const char *const siblings[] = { "0,4\n", "1,5\n", "2,6\n", "3,7\n" };

	for (int cpu = 0; cpu < 8; cpu++)
		say_siblings(cpu, siblings[cpu % 4]);
	say("devices/system/node/node0/cpulist", "0-1,4-5\n");
	say("devices/system/node/node1/cpulist", "2-3,6-7\n");
}

static void the_node_comes_first_and_cores_before_threads(void **state)
{
	struct nmx__cpus all = set_of(0, 7);

	(void)state;
	make_two_nodes();
	require_order(&all, 0, MANY, "0 1 4 5 2 3 6 7", 4);
	require_order(&all, 1, MANY, "2 3 6 7 0 1 4 5", 4);
	require_order(&all, 1, 3, "2 3 6", 4);
	require_order(&all, -1, MANY, "0 1 2 3 4 5 6 7", 0);
	forget();
}

static void a_mask_leaves_what_is_in_it(void **state)
{
	struct nmx__cpus mask = { 0 };

	(void)state;
	make_two_nodes();
	nmx__cpus_add(&mask, 4); /* the first of its core in the mask */
	nmx__cpus_add(&mask, 3);
	nmx__cpus_add(&mask, 7);
	require_order(&mask, 0, MANY, "4 3 7", 1);
	require_order(&mask, 1, MANY, "3 7 4", 2);
	require_order(&mask, 1, 1, "3", 2);
	require_order(&(struct nmx__cpus){ { 0 } }, 1, MANY, "", 0);
	forget();
}

static void a_machine_that_says_nothing_is_taken_by_numbers(void **state)
{
	struct nmx__cpus all = set_of(0, 3);

	(void)state;
	require_order(&all, -1, MANY, "0 1 2 3", 0);
	require_order(&all, 5, MANY, "0 1 2 3", 0);
	for (int i = 0; i < 4; i++) {
		static const char *const nonsense[] = { "", "\n", "none\n", "3-1,x\n" };

		say("devices/system/node/node5/cpulist", nonsense[i]);
		require_order(&all, 5, MANY, "0 1 2 3", 0);
		forget();
	}
	say("devices/system/node/node5/cpulist", "3,1022-100000"); /* beyond what there can be */
	require_order(&all, 5, MANY, "3 0 1 2", 1);
	forget();
}

static void a_list_is_shown_as_ranges(void **state)
{
	struct nmx__cpus set = set_of(0, 3);
	char text[64];

	(void)state;
	nmx__cpus_add(&set, 8);
	nmx__cpus_add(&set, NMX__MAX_CPUS - 1);
	nmx__cpus_add(&set, NMX__MAX_CPUS); /* there is no such */
	nmx__cpus_text(&set, text, sizeof(text));
	require(strcmp(text, "CPUs 0-3,8,1023") == 0);
	nmx__cpus_text(&set, text, 9);
	require(strcmp(text, "CPUs 0-3") == 0);
	nmx__cpus_text(&(struct nmx__cpus){ { 0 } }, text, sizeof(text));
	require(strcmp(text, "CPUs") == 0);
}

/* As the C library sees it. */
static void the_kernel_is_asked_and_obeyed(void **state)
{
	struct nmx__cpus allowed;
	cpu_set_t before, now;
	int first = -1;

	(void)state;
	require(sched_getaffinity(0, sizeof(before), &before) == 0);
	require_equal(nmx__cpus_allowed(&allowed), 0);
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--) {
		require_equal(nmx__cpus_has(&allowed, (uint32_t)cpu), !!CPU_ISSET(cpu, &before));
		first = CPU_ISSET(cpu, &before) ? cpu : first;
	}
	require_equal(nmx__cpu_pin(first), 0);
	require(sched_getaffinity(0, sizeof(now), &now) == 0);
	require(CPU_COUNT(&now) == 1 && CPU_ISSET(first, &now));
	require_equal(nmx__cpu_pin(NMX__MAX_CPUS - 1), -EINVAL);
	require_equal(nmx__cpu_pin(NMX__MAX_CPUS), -EINVAL);
	require_equal(nmx__cpu_pin(-1), -EINVAL);
	require(sched_setaffinity(0, sizeof(before), &before) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_node_comes_first_and_cores_before_threads),
		cmocka_unit_test(a_mask_leaves_what_is_in_it),
		cmocka_unit_test(a_machine_that_says_nothing_is_taken_by_numbers),
		cmocka_unit_test(a_list_is_shown_as_ranges),
		cmocka_unit_test(the_kernel_is_asked_and_obeyed),
	};

	return cmocka_run_group_tests(tests, support_make_directory, support_remove_directory);
}
