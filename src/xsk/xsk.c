/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/fork.h"
#include "base/report.h"
#include "xsk/rights.h"
#include "xsk/xsk.h"

#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#define SO_BUSY_POLL_BUDGET 70
#endif
#ifndef XDP_MAX_TX_SKB_BUDGET /* Linux 6.17 */
#define XDP_MAX_TX_SKB_BUDGET 9
#endif

#define HEADROOM      256   /* XDP_PACKET_HEADROOM: what the kernel leaves before a packet in its chunk */
#define PAGE_BYTES    4096
#define RETRY_MS      5     /* the kernel lets go of a queue some time after the socket was closed ... */
#define RETRIES       600   /* ... or its owner died: under load that took more than a second */
#define RETRIES_TAKEN 10    /* where somebody says that it has the queue, it is no death that we wait for */
#define TX_BUDGET     256u  /* packets sent per kick, where the default of 32 can be raised */
#define BUSY_POLL_US  20
#define BUSY_POLL_PKT 64

static void nap(void) { nanosleep(&(struct timespec){ .tv_nsec = RETRY_MS * 1000000L }, NULL); }

static uint32_t power_of_two(uint32_t at_least)
{
	uint32_t n = 1;

	while (n < at_least)
		n *= 2;
	return n;
}

/* ---- what goes wrong */

static int fail(const struct nmx__xsk_device *device, uint32_t queue, int sys_errno, const char *what, struct nmx_report *why)
{
	char name[32], holder[96], text[160];

	switch (sys_errno) {
	case EPERM:
	case EACCES:
		snprintf(text, sizeof(text), "cannot open \"%s\"", device->name);
		return nmx__rights_fail(why, NMX__RIGHT_RAW, sys_errno, text);
	case EBUSY:
		snprintf(name, sizeof(name), "xdp %d %u", device->ifindex, queue);
		nmx__claim_holder(name, holder, sizeof(holder));
		return nmx__fail(why, NMX_ERR_BUSY, 0, "queue %u of \"%s\" is in use by %s; one process has a queue: end it, or name another queue (\"%s-N\")",
		                 queue, device->name, *holder ? holder : "another program that uses AF_XDP", device->name);
	case ENODEV:
	case ENXIO:
		return nmx__fail(why, NMX_ERR_NO_SUCH, sys_errno, "\"%s\" has gone", device->name);
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return nmx__fail(why, NMX_ERR_NO_MEMORY, sys_errno, "%s of queue %u of \"%s\"", what, queue, device->name);
	case EAFNOSUPPORT:
		return nmx__fail(why, NMX_ERR_UNSUPPORTED_PLATFORM, 0, "\"%s\" cannot be opened: this kernel has no AF_XDP (CONFIG_XDP_SOCKETS)",
		                 device->name);
	default:
		return nmx__fail(why, NMX_ERR_BIND_FAIL, sys_errno, "%s of queue %u of \"%s\"", what, queue, device->name);
	}
}

static int fail_register(const struct nmx__xsk_device *device, size_t bytes, int sys_errno, struct nmx_report *why)
{
	struct rlimit limit = { 0 };

	if (sys_errno == EFAULT) /* pages of a file on a disk cannot be pinned for long */
		return nmx__fail(why, NMX_ERR_BIND_FAIL, sys_errno,
		                 "cannot register the buffers of queue %u of \"%s\": the kernel takes buffers in memory only, and the "
		                 "segment's directory ($NMX_DIR) seems to be on a disk; take one on a tmpfs, such as /dev/shm",
		                 device->queues[0].queue, device->name);
	if (sys_errno != ENOBUFS)
		return fail(device, device->queues[0].queue, sys_errno, "cannot register the buffers", why);
	getrlimit(RLIMIT_MEMLOCK, &limit);
	return nmx__fail(why, NMX_ERR_NO_MEMORY, 0,
	                 "\"%s\" needs %zu KiB of locked memory, and this process may lock %llu KiB: ask for fewer slots or rings "
	                 "(@conf:slots=256), raise the limit (ulimit -l %zu), or grant CAP_IPC_LOCK",
	                 device->name, bytes / 1024, (unsigned long long)limit.rlim_cur / 1024, bytes / 1024);
}

/* ---- rings */

static int set_ring(int fd, int option, uint32_t entries)
{
	return setsockopt(fd, SOL_XDP, option, &entries, sizeof(entries)) < 0 ? errno : 0;
}

static int map_ring(int fd, struct nmx__xring *ring, const struct xdp_ring_offset *at, uint64_t page, uint32_t entries, size_t entry_bytes)
{
	size_t bytes = at->desc + entries * entry_bytes;
	uint8_t *map;
	int err;

	nmx__fork_hold();
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, (off_t)page);
	err = map == MAP_FAILED ? errno : nmx__map_track_held(map, bytes, false) < 0 ? ENOMEM : 0;
	nmx__fork_let();
	if (err && map != MAP_FAILED)
		munmap(map, bytes);
	if (err)
		return err;
	*ring = (struct nmx__xring){ .producer = (_Atomic uint32_t *)(map + at->producer), .consumer = (_Atomic uint32_t *)(map + at->consumer),
		                     .flags = (_Atomic uint32_t *)(map + at->flags), .entries = map + at->desc, .mask = entries - 1,
		                     .map = map, .map_bytes = bytes };
	return 0;
}

static void unmap_ring(struct nmx__xring *ring)
{
	if (!ring->map)
		return;
	nmx__map_untrack(ring->map);
	munmap(ring->map, ring->map_bytes);
	*ring = (struct nmx__xring){ 0 };
}

/* ---- sockets */

struct opening {
	struct nmx__xsk_device *device;
	const struct nmx__xsk_plan *plan;
	uint32_t rx_entries, tx_entries;
	uint32_t flags;  /* of the first bind; the others inherit */
	bool unaligned;
	int umem_fd;     /* the socket that has registered the buffers; -1 */
};

static int new_socket(void)
{
	int fd;

	nmx__fork_hold();
	fd = nmx__fd_track_held(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
	nmx__fork_let();
	return fd;
}

static int make_socket(const struct nmx__xsk_plan *plan, uint32_t index)
{
	return plan->sockets ? plan->sockets[index] : new_socket();
}

/* In chunks that need no alignment every buffer can be used whole; where the device itself writes into them that would
 * need pages in a row, so there the kernel's own chunks are used, and the last 256 bytes of a buffer are not. */
static int register_area(const struct opening *o, int fd)
{
	struct xdp_umem_reg reg = {
		.addr = (uintptr_t)o->plan->area,
		.len = o->plan->area_bytes,
		.chunk_size = o->unaligned ? o->plan->buf_stride + HEADROOM : o->plan->buf_stride,
		.flags = o->unaligned ? XDP_UMEM_UNALIGNED_CHUNK_FLAG : 0,
	};

	return setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)) < 0 ? errno : 0;
}

static bool is_claimed(const struct nmx__xsk_device *device, uint32_t queue)
{
	char name[32], holder[96];

	snprintf(name, sizeof(name), "xdp %d %u", device->ifindex, queue);
	nmx__claim_holder(name, holder, sizeof(holder));
	return *holder != '\0';
}

static int bind_socket(const struct opening *o, int fd, uint32_t queue, int shared_fd)
{
	struct sockaddr_xdp address = {
		.sxdp_family = AF_XDP,
		.sxdp_flags = (uint16_t)(shared_fd >= 0 ? XDP_SHARED_UMEM : o->flags),
		.sxdp_ifindex = (uint32_t)o->device->ifindex,
		.sxdp_queue_id = queue,
		.sxdp_shared_umem_fd = shared_fd >= 0 ? (uint32_t)shared_fd : 0,
	};
	int err = 0;

	for (int tries = 0; tries < RETRIES; tries++) {
		err = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
		if (err != EBUSY || (tries >= RETRIES_TAKEN && is_claimed(o->device, queue)))
			break;
		nap();
	}
	return err;
}

static void set_options(const struct opening *o, struct nmx__xsk_queue *q, int fd, bool is_tx)
{
	uint32_t budget = o->tx_entries < TX_BUDGET ? o->tx_entries : TX_BUDGET;
	int prefer = 1, us = BUSY_POLL_US, packets = BUSY_POLL_PKT;

	/* Where it is not known there are fewer a call; and from the same version on the kernel shows how many. */
	if (is_tx)
		q->shows_progress = setsockopt(fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget, sizeof(budget)) == 0 || errno != ENOPROTOOPT;
	if (!o->plan->busy_poll)
		return;
	(void)!setsockopt(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &prefer, sizeof(prefer));
	(void)!setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &us, sizeof(us));
	(void)!setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, &packets, sizeof(packets));
}

static int map_at(int fd, struct xdp_mmap_offsets *at)
{
	socklen_t size = sizeof(*at);

	if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, at, &size) < 0)
		return errno;
	return size < sizeof(*at) ? EOPNOTSUPP : 0; /* before Linux 5.4, without flags */
}

static int map_rx(const struct opening *o, struct nmx__xsk_queue *q, int fd)
{
	struct xdp_mmap_offsets at;
	int err = map_at(fd, &at);

	if (err == 0)
		err = map_ring(fd, &q->rx, &at.rx, XDP_PGOFF_RX_RING, o->rx_entries, sizeof(struct xdp_desc));
	return err ? err : map_ring(fd, &q->fill, &at.fr, XDP_UMEM_PGOFF_FILL_RING, o->rx_entries, sizeof(uint64_t));
}

static int map_tx(const struct opening *o, struct nmx__xsk_queue *q, int fd)
{
	struct xdp_mmap_offsets at;
	int err = map_at(fd, &at);

	return err ? err : map_ring(fd, &q->tx, &at.tx, XDP_PGOFF_TX_RING, o->tx_entries, sizeof(struct xdp_desc));
}

/* Of the queue's first socket, even if the second is who sends. */
static int map_done(const struct opening *o, struct nmx__xsk_queue *q, int fd)
{
	struct xdp_mmap_offsets at;
	int err = map_at(fd, &at);

	return err ? err : map_ring(fd, &q->done, &at.cr, XDP_UMEM_PGOFF_COMPLETION_RING, o->tx_entries, sizeof(uint64_t));
}

/* The first socket of a queue brings its fill and completion rings.  What is wanted of q is mapped before the bind: the
 * rings of a bound socket cannot be before Linux 6.4. */
static int open_first(struct opening *o, struct nmx__xsk_queue *q, int fd, bool is_rx, const char **what)
{
	int err = 0, shared_fd = o->umem_fd;

	*what = "cannot register the buffers";
	if (shared_fd < 0 && (err = register_area(o, fd)) != 0)
		return err;
	o->umem_fd = shared_fd < 0 ? fd : shared_fd;
	*what = "cannot set up the rings";
	if ((err = set_ring(fd, XDP_UMEM_FILL_RING, o->rx_entries)) != 0 || (err = set_ring(fd, XDP_UMEM_COMPLETION_RING, o->tx_entries)) != 0 ||
	    (err = set_ring(fd, is_rx ? XDP_RX_RING : XDP_TX_RING, is_rx ? o->rx_entries : o->tx_entries)) != 0)
		return err;
	set_options(o, q, fd, !is_rx);
	*what = "cannot map the rings";
	if ((q->rx_fd >= 0 && (err = map_rx(o, q, fd)) != 0) || (q->tx_fd >= 0 && (err = map_done(o, q, fd)) != 0) ||
	    (q->tx_fd == fd && (err = map_tx(o, q, fd)) != 0))
		return err;
	*what = "cannot bind the socket";
	err = bind_socket(o, fd, q->queue, shared_fd);
	if (err == EINVAL && shared_fd < 0 && (o->flags & XDP_USE_SG)) { /* a flag of Linux 6.6 */
		o->flags &= ~(uint32_t)XDP_USE_SG;
		err = bind_socket(o, fd, q->queue, -1);
	}
	return err;
}

static int open_second(struct opening *o, struct nmx__xsk_queue *q, int fd, int first_fd, const char **what)
{
	int err;

	*what = "cannot set up the transmit ring";
	if ((err = set_ring(fd, XDP_TX_RING, o->tx_entries)) != 0 || (err = map_tx(o, q, fd)) != 0)
		return err;
	set_options(o, q, fd, true);
	*what = "cannot bind the transmit socket";
	return bind_socket(o, fd, q->queue, first_fd);
}

static void close_queue(struct nmx__xsk_queue *q)
{
	/* Mappings hold the socket: closed before, it would keep its queue. */
	unmap_ring(&q->rx);
	unmap_ring(&q->fill);
	unmap_ring(&q->tx);
	unmap_ring(&q->done);
	nmx__fd_close(q->tx_fd);
	nmx__fd_close(q->rx_fd);
	nmx__fd_close(q->claim);
	q->rx_fd = q->tx_fd = q->claim = -1;
}

static int open_queue(struct opening *o, struct nmx__xsk_queue *q, const char **what)
{
	bool rx = q->rx_fd >= 0, tx = q->tx_fd >= 0;
	int err = open_first(o, q, rx ? q->rx_fd : q->tx_fd, rx, what);

	return err == 0 && rx && tx ? open_second(o, q, q->tx_fd, q->rx_fd, what) : err;
}

static void claim_queues(struct nmx__xsk_device *device)
{
	char name[32];

	for (uint32_t i = 0; i < device->num_queues; i++) {
		snprintf(name, sizeof(name), "xdp %d %u", device->ifindex, device->queues[i].queue);
		device->queues[i].claim = nmx__claim(name); /* for people: the kernel is who decides */
		if (device->queues[i].claim < 0)
			device->queues[i].claim = -1;
	}
}

/* ---- what there is to be had */

/* The kernel looks at the flags of a bind first, and then for the interface, of which there is none. */
bool nmx__xsk_takes_chains(void)
{
	struct sockaddr_xdp nowhere = { .sxdp_family = AF_XDP, .sxdp_flags = XDP_USE_SG };
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	bool refused = fd >= 0 && bind(fd, (struct sockaddr *)&nowhere, sizeof(nowhere)) < 0 && errno == EINVAL;

	if (fd >= 0)
		close(fd);
	return !refused;
}

/* Binds a socket to a queue for a moment, with two pages of our own.  Returns 0 or an errno. */
static int try_queue(const struct nmx__xsk_device *device, uint32_t queue, uint32_t buf_stride, uint32_t flags)
{
	size_t bytes = 2 * PAGE_BYTES;
	void *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct nmx__xsk_plan tiny = { .area = area, .area_bytes = bytes, .buf_stride = buf_stride };
	struct nmx__xsk_device same = { .ifindex = device->ifindex, .name = device->name };
	struct opening o = { .device = &same, .plan = &tiny, .rx_entries = 4, .tx_entries = 4, .flags = flags, .umem_fd = -1 };
	struct nmx__xsk_queue q = { .queue = queue, .rx_fd = -1, .tx_fd = -1 };
	const char *what;
	int fd = new_socket();
	int err = area == MAP_FAILED || fd < 0 ? ENOMEM : open_first(&o, &q, fd, false, &what);

	nmx__fd_close(fd);
	if (area != MAP_FAILED)
		munmap(area, bytes);
	return err;
}

static uint32_t chain_flag(const struct nmx__xsk_plan *plan) { return plan->chains ? XDP_USE_SG : 0; }

/* Asked beforehand: the real buffers are registered in another way for it than for copying, and only once.  With chains,
 * which some drivers have in copy mode only. */
static bool can_zero_copy(const struct nmx__xsk_device *device, const struct nmx__xsk_plan *plan)
{
	return try_queue(device, device->queues[0].queue, plan->buf_stride, XDP_ZEROCOPY | XDP_USE_NEED_WAKEUP | chain_flag(plan)) == 0;
}

/* The kernel tears a device's queue down some time after its socket was closed, and until then the device may write into
 * our buffers.  A queue that can be bound again has been. */
static void wait_for_device(const struct nmx__xsk_device *device)
{
	for (uint32_t i = 0; i < device->num_queues; i++)
		(void)!try_queue(device, device->queues[i].queue, device->max_len + HEADROOM, XDP_COPY);
}

/* ---- all of it */

/* rx_fd and tx_fd say on entry whether they are wanted. */
static int make_sockets(const struct nmx__xsk_device *device, const struct nmx__xsk_plan *plan)
{
	int err = 0;

	for (uint32_t i = 0; i < device->num_queues; i++) {
		struct nmx__xsk_queue *q = &device->queues[i];
		bool rx = q->rx_fd == NMX__XSK_WANTED, tx = q->tx_fd == NMX__XSK_WANTED;

		q->rx_fd = rx && err == 0 ? make_socket(plan, i) : -1;
		err = rx && q->rx_fd < 0 && err == 0 ? errno : err;
		q->tx_fd = tx && err == 0 ? make_socket(plan, device->num_queues + i) : -1;
		err = tx && q->tx_fd < 0 && err == 0 ? errno : err;
		q->claim = -1;
	}
	return err;
}

int nmx__xsk_open(struct nmx__xsk_device *device, const struct nmx__xsk_plan *plan, struct nmx_report *why)
{
	const char *what = "cannot make the sockets";
	struct opening o = { .device = device, .plan = plan, .rx_entries = power_of_two(plan->rx_entries),
		             .tx_entries = power_of_two(plan->tx_entries), .umem_fd = -1 };
	int err = make_sockets(device, plan);
	uint32_t i = 0;

	device->zero_copy = err == 0 && plan->may_zero_copy && can_zero_copy(device, plan);
	if (err == 0 && plan->must_zero_copy && !device->zero_copy) {
		nmx__xsk_close(device);
		return nmx__fail(why, NMX_ERR_UNSUPPORTED_PLATFORM, 0, "\"%s\": zero copy was insisted on (NMX_ZERO_COPY), and the driver has none%s",
		                 device->name, plan->chains ? " for packets of several buffers" : "");
	}
	o.unaligned = !device->zero_copy;
	o.flags = (device->zero_copy ? XDP_ZEROCOPY : XDP_COPY) | XDP_USE_NEED_WAKEUP | chain_flag(plan);
	device->rx_offset = o.unaligned ? (uint64_t)HEADROOM << XSK_UNALIGNED_BUF_OFFSET_SHIFT : HEADROOM;
	device->max_len = device->zero_copy ? plan->buf_stride - HEADROOM : plan->buf_stride;
	for (; i < device->num_queues && err == 0; i++)
		err = open_queue(&o, &device->queues[i], &what);
	if (err) {
		i -= i > 0;
		err = o.umem_fd < 0 && i == 0 && strstr(what, "register") ? fail_register(device, plan->area_bytes, err, why)
		                                                          : fail(device, device->queues[i].queue, err, what, why);
		nmx__xsk_close(device);
		return err;
	}
	device->chains = (o.flags & XDP_USE_SG) != 0;
	if (!plan->sockets) /* else its number is of another network namespace, and some other interface has it here */
		claim_queues(device);
	return 0;
}

void nmx__xsk_close(struct nmx__xsk_device *device)
{
	for (uint32_t i = 0; i < device->num_queues; i++)
		close_queue(&device->queues[i]);
	if (device->zero_copy)
		wait_for_device(device);
}

void nmx__xsk_stats(int fd, struct nmx__xsk_stats *sum)
{
	struct xdp_statistics s = { 0 };
	socklen_t size = sizeof(s);

	if (fd < 0 || getsockopt(fd, SOL_XDP, XDP_STATISTICS, &s, &size) < 0)
		return;
	sum->no_buffer += s.rx_fill_ring_empty_descs;
	sum->ring_full += s.rx_ring_full;
	/* A packet that found no buffer is counted twice by the kernel. */
	sum->too_long_or_other += s.rx_dropped > s.rx_fill_ring_empty_descs ? s.rx_dropped - s.rx_fill_ring_empty_descs : 0;
	sum->invalid_rx += s.rx_invalid_descs;
	sum->invalid_tx += s.tx_invalid_descs;
}
