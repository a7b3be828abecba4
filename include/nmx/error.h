/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* nmx/error.h: one list of errors: value, name, nearest errno, sentence.
 * Values never change, and none is a negated errno, so a raw -errno that slipped through shows. */
#ifndef NMX_ERROR_H
#define NMX_ERROR_H

#include <errno.h>

/* clang-format off */
#define NMX_ERRORS(X)                                                                              \
	X(-1001, IO, EIO, "the kernel or the device refused")                                      \
	X(-1002, WOULD_BLOCK, EAGAIN, "the ring is full: sync, then wait")                         \
	X(-1003, BIND_FAIL, EADDRNOTAVAIL, "the port cannot be opened")                            \
	X(-1004, INVALID_RING_INDEX, EINVAL, "the port has no ring of this number")                \
	X(-1005, PACKET_TOO_LARGE, EMSGSIZE, "the packet is empty, or longer than can be sent")    \
	X(-1006, INSUFFICIENT_SPACE, ENOSPC, "fewer slots or buffers than asked for")              \
	X(-1007, UNSUPPORTED_PLATFORM, ENOTSUP, "this machine cannot do it")                       \
	X(-1008, FALLBACK_UNSUPPORTED, EOPNOTSUPP, "this backend cannot do it")                    \
	X(-1009, BUSY, EBUSY, "it is in use: by another, or by a batch that is open")              \
	X(-1010, BAD_NAME, EINVAL, "not a port name")                                              \
	X(-1011, BAD_OPTION, EINVAL, "an option is out of range, or newer than this library")      \
	X(-1012, NO_SUCH, ENXIO, "no such interface, directory or capture file")                   \
	X(-1013, PERMISSION, EPERM, "not permitted")                                               \
	X(-1014, NO_MEMORY, ENOMEM, "out of memory, of buffers, or of descriptors")                \
	X(-1015, RESET, ECONNRESET, "the ring was reset: its cursors were out of range")           \
	X(-1016, GONE, ENODEV, "the port is no more: close it")                                    \
	X(-1017, TIMED_OUT, ETIMEDOUT, "time is up")                                               \
	X(-1018, OTHER_REGION, EXDEV, "the buffer belongs to another memory region")               \
	X(-1019, CORRUPT, EBADMSG, "shared memory holds what no nmx process writes")               \
	X(-1020, PEER_GONE, EPIPE, "the other end has closed or died; another may take its place") \
	X(-1021, FORKED, ESTALE, "this is a forked child: the port stayed with its parent")        \
	X(-1022, LINK_DOWN, ENETDOWN, "the interface is down; traffic goes on when it is up again")
/* clang-format on */

enum nmx_error {
	NMX_OK = 0,
#define NMX__ENUM(value, name, sys, text) NMX_ERR_##name = value,
	NMX_ERRORS(NMX__ENUM)
#undef NMX__ENUM
};

#define NMX_MUST_CHECK __attribute__((__warn_unused_result__))

#ifdef __cplusplus
extern "C" {
#endif
/* All three are pure and may be called from any thread. */
const char *nmx_strerror(int err);   /* the sentence; never NULL */
const char *nmx_error_name(int err); /* "NMX_ERR_BUSY"; never NULL */
int nmx_errno(int err);              /* the nearest errno, positive; 0 for err >= 0 */
#ifdef __cplusplus
}
#endif
#endif
