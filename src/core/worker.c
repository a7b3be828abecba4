/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Workers: one thread for each pair of rings.
 *
 * What a worker writes while it runs is in a mapping of its own, which its thread, pinned by then, is the first to touch:
 * so the kernel takes the pages from the node of its CPU, and no line of them is another worker's.  Before and after it
 * is a page that nobody may touch: the kernel would make one huge page of what lies side by side, on one node.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#ifdef __FreeBSD__
#include <pthread_np.h>
#endif

#include <nmx/worker.h>

#include "base/fork.h"
#include "base/report.h"
#include "core/cpus.h"
#include "core/ring.h"

#define LINE 128 /* two cache lines: processors fetch them in pairs */

/* At the start of a worker's mapping; its state follows. */
struct desk {
	struct nmx_worker worker; /* first, so that the one leads to the other */
	const struct nmx_workers *all;
};
#define DESK_BYTES ((sizeof(struct desk) + LINE - 1) / LINE * LINE)

/* What the starter knows of a worker. */
struct place {
	struct nmx_worker plan; /* from which the thread fills in its desk */
	struct nmx_workers *all;
	struct desk *desk;      /* NULL: not mapped yet */
	pthread_t thread;
	bool has_thread;
	int pin_errno;          /* why the CPU could not be had; the thread's, until it is ready */
};

enum go { GO_WAIT, GO_RUN, GO_AWAY };

struct nmx_workers {
	struct nmx__stop stop;
	int stop_it_fd;         /* what is written there makes stop.fd readable, for good */
	int (*fn)(struct nmx_worker *worker);
	bool has_state;
	bool cpus_given;        /* by the caller: then they are not negotiable */
	size_t page, bytes;     /* of each mapping: a page, bytes, a page */
	char name[sizeof(((struct nmx_info *)NULL)->name)];
	pthread_mutex_t lock;   /* of what follows */
	pthread_cond_t changed;
	enum go go;
	uint32_t ready, running;
	int err;                /* the first that a worker returned ... */
	uint32_t err_index;     /* ... and which */
	uint32_t num_places;
	struct place places[];
};

/* ---- a worker's thread */

static void set_up(struct place *place)
{
	struct nmx_worker *worker = &place->desk->worker;
	char name[16];

	snprintf(name, sizeof(name), "nmx-%u", place->plan.index); /* as top -H shows it */
	pthread_setname_np(pthread_self(), name);
	if (place->plan.cpu >= 0)
		place->pin_errno = -nmx__cpu_pin(place->plan.cpu);
	*worker = place->plan;
	place->desk->all = place->all;
	if (place->pin_errno)
		worker->cpu = -1;
	if (place->all->has_state)
		worker->state = (uint8_t *)place->desk + DESK_BYTES;
}

/* Says that it is ready, and waits until all are. */
static enum go report_for_work(struct nmx_workers *all)
{
	enum go go;

	pthread_mutex_lock(&all->lock);
	all->ready++;
	pthread_cond_broadcast(&all->changed);
	while (all->go == GO_WAIT)
		pthread_cond_wait(&all->changed, &all->lock);
	go = all->go;
	pthread_mutex_unlock(&all->lock);
	return go;
}

static void end(struct nmx_workers *all, uint32_t index, int err)
{
	pthread_mutex_lock(&all->lock);
	if (err < 0 && all->err == 0) {
		all->err = err;
		all->err_index = index;
	}
	all->running--;
	pthread_cond_broadcast(&all->changed);
	pthread_mutex_unlock(&all->lock);
}

static void *run(void *arg)
{
	struct place *place = arg;
	struct nmx_workers *all = place->all;
	struct nmx_worker *worker = &place->desk->worker;
	int err;

	set_up(place);
	if (report_for_work(all) == GO_AWAY)
		return NULL;
	nmx__stop = &all->stop;
	err = all->fn(worker);
	nmx__stop = NULL;
	if (err < 0)
		nmx_workers_stop(all); /* who waits for them all shall hear of it */
	nmx_rx_close(worker->rx);
	nmx_tx_close(worker->tx);
	end(all, place->plan.index, err);
	return NULL;
}

/* ---- what a start needs */

static int read_options(struct nmx_worker_options *o, const struct nmx_worker_options *options, size_t size, struct nmx_report *why)
{
	if (!nmx__read_struct(o, sizeof(*o), options, size))
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "an option for workers is set that this library (%s) does not know", nmx_version());
	if (o->flags & ~(uint32_t)NMX_UNPINNED)
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "options.flags for workers has unknown bits: %#x", o->flags & ~(uint32_t)NMX_UNPINNED);
	if (!o->cpus != !o->num_cpus)
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "options.cpus and options.num_cpus go together: the one is %s, the other %u",
		                 o->cpus ? "given" : "NULL", o->num_cpus);
	if (o->cpus && (o->flags & NMX_UNPINNED))
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "options.cpus and NMX_UNPINNED exclude each other");
	for (uint32_t i = 0; i < o->num_cpus; i++)
		if (o->cpus[i] < 0 || o->cpus[i] >= NMX__MAX_CPUS)
			return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "options.cpus[%u] is %d: CPUs are numbered from 0 to %d", i, o->cpus[i],
			                 NMX__MAX_CPUS - 1);
	return 0;
}

static uint32_t max_u32(uint32_t a, uint32_t b) { return a > b ? a : b; }

static uint32_t count_pairs(const struct nmx_info *info)
{
	return max_u32(info->rx_rings, info->tx_rings) + max_u32(info->host_rx_rings, info->host_tx_rings);
}

static int refuse_ring(const struct nmx_info *info, const char *way, uint32_t index, int err, struct nmx_report *why)
{
	if (err == NMX_ERR_BUSY)
		return nmx__fail(why, err, 0, "%s ring %u of \"%s\" is checked out already: workers take all rings of a port", way, index, info->name);
	return nmx__fail(why, err, 0, "%s ring %u of \"%s\": %s", way, index, info->name, nmx_strerror(err));
}

/* Rings of the host come after those of the queues, of which there may be more one way than the other. */
static int take_rings(struct nmx_workers *all, struct nmx_port *port, const struct nmx_info *info, struct nmx_report *why)
{
	uint32_t queues = max_u32(info->rx_rings, info->tx_rings);
	int err;

	for (uint32_t i = 0; i < all->num_places; i++) {
		bool is_host = i >= queues;
		uint32_t k = is_host ? i - queues : i;
		uint32_t rx = is_host ? info->rx_rings + k : k, tx = is_host ? info->tx_rings + k : k;
		struct nmx_worker *plan = &all->places[i].plan;

		if (k < (is_host ? info->host_rx_rings : info->rx_rings) && (err = nmx_rx_ring(port, rx, &plan->rx)) < 0)
			return refuse_ring(info, "receive", rx, err, why);
		if (k < (is_host ? info->host_tx_rings : info->tx_rings) && (err = nmx_tx_ring(port, tx, &plan->tx)) < 0)
			return refuse_ring(info, "transmit", tx, err, why);
	}
	return 0;
}

/* What a caller might not expect, of n CPUs dealt out among the workers, `near` of them on the interface's node. */
static void note_cpus(const struct nmx_workers *all, const struct nmx_info *info, uint32_t n, uint32_t near, struct nmx_report *why)
{
	uint32_t away = 0;

	for (uint32_t i = 0; i < all->num_places; i++)
		away += i % n >= near;
	if (n < all->num_places)
		nmx__note(why, "%u workers share %u CPU%s: this process may use no more", all->num_places, n, n == 1 ? "" : "s");
	if (info->numa_node >= 0 && away > 0)
		nmx__note(why, "%u of %u workers are away from node %d, where \"%s\" is: this process may use %u CPU%s there", away, all->num_places,
		          info->numa_node, info->name, near, near == 1 ? "" : "s");
}

static int choose_cpus(struct nmx_workers *all, const struct nmx_worker_options *o, const struct nmx_info *info, struct nmx_report *why)
{
	struct nmx__cpus allowed;
	uint32_t near = 0;
	int *order, n = 0, err;

	if ((o->flags & NMX_UNPINNED) || o->cpus) {
		for (uint32_t i = 0; i < all->num_places; i++)
			all->places[i].plan.cpu = o->cpus ? o->cpus[i % o->num_cpus] : -1;
		return 0;
	}
	order = calloc(all->num_places, sizeof(*order));
	err = nmx__cpus_allowed(&allowed);
	if (err < 0)
		nmx__note(why, "the workers are not pinned: the system does not say which CPUs this process may use (%s)", strerror(-err));
	else if (order)
		n = nmx__cpus_order(&allowed, "/sys", info->numa_node, order, all->num_places, &near);
	for (uint32_t i = 0; i < all->num_places && order; i++)
		all->places[i].plan.cpu = n > 0 ? order[i % (uint32_t)n] : -1;
	free(order);
	if (!order || n < 0)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, ENOMEM, "cannot choose CPUs for the workers");
	if (n > 0)
		note_cpus(all, info, (uint32_t)n, near, why);
	return 0;
}

static int map_desks(struct nmx_workers *all, struct nmx_report *why)
{
	for (uint32_t i = 0; i < all->num_places; i++) {
		uint8_t *map = mmap(NULL, all->bytes + 2 * all->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (map != MAP_FAILED)
			all->places[i].desk = (struct desk *)(map + all->page);
		if (map == MAP_FAILED || mprotect(map + all->page, all->bytes, PROT_READ | PROT_WRITE) < 0)
			return nmx__fail(why, NMX_ERR_NO_MEMORY, errno, "cannot map %zu bytes for the state of worker %u", all->bytes, i);
	}
	return 0;
}

/* Signals of the program are for its other threads; those that a thread raises by what it does cannot wait. */
static void block_signals(sigset_t *before)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT };
	sigset_t blocked;

	sigfillset(&blocked);
	for (unsigned i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&blocked, own[i]);
	pthread_sigmask(SIG_SETMASK, &blocked, before);
}

static int start_threads(struct nmx_workers *all, struct nmx_report *why)
{
	uint32_t started = 0;
	sigset_t before;
	int err = 0;

	block_signals(&before);
	for (; started < all->num_places && err == 0; started += err == 0) {
		struct place *place = &all->places[started];

		place->all = all;
		err = pthread_create(&place->thread, NULL, run, place);
		place->has_thread = err == 0;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_mutex_lock(&all->lock);
	while (all->ready < started)
		pthread_cond_wait(&all->changed, &all->lock);
	pthread_mutex_unlock(&all->lock);
	return err ? nmx__fail(why, NMX_ERR_NO_MEMORY, err, "cannot start thread %u of %u", started + 1, all->num_places) : 0;
}

/* All are ready.  CPUs that we chose may have gone meanwhile; those that the caller chose must be had. */
static int check_pins(const struct nmx_workers *all, struct nmx_report *why)
{
	struct nmx__cpus allowed;
	char may[128];

	for (uint32_t i = 0; i < all->num_places; i++) {
		const struct place *place = &all->places[i];

		if (!place->pin_errno)
			continue;
		if (!all->cpus_given) {
			nmx__note(why, "worker %u is not pinned: CPU %d cannot be had (%s)", i, place->plan.cpu, strerror(place->pin_errno));
			continue;
		}
		(void)nmx__cpus_allowed(&allowed);
		nmx__cpus_text(&allowed, may, sizeof(may));
		return nmx__fail(why, NMX_ERR_BAD_OPTION, place->pin_errno, "worker %u cannot have CPU %d; this process runs on %s", i,
		                 place->plan.cpu, may);
	}
	return 0;
}

static void let_go(struct nmx_workers *all, enum go go)
{
	pthread_mutex_lock(&all->lock);
	all->go = go;
	all->running = all->num_places;
	pthread_cond_broadcast(&all->changed);
	pthread_mutex_unlock(&all->lock);
}

/* Whatever there is of it; threads end by themselves. */
static void free_workers(struct nmx_workers *all)
{
	for (uint32_t i = 0; i < all->num_places; i++) {
		struct place *place = &all->places[i];

		if (place->has_thread)
			pthread_join(place->thread, NULL);
		if (all->go != GO_RUN) {
			nmx_rx_close(place->plan.rx);
			nmx_tx_close(place->plan.tx);
		}
		if (place->desk)
			munmap((uint8_t *)place->desk - all->page, all->bytes + 2 * all->page);
	}
	nmx__fd_close(all->stop.fd);
	nmx__fd_close(all->stop_it_fd);
	pthread_cond_destroy(&all->changed);
	pthread_mutex_destroy(&all->lock);
	free(all);
}

static struct nmx_workers *make_workers(const struct nmx_info *info, const struct nmx_worker_options *o)
{
	uint32_t n = count_pairs(info);
	struct nmx_workers *all = calloc(1, sizeof(*all) + n * sizeof(all->places[0]));
	pthread_condattr_t by_clock;

	if (!all)
		return NULL;
	pthread_condattr_init(&by_clock);
	pthread_condattr_setclock(&by_clock, CLOCK_MONOTONIC);
	pthread_cond_init(&all->changed, &by_clock);
	pthread_condattr_destroy(&by_clock);
	pthread_mutex_init(&all->lock, NULL);
	memcpy(all->name, info->name, sizeof(all->name));
	all->num_places = n;
	all->cpus_given = o->cpus != NULL;
	all->page = (size_t)sysconf(_SC_PAGESIZE);
	all->bytes = (DESK_BYTES + o->state_bytes + all->page - 1) / all->page * all->page;
	all->has_state = o->state_bytes > 0;
	all->stop.fork_generation = nmx__fork_generation();
	all->stop.fd = all->stop_it_fd = -1;
	return all;
}

static int set_up_workers(struct nmx_workers *all, struct nmx_port *port, const struct nmx_info *info,
                          const struct nmx_worker_options *o, void *arg, struct nmx_report *why)
{
	int err, fds[2] = { -1, -1 };

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0) {
		all->stop.fd = nmx__fd_track(fds[0]);
		all->stop_it_fd = nmx__fd_track(fds[1]);
	}
	if (all->stop.fd < 0 || all->stop_it_fd < 0)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, errno, "cannot make the descriptors that stop the workers");
	for (uint32_t i = 0; i < all->num_places; i++) {
		all->places[i].plan.index = i;
		all->places[i].plan.arg = arg;
		all->places[i].plan.stop_fd = all->stop.fd;
	}
	if ((err = take_rings(all, port, info, why)) < 0 || (err = choose_cpus(all, o, info, why)) < 0 || (err = map_desks(all, why)) < 0 ||
	    (err = start_threads(all, why)) < 0)
		return err;
	return check_pins(all, why);
}

/* ---- the calls */

int nmx_workers_start_sized(struct nmx_workers **out, struct nmx_port *port, int (*fn)(struct nmx_worker *worker), void *arg,
                            const struct nmx_worker_options *options, size_t options_size, struct nmx_report *why)
{
	struct nmx_worker_options o;
	struct nmx_workers *all;
	struct nmx_info info;
	int err;

	nmx__report_clear(why);
	if (nmx__forked(port->fork_generation))
		return nmx__fail(why, NMX_ERR_FORKED, 0, "%s", nmx_strerror(NMX_ERR_FORKED));
	err = read_options(&o, options, options_size, why);
	if (err < 0)
		return err;
	nmx_port_info(port, &info);
	all = o.state_bytes <= PTRDIFF_MAX ? make_workers(&info, &o) : NULL;
	if (!all)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, ENOMEM, "cannot make %u workers with %zu bytes each", count_pairs(&info), o.state_bytes);
	all->fn = fn;
	err = set_up_workers(all, port, &info, &o, arg, why);
	if (err < 0) {
		let_go(all, GO_AWAY);
		free_workers(all);
		return err;
	}
	let_go(all, GO_RUN);
	*out = all;
	return 0;
}

const struct nmx_worker *nmx_workers_get(const struct nmx_workers *all, uint32_t index)
{
	return index < all->num_places ? &all->places[index].desk->worker : NULL;
}

bool nmx_worker_stopping(const struct nmx_worker *worker)
{
	const struct nmx_workers *all = ((const struct desk *)worker)->all;

	if (!atomic_load_explicit(&all->stop.asked, memory_order_acquire))
		return false;
	if (nmx__stop == &all->stop)
		nmx__stop = NULL;
	return true;
}

void nmx_workers_stop(struct nmx_workers *all)
{
	int saved = errno;

	if (nmx__forked(all->stop.fork_generation))
		return;
	atomic_store_explicit(&all->stop.asked, true, memory_order_release);
	if (write(all->stop_it_fd, "", 1) < 0)
		(void)0; /* full of earlier stops */
	errno = saved;
}

static struct timespec deadline_in(int timeout_ms)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += timeout_ms / 1000;
	at.tv_nsec += timeout_ms % 1000 * 1000000L;
	if (at.tv_nsec >= 1000000000L) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000L;
	}
	return at;
}

int nmx_workers_join(struct nmx_workers *all, int timeout_ms, struct nmx_report *why)
{
	struct timespec deadline = deadline_in(timeout_ms < 0 ? 0 : timeout_ms);
	int running, err, timed_out = 0;

	nmx__report_clear(why);
	if (nmx__forked(all->stop.fork_generation))
		return nmx__fail(why, NMX_ERR_FORKED, 0, "%s", nmx_strerror(NMX_ERR_FORKED));
	pthread_mutex_lock(&all->lock);
	while (all->running && !timed_out)
		timed_out = timeout_ms < 0 ? pthread_cond_wait(&all->changed, &all->lock)
		                           : pthread_cond_timedwait(&all->changed, &all->lock, &deadline);
	running = (int)all->running;
	err = all->err;
	pthread_mutex_unlock(&all->lock);
	if (running || err == 0)
		return running;
	return nmx__fail(why, err, 0, "worker %u of \"%s\" (CPU %d) ended: %s", all->err_index, all->name,
	                 all->places[all->err_index].desk->worker.cpu, nmx_strerror(err));
}

void nmx_workers_close(struct nmx_workers *all)
{
	if (!all || nmx__forked(all->stop.fork_generation))
		return; /* the threads are the parent's, and so is the lock that they may hold */
	nmx_workers_stop(all);
	free_workers(all);
}
