/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The contract of <nmx/event.h> on rings of the netmap device.  The stand-in's descriptors are eventfds, on which libuv and
 * io_uring sleep as on the device's.
 *
 * Not here: peers in other processes (the stand-in is in this one); a sender's sleep for more than the first free slot, of
 * which netmap tells nobody (one looks every millisecond).  On a wire, which drops what its end has no room for, nothing
 * that relies on a full ring.
 */
#include <stdio.h>

#include "contract.h"
#include "ports.h"

enum { NIC_SLOTS = 16 };

static bool pipe_link(struct link *link, unsigned number, const struct nmx_options *options)
{
	struct nmx_options o = ports_options(options);

	return rig_link_pipe(link, number, &o);
}

/* The interfaces stay; they go with the stand-in. */
static bool wire_link(struct link *link, unsigned number, const struct nmx_options *options)
{
	struct nmx_options o = ports_options(options);
	char names[2][32];

	for (unsigned i = 0; i < 2; i++)
		snprintf(names[i], sizeof(names[i]), "eth%u", 2 * number + i);
	if (!standin_find(names[0]))
		ports_wire(names[0], names[1], 1, NIC_SLOTS);
	return rig_link(link, names[0], names[1], &o);
}

int main(void)
{
	static const struct place pipe = { "netmap pipe", pipe_link, NULL, NULL }, wire = { "netmap wire", wire_link, NULL, NULL };
	static const struct contract_case *const in_pipes[] = { contract_single, contract_life, contract_traffic, contract_full,
		                                                contract_taken,  contract_rest, contract_load };
	static const struct contract_case *const on_wires[] = { contract_single, contract_life };
	int failed = 0;

	if (support_make_directory(NULL) < 0)
		return 1;
	standin_start();
	for (unsigned i = 0; i < sizeof(in_pipes) / sizeof(in_pipes[0]); i++)
		failed += contract_run(in_pipes[i], &pipe, 1);
	for (unsigned i = 0; i < sizeof(on_wires) / sizeof(on_wires[0]); i++)
		failed += contract_run(on_wires[i], &wire, 1);
	if (!failed)
		standin_end();
	return support_remove_directory(NULL) < 0 || failed ? 1 : 0;
}
