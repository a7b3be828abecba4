/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Network namespaces for tests: nothing outside of them is touched, and they are gone with the process. */
#ifndef NMX_TESTS_NAMESPACE_H
#define NMX_TESTS_NAMESPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "support.h"

#define TEST_ETHERTYPE 0x88b5 /* for local experiments: nobody else sends it */

/* cmocka's group set-up: prints the reason and ends the program with 77 where namespaces or veth cannot be made. */
int namespace_required(void **state);

/* A new one, which the process is in from here on.  Returns a descriptor that keeps it. */
int namespace_make(void);
void namespace_go(int namespace_fd);

/* A command that must go well. */
void run(const char *format, ...) __attribute__((__format__(__printf__, 1, 2)));
/* A veth pair without addresses, both ends up, with so many queues each way. */
void veth(const char *name, const char *peer, int queues);
int ifindex_of(const char *name);
uint32_t xdp_program_of(const char *name); /* its id; 0: none */

/* Packet sockets.  A receiver gets `ethertype` only, after tc has let it pass. */
int packet_socket(const char *name, uint16_t ethertype);
void send_frame(int socket, const void *frame, size_t len);
/* Length of the next, or 0 when there is none within wait_ms. */
size_t receive_frame(int socket, void *frame, size_t size, int wait_ms);

#endif
