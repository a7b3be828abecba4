/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The system calls that reach the netmap device, as a table: tests put their own in place, and play the kernel. */
#ifndef NMX_NETMAP_SYS_H
#define NMX_NETMAP_SYS_H

#include <stdbool.h>
#include <stddef.h>

#define NMX__NM_DEVICE "/dev/netmap"

/* All but is_up return as the call of their name, with errno.  Descriptors and mappings are not inherited (base/fork.h);
 * waiting is by poll() on the descriptors themselves. */
struct nmx__nm_sys {
	int (*open)(const char *path);
	void (*close)(int fd);
	int (*ioctl)(int fd, unsigned long request, void *arg);
	/* The region; NULL: it failed.  at: NULL, or a mapping that it made, of the same bytes by another descriptor, which this
	 * one takes the place of in one step. */
	void *(*map)(int fd, size_t bytes, void *at);
	void (*unmap)(void *start, size_t bytes);
	/* There is such an interface in the calling thread's network namespace, and its administrator has set it up. */
	bool (*is_up)(const char *interface);
};

/* Changed by tests only, before anything is opened. */
extern const struct nmx__nm_sys *nmx__nm_sys;

#endif
