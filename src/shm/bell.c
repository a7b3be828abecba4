/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fork.h"
#include "shm/bell.h"

void nmx__bell_init(struct nmx__bell *bell, struct nmx__segment *seg, uint32_t record, uint32_t queue, char side)
{
	*bell = (struct nmx__bell){ .seg = seg, .record = record, .queue = queue, .side = side, .reader = -1, .writer = -1 };
}

void nmx__bell_close(struct nmx__bell *bell)
{
	nmx__fd_close(bell->reader);
	nmx__fd_close(bell->writer);
	bell->reader = bell->writer = -1;
}

/* Always for reading and writing: a reader never sees the end of the file when the last waker goes, and a waker never
 * gets a SIGPIPE when the reader does. */
static int open_fifo(const struct nmx__bell *bell, bool make)
{
	char file[NMX__FILE_NAME_MAX];
	mode_t mode = bell->seg->dir.file_mode;
	bool made = false;
	struct stat st;
	int fd;

	nmx__seg_file(bell->seg, file, "b%u.%u.%c", bell->record, bell->queue, bell->side);
	if (make) {
		made = mkfifoat(bell->seg->dir.fd, file, mode) == 0;
		if (!made && errno != EEXIST)
			return -1;
	}
	fd = openat(bell->seg->dir.fd, file, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))) {
		close(fd);
		errno = EEXIST;
		return -1;
	}
	if (fd >= 0 && made && mode != 0600)
		(void)!fchmod(fd, mode); /* the umask took the group's part away, and it could not ring */
	return nmx__fd_track(fd);
}

int nmx__bell_reader(struct nmx__bell *bell)
{
	if (bell->reader < 0 && bell->seg)
		bell->reader = open_fifo(bell, true);
	return bell->reader;
}

void nmx__bell_drain(struct nmx__bell *bell)
{
	char bytes[256]; /* more, if a member floods it, are spurious wake-ups */

	if (bell->reader >= 0)
		(void)!read(bell->reader, bytes, sizeof(bytes));
}

void nmx__bell_ring(struct nmx__bell *bell)
{
	if (bell->writer < 0 && bell->seg)
		bell->writer = open_fifo(bell, false); /* ENOENT: nobody is there to hear it */
	if (bell->writer >= 0)
		(void)!write(bell->writer, "", 1); /* full is as good as rung */
}

void nmx__record_wake(struct nmx__segment *seg, const struct nmx__record *record)
{
	struct nmx__record_geometry g;
	struct nmx__bell bell;

	if (!nmx__record_read(seg, record, &g))
		return;
	for (uint32_t end = 0; end < 2; end++)
		for (uint32_t ring = 0; ring < g.rings[end]; ring++) {
			struct nmx__queue *q = nmx__record_queue(seg, record, &g, end, ring);
			uint32_t number = nmx__record_queue_number(&g, end, ring);

			nmx__bell_init(&bell, seg, nmx__record_index(seg, record), number, 'r');
			nmx__wake(&q->rx_sleep, &bell);
			nmx__bell_close(&bell);
			nmx__bell_init(&bell, seg, nmx__record_index(seg, record), number, 't');
			nmx__wake(&q->tx_sleep, &bell);
			nmx__bell_close(&bell);
		}
}
