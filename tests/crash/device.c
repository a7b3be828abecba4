/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A segment as memory of a device: buffers are where AF_XDP puts packets, what a device may have is reserved and stays,
 * and an extent of an interface's rings has a buffer in each place and gives each back, wherever it went meanwhile.
 */
#include <linux/if_xdp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "owner.h"

#ifndef XDP_UMEM_UNALIGNED_CHUNK_FLAG
#define XDP_UMEM_UNALIGNED_CHUNK_FLAG (1 << 0)
#endif

/* ---- where buffers are */

static void buffers_are_where_packets_go(void)
{
	struct nmx__segment *seg = join();
	struct stat st;

	must((uintptr_t)seg->area % NMX__PAGE == 0, "the area does not begin with a page");
	must((size_t)(seg->area - seg->map) % NMX__PAGE == 0, "nor in the file");
	for (uint32_t i = 0; i < seg->num_bufs; i++)
		must(nmx__seg_buf(seg, i) == seg->area + (size_t)i * seg->buf_stride + 256, "buffer %u", i);
	must(fstat(seg->fd, &st) == 0 && (size_t)st.st_size == seg->map_bytes, "the file's size");
	/* The last unaligned chunk, and in whole pages. */
	must(seg->area + (size_t)(seg->num_bufs - 1) * seg->buf_stride + 2304 <= seg->area + nmx__seg_area_bytes(seg, seg->num_bufs),
	     "the last chunk is not in the area");
	must(seg->area + nmx__seg_area_bytes(seg, seg->num_bufs) <= seg->map + seg->map_bytes, "the area is not in the file");
	leave(seg);
}

/* The kernel takes it as UMEM, in either mode.  False: there is no AF_XDP here. */
static bool register_as_umem(struct nmx__segment *seg, uint32_t chunk, uint32_t flags)
{
	struct xdp_umem_reg reg = { .addr = (uintptr_t)seg->area, .len = nmx__seg_area_bytes(seg, 1024), .chunk_size = chunk, .flags = flags };
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0), done;

	if (fd < 0)
		return false;
	done = setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg));
	must(done == 0 || errno == ENOBUFS, "not a UMEM of chunks of %u: %s", chunk, strerror(errno)); /* ENOBUFS: RLIMIT_MEMLOCK */
	close(fd);
	return true;
}

static bool a_device_can_register_it(void)
{
	struct nmx__segment *seg = join();
	struct nmx_report why;
	bool can;

	lock_to_claim(seg);
	must(nmx__seg_reserve_for_device(seg, 1024, &why) == 0, "%s", why.text);
	nmx__seg_unlock(seg);
	can = register_as_umem(seg, 2048, 0) && register_as_umem(seg, 2304, XDP_UMEM_UNALIGNED_CHUNK_FLAG);
	leave(seg);
	return can;
}

/* ---- extents */

/* A buffer may be in a slot, in the kernel, in both for a moment, or have been exchanged for another: it comes back. */
static void an_extent_gives_back_what_it_has(void)
{
	struct nmx__segment *seg = join();
	struct nmx__extent extent;
	struct netmap_ring *ring;
	uint32_t gone[4];

	lock_to_claim(seg);
	owner_build(&extent, seg, OWNER_SLOTS, OWNER_SPARES);
	nmx__seg_unlock(seg);
	must(look(seg, "an extent").held == OWNER_BUFS, "the extent has %u buffers", look(seg, "an extent").held);
	must(nmx__extent_bufs_end(&extent) == NMX__FIRST_BUF + OWNER_BUFS, "claims are not the lowest: %u", nmx__extent_bufs_end(&extent));
	must(nmx__bufs_end(seg) == NMX__FIRST_BUF + OWNER_BUFS, "the highest buffer of all: %u", nmx__bufs_end(seg));
	for (uint32_t r = 0; r < 2; r++) {
		ring = nmx__own_netmap_ring(nmx__extent_ring(&extent, r));
		must(ring->num_slots == OWNER_SLOTS && ring->nr_buf_size == seg->buf_stride && ring->dir == (r == 0) && ring->head == 0 &&
		         ring->cur == 0 && ring->tail == 0,
		     "ring %u is not set up", r);
		for (uint32_t i = 0; i < OWNER_SLOTS; i++)
			must((uint8_t *)ring + ring->buf_ofs + (size_t)ring->slot[i].buf_idx * ring->nr_buf_size == nmx__seg_buf(seg, ring->slot[i].buf_idx),
			     "slot %u of ring %u leads elsewhere", i, r);
	}
	for (uint32_t i = 0; i < 4; i++) {
		gone[i] = ring->slot[i].buf_idx;
		owner_push(&extent, 1, i);
		must(ring->slot[i].buf_idx == 0, "pushed and still in slot %u", i);
	}
	must(look(seg, "with some in the kernel").held == OWNER_BUFS, "a buffer in the kernel is not held");
	owner_pull(&extent, 1, 0, gone[3]);
	must(look(seg, "with some in the kernel").held == OWNER_BUFS, "a buffer from the kernel is not held");
	nmx__held_put(nmx__dring_held(nmx__extent_ring(&extent, 0)), gone[3]); /* and going again */
	must(look(seg, "in both places").held == OWNER_BUFS, "a buffer in both places is not held once");
	lock_to_claim(seg);
	nmx__extent_release(&extent);
	nmx__seg_unlock(seg);
	must(look(seg, "a released extent").free == SEGMENT_BUFS - NMX__FIRST_BUF, "not all are free");
	must(nmx__bufs_end(seg) == 0, "the highest buffer of none: %u", nmx__bufs_end(seg));
	leave(seg);
	must_be_empty("at the end");
}

static void an_extent_released_later_gives_it_back_too(void)
{
	struct nmx__segment *seg = join();
	struct nmx__extent extent;

	lock_to_claim(seg);
	owner_build(&extent, seg, OWNER_SLOTS, OWNER_SPARES);
	nmx__seg_unlock(seg);
	owner_push(&extent, 1, 0);
	nmx__extent_release_later(&extent); /* as if the lock had not been to be had */
	lock_to_claim(seg);
	nmx__seg_unlock(seg);
	must(look(seg, "released later").free == SEGMENT_BUFS - NMX__FIRST_BUF, "not all are free");
	leave(seg);
	must_be_empty("at the end");
}

static void what_does_not_fit_leaves_nothing(void)
{
	struct nmx__ring_plan ring = { .slots = SEGMENT_BUFS / 2, .held_bufs = SEGMENT_BUFS };
	struct nmx__extent_plan plan = { .kind = NMX__EXTENT_DEVICE, .num_tx = 1, .num_rx = 1, .ring = { ring, ring }, .attach_gen = 1 };
	struct nmx__segment *seg = join();
	struct nmx__extent extent;
	struct nmx_report why;

	lock_to_claim(seg);
	must(nmx__extent_build(&extent, seg, &plan, &why) == NMX_ERR_NO_MEMORY && !extent.own, "more than there are: %s", why.text);
	nmx__seg_unlock(seg);
	must(look(seg, "after that").held == 0, "something is held");
	leave(seg);
}

/* ---- space */

static uint64_t blocks_of(const struct nmx__segment *seg)
{
	struct stat st;

	must(fstat(seg->fd, &st) == 0, "fstat");
	return (uint64_t)st.st_blocks * 512;
}

enum { SMALL_KIB = 12 << 10 };

/* On a file system of 12 MiB, in a mount namespace of its own.  A claim that fails for want of space gives back what it
 * had reserved, but for what a device may have. */
static void run_out_of_space(void *unused)
{
	enum { FOR_DEVICE = 256, MARK = 0x5a5a5a5a };
	struct nmx__ring_plan ring = { .slots = 3500 };
	struct nmx__extent_plan plan = { .kind = NMX__EXTENT_DEVICE, .num_tx = 1, .num_rx = 1, .ring = { ring, ring }, .attach_gen = 1 };
	struct nmx__segment *seg;
	struct nmx__extent extent;
	struct nmx_report why;
	uint64_t before;
	char options[32];

	(void)unused;
	snprintf(options, sizeof(options), "size=%uk,mode=700", SMALL_KIB);
	if ((unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", attack.dir, "tmpfs", 0, options) < 0)
		exit(SKIP);
	seg = join();
	lock_to_claim(seg);
	before = blocks_of(seg);
	must(nmx__seg_reserve_for_device(seg, SEGMENT_BUFS, &why) == NMX_ERR_NO_MEMORY && strstr(why.text, attack.dir), "%s", why.text);
	must(atomic_load(&seg->header->device_bufs) == 0, "device_bufs after a failure");
	must(blocks_of(seg) <= before + 4 * NMX__PAGE, "a reservation that failed keeps %llu bytes",
	     (unsigned long long)(blocks_of(seg) - before));

	must(nmx__seg_reserve_for_device(seg, FOR_DEVICE, &why) == 0, "%s", why.text);
	must(atomic_load(&seg->header->device_bufs) == FOR_DEVICE, "device_bufs");
	must(nmx__seg_reserve_for_device(seg, FOR_DEVICE / 2, &why) == 0 && atomic_load(&seg->header->device_bufs) == FOR_DEVICE,
	     "device_bufs is lowered");
	must(blocks_of(seg) >= before + nmx__seg_area_bytes(seg, FOR_DEVICE), "not reserved");
	before = blocks_of(seg);
	owner_unpoison(seg);
	for (uint32_t i = 0; i < 2 * FOR_DEVICE; i++)
		*(uint32_t *)nmx__seg_buf(seg, i) = MARK;
	must(nmx__extent_build(&extent, seg, &plan, &why) == NMX_ERR_NO_MEMORY && strstr(why.text, attack.dir), "%s", why.text);
	for (uint32_t i = 0; i < FOR_DEVICE; i++)
		must(*(uint32_t *)nmx__seg_buf(seg, i) == MARK, "buffer %u, which a device may have, was given back", i);
	must(*(uint32_t *)nmx__seg_buf(seg, FOR_DEVICE + 8) == 0, "the others were not");
	must(blocks_of(seg) <= before + 4 * NMX__PAGE, "a claim that failed keeps space");
	nmx__seg_unlock(seg);
	must(look(seg, "on a full file system").held == 0, "a claim that failed keeps buffers");
	leave(seg);
}

/* A hostile number in the header: opens work, and what is reserved is what we have reserved. */
static void a_false_reservation_is_not_believed(void)
{
	const uint32_t lies[] = { UINT32_MAX, SEGMENT_BUFS, SEGMENT_BUFS + 1, 0 };

	for (uint32_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct nmx__segment *seg = join();
		struct nmx_report why;

		atomic_store(&seg->header->device_bufs, lies[i]);
		must_work("with a false reservation");
		lock_to_claim(seg);
		must(nmx__seg_reserve_for_device(seg, 512, &why) == 0, "%s", why.text);
		must(blocks_of(seg) >= nmx__seg_area_bytes(seg, 512), "not reserved, for it was said to be");
		nmx__seg_unlock(seg);
		leave(seg);
	}
}

int main(int argc, char **argv)
{
	bool umem = false, full = false;
	int status;

	attack_begin("device", argc, argv, 1, 0);
	for (attack.round = 0; attack.round < attack.count; attack.round++) {
		buffers_are_where_packets_go();
		umem = a_device_can_register_it();
		an_extent_gives_back_what_it_has();
		an_extent_released_later_gives_it_back_too();
		what_does_not_fit_leaves_nothing();
		a_false_reservation_is_not_believed();
		status = reap(spawn(run_out_of_space, NULL), 20000, "the one on a full disk");
		full = !WIFEXITED(status) || WEXITSTATUS(status) != SKIP;
		must(!full || (WIFEXITED(status) && WEXITSTATUS(status) == 0), "failed on a full file system");
	}
	if (!umem)
		puts("skipped: no AF_XDP socket to be had, so no registration (needs CAP_NET_RAW)");
	if (!full)
		puts("skipped: no file system can be mounted, so none was full");
	return attack_end("%u rounds", attack.count);
}
