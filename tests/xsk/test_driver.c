/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What a driver tells is what was set, as ethtool(8) shows it. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "namespace.h"
#include "xsk/driver.h"

static struct nmx__driver driver_of(const char *name)
{
	struct nmx__driver driver;

	memset(&driver, 0xff, sizeof(driver));
	require_equal(nmx__driver_read(name, &driver), 0);
	return driver;
}

static void a_veth_is_read(void **state)
{
	int keep = namespace_make();

	(void)state;
	veth("va", "vb", 3);
	const struct nmx__driver driver = driver_of("va");
	require(strcmp(driver.name, "veth") == 0);
	require(driver.bus[0] == '\0');
	require_equal(driver.rx_queues, 3);
	require_equal(driver.tx_queues, 3);
	require_equal(driver.rss_queues, 0);
	require_equal(driver.numa_node, -1);
	require_equal(driver.tx_checksum, NMX__FEATURE_ON);
	require_equal(driver.tso, NMX__FEATURE_ON);
	require_equal(driver.rx_vlan, NMX__FEATURE_ON);
	require_equal(driver.gro_hw, NMX__FEATURE_OFF);
	require_equal(driver.lro, NMX__FEATURE_OFF);
	require(driver.rx_checksum != NMX__FEATURE_UNKNOWN);
	close(keep);
}

static void what_is_set_is_seen(void **state)
{
	int keep = namespace_make();

	(void)state;
	veth("va", "vb", 3);
	if (system("ethtool -K va tx off tso off rxvlan off rx-vlan-stag-hw-parse off >/dev/null 2>&1") != 0) {
		printf("skipped: needs the command ethtool\n");
		skip();
	}
	struct nmx__driver driver = driver_of("va");
	require_equal(driver.tx_checksum, NMX__FEATURE_OFF);
	require_equal(driver.tso, NMX__FEATURE_OFF);
	require_equal(driver.rx_vlan, NMX__FEATURE_OFF);
	require_equal(driver_of("vb").tx_checksum, NMX__FEATURE_ON);
	/* Also at work, and not only how many there could be. */
	run("ethtool -L va rx 2 tx 1");
	driver = driver_of("va");
	require_equal(driver.rx_queues, 2);
	require_equal(driver.tx_queues, 1);
	close(keep);
}

static void others_tell_less(void **state)
{
	int keep = namespace_make();

	(void)state;
	const struct nmx__driver driver = driver_of("lo");
	require_equal(driver.rx_queues, 0);
	require_equal(driver.numa_node, -1);
	require_equal(driver.tx_checksum, NMX__FEATURE_ON);
	if (system("ip tuntap add dev tap0 mode tap 2>/dev/null") == 0)
		require(strcmp(driver_of("tap0").name, "tun") == 0);
	close(keep);
}

static void there_is_no_such_interface(void **state)
{
	struct nmx__driver driver;

	(void)state;
	require_equal(nmx__driver_read("nothere0", &driver), -ENODEV);
	require_equal(nmx__driver_read("", &driver), -ENODEV);
	require_equal(nmx__driver_read("a-name-that-is-too-long", &driver), -ENODEV);
	require_equal(nmx__driver_read("../../etc", &driver), -ENODEV);
	require_equal(driver.numa_node, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_veth_is_read),
		cmocka_unit_test(what_is_set_is_seen),
		cmocka_unit_test(others_tell_less),
		cmocka_unit_test(there_is_no_such_interface),
	};

	return cmocka_run_group_tests(tests, namespace_required, NULL);
}
