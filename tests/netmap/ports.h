/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What tests of the netmap device have in common: each begins with an empty stand-in, and nothing may be left at its end. */
#ifndef NMX_TESTS_NETMAP_PORTS_H
#define NMX_TESTS_NETMAP_PORTS_H

#include "standin.h"
#include "support.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, ports_start, ports_end)
int ports_start(void **state);
int ports_end(void **state);

/* By the netmap backend; options may be NULL. */
struct nmx_options ports_options(const struct nmx_options *options);
struct nmx_port *ports_open(const char *name, const struct nmx_options *options);
/* Fails unless the open fails so, and says so. */
void ports_refused(const char *name, const struct nmx_options *options, int err, const char *part);

/* Two interfaces with a wire between them. */
void ports_wire(const char *a, const char *b, uint32_t rings, uint32_t slots);

/* What is sent on tx arrives at rx. */
struct pair {
	struct nmx_port *a, *b;
	struct nmx_tx *tx;
	struct nmx_rx *rx;
};
struct pair ports_pair(const char *a, const char *b, const struct nmx_options *options);
void ports_close(struct pair *p);

#endif
