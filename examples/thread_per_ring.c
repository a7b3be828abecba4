/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * thread_per_ring: a worker for each ring of a port, each on its own CPU, with nothing between them: no lock, no counter,
 * no cache line in common.  Prints what each of them moves.
 *
 *     build/examples/thread_per_ring receive 'rings}1@conf:rings=4'          in one terminal, and in another:
 *     build/examples/thread_per_ring send 'rings{1@conf:rings=4'             or eth0, with as many rings as it has queues
 *
 * Ctrl-C ends it, and so does -n PACKETS (of each ring) or -t SECONDS; -c 0,2 names the CPUs.  On a switch, send with @block at the
 * end of the name, vale0:a@conf:rings=4@block: otherwise packets that find the receiver full are dropped.  Drops are printed.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <nmx/worker.h>

#include "number.h"

enum { BATCH = 256, LEN = 60, MAX_CPUS = 64, DRAIN_MS = 10000 };

static struct nmx_workers *workers;

struct job {
	uint64_t packets; /* of each ring; 0: without end */
};

/* A worker's state: it alone writes, the main thread looks at it. */
struct tally {
	_Atomic uint64_t packets;
};

/* Only one thread writes, so this needs no locked instruction. */
static void count(struct tally *tally, uint64_t packets)
{
	uint64_t before = atomic_load_explicit(&tally->packets, memory_order_relaxed);

	atomic_store_explicit(&tally->packets, before + packets, memory_order_relaxed);
}

static uint64_t left(const struct nmx_worker *self)
{
	const struct job *job = self->arg;
	const struct tally *tally = self->state;

	return job->packets ? job->packets - atomic_load_explicit(&tally->packets, memory_order_relaxed) : UINT64_MAX;
}

static int receive(struct nmx_worker *self)
{
	int n = 0;

	while (n >= 0 && left(self) > 0 && !nmx_worker_stopping(self)) {
		uint32_t packets = 0;

		n = nmx_rx_sync(self->rx);
		nmx_rx_for_each (self->rx, frame) {
			if (packets == left(self))
				break;
			packets += !(frame.flags & NMX_MORE);
		}
		count(self->state, packets);
		if (n == 0)
			n = nmx_rx_wait(self->rx, -1);
		if (n == NMX_ERR_LINK_DOWN) /* it may come up again */
			n = 0;
	}
	return n == NMX_ERR_PEER_GONE ? 0 : n; /* all that the other end sent is here */
}

/* Frames of the EtherType for local experiments. */
static void fill(struct nmx_batch *batch, const struct nmx_worker *self, uint64_t number)
{
	static const uint8_t head[14] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5 };
	uint8_t *data;

	while ((data = nmx_batch_packet(batch, LEN))) {
		memcpy(data, head, sizeof(head));
		memcpy(data + 14, &self->index, sizeof(self->index));
		memcpy(data + 18, &number, sizeof(number));
		memset(data + 26, 0, LEN - 26);
		number++;
	}
}

static int send_all(struct nmx_worker *self)
{
	struct tally *tally = self->state;
	struct nmx_batch batch;
	int n = 0, got;

	while (n >= 0 && left(self) > 0 && !nmx_worker_stopping(self)) {
		got = nmx_tx_reserve(self->tx, left(self) < BATCH ? (uint32_t)left(self) : BATCH, &batch);
		if (got < 0)
			return got;
		fill(&batch, self, atomic_load_explicit(&tally->packets, memory_order_relaxed));
		nmx_batch_commit(&batch);
		count(tally, (uint64_t)got);
		n = nmx_tx_sync(self->tx);
		if (n == 0)
			n = nmx_tx_wait(self->tx, BATCH, -1);
		if (n == NMX_ERR_PEER_GONE || n == NMX_ERR_LINK_DOWN) /* another may come; it may come up again */
			n = 0;
	}
	while (n >= 0 && (n = nmx_tx_drain(self->tx, DRAIN_MS)) == NMX_ERR_PEER_GONE)
		n = 0;
	return n == NMX_ERR_TIMED_OUT ? 0 : n; /* nobody takes it: a pipe keeps it as long as one end is open */
}

/* ---- the main thread only looks */

static void on_interrupt(int sig)
{
	(void)sig;
	nmx_workers_stop(workers);
}

static void print_rates(uint64_t *before)
{
	const struct nmx_worker *worker;

	for (uint32_t i = 0; (worker = nmx_workers_get(workers, i)); i++) {
		uint64_t now = atomic_load(&((struct tally *)worker->state)->packets);

		printf("%sworker %u on CPU %d: %.3f Mpps", i ? ", " : "", i, worker->cpu, (double)(now - before[i]) / 1e6);
		before[i] = now;
	}
	printf("\n");
}

static uint64_t print_sums(void)
{
	const struct nmx_worker *worker;
	uint64_t sum = 0;

	for (uint32_t i = 0; (worker = nmx_workers_get(workers, i)); i++) {
		uint64_t packets = atomic_load(&((struct tally *)worker->state)->packets);

		printf("worker %u on CPU %d: %llu packets\n", i, worker->cpu, (unsigned long long)packets);
		sum += packets;
	}
	return sum;
}

/* Rates once a second until all have ended; then the sums. */
static int watch(uint64_t seconds)
{
	struct sigaction interrupt = { .sa_handler = on_interrupt };
	uint64_t before[128] = { 0 };
	struct nmx_report why;
	uint64_t passed = 0;
	int running;

	sigaction(SIGINT, &interrupt, NULL);
	while ((running = nmx_workers_join(workers, 1000, &why)) > 0) {
		print_rates(before);
		if (++passed == seconds)
			nmx_workers_stop(workers);
	}
	if (running < 0)
		fprintf(stderr, "thread_per_ring: %s\n", why.text);
	signal(SIGINT, SIG_DFL);
	printf("in all %llu packets\n", (unsigned long long)print_sums());
	return running < 0 ? 1 : 0;
}

static void print_drops(const struct nmx_port *port)
{
	struct nmx_stats stats;

	nmx_port_stats(port, &stats);
	if (stats.drop_full)
		printf("dropped: %llu that found the receiver full (@block waits)\n", (unsigned long long)stats.drop_full);
	if (stats.drop_no_port)
		printf("dropped: %llu that were for nobody\n", (unsigned long long)stats.drop_no_port);
	if (stats.drop_no_buffer)
		printf("dropped: %llu that came when the ring was full\n", (unsigned long long)stats.drop_no_buffer);
}

/* "0,2".  0: it is something else. */
static uint32_t read_cpus(const char *text, int *cpus)
{
	uint32_t n = 0;
	char *end;

	for (const char *at = text; n < MAX_CPUS; at = end + 1) {
		cpus[n++] = (int)strtol(at, &end, 10);
		if (end == at || (*end && *end != ','))
			return 0;
		if (!*end)
			return n;
	}
	return 0;
}

static int usage(FILE *out, int code)
{
	fprintf(out, "usage: thread_per_ring receive|send PORT [-n PACKETS] [-t SECONDS] [-c CPU,CPU...]\n"
	             "A worker for each ring of PORT receives, or sends; prints the rate of each.\n"
	             "  -n PACKETS  ends after so many of each ring\n"
	             "  -t SECONDS  ends after so long\n"
	             "  -c CPUS     pins them to these CPUs, instead of the best ones\n");
	return code;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	bool sends = strcmp(what, "send") == 0;
	struct nmx_options options = { .flags = sends ? NMX_TX_ONLY : NMX_RX_ONLY };
	struct nmx_worker_options how = { .state_bytes = sizeof(struct tally) };
	struct job job = { 0 };
	struct nmx_report why;
	NMX_AUTO(port) port = NULL;
	int cpus[MAX_CPUS], c, code;
	uint64_t seconds = 0;

	if (strcmp(what, "--help") == 0)
		return usage(stdout, 0);
	if (argc < 3 || (!sends && strcmp(what, "receive") != 0))
		return usage(stderr, 2);
	optind = 3;
	while ((c = getopt(argc, argv, "n:t:c:")) != -1) {
		if (c == 'n')
			job.packets = read_number("thread_per_ring: -n", optarg);
		else if (c == 't')
			seconds = read_number("thread_per_ring: -t", optarg);
		else if (c == 'c')
			how.num_cpus = read_cpus(optarg, cpus);
		else
			return usage(stderr, 2);
		if (c == 'c' && how.num_cpus == 0) {
			fprintf(stderr, "thread_per_ring: -c \"%s\": write the numbers of up to %d CPUs, as 0,2\n", optarg, MAX_CPUS);
			return 2;
		}
	}
	how.cpus = how.num_cpus ? cpus : NULL;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (nmx_open(&port, argv[2], &options, &why) < 0 ||
	    nmx_workers_start(&workers, port, sends ? send_all : receive, &job, &how, &why) < 0) {
		fprintf(stderr, "thread_per_ring: %s\n", why.text);
		return 1;
	}
	if (why.text[0]) /* what is not as it could be */
		fprintf(stderr, "thread_per_ring: %s\n", why.text);
	code = watch(seconds);
	nmx_workers_close(workers);
	print_drops(port);
	return code;
}
