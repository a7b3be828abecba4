/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A network namespace without a name and without a process: it lives as long as the descriptors that came out of it. */
#ifndef NMX_XSK_NETNS_H
#define NMX_XSK_NETNS_H

#include <nmx/nmx.h>

#define NMX__NETNS_SOCKETS 32

/* *nl gets a descriptor as of nmx__nl_open(), sockets get num_sockets AF_XDP sockets (NMX__NETNS_SOCKETS at most), all of
 * the new namespace and tracked.  It needs no right where user namespaces are allowed, else CAP_SYS_ADMIN.  The calling
 * thread is suspended for as long as it takes to make them; signals wait.
 * what: for messages, "the host rings of \"eth0\"".
 * Errors: NMX_ERR_PERMISSION, NMX_ERR_UNSUPPORTED_PLATFORM (no AF_XDP), NMX_ERR_NO_MEMORY, NMX_ERR_IO. */
NMX_MUST_CHECK int nmx__netns_make(int *nl, int *sockets, uint32_t num_sockets, const char *what,
                                   struct nmx_report *why);

#endif
