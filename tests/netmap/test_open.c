/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Opening ports of the netmap device: what names ask for, what errors mean, and which backend a name gets. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <nmx/inspect.h>

#include "ports.h"

/* ---- the device */

static void a_device_that_is_not_there_is_said(void **state)
{
	(void)state;
	standin.open_errno = ENOENT;
	ports_refused("eth0", NULL, NMX_ERR_UNSUPPORTED_PLATFORM, "modprobe netmap");
	standin.open_errno = EACCES;
	ports_refused("eth0", NULL, NMX_ERR_PERMISSION, "chmod 660 /dev/netmap");
	standin.open_errno = EMFILE;
	ports_refused("eth0", NULL, NMX_ERR_NO_MEMORY, "ulimit -n");
}

static void a_device_that_is_not_netmap_is_said(void **state)
{
	struct nmx_netmap_info info;
	struct nmx_report why;

	(void)state;
	standin.not_netmap = true;
	ports_refused("eth0", NULL, NMX_ERR_UNSUPPORTED_PLATFORM, "is not netmap's device");
	require_result(nmx_netmap_inspect(&info, &why), NMX_ERR_UNSUPPORTED_PLATFORM);
	require(info.is_here || info.api == 0);
}

static void another_api_is_said(void **state)
{
	static const uint16_t apis[] = { 11, 13, 15, 20 };
	struct nmx_netmap_info info;
	struct nmx_report why;
	char text[64];

	(void)state;
	standin_nic("eth0", 1, 16);
	for (unsigned i = 0; i < 4; i++) {
		standin.api = apis[i];
		snprintf(text, sizeof(text), "speaks API %u of netmap, and nmx API 14", apis[i]);
		ports_refused("eth0", NULL, NMX_ERR_UNSUPPORTED_PLATFORM, text);
		require_result(nmx_netmap_inspect(&info, &why), NMX_ERR_UNSUPPORTED_PLATFORM);
		require_equal(info.api, apis[i]);
	}
	standin.api = 99;
	ports_refused("eth0", NULL, NMX_ERR_UNSUPPORTED_PLATFORM, "takes no requests of API 14");
	standin.api = 14;
	require_result(nmx_netmap_inspect(&info, &why), 0);
	require(info.is_here && info.api == 14 && info.memory > 0);
	require_result(nmx_backend_probe(NMX_NETMAP, NULL, &why), 0);
	require_contains(why.text, "API 14");
}

/* ---- what a refusal means */

static void errors_say_what_they_mean(void **state)
{
	struct nmx_options exclusive = { .flags = NMX_EXCLUSIVE };
	struct port *nic = standin_nic("eth0", 2, 16);
	struct nmx_port *port;

	(void)state;
	ports_refused("eth7", NULL, NMX_ERR_NO_SUCH, "netmap knows no interface \"eth7\"");
	ports_refused("eth0-2", NULL, NMX_ERR_INVALID_RING_INDEX, "has no ring 2: its rings are 0 to 1");
	ports_refused("eth0^1", NULL, NMX_ERR_INVALID_RING_INDEX, "has no host ring 1");
	ports_refused("vale0:a^", NULL, NMX_ERR_FALLBACK_UNSUPPORTED, "have no host rings");
	ports_refused("x{1*", NULL, NMX_ERR_FALLBACK_UNSUPPORTED, "have no host rings");
	ports_refused("eth0/r", NULL, NMX_ERR_NO_SUCH, "must be open already");
	ports_refused("eth0@77", NULL, NMX_ERR_BAD_OPTION, "no memory 77");
	ports_refused("eth0@share=eth7", NULL, NMX_ERR_NO_SUCH, "knows no \"eth7\"");
	ports_refused("vale0:a_name_that_is_long", NULL, NMX_ERR_BAD_NAME, "at most 15 characters");
	ports_refused("eth0@offset:initial=4000,bits=8", NULL, NMX_ERR_FALLBACK_UNSUPPORTED, "@offset");
	ports_refused("eth0@segment=a", NULL, NMX_ERR_FALLBACK_UNSUPPORTED, "memory ids");
	nic->refuse = true;
	ports_refused("eth0", NULL, NMX_ERR_BIND_FAIL, "dmesg");
	nic->refuse = false;
	port = ports_open("eth0", NULL);
	ports_refused("eth0", &exclusive, NMX_ERR_BUSY, "cannot be had exclusively");
	nmx_close(port);
	port = ports_open("eth0", &exclusive);
	ports_refused("eth0", NULL, NMX_ERR_BUSY, "has it open exclusively");
	nmx_close(port);
}

static void memory_that_is_used_up_is_named(void **state)
{
	struct nmx_options o = { .extra_bufs = 0 };
	struct nmx_port *ports[2];

	(void)state;
	standin.if_num = 2;
	standin_nic("eth0", 1, 16);
	ports[0] = ports_open("eth0", NULL);
	ports[1] = ports_open("eth0", NULL);
	ports_refused("eth0", &o, NMX_ERR_NO_MEMORY, "(if_num)");
	nmx_close(ports[0]);
	nmx_close(ports[1]);
}

/* ---- exclusively, and several at once */

static void an_exclusive_port_has_a_descriptor_for_each_ring(void **state)
{
	struct nmx_options o = { .flags = NMX_EXCLUSIVE };
	struct pair p;
	uint32_t before;

	(void)state;
	ports_wire("eth0", "eth1", 3, 16);
	p = ports_pair("eth0", "eth1", &o);
	before = standin.opened;
	support_send(p.tx, 0, 3, 60);
	support_expect(p.rx, 0, 3, 60);
	struct nmx_rx *rx = support_rx(p.b, 2);
	require_equal(standin.opened, before);
	require_result(nmx_rx_sync(rx), 0);
	nmx_rx_close(rx);
	rx = support_rx(p.b, 2);
	nmx_rx_close(rx);
	ports_close(&p);
}

static void an_exclusive_port_falls_back_to_one_descriptor(void **state)
{
	struct nmx_options o = { .flags = NMX_EXCLUSIVE, .tx_rings = 4, .rx_rings = 4 };
	struct nmx_port *port;
	struct nmx_tx *tx;

	(void)state;
	standin.if_num = 3;
	port = ports_open("vale0:a", &o);
	tx = support_tx(port, 3);
	support_send(tx, 0, 3, 60);
	ports_refused("vale0:a", NULL, NMX_ERR_BUSY, "exclusively");
	nmx_tx_close(tx);
	nmx_close(port);
}

static void two_users_share_a_port(void **state)
{
	struct nmx_port *a, *b;
	struct nmx_tx *tx;

	(void)state;
	standin_nic("eth0", 1, 16);
	a = ports_open("eth0/T", NULL);
	b = ports_open("eth0/T", NULL);
	tx = support_tx(a, 0);
	support_send(tx, 0, 5, 60);
	nmx_tx_close(tx);
	tx = support_tx(b, 0); /* the very same ring, where the other left it */
	require_equal(tx->ring->head, 5);
	support_send(tx, 5, 15, 60);
	nmx_tx_close(tx);
	nmx_close(a);
	nmx_close(b);
}

static void one_way_ports_have_rings_of_that_way(void **state)
{
	struct nmx_port *port;
	struct nmx_info info;
	struct nmx_rx *rx;

	(void)state;
	standin_nic("eth0", 2, 16);
	port = ports_open("eth0/T", NULL);
	nmx_port_info(port, &info);
	require_equal(info.tx_rings, 2);
	require_equal(info.rx_rings, 0);
	require_result(nmx_rx_ring(port, 0, &rx), NMX_ERR_INVALID_RING_INDEX);
	nmx_close(port);
}

static void a_monitor_only_receives(void **state)
{
	struct nmx_port *port, *monitor;
	struct nmx_info info;

	(void)state;
	port = ports_open("vale0:a", NULL);
	monitor = ports_open("vale0:a/rt", NULL);
	nmx_port_info(monitor, &info);
	require_equal(info.tx_rings, 0);
	require_equal(info.rx_rings, 1);
	nmx_close(monitor);
	nmx_close(port);
}

static void memory_of_a_file_is_used(void **state)
{
	char path[128], name[160];
	struct nmx_port *port;
	struct nmx_tx *tx;
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/memory", support_directory());
	ports_refused("vale0:a@extmem=/nowhere/at/all", NULL, NMX_ERR_NO_SUCH, "for @extmem");
	fd = open(path, O_CREAT | O_RDWR, 0600);
	require(fd >= 0 && ftruncate(fd, 8 << 20) == 0);
	snprintf(name, sizeof(name), "vale0:a@extmem=%s", path);
	port = ports_open(name, NULL);
	tx = support_tx(port, 0);
	support_send(tx, 0, 3, 60);
	nmx_tx_close(tx);
	nmx_close(port);
	close(fd);
	unlink(path);
}

/* ---- nonsense */

static const struct {
	size_t at; /* of the netmap_if, or of the first ring */
	uint64_t value;
	uint32_t bytes;
	bool of_ring;
} nonsense[] = {
	{ offsetof(struct nmx__nm_if, tx_rings), UINT32_MAX, 4, false },
	{ offsetof(struct nmx__nm_if, rx_rings), 100000000, 4, false },
	{ offsetof(struct nmx__nm_if, host_tx_rings), UINT32_MAX, 4, false },
	{ offsetof(struct nmx__nm_if, ring_ofs), 0, 8, false },
	{ offsetof(struct nmx__nm_if, ring_ofs), 64, 8, false },
	{ offsetof(struct nmx__nm_if, ring_ofs), (uint64_t)INT64_MIN, 8, false },
	{ offsetof(struct nmx__nm_if, ring_ofs), (uint64_t)-128, 8, false },
	{ offsetof(struct nmx__nm_if, ring_ofs), (uint64_t)1 << 40, 8, false },
	{ offsetof(struct netmap_ring, num_slots), 0, 4, true },
	{ offsetof(struct netmap_ring, num_slots), 1, 4, true },
	{ offsetof(struct netmap_ring, num_slots), UINT32_MAX, 4, true },
	{ offsetof(struct netmap_ring, nr_buf_size), 0, 4, true },
	{ offsetof(struct netmap_ring, nr_buf_size), UINT32_MAX, 4, true },
	{ offsetof(struct netmap_ring, buf_ofs), (uint64_t)1 << 50, 8, true },
	{ offsetof(struct netmap_ring, buf_ofs), (uint64_t)INT64_MIN, 8, true },
	{ offsetof(struct netmap_ring, buf_ofs), 0, 8, true },
	{ offsetof(struct netmap_ring, buf_ofs), 256, 8, true },
	{ offsetof(struct netmap_ring, buf_ofs), (uint64_t)-4096, 8, true },
	{ offsetof(struct netmap_ring, head), 16, 4, true },
	{ offsetof(struct netmap_ring, tail), UINT32_MAX, 4, true },
};

static void spoil_one(struct nmx__nm_register *reg, struct memory *memory, void *arg)
{
	unsigned i = *(unsigned *)arg;
	struct nmx__nm_if *nifp = (struct nmx__nm_if *)(memory->start + reg->if_ofs);
	uint8_t *at = nonsense[i].of_ring ? (uint8_t *)nifp + nifp->ring_ofs[0] : (uint8_t *)nifp;

	if (reg->mode == NMX__NM_ALL_NIC)
		memcpy(at + nonsense[i].at, &nonsense[i].value, nonsense[i].bytes);
}

static void nonsense_in_memory_is_an_error(void **state)
{
	struct nmx_options o = { .backend = NMX_NETMAP };
	struct nmx_report why;
	struct nmx_port *port;
	struct nmx_tx *tx;

	(void)state;
	standin_nic("eth0", 1, 16);
	standin.spoil = spoil_one;
	for (unsigned i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		int err;

		standin.spoil_arg = &i;
		err = nmx_open(&port, "eth0", &o, &why);
		if (err == 0) { /* what only shows when a ring is used */
			require(nmx_tx_ring(port, 0, &tx) < 0);
			nmx_close(port);
		} else
			require(err == NMX_ERR_CORRUPT || err == NMX_ERR_INVALID_RING_INDEX);
	}
}

static void spoil_reply(struct nmx__nm_register *reg, struct memory *memory, void *arg)
{
	(void)memory;
	switch (*(unsigned *)arg) {
	case 0: reg->if_ofs = UINT64_MAX - 7; break;
	case 1: reg->if_ofs = reg->memsize - 8; break;
	case 2: reg->if_ofs += 4; break;
	case 3: reg->memsize = 8; break;
	case 4: reg->memsize = 0; break;
	case 5: reg->memsize = UINT64_MAX; break;
	default: reg->extra_bufs = UINT32_MAX; break;
	}
}

static void nonsense_in_the_answer_is_an_error(void **state)
{
	struct nmx_options o = { .backend = NMX_NETMAP, .extra_bufs = 4 };
	struct nmx_report why;
	struct nmx_port *port;

	(void)state;
	standin_nic("eth0", 1, 16);
	standin.spoil = spoil_reply;
	for (unsigned i = 0; i < 6; i++) {
		standin.spoil_arg = &i;
		require(nmx_open(&port, "eth0", &o, &why) < 0);
	}
	unsigned last = 6;

	standin.spoil_arg = &last;
	require_result(nmx_open(&port, "eth0", &o, &why), 0);
	nmx_close(port);
}

/* ---- which backend */

static void plain(const char *name, int err, const char *part)
{
	struct nmx_report why;
	struct nmx_port *port;
	int is = nmx_open(&port, name, NULL, &why);

	require_result(is, err);
	require_contains(why.text, part);
	if (is == 0)
		nmx_close(port);
}

static void a_plain_name_goes_to_netmap_where_it_can(void **state)
{
	struct nmx_report why;
	struct nmx_port *port;
	struct nmx_info info;

	(void)state;
	standin_nic("nmxtest0", 1, 16);
	require_result(nmx_open(&port, "nmxtest0", NULL, &why), 0);
	nmx_port_info(port, &info);
	require_equal(info.backend, NMX_NETMAP);
	require_result(nmx_name_explain("nmxtest0", NULL, &why), 0);
	require_contains(why.text, "is a port of netmap");
	standin_find("nmxtest0")->kring[0][0].exclusive = true;
	plain("nmxtest0", NMX_ERR_BUSY, "exclusively"); /* no reason to take it in another way */
	standin_find("nmxtest0")->kring[0][0].exclusive = false;
	nmx_close(port);
	require_result(nmx_open(&port, "x{1", NULL, &why), 0);
	nmx_port_info(port, &info);
	require_equal(info.backend, NMX_PIPE);
	nmx_close(port);
}

static void what_netmap_does_not_take_goes_to_af_xdp(void **state)
{
	struct nmx_options xdp = { .backend = NMX_XDP };
	struct nmx_report by_xdp, why;
	struct nmx_port *port;
	int err = nmx_open(&port, "nmxtest1", &xdp, &by_xdp);

	(void)state;
	require(err < 0); /* there is no such interface: what is looked at is who says so */
	plain("nmxtest1", err, "the netmap backend did not take it: netmap knows no interface");
	standin.open_errno = EACCES;
	plain("nmxtest1", err, "the netmap backend did not take it: /dev/netmap may not be opened");
	standin.open_errno = ENOENT;
	require_result(nmx_open(&port, "nmxtest1", NULL, &why), err);
	require_equal(strcmp(why.text, by_xdp.text), 0); /* where there is no netmap, nobody needs to hear of it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_device_that_is_not_there_is_said),
		TEST(a_device_that_is_not_netmap_is_said),
		TEST(another_api_is_said),
		TEST(errors_say_what_they_mean),
		TEST(memory_that_is_used_up_is_named),
		TEST(an_exclusive_port_has_a_descriptor_for_each_ring),
		TEST(an_exclusive_port_falls_back_to_one_descriptor),
		TEST(two_users_share_a_port),
		TEST(one_way_ports_have_rings_of_that_way),
		TEST(a_monitor_only_receives),
		TEST(memory_of_a_file_is_used),
		TEST(nonsense_in_memory_is_an_error),
		TEST(nonsense_in_the_answer_is_an_error),
		TEST(a_plain_name_goes_to_netmap_where_it_can),
		TEST(what_netmap_does_not_take_goes_to_af_xdp),
	};

	return cmocka_run_group_tests(tests, support_make_directory, support_remove_directory);
}
