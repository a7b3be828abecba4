/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Ports of a switch at random, beside the model of switch_model.h: what is sent, to whom and in what runs, who receives how
 * much and when, who comes and goes.  Compared are contents, order, room and counters.
 *
 * -s SEED -n SEEDS: from which seed on, and how many.  Each is a life of its own, of STEPS steps.
 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <nmx/inspect.h>

#include "support.h"
#include "switch_model.h"

enum { STEPS = 1500, BUF_LEN = 2048, HOSTS_OF_PORT = 3, UNKNOWN = 0xc8 /* never sends */ };

static struct {
	uint64_t first, count;
} seeds = { 1, 200 };

struct end {
	struct nmx_port *port;
	struct nmx_tx *tx;
	struct nmx_rx *rx; /* NULL: it only sends */
};

static struct {
	struct model model;
	struct end end[MODEL_PORTS];
	uint8_t own_data[MODEL_PORTS][MODEL_SLOTS][BUF_LEN]; /* of NS_INDIRECT, by slot */
	uint32_t random, num_ports, next_id;
	char repeat[64]; /* "": there is no need to */
	uint32_t step, index; /* where it is, for who reads of a failure */
	struct nmx_stats sum; /* of ports that were closed */
} play;

static uint32_t below(uint32_t n) { return support_random(&play.random, n); }
static bool once_in(uint32_t n) { return below(n) == 0; }

/* ---- contents */

static void write_address(uint8_t *mac, uint8_t host)
{
	const uint8_t group[6] = { 1, 0, 0x5e, 0, 0, host }, one[6] = { 2, 0, 0, 0, 0, host };

	if (host == EVERYBODY)
		memset(mac, 0xff, 6);
	else
		memcpy(mac, host == GROUP ? group : one, 6);
}

/* No two slots have the same data, and no two places in one. */
static void write_unit(uint8_t *data, const struct unit *unit)
{
	uint8_t addresses[12];

	for (uint32_t i = 0; i < unit->len && i < BUF_LEN; i++)
		data[i] = (uint8_t)((unit->id >> i % 4 * 8) + i * 3 + (i >> 8));
	if (!unit->first)
		return;
	write_address(addresses, unit->dst);
	write_address(addresses + 6, unit->src);
	memcpy(data, addresses, unit->len < sizeof(addresses) ? unit->len : sizeof(addresses));
}

static void check_frame(const struct nmx_frame *frame, const struct unit *expected)
{
	static uint8_t data[BUF_LEN];

	require_equal(frame->len, expected->len);
	require_equal((frame->flags & NMX_MORE) != 0, expected->more);
	write_unit(data, expected);
	for (uint32_t i = 0; i < frame->len; i++)
		if (frame->data[i] != data[i])
			support_fail(__FILE__, __LINE__, "byte %u of slot %u (%u bytes) is %u, expected %u", i, expected->id, frame->len,
			             frame->data[i], data[i]);
}

static void check_stats(uint32_t index)
{
	const struct nmx_stats is = support_stats(play.end[index].port), *expected = &play.model.port[index].stats;

	require_equal(is.tx_packets, expected->tx_packets);
	require_equal(is.tx_bytes, expected->tx_bytes);
	require_equal(is.rx_packets, expected->rx_packets);
	require_equal(is.rx_bytes, expected->rx_bytes);
	require_equal(is.drop_full, expected->drop_full);
	require_equal(is.drop_no_buffer, expected->drop_no_buffer);
	require_equal(is.drop_no_port, expected->drop_no_port);
	require_equal(is.drop_too_short, expected->drop_too_short);
	require_equal(is.drop_too_long, expected->drop_too_long);
	require_equal(is.drop_invalid, 0);
	require_equal(is.drop_flood, 0);
	require_equal(is.resets, 0);
}

static void check_buffers(void)
{
	struct nmx_report why = { 0 };
	struct nmx_audit audit;

	require_result(nmx_segment_audit(NULL, NULL, &audit, &why), 0);
	require_equal(audit.lost, 0);
	require_equal(audit.doubled, 0);
}

/* ---- what is sent */

/* What most packets of a burst have in common. */
enum pattern { ONE_HOST, ONE_PORT, TWO_PORTS, ANY_PORT, PATTERNS };

struct burst {
	enum pattern pattern;
	uint32_t left;     /* slots */
	uint32_t odd;      /* one packet in so many is of another kind; 0: none */
	uint32_t to, or_to; /* ports */
	uint8_t dst, src;
};

struct packet {
	uint8_t dst, src;
	uint32_t frags, flags;
	bool lacks_end, odd_len;
};

static uint8_t host_of(uint32_t port) { return (uint8_t)(1 + port * HOSTS_OF_PORT + below(HOSTS_OF_PORT)); }
static uint8_t any_host(void) { return host_of(below(play.num_ports)); }

/* Mostly: what is for its own port goes nowhere. */
static uint32_t other_port(uint32_t index)
{
	uint32_t to = below(play.num_ports);

	return to == index && !once_in(4) ? (to + 1) % play.num_ports : to;
}

static struct burst new_burst(uint32_t index)
{
	static const uint32_t odds[] = { 0, 0, 16, 4 };
	uint32_t space = model_space(&play.model.port[index]);
	struct burst b = { .pattern = (enum pattern)below(PATTERNS), .left = once_in(4) ? space : below(space + 1), .odd = odds[below(4)] };

	b.to = other_port(index);
	b.or_to = other_port(index);
	b.dst = host_of(b.to);
	b.src = host_of(index);
	return b;
}

/* Asks for something, or is for several, or is none.  May be called again for the same packet. */
static void make_odd(struct packet *p)
{
	static const uint8_t nowhere[] = { EVERYBODY, EVERYBODY, GROUP, UNKNOWN };

	switch (below(8)) {
	case 0:
	case 1:
		p->dst = nowhere[below(sizeof(nowhere))];
		break;
	case 2:
		p->frags = once_in(8) ? NETMAP_MAX_FRAGS - 2 + below(5) : 2 + below(4);
		p->lacks_end = once_in(8);
		break;
	case 3:
		p->flags |= NS_INDIRECT;
		break;
	case 4:
		p->flags |= NS_NO_LEARN;
		break;
	case 5:
		p->flags |= (1 + below(play.num_ports + 1)) << NS_PORT_SHIFT; /* its own too, and one that is not there */
		break;
	case 6:
		p->odd_len = true;
		break;
	default:
		p->src = once_in(8) ? GROUP : any_host(); /* which moves here, mostly */
	}
}

static struct packet next_packet(struct burst *b)
{
	struct packet p = { .dst = b->dst, .src = b->src, .frags = 1 };

	if (b->pattern == ONE_PORT)
		p.dst = host_of(b->to);
	else if (b->pattern == TWO_PORTS)
		p.dst = host_of(once_in(2) ? b->to : b->or_to);
	else if (b->pattern == ANY_PORT)
		p.dst = once_in(8) ? EVERYBODY : any_host();
	if (b->odd && once_in(b->odd))
		do
			make_odd(&p);
		while (once_in(3));
	if (p.frags > b->left)
		p.frags = b->left;
	b->left -= p.frags;
	return p;
}

/* About the lengths where a copy could go wrong, or a limit is. */
static uint32_t next_len(bool odd)
{
	static const uint32_t lens[] = { 14, 15, 63, 64, 65, 128, 2047, 2048 }, odd_lens[] = { 0, 1, 13, 2049, 65535 };

	if (odd && once_in(2))
		return odd_lens[below(sizeof(odd_lens) / sizeof(odd_lens[0]))];
	return once_in(10) ? lens[below(sizeof(lens) / sizeof(lens[0]))] : 14 + below(100);
}

/* Into the ring by hand, for the calls would refuse some of it. */
static void put_slot(uint32_t index, const struct sent *s)
{
	struct nmx_tx *tx = play.end[index].tx;
	struct netmap_ring *ring = tx->ring;
	struct netmap_slot *slot = &ring->slot[ring->head];
	uint8_t *data = tx->bufs + (size_t)slot->buf_idx * tx->buf_size;

	if (s->flags & NS_INDIRECT) {
		memset(data, 0x5a, 64); /* is not what is sent */
		data = play.own_data[index][ring->head];
		slot->ptr = s->no_data ? 0 : (uintptr_t)data;
	}
	write_unit(data, &s->unit);
	slot->len = (uint16_t)s->unit.len;
	slot->flags = (uint16_t)(s->flags | (s->unit.more ? NS_MOREFRAG : 0) | (once_in(5) ? NS_BUF_CHANGED : 0));
	ring->head = ring->cur = ring->head + 1 == ring->num_slots ? 0 : ring->head + 1;
}

static void put_packet(uint32_t index, const struct packet *p)
{
	for (uint32_t i = 0; i < p->frags; i++) {
		struct sent s = { .flags = i == 0 ? p->flags : p->flags & NS_INDIRECT };

		s.no_data = (s.flags & NS_INDIRECT) && p->odd_len && once_in(4);
		s.unit = (struct unit){ .id = play.next_id++, .len = next_len(p->odd_len), .dst = p->dst, .src = p->src, .first = i == 0,
			                .more = i + 1 < p->frags || p->lacks_end };
		if ((s.flags & NS_INDIRECT) && s.unit.len > BUF_LEN)
			s.unit.len = BUF_LEN; /* there is no more of it */
		put_slot(index, &s);
		model_put(&play.model.port[index], &s);
	}
}

static void put_burst(uint32_t index)
{
	struct burst b = new_burst(index);

	while (b.left) {
		struct packet p = next_packet(&b);

		put_packet(index, &p);
	}
}

static void sync_tx(uint32_t index)
{
	model_tx_sync(&play.model, index);
	require_result(nmx_tx_sync(play.end[index].tx), (int)model_space(&play.model.port[index]));
}

/* ---- what is received */

static void receive(uint32_t index)
{
	struct model_port *model = &play.model.port[index];
	uint32_t waiting = model_waiting(model), n = once_in(2) ? waiting : below(waiting + 1);
	struct nmx_frame frame;

	if (model->deaf)
		return;
	while (n--) {
		struct unit expected = model_take(model);

		require(nmx_rx_recv(play.end[index].rx, &frame));
		check_frame(&frame, &expected);
	}
	model_rx_sync(model);
	require_result(nmx_rx_sync(play.end[index].rx), (int)model_waiting(model));
}

/* ---- who comes and goes */

/* Small ones are full often, and round often. */
static uint32_t some_slots(void) { return once_in(3) ? 2 + below(7) : once_in(8) ? 2 + below(MODEL_SLOTS - 1) : 2 + below(62); }

static void open_port(uint32_t index)
{
	struct model_port shape = { .tx_slots = some_slots(), .rx_slots = some_slots(), .blocking = once_in(2), .chains = once_in(2),
		                    .deaf = once_in(8) };
	uint32_t flags = (shape.blocking ? NMX_BLOCKING : 0) | (shape.chains ? NMX_CHAINS : 0) | (shape.deaf ? NMX_TX_ONLY : 0);
	struct nmx_options options = { .tx_slots = shape.tx_slots, .rx_slots = shape.rx_slots, .flags = flags };
	struct end *end = &play.end[index];
	struct nmx_info info;

	end->port = support_open((char[]){ 'v', 'a', 'l', 'e', '0', ':', (char)('a' + index), 0 }, &options);
	end->tx = support_tx(end->port, 0);
	end->rx = shape.deaf ? NULL : support_rx(end->port, 0);
	nmx_port_info(end->port, &info);
	shape.number = info.switch_port;
	model_open(&play.model, index, &shape);
}

static void add_up(const struct nmx_stats *stats)
{
	play.sum.tx_packets += stats->tx_packets;
	play.sum.rx_packets += stats->rx_packets;
	play.sum.drop_full += stats->drop_full;
	play.sum.drop_no_port += stats->drop_no_port;
	play.sum.drop_too_short += stats->drop_too_short;
	play.sum.drop_too_long += stats->drop_too_long;
}

static void close_port(uint32_t index)
{
	bool receives_last = once_in(2);
	struct end *end = &play.end[index];

	if (!receives_last)
		nmx_rx_close(end->rx);
	model_tx_sync(&play.model, index);
	nmx_tx_close(end->tx);
	check_stats(index);
	add_up(&play.model.port[index].stats);
	if (receives_last)
		nmx_rx_close(end->rx);
	model_close(&play.model, index);
	nmx_close(end->port);
}

/* ---- the play */

static void step(uint32_t index)
{
	uint32_t what = below(20);

	if (!play.model.port[index].open) {
		if (once_in(10))
			open_port(index);
	} else if (what < 5)
		put_burst(index);
	else if (what < 10)
		sync_tx(index);
	else if (what < 18)
		receive(index);
	else if (once_in(40))
		close_port(index);
	else {
		check_stats(index);
		if (once_in(20))
			check_buffers();
	}
}

static void live(uint64_t seed)
{
	play.random = (uint32_t)(seed * 0x9e3779b97f4a7c15ull >> 32);
	snprintf(play.repeat, sizeof(play.repeat), "to repeat: -s %llu -n 1\n", (unsigned long long)seed);
	play.num_ports = 2 + below(MODEL_PORTS - 1);
	memset(&play.model, 0, sizeof(play.model));
	for (uint32_t i = 0; i < play.num_ports; i++)
		open_port(i);
	for (play.step = 0; play.step < STEPS; play.step++) {
		play.index = below(play.num_ports);
		step(play.index);
	}
	check_buffers();
	for (uint32_t i = 0; i < play.num_ports; i++)
		if (play.model.port[i].open)
			close_port(i);
	play.repeat[0] = 0;
}

static void a_switch_does_what_its_model_does(void **state)
{
	const struct nmx_stats *sum = &play.sum;

	(void)state;
	for (uint64_t i = 0; i < seeds.count; i++)
		live(seeds.first + i);
	print_message("    %llu seeds: %llu packets sent, %llu received; dropped: %llu full, %llu for no port, %llu too short, %llu too long\n",
	              (unsigned long long)seeds.count, (unsigned long long)sum->tx_packets, (unsigned long long)sum->rx_packets,
	              (unsigned long long)sum->drop_full, (unsigned long long)sum->drop_no_port, (unsigned long long)sum->drop_too_short,
	              (unsigned long long)sum->drop_too_long);
	require(sum->tx_packets && sum->rx_packets && sum->drop_full && sum->drop_no_port && sum->drop_too_short && sum->drop_too_long);
}

static int say_how_to_repeat(void **state)
{
	(void)state;
	if (play.repeat[0])
		print_error("step %u, port %c; %s", play.step, (char)('a' + play.index), play.repeat);
	return 0;
}

/* It hung, and who ran it has lost patience; or the library stopped at a broken rule. */
static void say_so_at_the_end(int signal)
{
	(void)!write(STDERR_FILENO, play.repeat, strlen(play.repeat));
	_exit(128 + signal);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_switch_does_what_its_model_does, say_how_to_repeat),
	};
	int option;

	while ((option = getopt(argc, argv, "n:s:")) >= 0)
		if (option == 'n')
			seeds.count = strtoull(optarg, NULL, 0);
		else if (option == 's')
			seeds.first = strtoull(optarg, NULL, 0);
		else {
			fprintf(stderr, "usage: %s [-s SEED] [-n SEEDS]\n", argv[0]);
			return 2;
		}
	signal(SIGTERM, say_so_at_the_end);
	signal(SIGABRT, say_so_at_the_end);
	return cmocka_run_group_tests_name("switch_model", tests, support_make_directory, support_remove_directory);
}
