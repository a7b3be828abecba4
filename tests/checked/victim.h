/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A program that does one thing wrong, by name.  usage: victim CASE loop|pipe DIRECTORY */
#ifndef NMX_TESTS_CHECKED_VICTIM_H
#define NMX_TESTS_CHECKED_VICTIM_H

#include <nmx/nmx.h>

struct ends {
	struct nmx_port *tx_port, *rx_port;
	struct nmx_tx *tx;
	struct nmx_rx *rx;
};

struct victim {
	const char *name;
	void (*run)(struct ends *ends);
};

/* Says which line is going to be wrong: it stands on it. */
#define HERE (printf("%s:%d\n", __FILE__, __LINE__), fflush(stdout))
#define NEED(condition) ((condition) ? (void)0 : victim_fail(#condition, __LINE__))
__attribute__((__noreturn__)) void victim_fail(const char *condition, int line);

#define VICTIM_SLOTS 4

/* Sends n packets of 60 bytes, whose first byte is their number. */
void victim_send(struct ends *ends, int n);
int victim_main(int argc, char **argv, const struct victim *victims);

#endif
