/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Interfaces in a switch of user space: a process for each, that forwards between the interface and a port of the switch,
 * and between the host's rings and another.
 *
 *   eth0    <->  vale0:eth0
 *   eth0^   <->  vale0:eth0-host   with `host`
 */
#ifndef NMX_TOOLS_ATTACH_H
#define NMX_TOOLS_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

struct attach_options {
	const char *directory, *segment; /* NULL: the default */
	const char *log;                 /* of the daemon; NULL: none */
	uint64_t slots;                  /* of each ring */
	uint64_t flood_pps;              /* OPT_RATE_MAX: no limit */
	bool host, daemon, json, quiet;
};

/* name: "vale0:eth0", as the library takes it.  Forwards until a signal or detach; with `daemon`, a process of its own
 * does, and this returns when it has begun.  Returns an exit code, with everything said. */
int attach(const char *name, const struct attach_options *options);

/* Ends the process that `name` was attached by.  Returns an exit code; *why ("" if none) says why not. */
int detach(const char *name, const struct attach_options *options, char *why, unsigned why_size);

/* The process that forwards for `name`; 0: there is none. */
int attached_by(const char *name, const struct attach_options *options);

#endif
