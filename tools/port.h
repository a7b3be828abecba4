/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the commands that open a port have in common: its options, its rings, its drops. */
#ifndef NMX_TOOLS_PORT_H
#define NMX_TOOLS_PORT_H

#include <nmx/nmx.h>

#include "json.h"
#include "link.h"
#include "opt.h"

struct port_options {
	const char *name, *directory, *segment;
	uint64_t slots;
	uint64_t flood_pps; /* of a port of a switch; 0: no limit */
	uint32_t backend; /* enum nmx_backend, for a command that means one */
};

/* Rows of a table of options, for a struct with a member `struct port_options port`. */
/* clang-format off */
#define PORT_AT(type, field) offsetof(type, port.field)
#define PORT_OPERAND(type) { 0, NULL, OPT_TEXT, PORT_AT(type, name), "PORT", "eth0, x{1, vale0:a, ...", 0, 0 }
#define PORT_OPTIONS(type)                                                                                           \
	{ 0, "slots", OPT_COUNT, PORT_AT(type, slots), "N", "slots of each ring (default: 1024)", 2, 32768 },        \
	{ 0, "dir", OPT_TEXT, PORT_AT(type, directory), "DIR", "directory of pipes and switches", 0, 0 },            \
	{ 0, "segment", OPT_TEXT, PORT_AT(type, segment), "NAME", "memory segment in it (default: default)", 0, 0 }
/* clang-format on */

struct port {
	const char *command, *name; /* for messages */
	struct nmx_port *nm;
	struct nmx_info info;
	struct nmx_tx *tx;      /* the first of all_tx; NULL: none */
	struct nmx_tx **all_tx; /* all rings, those of the host last; none with NMX_RX_ONLY */
	struct nmx_rx **rx;     /* the same; none with NMX_TX_ONLY */
	uint32_t num_tx, num_rx;
	struct link link;       /* of the interface behind it, if there is one */
};

/* Opens the port and checks its rings out; flags: enum nmx_option_flags.  One that packets will be sent on gets a moment
 * for its link to come up.  Returns EXIT_OK, or says why not and returns EXIT_FAILED: there is nothing to close then. */
int port_open(struct port *port, const char *command, const struct port_options *options, uint32_t flags);
/* The same for a port that need not have both kinds of rings, and without waiting for the link. */
int port_open_any(struct port *port, const char *command, const struct port_options *options, uint32_t flags);
void port_close(struct port *port);

/* Waits for a packet on any receive ring; timeout_ms at most STOP_SLICE_MS.  Returns as nmx_wait(). */
int port_wait_rx(struct port *port, int timeout_ms);

/* Of a port that only sends: packets that were handed over and did not go out. */
uint64_t port_not_sent(const struct port *port);

/* Drops since the port was made, by cause: nothing when there are none. */
void port_drops_json(const struct port *port, struct json *json);
void port_drops_say(const struct port *port, FILE *to);
void port_drops_say_named(const struct port *port, FILE *to); /* for commands with several ports */

/* The same of counters that are not of a port of ours; name may be "". */
void stats_drops_json(const struct nmx_stats *stats, struct json *json);
void stats_drops_say(const struct nmx_stats *stats, const char *name, FILE *to);

/* An error of a ring, with the port's name.  Returns EXIT_FAILED. */
int port_say_error(const struct port *port, int err);

/* An interface that is down may come up again, so that is said (once), and no error of a ring: then 0, or, of a transmit
 * ring, its room.  Any other result is as it was. */
int port_rx_news(struct port *port, int result);
int port_tx_news(struct port *port, const struct nmx_tx *tx, int result);

/* The number of transmit rings to spread flows over: those of the interface, or where there are none, the host's. */
uint32_t port_spread(const struct port *port);

#endif
