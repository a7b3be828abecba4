/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Descriptors of the netmap device.
 *
 * One binds the port, maps its memory and is never synced.  Each ring that is checked out has another of its own, bound to
 * that ring and direction alone: a sync is of all rings of a descriptor, and so touches no other thread's.  It needs no
 * mapping.  An exclusive port has no binding as a whole, for that would keep out our own descriptors: there all rings'
 * descriptors are exclusive, and are bound when it is opened.
 *
 * Where that cannot be (monitors; ports of a switch that netmap has given another name; more rings than the memory has room
 * for descriptors) the port's descriptor serves all rings, and they are one thread's.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/netmap.h"
#include "base/fork.h"
#include "base/report.h"

#define MAX_RINGS 4096u /* netmap keeps a ring's number in 12 bits */

static bool is_monitor(const struct nmx_port *port)
{
	return (port->name.flags & (NMX__NAME_ZCOPY_MON | NMX__NAME_MON_TX | NMX__NAME_MON_RX)) != 0;
}

static bool wants(const struct nmx_port *port, bool is_tx)
{
	return !(port->options.flags & (is_tx ? NMX_RX_ONLY : NMX_TX_ONLY)) && !(is_tx && is_monitor(port));
}

/* ---- the memory of @extmem */

static int map_file(struct nmx_port *port, struct nm_port *nm, struct nmx_report *why)
{
	const char *path = port->name.extmem;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return nmx__fail(why, NMX_ERR_NO_SUCH, errno, "cannot open \"%.200s\" for @extmem", path);
	if (fstat(fd, &st) == 0 && st.st_size > 0) {
		nm->extmem = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (nm->extmem == MAP_FAILED)
			nm->extmem = NULL;
		else if (nmx__map_track(nm->extmem, (size_t)st.st_size, false) < 0) {
			munmap(nm->extmem, (size_t)st.st_size);
			nm->extmem = NULL;
		}
	}
	close(fd);
	nm->extmem_bytes = nm->extmem ? (size_t)st.st_size : 0;
	return nm->extmem ? 0 : nmx__fail(why, NMX_ERR_NO_MEMORY, errno, "cannot map \"%.200s\" for @extmem: it must have its size already (truncate -s 64M)", path);
}

static void unmap_file(struct nm_port *nm)
{
	if (!nm->extmem)
		return;
	nmx__map_untrack(nm->extmem);
	munmap(nm->extmem, nm->extmem_bytes);
}

/* ---- what is asked for */

/* @share=PORT: the number of its memory, as long as that is open. */
static int shared_memory(int fd, const struct nmx_port *port, uint16_t *mem_id, struct nmx_report *why)
{
	struct nmx__nm_port_info info = { 0 };
	int err = nmx__nm_request(fd, NMX__NM_PORT_INFO_GET, port->name.share, &info, NULL);

	if (err < 0)
		return nmx__fail(why, NMX_ERR_NO_SUCH, -err, "\"%s\": netmap knows no \"%s\" to share memory with", port->info.name, port->name.share);
	if (*mem_id && *mem_id != info.mem_id)
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "\"%s\": the memory of \"%s\" is %u, and the name says @%u", port->info.name, port->name.share,
		                 info.mem_id, *mem_id);
	*mem_id = info.mem_id;
	return 0;
}

/* The options of a request lie here, and point to each other. */
struct request {
	struct nmx__nm_ask ask;
	struct nmx__nm_extmem extmem;
	struct nmx__nm_offsets offsets;
};

static void add_option(struct request *q, struct nmx__nm_option *option, uint32_t type)
{
	option->type = type;
	option->next = (uintptr_t)q->ask.options;
	q->ask.options = option;
}

static uint64_t flags_of(const struct nmx_port *port, bool exclusive)
{
	uint32_t name = port->name.flags, flags = port->options.flags;

	return NMX__NM_NO_TX_POLL | (name & NMX__NAME_MON_TX ? NMX__NM_MONITOR_TX : 0u) | (name & NMX__NAME_MON_RX ? NMX__NM_MONITOR_RX : 0u) |
	       (name & NMX__NAME_ZCOPY_MON ? NMX__NM_ZCOPY_MON : 0u) | (exclusive ? NMX__NM_EXCLUSIVE : 0u) |
	       (flags & NMX_RX_ONLY ? NMX__NM_RX_ONLY : 0u) | (flags & NMX_TX_ONLY ? NMX__NM_TX_ONLY : 0u);
}

static int make_request(struct nmx_port *port, const struct nm_port *nm, int fd, struct request *q, struct nmx_report *why)
{
	static const uint32_t modes[] = { [NMX__ALL_NIC] = NMX__NM_ALL_NIC, [NMX__HOST] = NMX__NM_HOST, [NMX__NIC_HOST] = NMX__NM_NIC_HOST,
		                          [NMX__ONE_NIC] = NMX__NM_ONE_NIC, [NMX__ONE_HOST] = NMX__NM_ONE_HOST };
	const struct nmx__name *name = &port->name;
	const struct nmx_options *o = &port->options;

	*q = (struct request){ .ask = { .name = name->port } };
	q->ask.reg = (struct nmx__nm_register){ .tx_slots = o->tx_slots, .rx_slots = o->rx_slots, .tx_rings = (uint16_t)o->tx_rings,
		                                .rx_rings = (uint16_t)o->rx_rings, .host_tx_rings = (uint16_t)name->host_tx_rings,
		                                .host_rx_rings = (uint16_t)name->host_rx_rings, .mem_id = (uint16_t)name->mem_id,
		                                .ring = (uint16_t)name->ring, .mode = modes[name->mode], .extra_bufs = o->extra_bufs,
		                                .flags = flags_of(port, (o->flags & NMX_EXCLUSIVE) != 0) };
	if (nm->extmem) {
		q->extmem.address = (uintptr_t)nm->extmem;
		q->extmem.pools = (struct nmx__nm_pools){ .memsize = nm->extmem_bytes, .if_num = name->if_num, .if_size = name->if_size,
			                                  .ring_num = name->ring_num, .ring_size = name->ring_size, .buf_num = name->buf_num,
			                                  .buf_size = name->buf_size };
		add_option(q, &q->extmem.option, NMX__NM_OPT_EXTMEM);
	}
	if (name->has_offset) {
		q->offsets.max = q->offsets.initial = name->offset_initial;
		q->offsets.bits = name->offset_bits;
		add_option(q, &q->offsets.option, NMX__NM_OPT_OFFSETS);
	}
	return *name->share ? shared_memory(fd, port, &q->ask.reg.mem_id, why) : 0;
}

/* ---- the port's descriptor */

static int map_region(struct nmx_port *port, struct nm_port *nm, struct nmx_report *why)
{
	struct nmx__nm_region region = { .start = nm->extmem, .bytes = nm->bound.memsize, .tables = nm->bound.memsize };

	if (region.bytes != nm->bound.memsize || (nm->extmem && region.bytes > nm->extmem_bytes))
		return nmx__fail(why, NMX_ERR_CORRUPT, 0, "the netmap device answers nonsense (%llu bytes of memory)", (unsigned long long)nm->bound.memsize);
	if (!region.start)
		region.start = nmx__nm_sys->map(nm->fd, region.bytes, NULL);
	if (!region.start)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, errno, "cannot map the %zu KiB of netmap's memory that \"%s\" is in", region.bytes / 1024,
		                 port->info.name);
	nm->region = region;
	return nmx__nm_look(&nm->view, &region, nm->bound.if_ofs, why);
}

static int bind_port(struct nmx_port *port, struct nm_port *nm, struct request *q, struct nmx_report *why)
{
	int err = nm->fd = nmx__nm_open(why);

	if (err >= 0)
		err = make_request(port, nm, nm->fd, q, why);
	return err;
}

static int bind_all(struct nmx_port *port, struct nm_port *nm, struct nmx_report *why)
{
	struct request q;
	int err = bind_port(port, nm, &q, why);

	if (err == 0)
		err = nmx__nm_register(nm->fd, &q.ask, why);
	if (err < 0)
		return err;
	nm->bound = q.ask.reg;
	return map_region(port, nm, why);
}

/* ---- rings */

/* Numbers of the port's rings of one kind and way. */
static void range_of(const struct nmx_port *port, const struct nm_port *nm, bool is_tx, bool is_host, uint32_t *first, uint32_t *end)
{
	enum nmx__name_mode mode = port->name.mode;
	uint32_t all = is_host ? (is_tx ? nm->view.host_tx_rings : nm->view.host_rx_rings) : is_tx ? nm->view.tx_rings : nm->view.rx_rings;
	bool one = mode == (is_host ? NMX__ONE_HOST : NMX__ONE_NIC), some = one || mode == NMX__NIC_HOST || mode == (is_host ? NMX__HOST : NMX__ALL_NIC);

	*first = one ? port->name.ring : 0;
	*end = !some || !wants(port, is_tx) ? *first : one ? (*first < all ? *first + 1 : *first) : all;
}

static void fill_in(const struct nmx_port *port, struct nm_ring *r, const struct nmx__nm_ring *is)
{
	uint32_t frags = is->num_slots - 1 < NETMAP_MAX_FRAGS ? is->num_slots - 1 : NETMAP_MAX_FRAGS;
	uint32_t room;

	r->nring = is->ring;
	r->num_slots = is->num_slots;
	r->num_bufs = is->num_bufs;
	r->buf_size = is->buf_size;
	r->chains = (port->options.flags & NMX_CHAINS) != 0;
	r->offset_mask = is->ring->offset_mask;
	r->offset = r->offset_mask ? is->ring->slot[0].ptr & r->offset_mask : 0;
	r->offset = r->offset < is->buf_size ? r->offset : 0;
	r->bufs = is->bufs + r->offset;
	room = is->buf_size - (uint32_t)r->offset;
	r->max_len = room < UINT16_MAX ? room : UINT16_MAX;
	if (!port->name.end && port->name.backend != NMX_SWITCH && !r->chains)
		frags = 1; /* not every interface can */
	if (r->ring.is_tx)
		r->ring.handle.tx = (struct nmx_tx){ .ring = r->nring, .bufs = r->bufs, .transit = &r->transit, .num_slots = r->num_slots,
			                             .buf_size = r->buf_size, .max_len = r->max_len, .max_frags = frags };
	else
		r->ring.handle.rx = (struct nmx_rx){ .ring = r->nring, .bufs = r->bufs, .transit = &r->transit, .num_slots = r->num_slots,
			                             .buf_size = r->buf_size, .max_len = r->max_len };
}

/* As the netmap_if of a descriptor counts them. */
static uint32_t table_index(const struct nm_port *nm, const struct nm_ring *r)
{
	return r->number + (!r->is_host ? 0 : r->ring.is_tx ? nm->view.tx_rings : nm->view.rx_rings);
}

static int add_rings(struct nmx_port *port, struct nm_port *nm, bool is_tx, struct nmx_report *why)
{
	uint32_t index = 0, number, end;

	for (int is_host = 0; is_host < 2; is_host++)
		for (range_of(port, nm, is_tx, is_host, &number, &end); number < end; number++, index++) {
			struct nm_ring *r = index < MAX_RINGS ? (struct nm_ring *)nmx__port_add_ring(port, is_tx, index) : NULL;

			if (!r)
				return nmx__fail(why, NMX_ERR_NO_MEMORY, ENOMEM, "cannot set up the rings of \"%s\"", port->info.name);
			r->fd = -1;
			r->number = number;
			r->is_host = is_host;
			r->ring.tail_moves = true;
		}
	return 0;
}

/* ---- a ring's own descriptor */

/* Netmap changes the name of a persistent port of a switch when it is first opened: from then on only the new one leads
 * to it. */
static int register_ring(int fd, const struct nm_port *nm, struct nmx__nm_ask *ask, struct nmx_report *why)
{
	char now[NMX__NM_IF_NAME];
	struct nmx__nm_ask again = { .name = now, .reg = ask->reg };
	int err = nmx__nm_register(fd, ask, why);

	memcpy(now, nm->view.nifp->name, sizeof(now));
	now[sizeof(now) - 1] = '\0';
	if ((err != NMX_ERR_BIND_FAIL && err != NMX_ERR_BAD_OPTION) || !*now || strcmp(now, ask->name) == 0)
		return err;
	nmx__report_clear(why);
	err = nmx__nm_register(fd, &again, why);
	ask->reg = again.reg;
	return err;
}

static int bind_ring(struct nmx_port *port, struct nm_port *nm, struct nm_ring *r, struct nmx__nm_ring *is, struct nmx_report *why)
{
	struct nmx__nm_ask ask = { .name = port->name.port };
	struct nmx__nm_view view;
	int fd = nmx__nm_open(why), err;

	if (fd < 0)
		return fd;
	ask.reg = (struct nmx__nm_register){ .mem_id = nm->bound.mem_id, .mode = r->is_host ? NMX__NM_ONE_HOST : NMX__NM_ONE_NIC, .ring = (uint16_t)r->number,
		                             .flags = NMX__NM_NO_TX_POLL | (r->ring.is_tx ? NMX__NM_TX_ONLY : NMX__NM_RX_ONLY) |
		                                      (nm->exclusive ? NMX__NM_EXCLUSIVE : 0u) };
	err = register_ring(fd, nm, &ask, why);
	if (err >= 0 && (ask.reg.mem_id != nm->bound.mem_id || ask.reg.memsize != nm->bound.memsize))
		err = nmx__fail(why, NMX_ERR_BIND_FAIL, 0, "\"%s\" is another port now", port->info.name);
	if (err >= 0)
		err = nmx__nm_look(&view, &nm->region, ask.reg.if_ofs, why);
	if (err >= 0)
		err = nmx__nm_ring_at(&view, r->ring.is_tx, table_index(nm, r), is, why);
	if (err >= 0 && r->nring && is->ring != r->nring)
		err = nmx__fail(why, NMX_ERR_BIND_FAIL, 0, "\"%s\" is another port now", port->info.name);
	if (err < 0) {
		nmx__nm_sys->close(fd);
		return err;
	}
	r->fd = fd;
	return 0;
}

/* ---- exclusively */

static void close_rings(struct nmx_port *port, struct nm_port *nm)
{
	for (int tx = 0; tx < 2; tx++)
		for (uint32_t i = 0; i < port->num_rings[tx]; i++) {
			struct nm_ring *r = nm_ring(port->rings[tx][i]);

			if (r->fd >= 0 && r->fd != nm->fd)
				nmx__nm_sys->close(r->fd);
			r->fd = -1;
		}
}

/* The first ring's descriptor is the port's. */
static int bind_first(struct nmx_port *port, struct nm_port *nm, struct nmx_report *why)
{
	struct request q;
	int err = bind_port(port, nm, &q, why);

	if (err < 0)
		return err;
	if (q.ask.reg.mode == NMX__NM_ALL_NIC || q.ask.reg.mode == NMX__NM_NIC_HOST)
		q.ask.reg.mode = NMX__NM_ONE_NIC;
	else if (q.ask.reg.mode == NMX__NM_HOST)
		q.ask.reg.mode = NMX__NM_ONE_HOST;
	q.ask.reg.flags |= wants(port, true) ? NMX__NM_TX_ONLY : NMX__NM_RX_ONLY;
	err = nmx__nm_register(nm->fd, &q.ask, why);
	if (err < 0)
		return err;
	nm->bound = q.ask.reg;
	return map_region(port, nm, why);
}

static int bind_each(struct nmx_port *port, struct nm_port *nm, struct nmx_report *why)
{
	bool first_is_tx = wants(port, true);
	int err;

	if ((err = bind_first(port, nm, why)) < 0 || (err = add_rings(port, nm, true, why)) < 0 || (err = add_rings(port, nm, false, why)) < 0)
		return err;
	for (int tx = 0; tx < 2; tx++)
		for (uint32_t i = 0; i < port->num_rings[tx]; i++) {
			struct nm_ring *r = nm_ring(port->rings[tx][i]);
			struct nmx__nm_ring is = { 0 };

			if (i == 0 && tx == first_is_tx) {
				r->fd = nm->fd;
				err = nmx__nm_ring_at(&nm->view, tx, table_index(nm, r), &is, why);
			} else
				err = bind_ring(port, nm, r, &is, why);
			if (err < 0)
				return err;
			fill_in(port, r, &is);
		}
	return 0;
}

/* ---- all of it */

static void shut(struct nmx_port *port, struct nm_port *nm)
{
	close_rings(port, nm);
	if (nm->region.start && !nm->extmem)
		nmx__nm_sys->unmap(nm->region.start, nm->region.bytes);
	nm->region = (struct nmx__nm_region){ 0 };
	if (nm->host_fd >= 0)
		nmx__nm_sys->close(nm->host_fd);
	if (nm->fd >= 0)
		nmx__nm_sys->close(nm->fd);
	nm->host_fd = nm->fd = -1;
}

/* Each descriptor takes one netmap_if out of the memory's pool, and the ends of a pipe share that. */
static bool has_room_for_descriptors(const struct nmx_port *port, const struct nm_port *nm)
{
	uint32_t ends = port->name.end ? 2 : 1, needed = (port->num_rings[0] + port->num_rings[1] + 1) * ends;
	struct nmx__nm_pools pools = { .mem_id = nm->bound.mem_id };

	return nmx__nm_request(nm->fd, NMX__NM_POOLS_INFO_GET, port->name.port, &pools, NULL) < 0 || needed <= pools.if_num;
}

static int bind_at_once(struct nmx_port *port, struct nm_port *nm, struct nmx_report *why)
{
	int err = bind_all(port, nm, why);

	if (err == 0 && port->num_rings[0] + port->num_rings[1] == 0) {
		err = add_rings(port, nm, true, why);
		if (err == 0)
			err = add_rings(port, nm, false, why);
	}
	for (int tx = 0; tx < 2; tx++)
		for (uint32_t i = 0; i < port->num_rings[tx] && err == 0; i++) {
			struct nm_ring *r = nm_ring(port->rings[tx][i]);
			struct nmx__nm_ring is = { 0 };

			err = nmx__nm_ring_at(&nm->view, tx, table_index(nm, r), &is, why);
			if (err == 0)
				fill_in(port, r, &is);
		}
	return err;
}

static void note_single(const struct nmx_port *port, const struct nm_port *nm, struct nmx_report *why)
{
	const char *name = port->info.name;

	if (is_monitor(port))
		nmx__note(why, "\"%s\": a monitor's rings are for one thread, for netmap gives them no descriptors of their own", name);
	else if (nm->bound.mem_id != 1)
		nmx__note(why, "\"%s\": its rings are for one thread, for its memory has no room for a descriptor each; the interfaces' has: \"%s@1\"", name,
		          port->name.port);
	else
		nmx__note(why, "\"%s\": its rings are for one thread, for netmap's memory has no room for a descriptor each (module parameter if_num)", name);
}

/* Netmap leads what the host sends to the host rings only while somebody has the interface's transmit rings: what we do not
 * bind of them is held, and never synced.  What the interface receives goes to the host as before. */
static int take_what_the_host_sends(struct nmx_port *port, struct nm_port *nm, struct nmx_report *why)
{
	struct nmx__nm_ask ask = { .name = port->name.port };
	bool has_host = port->name.mode != NMX__ALL_NIC && port->name.mode != NMX__ONE_NIC;
	struct nmx_report refused;
	int err;

	if (!has_host || is_monitor(port) || !wants(port, false) || (port->name.mode == NMX__NIC_HOST && wants(port, true)))
		return 0;
	nm->host_fd = nmx__nm_open(why);
	if (nm->host_fd < 0)
		return nm->host_fd;
	ask.reg = (struct nmx__nm_register){ .mem_id = nm->bound.mem_id, .mode = NMX__NM_ALL_NIC, .flags = NMX__NM_NO_TX_POLL | NMX__NM_TX_ONLY };
	err = nmx__nm_register(nm->host_fd, &ask, &refused);
	if (err == NMX_ERR_BUSY) { /* who has them exclusively has them */
		nmx__nm_sys->close(nm->host_fd);
		nm->host_fd = -1;
		return 0;
	}
	if (err < 0 && why)
		*why = refused;
	return err;
}

static int bind_rings(struct nmx_port *port, struct nm_port *nm, struct nmx_report *why)
{
	int err;

	nm->exclusive = (port->options.flags & NMX_EXCLUSIVE) && !is_monitor(port);
	if (nm->exclusive) {
		err = bind_each(port, nm, why);
		if (err != NMX_ERR_BIND_FAIL && err != NMX_ERR_NO_MEMORY)
			return err;
		shut(port, nm);
		nmx__report_clear(why);
		nm->exclusive = false;
		nm->single = true;
	}
	err = bind_at_once(port, nm, why);
	if (err < 0)
		return err;
	nm->single |= is_monitor(port) || !has_room_for_descriptors(port, nm);
	if (nm->single)
		note_single(port, nm, why);
	return 0;
}

int nmx__nm_bind(struct nmx_port *port, struct nm_port *nm, struct nmx_report *why)
{
	int err = *port->name.extmem ? map_file(port, nm, why) : 0;

	if (err == 0)
		err = bind_rings(port, nm, why);
	return err < 0 ? err : take_what_the_host_sends(port, nm, why);
}

void nmx__nm_unbind(struct nmx_port *port, struct nm_port *nm)
{
	shut(port, nm);
	unmap_file(nm);
}

/* ---- check-out */

/* Whose the port's rings are, when one descriptor serves them all. */
static bool is_others(const struct nm_port *nm) { return nm->single && nm->users > 0 && !pthread_equal(nm->user, pthread_self()); }

static int take_descriptor(struct nmx_port *port, struct nm_port *nm, struct nm_ring *r)
{
	struct nmx__nm_ring is = { 0 };
	int err;

	if (r->fd >= 0) /* exclusive */
		return 0;
	if (!nm->single) {
		err = bind_ring(port, nm, r, &is, NULL);
		if (err == 0 || nm->users > 0)
			return err;
		nm->single = true; /* nobody has a ring yet: all can be had this way, by one thread */
	}
	r->fd = nm->fd;
	return 0;
}

int nmx__nm_check_out(struct nmx__ring *ring)
{
	struct nm_port *nm = nm_of(ring);
	struct nm_ring *r = nm_ring(ring);
	int err = is_others(nm) ? NMX_ERR_BUSY : take_descriptor(ring->port, nm, r);

	if (err == 0)
		err = nmx__nm_ring_start(r);
	if (err < 0)
		return err;
	nm->user = pthread_self();
	nm->users++;
	return 0;
}

void nmx__nm_release(struct nmx__ring *ring)
{
	const struct nmx__name *name = &ring->port->name;
	struct nm_port *nm = nm_of(ring);
	struct nm_ring *r = nm_ring(ring);

	/* Who sends has use for the slots now, not at the next check-out: at the other end of a pipe, and of a veth pair, if the
	 * driver is netmap's.  While an interface is down, a sync would not return. */
	if (!ring->is_tx && r->nring->head != r->given && (name->end || nmx__nm_sys->is_up(name->port)))
		(void)nmx__nm_sys->ioctl(r->fd, NMX__NM_RXSYNC, NULL);
	pthread_mutex_lock(&ring->port->lock);
	nm->users--;
	if (!nm->exclusive) {
		if (r->fd != nm->fd)
			nmx__nm_sys->close(r->fd);
		r->fd = -1;
	}
	pthread_mutex_unlock(&ring->port->lock);
}
