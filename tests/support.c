/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <dirent.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

const struct backend_row support_loop = { "loop", "loop:", "loop:" };
const struct backend_row support_pipe = { "pipe", "link{1", "link}1" };
const struct backend_row support_switch = { "switch", "vale0:tx@block", "vale0:rx" };

static char directory[64];
static pthread_t main_thread;
static pid_t main_process;

/* ---- requirements */

void support_fail(const char *file, int line, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (main_process && (getpid() != main_process || !pthread_equal(pthread_self(), main_thread))) {
		fprintf(stderr, "%s:%d: %s (in a peer)\n", file, line, text);
		fflush(stderr);
		_exit(99);
	}
	print_error("%s\n", text);
	_fail(file, line);
	abort(); /* not reached */
}

void support_differ(long long is, long long expected, const char *what, const char *expected_text, const char *file, int line)
{
	support_fail(file, line, "%s is %lld, expected %s (%lld)", what, is, expected_text, expected);
}

static const char *result_name(int result) { return result < 0 ? nmx_error_name(result) : "no error"; }

void support_results_differ(int is, int expected, const char *what, const char *file, int line)
{
	support_fail(file, line, "%s is %d (%s), expected %d (%s)", what, is, result_name(is), expected, result_name(expected));
}

void support_require_contains(const char *text, const char *part, const char *file, int line)
{
	if (!strstr(text, part))
		support_fail(file, line, "\"%s\" is not in \"%s\"", part, text);
}

/* ---- the directory */

int support_make_directory(void **state)
{
	struct stat st;

	(void)state;
	main_thread = pthread_self();
	main_process = getpid();
	snprintf(directory, sizeof(directory), "%s/nmx-test-XXXXXX", stat("/dev/shm", &st) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(directory))
		return -1;
	return setenv("NMX_DIR", directory, 1);
}

static int empty_directory(void)
{
	DIR *dir = opendir(directory);
	char path[512];
	int n = 0;

	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		fprintf(stderr, "left behind: %s\n", path);
		unlink(path);
		n++;
	}
	if (dir)
		closedir(dir);
	return n;
}

int support_remove_directory(void **state)
{
	int left = empty_directory();

	(void)state;
	return rmdir(directory) < 0 || left > 0 ? -1 : 0;
}

const char *support_directory(void) { return directory; }

int support_directory_entries(void)
{
	DIR *dir = opendir(directory);
	int n = -2;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

/* ---- ports */

static struct nmx_options with_defaults(const struct nmx_options *options)
{
	struct nmx_options o = options ? *options : (struct nmx_options){ 0 };

	if (!o.segment_bufs)
		o.segment_bufs = 16384; /* a checked segment is poisoned as a whole: keep it small */
	return o;
}

struct nmx_port *support_open(const char *name, const struct nmx_options *options)
{
	struct nmx_options o = with_defaults(options);
	struct nmx_port *port = NULL;
	struct nmx_report why;

	if (nmx_open(&port, name, &o, &why) < 0)
		support_fail(__FILE__, __LINE__, "open \"%s\": %s: %s", name, nmx_error_name(why.err), why.text);
	return port;
}

void support_open_refused(const char *name, const struct nmx_options *options, int err, const char *part)
{
	struct nmx_options o = with_defaults(options);
	struct nmx_port *port = (struct nmx_port *)&o;
	struct nmx_report why;

	require_result(nmx_open(&port, name, &o, &why), err);
	require(port == (struct nmx_port *)&o); /* untouched */
	require_result(why.err, err);
	require_contains(why.text, part);
	require_result(nmx_open(&port, name, &o, NULL), err); /* the report may be left out */
}

struct nmx_tx *support_tx(struct nmx_port *port, uint32_t index)
{
	struct nmx_tx *tx = NULL;

	require_result(nmx_tx_ring(port, index, &tx), 0);
	return tx;
}

struct nmx_rx *support_rx(struct nmx_port *port, uint32_t index)
{
	struct nmx_rx *rx = NULL;

	require_result(nmx_rx_ring(port, index, &rx), 0);
	return rx;
}

struct link support_link(const struct backend_row *row, uint32_t slots, const struct nmx_options *options)
{
	struct nmx_options o = options ? *options : (struct nmx_options){ 0 };
	struct link link;

	o.tx_slots = o.rx_slots = slots;
	link.tx_port = link.rx_port = support_open(row->tx_name, &o);
	if (row->tx_name != row->rx_name)
		link.rx_port = support_open(row->rx_name, &o);
	link.tx = support_tx(link.tx_port, 0);
	link.rx = support_rx(link.rx_port, 0);
	return link;
}

void support_unlink(struct link *link)
{
	nmx_tx_close(link->tx);
	nmx_rx_close(link->rx);
	if (link->rx_port != link->tx_port)
		nmx_close(link->rx_port);
	nmx_close(link->tx_port);
}

/* ---- packets */

void support_write(uint8_t *data, uint32_t len, uint64_t id)
{
	uint32_t head = len < sizeof(id) ? len : sizeof(id);

	memcpy(data, &id, head);
	for (uint32_t i = head; i < len; i++)
		data[i] = (uint8_t)(id * 31 + i);
}

void support_check(const uint8_t *data, uint32_t len, uint64_t id)
{
	uint8_t expected[65536];

	support_write(expected, len, id);
	if (memcmp(data, expected, len) != 0) {
		uint64_t is = 0;

		memcpy(&is, data, len < sizeof(is) ? len : sizeof(is));
		support_fail(__FILE__, __LINE__, "a packet of %u bytes is number %llu or damaged, expected number %llu", len,
		             (unsigned long long)is, (unsigned long long)id);
	}
}

void support_send(struct nmx_tx *tx, uint64_t first, uint32_t count, uint32_t len)
{
	struct nmx_batch batch;
	int n;

	if (nmx_tx_space(tx) < count) /* the ring may not have looked lately */
		require(nmx_tx_sync(tx) >= 0);
	require_equal(nmx_tx_reserve(tx, count, &batch), count);
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *data = nmx_batch_packet(&batch, len);

		require(data != NULL);
		support_write(data, len, first + i);
	}
	nmx_batch_commit(&batch);
	n = nmx_tx_sync(tx);
	if (n < 0)
		support_fail(__FILE__, __LINE__, "sync of packets %llu to %llu: %s", (unsigned long long)first,
		             (unsigned long long)(first + count - 1), nmx_error_name(n));
}

void support_send_away(struct nmx_tx *tx, uint64_t id, uint32_t len)
{
	uint8_t data[2048];
	int n;

	support_write(data, len, id);
	require_result(nmx_tx_send(tx, data, len), 0);
	n = nmx_tx_sync(tx);
	require(n >= 0 || n == NMX_ERR_PEER_GONE);
}

void support_expect(struct nmx_rx *rx, uint64_t first, uint32_t count, uint32_t len)
{
	struct nmx_frame frame;

	for (uint32_t i = 0; i < count; i++) {
		if (nmx_rx_waiting(rx) == 0) {
			int n = nmx_rx_sync(rx);

			if (n <= 0)
				support_fail(__FILE__, __LINE__, "packet %llu has not come: sync says %d (%s)",
				             (unsigned long long)(first + i), n, result_name(n));
		}
		require(nmx_rx_recv(rx, &frame));
		require_equal(frame.len, len);
		support_check(frame.data, len, first + i);
	}
}

/* ---- peers */

pid_t support_fork(void (*body)(void *arg), void *arg)
{
	pid_t pid;

	if (!main_process) {
		main_process = getpid();
		main_thread = pthread_self();
	}
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		support_fail(__FILE__, __LINE__, "cannot fork");
	if (pid == 0) {
		body(arg);
		_exit(0);
	}
	return pid;
}

void support_join(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		require(errno == EINTR);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		support_fail(__FILE__, __LINE__, "the peer process ended badly (status %#x)", (unsigned)status);
}

/* ---- the rest */

struct nmx_stats support_stats(const struct nmx_port *port)
{
	struct nmx_stats stats;

	nmx_port_stats(port, &stats);
	return stats;
}

uint32_t support_random(uint32_t *state, uint32_t below)
{
	*state = *state * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)(*state >> 8) * below >> 24);
}

int64_t support_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
