/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crash.h"
#include "shm/audit.h"

struct attack attack;

static pid_t first_process;
static int64_t began_ms;
static int64_t only_round = -1;

/* ---- life of an attack */

void attack_begin(const char *name, int argc, char **argv, uint32_t default_count, uint32_t default_seconds)
{
	const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	int option;

	attack = (struct attack){ .name = name, .seed = (uint64_t)time(NULL) * 1000003u ^ (uint64_t)getpid() << 32,
		                  .count = default_count, .seconds = default_seconds };
	while ((option = getopt(argc, argv, "n:t:s:r:")) >= 0)
		switch (option) {
		case 'n':
			attack.count = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 't':
			attack.seconds = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 's':
			attack.seed = strtoull(optarg, NULL, 0);
			break;
		case 'r':
			only_round = (int64_t)strtoul(optarg, NULL, 0);
			break;
		default:
			fprintf(stderr, "usage: %s [-n count] [-t seconds] [-s seed] [-r round]\n", argv[0]);
			exit(2);
		}
	first_process = getpid();
	began_ms = now_ms();
	unsetenv("NMX_DIR");
	unsetenv("NMX_BACKEND");
	snprintf(attack.dir, sizeof(attack.dir), "%s/nmx-crash-XXXXXX", parent);
	must(mkdtemp(attack.dir) != NULL, "cannot make %s: %s", attack.dir, strerror(errno));
	setvbuf(stdout, NULL, _IOLBF, 0);
}

bool attack_wants(uint32_t round) { return only_round < 0 || only_round == (int64_t)round; }

int attack_end(const char *format, ...)
{
	va_list args;

	remove_tree(attack.dir);
	printf("%s: ", attack.name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(" (seed %#llx, %.1f s)\n", (unsigned long long)attack.seed, (double)(now_ms() - began_ms) / 1000);
	return 0;
}

int attack_skip(const char *format, ...)
{
	va_list args;

	remove_tree(attack.dir);
	printf("%s: skipped: ", attack.name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	return SKIP;
}

void die(const char *format, ...)
{
	char text[1024];
	va_list args;
	int error = errno;

	va_start(args, format);
	errno = error;
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "%s: round %u: %s\n  repeat: -s %#llx -r %u; files left in %s: %s\n", attack.name, attack.round, text,
	        (unsigned long long)attack.seed, attack.round, attack.dir, list_files(attack.dir));
	fflush(NULL);
	_exit(1);
}

/* ---- random numbers */

struct rng rng_of(uint64_t seed, uint64_t round)
{
	struct rng rng = { (seed ^ (round + 1) * 0x9e3779b97f4a7c15ull) | 1 };

	for (int i = 0; i < 8; i++)
		rng_next(&rng);
	return rng;
}

uint64_t rng_next(struct rng *rng)
{
	rng->state ^= rng->state << 13;
	rng->state ^= rng->state >> 7;
	rng->state ^= rng->state << 17;
	return rng->state * 0x2545f4914f6cdd1dull;
}

uint32_t rng_below(struct rng *rng, uint32_t n) { return (uint32_t)((rng_next(rng) >> 32) * n >> 32); }

uint32_t rng_scaled(struct rng *rng, uint32_t most)
{
	uint32_t bits = 32 - (uint32_t)__builtin_clz(most), limit = 1u << rng_below(rng, bits + 1);

	return 1 + rng_below(rng, limit < most ? limit : most);
}

/* ---- time, processes */

int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void nap_us(uint32_t us) { nanosleep(&(struct timespec){ .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L }, NULL); }

pid_t spawn(void (*body)(void *arg), void *arg)
{
	pid_t pid, parent = getpid();

	fflush(NULL);
	pid = fork();
	must(pid >= 0, "fork: %s", strerror(errno));
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		body(arg);
		fflush(NULL);
		exit(0);
	}
	return pid;
}

int reap(pid_t pid, int64_t ms, const char *who)
{
	int64_t deadline = now_ms() + ms;
	int status = 0;
	pid_t got;

	while ((got = waitpid(pid, &status, WNOHANG)) == 0) {
		if (now_ms() > deadline) {
			char command[96];

			snprintf(command, sizeof(command), "cat /proc/%d/wchan /proc/%d/stat >&2; echo >&2", (int)pid, (int)pid);
			(void)!system(command);
			kill(pid, SIGKILL);
			die("%s (process %d) hangs: %lld ms", who, (int)pid, (long long)ms);
		}
		nap_us(200);
	}
	must(got == pid, "waitpid of %s: %s", who, strerror(errno));
	return status;
}

void reap_ok(pid_t pid, int64_t ms, const char *who)
{
	int status = reap(pid, ms, who);

	if (WIFSIGNALED(status))
		die("%s crashed: %s", who, strsignal(WTERMSIG(status)));
	must(WEXITSTATUS(status) == 0, "%s failed (it said why above)", who);
}

void kill_now(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- files */

uint32_t count_files(const char *dir, const char *prefix)
{
	DIR *list = opendir(dir);
	struct dirent *entry;
	uint32_t n = 0;

	while (list && (entry = readdir(list)))
		n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		     strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	if (list)
		closedir(list);
	return n;
}

const char *list_files(const char *dir)
{
	static char text[512];
	DIR *list = opendir(dir);
	struct dirent *entry;
	size_t used = 0;

	text[0] = '\0';
	while (list && (entry = readdir(list)) && used < sizeof(text) - 1)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s ", entry->d_name);
	if (list)
		closedir(list);
	return *text ? text : "none";
}

void remove_tree(const char *dir)
{
	DIR *list = opendir(dir);
	struct dirent *entry;

	while (list && (entry = readdir(list)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && unlinkat(dirfd(list), entry->d_name, 0) < 0)
			unlinkat(dirfd(list), entry->d_name, AT_REMOVEDIR);
	if (list)
		closedir(list);
	rmdir(dir);
}

uint32_t count_fds(void) { return count_files("/proc/self/fd", "") - 1; } /* one is the listing's own */

uint32_t count_maps(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	uint32_t n = 0;

	while (maps && fgets(line, sizeof(line), maps))
		n += strstr(line, attack.dir) != NULL;
	if (maps)
		fclose(maps);
	return n;
}

/* ---- nmx */

void must_add_up(const char *when, const char *segment)
{
	struct nmx__audit audit;
	struct nmx__segment *seg;
	struct nmx_report why;
	int err = nmx__seg_look(&seg, attack.dir, segment ? segment : "default", &why);

	must(err == 0, "%s: no look at the segment: %s", when, why.text);
	err = nmx__audit(seg, &audit);
	nmx__seg_unlook(seg);
	must(err == 0, "%s: audit: %s", when, nmx_strerror(err));
	must(nmx__audit_is_clean(&audit),
	     "%s: buffers do not add up: %u = %u free + %u queued + %u held + %u quarantined + %u lost (first %u); %u doubled (first %u), %u nonsense, "
	     "%u free but mentioned; %u records, %u members, %u dead",
	     when, audit.buffers, audit.free, audit.queued, audit.held, audit.quarantined, audit.lost, audit.first_lost, audit.doubled,
	     audit.first_doubled, audit.nonsense, audit.free_mentioned, audit.records, audit.members, audit.dead);
}

int open_port(struct nmx_port **port, const char *name, const struct nmx_options *options, struct nmx_report *why)
{
	struct nmx_options o = options ? *options : (struct nmx_options){ 0 };

	if (!o.directory)
		o.directory = attack.dir;
	if (!o.segment_bufs)
		o.segment_bufs = SEGMENT_BUFS;
	return nmx_open(port, name, &o, why);
}

void must_work(const char *when)
{
	struct nmx_options o = { .tx_slots = 8, .rx_slots = 8 };
	struct nmx_port *a = NULL, *b = NULL;
	struct nmx_report why;
	struct nmx_frame frame;
	struct nmx_tx *tx;
	struct nmx_rx *rx;

	must(open_port(&a, "works{1", &o, &why) == 0, "%s: a normal open fails: %s", when, why.text);
	must(open_port(&b, "works}1", &o, &why) == 0, "%s: a normal open of the other end fails: %s", when, why.text);
	must(nmx_tx_ring(a, 0, &tx) == 0 && nmx_rx_ring(b, 0, &rx) == 0, "%s: no rings", when);
	must(nmx_tx_send(tx, "hello", 5) == 0 && nmx_tx_sync(tx) >= 0, "%s: cannot send", when);
	must(nmx_rx_sync(rx) == 1 && nmx_rx_recv(rx, &frame) && frame.len == 5 && memcmp(frame.data, "hello", 5) == 0,
	     "%s: not received", when);
	nmx_tx_close(tx);
	nmx_rx_close(rx);
	nmx_close(a);
	nmx_close(b);
}
