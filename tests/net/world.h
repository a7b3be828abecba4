/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Network namespaces with veth pairs between them, for one test process.
 *
 * A namespace here has no name: only descriptors of the test and the processes that it started hold it, and these are
 * killed with it.  So a test that is killed leaves nothing, and no interface of the machine is ever touched.
 */
#ifndef NMX_TESTS_NET_WORLD_H
#define NMX_TESTS_NET_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "run.h"

enum { MAX_SIDES = 4, NET_TEXT = 65536 };

/* What every test here is started with: NMX TALK TAPFORWARD EXAMPLES CAPTURES [-n NUMBER] [--bench]. */
struct net_args {
	const char *talk, *tapforward, *examples, *captures; /* examples and captures are directories */
	long number; /* rounds, packets: what the test says; 0: as many as fit in `make check` */
	bool bench;
};
extern struct net_args net_args;

/* Reads these, and makes `sides` namespaces, numbered from 0, each with its loopback up.  Ends the test as skipped, with
 * the reason, where that needs a privilege or a program that is not there. */
void net_begin(int argc, char **argv, int sides);
/* Ends the test as skipped where nmx does not serve interfaces, or the kernel has no AF_XDP. */
void net_needs_ports(void);
/* The same where the program is not installed. */
void net_needs_program(const char *program, const char *package);
/* Whether the kernel gives AF_XDP packets of several buffers: from Linux 6.6 on. */
bool net_takes_long_packets(void);

/* What the interfaces made from now on get. */
enum net_quiet {
	NET_TALKS, /* IPv6 as the kernel sets it up */
	NET_QUIET, /* no IPv6: the host says nothing of its own, so that what is received is what was sent */
};
/* A veth pair, both ends up, with so many queues each way. */
void net_join(int side, const char *dev, int peer_side, const char *peer_dev, int queues, int mtu,
              enum net_quiet quiet);
/* "10.9.0.1/24"; an IPv6 address is usable at once. */
void net_address(int side, const char *dev, const char *address);

/* As child_start(), in the namespace; the program is killed with the test.  Looked for in $PATH if it has no "/". */
void net_start(int side, struct child *child, const char *const *argv);
int net_run(int side, struct child *child, const char *const *argv); /* to its end: the code */
/* Runs a script of the shell that must end with 0; its output until the next call. */
const char *net_script(int side, const char *format, ...) __attribute__((__format__(__printf__, 2, 3)));

#define ARGV(...)                    ((const char *const[]){ __VA_ARGS__, NULL })
#define NMX_IN(side, child, ...)     net_start(side, child, NMX(__VA_ARGS__))
#define NMX_RUN_IN(side, child, ...) net_run(side, child, NMX(__VA_ARGS__))

/* The calling thread's own namespace, for as long as it takes to open something. */
void net_enter(int side);
void net_leave(void);

/* Everything about an interface, and what else there is in its namespace, that must be as before: as text. */
struct snapshot {
	char text[NET_TEXT];
};
void net_snapshot(int side, const char *dev, struct snapshot *snapshot);
/* Waits until a new snapshot is the same; how many ms that took, or -1 and a failure that shows the difference. */
int net_same_within(int side, const char *dev, const struct snapshot *before, int timeout_ms);
/* The same after a process was killed.  Where the kernel has no tcx, filters of host rings stay, and do nothing: then
 * all the rest must be as before... */
int net_same_after_kill(int side, const char *dev, const struct snapshot *before, int timeout_ms);
/* ...and after the next host rings, which this opens for a moment, all of it. */
bool net_next_tidies(int side, const char *dev, const struct snapshot *before);
bool net_has_tcx(void);

/* /proc/net/dev of the interface. */
struct net_counters {
	uint64_t rx_packets, rx_errors, rx_dropped, tx_packets, tx_errors, tx_dropped;
};
void net_counters(int side, const char *dev, struct net_counters *counters);

/* Until the program has opened its interface and waits for packets.  False, and a failure: it has not. */
bool net_await_port(struct child *child);

/* Sum of every number in the first JSON object of that key; 0 when there is none. */
uint64_t json_sum(const struct child *child, const char *object);
double json_double_of(const struct child *child, const char *key);

#endif
