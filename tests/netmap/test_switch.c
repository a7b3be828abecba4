/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* <nmx/switch.h> on switches of the kernel. */
#include <string.h>

#include <nmx/switch.h>

#include "ports.h"

static const struct nmx_switch_options kernel = { .backend = NMX_NETMAP }, kernel_host = { .backend = NMX_NETMAP, .flags = NMX_SWITCH_HOST };

static int find(const struct nmx_switch_port *port, void *arg)
{
	struct nmx_switch_port *wanted = arg;

	if (strcmp(port->name, wanted->name) != 0)
		return 0;
	*wanted = *port;
	return 1;
}

static bool is_listed(const char *name, struct nmx_switch_port *port)
{
	struct nmx_report why;
	int found;

	memset(port, 0, sizeof(*port));
	snprintf(port->name, sizeof(port->name), "%s", name);
	found = nmx_switch_list(&kernel, find, port, &why);
	require(found >= 0);
	return found == 1;
}

static void refused(int is, int err, const struct nmx_report *why, const char *part)
{
	require_result(is, err);
	require_contains(why->text, part);
}

struct switches {
	uint32_t switches, ports;
	char first[64], last[64];
};

static int see_switch(const char *name, const struct nmx_switch_info *info, void *arg)
{
	struct switches *seen = arg;

	require_equal(info->backend, NMX_NETMAP);
	require_equal(info->switch_index, seen->switches);
	seen->ports += info->ports;
	snprintf(seen->last, sizeof(seen->last), "%s", name);
	if (seen->switches++ == 0)
		snprintf(seen->first, sizeof(seen->first), "%s", name);
	return 0;
}

static struct switches look_at_switches(void)
{
	struct switches seen = { 0 };
	struct nmx_report why;

	require_result(nmx_switch_each(&kernel, see_switch, &seen, &why), 0);
	return seen;
}

static void what_is_attached_stays_until_it_is_detached(void **state)
{
	struct nmx_switch_port port;
	struct nmx_report why;

	(void)state;
	standin_nic("eth0", 1, 16);
	standin_nic("eth1", 1, 16);
	require(!is_listed("vale0:eth0", &port));
	require_result(nmx_switch_attach("vale0:eth0", &kernel, &why), 0);
	require_result(nmx_switch_attach("vale0:eth1", &kernel_host, &why), 1);
	require_equal(standin.opened, standin.closed);
	require(is_listed("vale0:eth0", &port) && port.index == 0 && port.switch_index == 0 && port.backend == NMX_NETMAP && !port.stuck);
	require(is_listed("vale0:eth1", &port) && port.index == 1);
	refused(nmx_switch_attach("vale0:eth0", &kernel, &why), NMX_ERR_BUSY, &why, "in a switch already");
	require(nmx_switch_detach("vale0:eth0", &kernel, &why) >= 0);
	require(!is_listed("vale0:eth0", &port));
	refused(nmx_switch_detach("vale0:eth0", &kernel, &why), NMX_ERR_NO_SUCH, &why, "is not attached");
	require(nmx_switch_detach("vale0:eth1", &kernel, &why) >= 0);
}

static void what_cannot_be_attached_is_said(void **state)
{
	struct nmx_port *port;
	struct nmx_report why;

	(void)state;
	standin_nic("eth0", 1, 16);
	refused(nmx_switch_attach("vale0:eth7", &kernel, &why), NMX_ERR_NO_SUCH, &why, "\"eth7\"");
	refused(nmx_switch_attach("eth0", &kernel, &why), NMX_ERR_BAD_NAME, &why, "write vale0:eth0");
	refused(nmx_switch_attach("vale0:eth0/x", &kernel, &why), NMX_ERR_BAD_NAME, &why, "write vale0:eth0");
	port = ports_open("eth0", NULL);
	refused(nmx_switch_attach("vale0:eth0", &kernel, &why), NMX_ERR_BUSY, &why, "or open");
	nmx_close(port);
}

static void persistent_ports_are_made_and_removed(void **state)
{
	struct nmx_switch_options slots = kernel, ageing = kernel;
	struct nmx_switch_info info;
	struct nmx_report why;
	struct pair p;

	(void)state;
	slots.tx_slots = slots.rx_slots = 64;
	require_result(nmx_switch_create("v0", &slots, &why), 0);
	refused(nmx_switch_create("v0", &kernel, &why), NMX_ERR_BUSY, &why, "already");
	refused(nmx_switch_create("vale0:v0", &kernel, &why), NMX_ERR_BAD_NAME, &why, "attach vale0:v0");
	refused(nmx_switch_create("a_name_that_is_long", &kernel, &why), NMX_ERR_BAD_NAME, &why, "15 characters");
	ageing.ageing_s = 60;
	refused(nmx_switch_create("v1", &ageing, &why), NMX_ERR_FALLBACK_UNSUPPORTED, &why, "--backend switch");
	refused(nmx_switch_inspect("vale0", &kernel, &info, &why), NMX_ERR_FALLBACK_UNSUPPORTED, &why, "does not tell");
	require_result(nmx_switch_attach("vale0:v0", &kernel, &why), 0);
	require(nmx_switch_detach("vale0:v0", &kernel, &why) >= 0);
	require_result(nmx_switch_attach("vale0:v0", &kernel, &why), 0);
	p = ports_pair("vale0:v0", "vale0:other", NULL);
	require_equal(p.tx->num_slots, 64);
	support_send(p.tx, 0, 3, 60);
	support_expect(p.rx, 0, 3, 60);
	ports_close(&p);
	require(nmx_switch_detach("vale0:v0", &kernel, &why) >= 0);
	require_result(nmx_switch_remove("v0", &kernel, &why), 0);
	refused(nmx_switch_remove("v0", &kernel, &why), NMX_ERR_NO_SUCH, &why, "no interface has this name");
	standin_nic("eth0", 1, 16);
	refused(nmx_switch_remove("eth0", &kernel, &why), NMX_ERR_NO_SUCH, &why, "another's");
}

/* Today's netmap: the port still works, by its rings' own descriptors too, but it cannot be had out any more. */
static void a_port_that_netmap_renames_is_told(void **state)
{
	struct nmx_switch_port port;
	struct nmx_report why;
	struct pair p;

	(void)state;
	standin.renames = true;
	require_result(nmx_switch_create("v0", &kernel, &why), 0);
	require_result(nmx_switch_attach("vale0:v0", &kernel, &why), 0);
	p = ports_pair("vale0:v0", "vale0:other", NULL);
	support_send(p.tx, 0, 3, 60);
	support_expect(p.rx, 0, 3, 60);
	ports_close(&p);
	require(is_listed("v0", &port) && port.stuck);
	require(look_at_switches().switches == 1 && strcmp(look_at_switches().last, "v0") == 0);
	refused(nmx_switch_detach("vale0:v0", &kernel, &why), NMX_ERR_BUSY, &why, "until the machine is booted again");
	refused(nmx_switch_remove("v0", &kernel, &why), NMX_ERR_BUSY, &why, "is stuck in its switch");
	ports_refused("vale0:v0", NULL, NMX_ERR_BIND_FAIL, "open \"v0\"");
}

static int stop_at_first(const struct nmx_switch_port *port, void *arg)
{
	(void)port;
	++*(int *)arg;
	return 7;
}

static void a_list_stops_where_it_is_told_to(void **state)
{
	struct nmx_port *a = ports_open("vale0:a", NULL), *b = ports_open("vale1:b", NULL);
	struct nmx_switch_port port;
	struct nmx_report why;
	int seen = 0;

	(void)state;
	require_equal(look_at_switches().switches, 2);
	require_equal(look_at_switches().ports, 2);
	require(strcmp(look_at_switches().first, "vale0") == 0 && strcmp(look_at_switches().last, "vale1") == 0);
	require_result(nmx_switch_list(&kernel, stop_at_first, &seen, &why), 7);
	require_equal(seen, 1);
	require(is_listed("vale1:b", &port) && port.switch_index == 1);
	nmx_close(a);
	nmx_close(b);
}

static void backends_without_switches_are_refused(void **state)
{
	struct nmx_switch_options o = { .backend = NMX_PIPE };
	struct nmx_report why;
	int seen = 0;

	(void)state;
	refused(nmx_switch_list(&o, stop_at_first, &seen, &why), NMX_ERR_BAD_OPTION, &why, "netmap and switch have");
	o = (struct nmx_switch_options){ .backend = NMX_NETMAP, .flags = 1u << 30 };
	refused(nmx_switch_list(&o, stop_at_first, &seen, &why), NMX_ERR_BAD_OPTION, &why, "unknown bits");
	standin.open_errno = 2;
	refused(nmx_switch_list(&kernel, stop_at_first, &seen, &why), NMX_ERR_UNSUPPORTED_PLATFORM, &why, "modprobe");
	refused(nmx_switch_each(&kernel, see_switch, &(struct switches){ 0 }, &why), NMX_ERR_UNSUPPORTED_PLATFORM, &why, "modprobe");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_attached_stays_until_it_is_detached),
		TEST(what_cannot_be_attached_is_said),
		TEST(persistent_ports_are_made_and_removed),
		TEST(a_port_that_netmap_renames_is_told),
		TEST(a_list_stops_where_it_is_told_to),
		TEST(backends_without_switches_are_refused),
	};

	return cmocka_run_group_tests(tests, support_make_directory, support_remove_directory);
}
