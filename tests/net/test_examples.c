/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The examples of host rings do what they say: one shows what the host sends, the other gives the host a packet. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

enum { HOST, NEIGHBOUR, MTU = 1500 };
#define MAC    "02:00:00:00:00:07"
#define HOST4  "10.9.0.1"
#define OTHER4 "10.9.0.2"

static struct child example, talk;
static char receive_path[512], transmit_path[512];

static void host_receive_shows_what_the_host_sends(void)
{
	net_script(HOST, "ip neigh replace " OTHER4 " lladdr 02:00:00:00:00:08 dev eth0");
	net_start(HOST, &example, ARGV(receive_path, "eth0^", "5"));
	if (!net_await_port(&example))
		return;
	net_start(HOST, &talk, ARGV(net_args.talk, "flows", OTHER4, "4711", "1", "5"));
	child_ends(&talk, 0);
	child_ends(&example, 0);
	child_says(&example, "142 bytes  UDP " HOST4 " port ");
	child_says(&example, " to " OTHER4 " port 4711");
}

static void host_transmit_reaches_a_socket(void)
{
	static struct child listener;

	net_start(HOST, &listener, ARGV(net_args.talk, "hear", HOST4, "4711"));
	child_will_say(&listener, "hearing", 5000);
	net_start(HOST, &example, ARGV(transmit_path, "eth0^", MAC, OTHER4, HOST4, "4711", "hello host"));
	child_ends(&example, 0);
	child_ends(&listener, 0);
	child_says(&listener, "hello host");
}

int main(int argc, char **argv)
{
	static struct snapshot before;

	net_begin(argc, argv, 2);
	net_needs_ports();
	setenv("NMX_DIR", run_dir, 1);
	snprintf(receive_path, sizeof(receive_path), "%s/host_receive", net_args.examples);
	snprintf(transmit_path, sizeof(transmit_path), "%s/host_transmit", net_args.examples);
	net_join(HOST, "eth0", NEIGHBOUR, "eth0", 1, MTU, NET_QUIET);
	net_script(HOST, "ip link set eth0 address " MAC);
	net_address(HOST, "eth0", HOST4 "/24");
	net_snapshot(HOST, "eth0", &before);
	host_receive_shows_what_the_host_sends();
	host_transmit_reaches_a_socket();
	net_same_within(HOST, "eth0", &before, 1000);
	run_dir_is_empty();
	return expect_result();
}
