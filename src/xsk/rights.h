/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What a process may do to interfaces, said in a sentence; and who has taken what. */
#ifndef NMX_XSK_RIGHTS_H
#define NMX_XSK_RIGHTS_H

#include <stddef.h>

#include <nmx/nmx.h>

enum nmx__right {
	NMX__RIGHT_RAW = 1 << 0,   /* CAP_NET_RAW: AF_XDP and packet sockets */
	NMX__RIGHT_BPF = 1 << 1,   /* CAP_BPF: maps, programs */
	NMX__RIGHT_ADMIN = 1 << 2, /* CAP_NET_ADMIN: programs on interfaces, interfaces */
	NMX__RIGHT_SYS = 1 << 3,   /* CAP_SYS_ADMIN: what another process has made */
};

/* CAP_SYS_ADMIN counts for CAP_BPF as well. */

/* After an EPERM or EACCES: fills in why with `what` could not be done ("cannot attach to \"eth0\""), which of `needed`
 * this process lacks, and the setcap line for its program.  Returns NMX_ERR_PERMISSION. */
int nmx__rights_fail(struct nmx_report *why, unsigned needed, int sys_errno, const char *what);
/* Those of `needed` that are lacking, by the effective set alone. */
unsigned nmx__rights_lacking(unsigned needed);

/* A name in this network namespace that only one process has at a time, and loses when it ends: "xdp 3 0", queue 0 of
 * interface 3.  A descriptor (close with nmx__fd_close), or -EADDRINUSE, or another -errno.
 *
 * Anybody may take any name, also a user without rights who wants to be in the way.  So a name that is taken is no
 * reason to refuse: what the kernel says to a bind or an attach is.  Names are there to tell people who was first. */
int nmx__claim(const char *name);
/* Who has it: "pkt-gen (process 123)", or "" when nobody does or it cannot be told.  Never blocks. */
void nmx__claim_holder(const char *name, char *out, size_t size);

#endif
