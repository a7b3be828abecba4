/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Ports of interfaces as they come and go: a thread for each ring, statistics read beside them; children by fork, which keep
 * nothing of their parent's, also when it dies and they live on; opening over and over; and opening without descriptors,
 * without room for a segment, without memory to lock.  What was refused leaves nothing behind.
 *
 * -n TIMES: opens and closes so often instead of 10, and has every number of descriptors instead of every third.
 */
#include "rings.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HOST, NEIGHBOUR, MTU = 1500, QUEUES = 4, EACH = 2000, LIMIT_MS = 3000, CHILDREN = 12 };

static struct snapshot before;

/* ---- threads */

struct worker {
	pthread_t thread;
	struct nmx_tx *tx;
	struct nmx_rx *rx;
	uint32_t count;
};
static _Atomic bool stop;

/* Gives back what comes, until it was so many. */
static void *bounce(void *arg)
{
	struct worker *w = arg;

	while (w->count < EACH && !atomic_load(&stop)) {
		int n = nmx_rx_sync(w->rx);

		w->count += n > 0 ? nmx_forward(w->rx, w->tx, UINT32_MAX) : 0;
		if (n < 0 || nmx_tx_sync(w->tx) < 0)
			break;
		if (n == 0)
			(void)!nmx_rx_wait(w->rx, 100);
	}
	return NULL;
}

static void *watch(void *arg)
{
	struct nmx_stats stats;

	while (!atomic_load(&stop)) {
		nmx_port_stats(arg, &stats);
		sleep_ms(1);
	}
	return NULL;
}

static void a_thread_for_each_ring(void)
{
	struct nmx_port *port = rings_open(HOST, "eth0", NULL), *other = rings_open(NEIGHBOUR, "eth0", NULL);
	struct worker workers[QUEUES] = { 0 };
	struct flow flows[QUEUES] = { 0 };
	pthread_t watcher;

	atomic_store(&stop, false);
	pthread_create(&watcher, NULL, watch, port);
	for (uint32_t q = 0; q < QUEUES; q++) {
		workers[q].tx = rings_tx(port, q);
		workers[q].rx = rings_rx(port, q);
		pthread_create(&workers[q].thread, NULL, bounce, &workers[q]);
	}
	for (uint32_t q = 0; q < QUEUES; q++) {
		struct nmx_tx *tx = rings_tx(other, q);
		struct nmx_rx *rx = rings_rx(other, q);

		for (uint32_t done = 0; done < EACH && rings_send(tx, &flows[q], 200) && rings_receive(rx, &flows[q], 200); done += 200)
			;
		nmx_tx_close(tx);
		nmx_rx_close(rx);
	}
	atomic_store(&stop, true);
	pthread_join(watcher, NULL);
	for (uint32_t q = 0; q < QUEUES; q++) {
		pthread_join(workers[q].thread, NULL);
		EXPECT(workers[q].count == EACH, "queue %u: %u", q, workers[q].count);
		nmx_tx_close(workers[q].tx);
		nmx_rx_close(workers[q].rx);
	}
	nmx_close(port);
	nmx_close(other);
}

/* ---- fork */

static int child_code(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void __attribute__((__noreturn__)) live_on(void)
{
	for (;;)
		pause();
}

/* What a child has of its parent's port: nothing. */
static int look_at_inheritance(struct nmx_port *port, struct nmx_tx *tx, struct nmx_rx *rx)
{
	struct nmx_wait_entry entry = { .rx = rx };
	struct nmx_frame frame = { 0 };
	struct nmx_tx *more;

	if (nmx_rx_sync(rx) != NMX_ERR_FORKED || nmx_tx_sync(tx) != NMX_ERR_FORKED || nmx_wait(&entry, 1, 0) != NMX_ERR_FORKED)
		return 1;
	if (nmx_tx_send(tx, "", 1) == 0 || nmx_rx_recv(rx, &frame) || nmx_rx_pollfd(rx).fd >= 0 || nmx_port_fd(port) >= 0)
		return 2;
	if (nmx_tx_ring(port, 0, &more) != NMX_ERR_FORKED)
		return 3;
	nmx_tx_close(tx);
	nmx_rx_close(rx);
	nmx_close(port);
	return 0;
}

/* In a process of its own: opens, forks, and says so by the pipe, with the child's pid. */
static void __attribute__((__noreturn__)) parent_that_dies(int say)
{
	struct nmx_port *port = rings_open(HOST, "eth0*", &(struct nmx_options){ .flags = NMX_PROMISC });
	struct nmx_tx *tx = rings_tx(port, 0);
	struct nmx_rx *rx = rings_rx(port, 0);
	pid_t pid = fork();
	int code;

	if (pid == 0) {
		code = look_at_inheritance(port, tx, rx);
		if (write(say, &code, sizeof(code)) != sizeof(code))
			_exit(1);
		live_on();
	}
	if (write(say, &pid, sizeof(pid)) != sizeof(pid))
		_exit(1);
	live_on();
}

static void a_child_that_lives_on_keeps_nothing(void)
{
	int pipe_fds[2], said[2] = { 0 };
	pid_t pid, child;

	EXPECT(pipe(pipe_fds) == 0, "pipe");
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		parent_that_dies(pipe_fds[1]);
	for (int i = 0; i < 2; i++)
		EXPECT(read(pipe_fds[0], &said[i], sizeof(said[i])) == sizeof(said[i]), "the parent says nothing");
	child = said[0] > said[1] ? said[0] : said[1];
	EXPECT((said[0] < said[1] ? said[0] : said[1]) == 0, "the child has something of its parent's");
	kill(pid, SIGKILL);
	child_code(pid);
	EXPECT(kill(child, 0) == 0, "the child is to live");
	EXPECT(net_same_after_kill(HOST, "eth0", &before, LIMIT_MS) >= 0 && net_next_tidies(HOST, "eth0", &before), "the child keeps the interface");
	nmx_close(rings_open(HOST, "eth0*", NULL));
	kill(child, SIGKILL);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void *open_and_close(void *arg)
{
	while (!atomic_load(&stop))
		nmx_close(rings_open(HOST, arg, &(struct nmx_options){ .flags = NMX_PROMISC }));
	return NULL;
}

/* Children that are made while another thread opens and closes; the group is killed at the end. */
static void __attribute__((__noreturn__)) parent_of_many(int say)
{
	pthread_t thread;
	char done = 1;

	setpgid(0, 0);
	atomic_store(&stop, false);
	pthread_create(&thread, NULL, open_and_close, (void *)(uintptr_t) "eth0*");
	for (int i = 0; i < CHILDREN; i++) {
		sleep_ms(7 + i * 3);
		if (fork() == 0)
			live_on();
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	if (write(say, &done, 1) != 1)
		_exit(1);
	live_on();
}

static void forks_beside_opens_keep_nothing(void)
{
	int pipe_fds[2];
	char done;
	pid_t pid;

	EXPECT(pipe(pipe_fds) == 0, "pipe");
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		parent_of_many(pipe_fds[1]);
	EXPECT(read(pipe_fds[0], &done, 1) == 1, "the parent says nothing");
	EXPECT(net_same_within(HOST, "eth0", &before, LIMIT_MS) >= 0, "one of %d children keeps the interface", CHILDREN);
	nmx_close(rings_open(HOST, "eth0*", NULL));
	kill(-pid, SIGKILL);
	child_code(pid);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* ---- over and over */

static int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static long resident_kib(void)
{
	char text[4096];
	FILE *file = fopen("/proc/self/status", "r");
	size_t got = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
	const char *at;

	text[got] = '\0';
	if (file)
		fclose(file);
	at = strstr(text, "RssAnon:");
	return at ? strtol(at + strlen("RssAnon:"), NULL, 10) : 0;
}

static void opening_often_leaves_nothing(long times)
{
	static const char *const names[] = { "eth0*", "eth0", "eth0^", "eth0-1/T", "eth0/R@conf:rings=1" };
	int fds = descriptors();
	long warm = 0, kib;

	for (long i = 0; i < times && expect_result() == 0; i++) {
		nmx_close(rings_open(HOST, names[i % 5], NULL));
		if (i == times / 2)
			warm = resident_kib();
	}
	kib = resident_kib();
	printf("%ld opens: %ld KiB after half of them, %ld after all\n", times, warm, kib);
	EXPECT(descriptors() == fds, "%d descriptors before, %d after", fds, descriptors());
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed */
	EXPECT(kib - warm < 1024, "%ld KiB, and half the opens later %ld", warm, kib);
#endif
	net_same_within(HOST, "eth0", &before, LIMIT_MS);
}

/* ---- refused */

static void descriptors_run_out(const char *name)
{
	struct rlimit limit, small;
	struct nmx_port *port = NULL;
	int fds = descriptors(), err = -1, refused = 0;
	rlim_t step = net_args.number ? 1 : 3;

	getrlimit(RLIMIT_NOFILE, &limit);
	net_enter(HOST);
	for (small = limit, small.rlim_cur = 3; err < 0 && small.rlim_cur < 300; small.rlim_cur += step) {
		struct nmx_options options = { .directory = run_dir, .flags = NMX_PROMISC };
		struct nmx_report why = { 0 };

		setrlimit(RLIMIT_NOFILE, &small);
		err = nmx_open(&port, name, &options, &why);
		setrlimit(RLIMIT_NOFILE, &limit);
		EXPECT(err == 0 || (err == NMX_ERR_NO_MEMORY && why.text[0]), "%s with %d descriptors: %s: %s", name, (int)small.rlim_cur,
		       nmx_error_name(err), why.text);
		refused += err < 0;
		EXPECT(err == 0 || descriptors() == fds, "%s with %d: %d before, %d after", name, (int)small.rlim_cur, fds, descriptors());
	}
	net_leave();
	printf("%s: refused %d times for lack of descriptors\n", name, refused);
	EXPECT(err == 0, "%s", nmx_error_name(err));
	nmx_close(port);
	EXPECT(descriptors() == fds, "%s: %d before, %d after", name, fds, descriptors());
	net_same_within(HOST, "eth0", &before, LIMIT_MS);
	run_dir_is_empty();
}

/* Runs it in a child that may spoil itself. */
static void aside(void (*fn)(void), const char *what)
{
	pid_t pid;
	int code;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		fn();
		fflush(NULL);
		_exit(expect_result());
	}
	code = child_code(pid);
	EXPECT(code == 0, "%s: %d", what, code);
}

static void a_full_file_system(void)
{
	static char dir[512];

	snprintf(dir, sizeof(dir), "%s/small", run_dir);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mkdir(dir, 0700) < 0 ||
	    mount("small", dir, "tmpfs", 0, "size=6m,mode=700") < 0) {
		printf("no file system of our own: %s\n", strerror(errno));
		return;
	}
	rings_open_refused(HOST, "eth0", &(struct nmx_options){ .directory = dir }, NMX_ERR_NO_MEMORY, "df -h");
	rings_open_refused(HOST, "eth0^", &(struct nmx_options){ .directory = dir, .extra_bufs = 2000 }, NMX_ERR_NO_MEMORY, "df -h");
	/* What fits, does; with few buffers registered. */
	nmx_close(rings_open(HOST, "eth0-0@conf:slots=64", &(struct nmx_options){ .directory = dir }));
}

static void without_the_right_to_lock(rlim_t bytes)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	syscall(SYS_capget, &header, data);
	data[CAP_IPC_LOCK / 32].effective &= ~(1u << CAP_IPC_LOCK % 32);
	EXPECT(syscall(SYS_capset, &header, data) == 0, "capset");
	EXPECT(setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ bytes, bytes }) == 0, "setrlimit");
}

/* What is wanted is 64 MiB; what is needed at least, 2 for the first port and 4 for the second. */
static void little_to_lock(void)
{
	static const char *const names[] = { "eth0-0@conf:slots=256", "eth0^@conf:slots=256" };
	struct flow flow = { 0 };

	without_the_right_to_lock(8 << 20);
	for (int i = 0; i < 2 && expect_result() == 0; i++) {
		struct nmx_port *port = rings_open(HOST, names[i], NULL), *other = rings_open(NEIGHBOUR, names[i], NULL);
		struct nmx_tx *tx = other ? rings_tx(other, 0) : NULL;
		struct nmx_rx *rx = port ? rings_rx(port, 0) : NULL;

		if (i == 0 && rx && tx)
			EXPECT(rings_send(tx, &flow, 100) && rings_receive(rx, &flow, 100), "with little memory to lock");
		nmx_tx_close(tx);
		nmx_rx_close(rx);
		nmx_close(port);
		nmx_close(other);
	}
}

static void too_little_to_lock(void)
{
	without_the_right_to_lock(1 << 20);
	rings_open_refused(HOST, "eth0-0", NULL, NMX_ERR_NO_MEMORY, "ulimit -l");
	rings_open_refused(HOST, "eth0^", NULL, NMX_ERR_NO_MEMORY, "ulimit -l");
	rings_open_refused(HOST, "eth0*", NULL, NMX_ERR_NO_MEMORY, "ulimit -l");
}

int main(int argc, char **argv)
{
	net_begin(argc, argv, 2);
	net_needs_ports();
	net_join(HOST, "eth0", NEIGHBOUR, "eth0", QUEUES, MTU, NET_QUIET);
	net_snapshot(HOST, "eth0", &before);
	a_thread_for_each_ring();
	opening_often_leaves_nothing(net_args.number ? net_args.number : 10);
	descriptors_run_out("eth0*");
	descriptors_run_out("eth0-1");
	aside(a_full_file_system, "a full file system");
	aside(little_to_lock, "little memory to lock");
	aside(too_little_to_lock, "too little memory to lock");
	a_child_that_lives_on_keeps_nothing();
	forks_beside_opens_keep_nothing();
	net_same_within(HOST, "eth0", &before, LIMIT_MS);
	run_dir_clear();
	return expect_result();
}
