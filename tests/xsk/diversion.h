/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What tests of diversions share: an interface "nic" of a host in one network namespace, and "wire", its other end, in
 * another. */
#ifndef NMX_TESTS_DIVERSION_H
#define NMX_TESTS_DIVERSION_H

#include <sys/types.h>

#include "namespace.h"
#include "xsk/divert.h"

#define ANSWER_MS 2000 /* for what must come */
#define SILENT_MS 100  /* for what must not */

/* cmocka's set-ups: how programs are attached.  Where the kernel has no tcx, that is as there: by filters. */
int by_tcx(void **state);
int by_clsact(void **state);
bool by_filters(void); /* how they are in fact */
#define BOTH_WAYS(test) \
	{ #test " [tcx]", test, by_tcx, NULL, NULL }, { #test " [clsact]", test, by_clsact, NULL, NULL }

struct scene {
	int host, other; /* namespaces; the caller is in the first */
	int nl;
	int wire_socket, host_socket; /* packet sockets for frames of the tests */
};
/* With addresses 10.1.1.1 and 10.1.1.2. */
struct scene scene_make(void);
void scene_end(struct scene *scene);

/* Opens and starts; sockets are closed.  Fails with the report. */
struct nmx__divert divert(enum nmx__divert_kind kind, bool marks);
/* A packet socket at its far end. */
int far_socket(const struct scene *scene, const struct nmx__divert *d, uint16_t ethertype);

/* Makes of an AF_XDP socket one that counts what comes to a queue; it has nowhere to put it. */
struct xsk {
	int fd;
	void *memory;
};
void xsk_rings(struct xsk *xsk, int fd, int ifindex, uint32_t queue);
uint64_t xsk_count(const struct xsk *xsk);
void xsk_end(struct xsk *xsk);

/* One frame of the tests goes in at `sender`: does it come out at `receiver`? */
bool passes(int sender, int receiver, int wait_ms);
bool passes_soon(int sender, int receiver);

/* All that can be seen of "nic" and of the interfaces around it. */
void look_around(char *out, size_t size);
/* Until they look as before, at most for ANSWER_MS; how long that took. */
int64_t until_as_before(const char *before);

/* body in a child; a requirement that fails there ends it, and fails the test. */
void in_a_child(void (*body)(void *arg), void *arg);
/* body in a child which then waits to be killed; when this returns body has been run. */
pid_t owner_start(void (*body)(void *arg), void *arg);
void owner_kill(pid_t pid);

#endif
