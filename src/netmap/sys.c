/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fork.h"
#include "netmap/sys.h"

static int sys_open(const char *path) { return nmx__fd_openat(AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0); }

static int sys_ioctl(int fd, unsigned long request, void *arg) { return ioctl(fd, request, arg); }

static void *sys_map(int fd, size_t bytes, void *at)
{
	void *start;

	if (at) /* tracked already */
		return mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == at ? at : NULL;
	nmx__fork_hold();
	start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (start != MAP_FAILED && nmx__map_track_held(start, bytes, false) < 0) { /* a child sees empty rings */
		munmap(start, bytes);
		start = MAP_FAILED;
	}
	nmx__fork_let();
	return start == MAP_FAILED ? NULL : start;
}

static void sys_unmap(void *start, size_t bytes)
{
	nmx__map_untrack(start);
	munmap(start, bytes);
}

static bool sys_is_up(const char *interface)
{
	struct ifreq request = { 0 };
	size_t len = strlen(interface);
	bool up;
	int fd;

	if (len >= sizeof(request.ifr_name))
		return false;
	memcpy(request.ifr_name, interface, len);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	up = ioctl(fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP);
	close(fd);
	return up;
}

static const struct nmx__nm_sys real = {
	.open = sys_open,
	.close = nmx__fd_close,
	.ioctl = sys_ioctl,
	.map = sys_map,
	.unmap = sys_unmap,
	.is_up = sys_is_up,
};

const struct nmx__nm_sys *nmx__nm_sys = &real;
