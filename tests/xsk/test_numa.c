/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A node is preferred for as long as it is asked for; whoever has a policy of his own keeps it. */
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/mempolicy.h>

#include "support.h"
#include "xsk/numa.h"

static unsigned long nodes[16]; /* of the policy that was asked for last */

static int policy(void)
{
	int mode = -1;

	memset(nodes, 0, sizeof(nodes));
	if (syscall(SYS_get_mempolicy, &mode, nodes, sizeof(nodes) * 8, NULL, 0ul) < 0) {
		print_message("skipped: the kernel has no memory policies (CONFIG_NUMA): %s\n", strerror(errno));
		skip();
	}
	return mode;
}

static void a_node_is_preferred_until_it_is_restored(void **state)
{
	bool preferred;

	(void)state;
	require_equal(policy(), MPOL_DEFAULT);
	preferred = nmx__numa_prefer(0);
	require(preferred);
	require_equal(policy(), MPOL_PREFERRED);
	require_equal(nodes[0], 1);
	nmx__numa_restore(preferred);
	require_equal(policy(), MPOL_DEFAULT);
}

static void what_is_no_node_changes_nothing(void **state)
{
	static const int none[] = { -1, 1023, 1024, 100000, -2147483647 };

	(void)state;
	for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		require_equal(policy(), MPOL_DEFAULT);
		require(!nmx__numa_prefer(none[i]));
		require_equal(policy(), MPOL_DEFAULT);
		nmx__numa_restore(false);
	}
}

static void a_policy_that_is_set_stays(void **state)
{
	unsigned long first = 1;

	(void)state;
	require_equal(policy(), MPOL_DEFAULT);
	require(syscall(SYS_set_mempolicy, MPOL_BIND, &first, sizeof(first) * 8) == 0);
	require(!nmx__numa_prefer(0));
	require_equal(policy(), MPOL_BIND);
	nmx__numa_restore(false);
	require_equal(policy(), MPOL_BIND);
	require(syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0ul) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_node_is_preferred_until_it_is_restored),
		cmocka_unit_test(what_is_no_node_changes_nothing),
		cmocka_unit_test(a_policy_that_is_set_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
