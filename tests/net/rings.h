/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Ports that a test opens itself, by the public calls, and packets whose every byte is known. */
#ifndef NMX_TESTS_NET_RINGS_H
#define NMX_TESTS_NET_RINGS_H

#include <nmx/inspect.h>
#include <nmx/nmx.h>

#include "world.h"

enum { MIN_LEN = 60, MAX_LEN = 1514, PATIENCE_MS = 5000 };

/* In the namespace of that side and in run_dir; NULL and a failure when it is refused. */
struct nmx_port *rings_open(int side, const char *name, const struct nmx_options *options);
/* Refused: counts a failure unless with this error, and with this part in the text. */
void rings_open_refused(int side, const char *name, const struct nmx_options *options, int err, const char *part);
struct nmx_tx *rings_tx(struct nmx_port *port, uint32_t ring);
struct nmx_rx *rings_rx(struct nmx_port *port, uint32_t ring);
struct nmx_stats rings_stats(const struct nmx_port *port);

/* Where the run of the numbers stands. */
struct flow {
	uint64_t sent, received;
	bool broken; /* a failure was counted: no more of the kind */
};
void rings_write(uint8_t *data, uint32_t len, uint64_t id);
bool rings_is_right(const uint8_t *data, uint32_t len, uint64_t id);
uint32_t rings_len(uint64_t id); /* MIN_LEN to MAX_LEN */

/* Sends so many, waiting for room; they have been handed over when it returns. */
bool rings_send(struct nmx_tx *tx, struct flow *flow, uint32_t count);
/* Receives so many, in order and intact, within PATIENCE_MS. */
bool rings_receive(struct nmx_rx *rx, struct flow *flow, uint32_t count);
/* Forwards so many. */
bool rings_forward(struct nmx_rx *rx, struct nmx_tx *tx, uint32_t count);
/* Nothing comes. */
void rings_nothing(struct nmx_rx *rx, const char *what);

/* Where the buffers of run_dir's default segment are. */
struct nmx_audit rings_audit(void);
/* The same as then, and none lost or doubled. */
void rings_audit_same(const struct nmx_audit *before, const char *what);

#endif
