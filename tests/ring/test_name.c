/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Port names: what is accepted and what it means; what is refused and what the report says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "core/name.h"

struct accepted {
	const char *text;
	struct nmx__name expected;
};

struct refused {
	const char *text;
	const char *part;     /* as the report quotes it */
	const char *sentence; /* what the report also says */
};

static void assert_same_text(const char *text, const char *field, const char *is, const char *expected)
{
	if (strcmp(is, expected))
		fail_msg("%s: %s is \"%s\", expected \"%s\"", text, field, is, expected);
}

static void assert_same_number(const char *text, const char *field, uint32_t is, uint32_t expected)
{
	if (is != expected)
		fail_msg("%s: %s is %u, expected %u", text, field, is, expected);
}

static void assert_same(const char *text, const struct nmx__name *is, const struct nmx__name *expected)
{
#define TEXT_FIELD(field) assert_same_text(text, #field, is->field, expected->field)
#define NUMBER_FIELD(field) assert_same_number(text, #field, is->field, expected->field)
	NUMBER_FIELD(backend);
	TEXT_FIELD(port);
	TEXT_FIELD(base);
	TEXT_FIELD(pipe);
	NUMBER_FIELD(end);
	TEXT_FIELD(path);
	NUMBER_FIELD(mode);
	NUMBER_FIELD(ring);
	NUMBER_FIELD(flags);
	NUMBER_FIELD(mem_id);
	NUMBER_FIELD(tx_rings);
	NUMBER_FIELD(rx_rings);
	NUMBER_FIELD(host_tx_rings);
	NUMBER_FIELD(host_rx_rings);
	NUMBER_FIELD(tx_slots);
	NUMBER_FIELD(rx_slots);
	TEXT_FIELD(share);
	TEXT_FIELD(segment);
	TEXT_FIELD(extmem);
	NUMBER_FIELD(if_num);
	NUMBER_FIELD(if_size);
	NUMBER_FIELD(ring_num);
	NUMBER_FIELD(ring_size);
	NUMBER_FIELD(buf_num);
	NUMBER_FIELD(buf_size);
	NUMBER_FIELD(has_offset);
	NUMBER_FIELD(offset_initial);
	NUMBER_FIELD(offset_bits);
#undef NUMBER_FIELD
#undef TEXT_FIELD
}

static void accept(const char *text, struct nmx__name *name)
{
	struct nmx_report why = { .text = "untouched" };

	memset(name, 0xff, sizeof(*name));
	if (nmx__name_parse(text, name, &why))
		fail_msg("%s", why.text);
	assert_string_equal(why.text, "untouched");
	assert_int_equal(nmx__name_parse(text, name, NULL), 0);
}

static void refuse(const char *text, struct nmx_report *why)
{
	static const struct nmx__name zeros;
	struct nmx__name name;

	memset(&name, 0xff, sizeof(name));
	memset(why, 0xff, sizeof(*why));
	if (nmx__name_parse(text, &name, why) != NMX_ERR_BAD_NAME)
		fail_msg("%s is not refused", text ? text : "NULL");
	assert_memory_equal(&name, &zeros, sizeof(name));
	assert_int_equal(why->err, NMX_ERR_BAD_NAME);
	assert_int_equal(why->sys_errno, 0);
	assert_int_equal(nmx__name_parse(text, &name, NULL), NMX_ERR_BAD_NAME);
}

static void check_accepted(const struct accepted *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct nmx__name name;

		accept(rows[i].text, &name);
		assert_same(rows[i].text, &name, &rows[i].expected);
	}
}

static void check_refused(const struct refused *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct nmx_report why;

		refuse(rows[i].text, &why);
		if (!strstr(why.text, rows[i].part) || !strstr(why.text, rows[i].sentence))
			fail_msg("the report lacks %s or \"%s\": %s", rows[i].part, rows[i].sentence, why.text);
	}
}

#define ACCEPTED(...)                                                  \
	do {                                                           \
		static const struct accepted rows[] = { __VA_ARGS__ }; \
		check_accepted(rows, sizeof(rows) / sizeof(rows[0]));  \
	} while (0)
#define REFUSED(...)                                                  \
	do {                                                          \
		static const struct refused rows[] = { __VA_ARGS__ }; \
		check_refused(rows, sizeof(rows) / sizeof(rows[0]));  \
	} while (0)

#define PORT(name) .port = name, .base = name
#define ETH0 PORT("eth0")
#define CONF(tx, rx, host_tx, host_rx, tx_slot, rx_slot)                                                         \
	.tx_rings = tx, .rx_rings = rx, .host_tx_rings = host_tx, .host_rx_rings = host_rx, .tx_slots = tx_slot, \
	.rx_slots = rx_slot

static void interfaces_are_named_as_the_system_names_them(void **state)
{
	(void)state;
	ACCEPTED({ "eth0", { ETH0 } }, { "netmap:eth0", { ETH0 } }, { "eth0.100", { PORT("eth0.100") } },
		 { "enp3s0f1np1", { PORT("enp3s0f1np1") } }, { "wlp0s20f3", { PORT("wlp0s20f3") } },
		 { "veth_a", { PORT("veth_a") } }, { "em0+1", { PORT("em0+1") } }, { "netmap0", { PORT("netmap0") } },
		 { "netmap", { PORT("netmap") } }, { "loop", { PORT("loop") } }, { "val0", { PORT("val0") } },
		 { "a,b=c", { PORT("a,b=c") } }, { "...", { PORT("...") } },
		 { "\xc3\xa9th0", { PORT("\xc3\xa9th0") } });
}

static void prefixes_choose_the_backend(void **state)
{
	(void)state;
	ACCEPTED({ "xdp:eth0", { .backend = NMX_XDP, ETH0 } },
		 { "xdp:valerie", { .backend = NMX_XDP, PORT("valerie") } },
		 { "xdp:eth0-1/R@conf=2",
		   { .backend = NMX_XDP,
		     ETH0,
		     .mode = NMX__ONE_NIC,
		     .ring = 1,
		     .flags = NMX__NAME_RX_ONLY,
		     .tx_rings = 2,
		     .rx_rings = 2 } },
		 { "loop:", { .backend = NMX_LOOP } }, { "loop:a", { .backend = NMX_LOOP, PORT("a") } },
		 { "loop:-1", { .backend = NMX_LOOP, .mode = NMX__ONE_NIC, .ring = 1 } },
		 { "loop:@conf:slots=8", { .backend = NMX_LOOP, .tx_slots = 8, .rx_slots = 8 } },
		 { "null:", { .backend = NMX_NULL } },
		 { "null:b/T", { .backend = NMX_NULL, PORT("b"), .flags = NMX__NAME_TX_ONLY } });
}

static void a_capture_takes_the_whole_rest_as_its_path(void **state)
{
	(void)state;
	ACCEPTED({ "pcap:f", { .backend = NMX_PCAP, .path = "f" } },
		 { "pcap:/tmp/a-1.pcap", { .backend = NMX_PCAP, .path = "/tmp/a-1.pcap" } },
		 { "pcap:dir/R", { .backend = NMX_PCAP, .path = "dir/R" } },
		 { "pcap:a b@share=eth0", { .backend = NMX_PCAP, .path = "a b@share=eth0" } },
		 { "pcap:pcap:x{1", { .backend = NMX_PCAP, .path = "pcap:x{1" } });
	REFUSED({ "pcap:", "\"pcap:\"", "names no file; write pcap:FILE" });
}

static void switch_ports_keep_their_switch_in_the_name(void **state)
{
	(void)state;
	ACCEPTED({ "vale0:a", { .backend = NMX_SWITCH, PORT("vale0:a") } },
		 { "vale:p", { .backend = NMX_SWITCH, PORT("vale:p") } },
		 { "vale_X9:eth0.1", { .backend = NMX_SWITCH, PORT("vale_X9:eth0.1") } },
		 { "netmap:vale0:a", { .backend = NMX_SWITCH, PORT("vale0:a") } },
		 { "vale0:a-2", { .backend = NMX_SWITCH, PORT("vale0:a"), .mode = NMX__ONE_NIC, .ring = 2 } },
		 { "vale0:a-b", { .backend = NMX_SWITCH, PORT("vale0:a-b") } });
	REFUSED({ "vale0", "\"vale0\"", "write vale0:a" }, { "netmap:vale0", "\"vale0\"", "write vale0:a" },
		{ "valerie@share=vale0:a", "\"valerie\"", "xdp:NAME" },
		{ "vale-1:a", "\"vale-1\"", "is not a switch" }, { "vale0.1:a", "\"vale0.1\"", "is not a switch" },
		{ "vale0:", "\"vale0:\"", "names no port" }, { "vale0:a:b", "\":\"", "cannot be in the name" },
		{ "vale0:..", "\"..\"", "cannot be a name" }, { "vale0:-x", "\"vale0:-x\"", "names no port" });
}

static void pipes_have_a_base_an_end_and_an_identifier(void **state)
{
	(void)state;
	ACCEPTED(
	    { "x{1", { .backend = NMX_PIPE, .port = "x{1", .base = "x", .pipe = "1", .end = '{' } },
	    { "x}1", { .backend = NMX_PIPE, .port = "x}1", .base = "x", .pipe = "1", .end = '}' } },
	    { "netmap:eth0.1{A_z9",
	      { .backend = NMX_PIPE, .port = "eth0.1{A_z9", .base = "eth0.1", .pipe = "A_z9", .end = '{' } },
	    { "br-lan}2-3",
	      { .backend = NMX_PIPE,
		.port = "br-lan}2",
		.base = "br-lan",
		.pipe = "2",
		.end = '}',
		.mode = NMX__ONE_NIC,
		.ring = 3 } },
	    { "vale0:a{1", { .backend = NMX_PIPE, .port = "vale0:a{1", .base = "vale0:a", .pipe = "1", .end = '{' } },
	    { "x{1/x@2@conf:slots=4",
	      { .backend = NMX_PIPE,
		.port = "x{1",
		.base = "x",
		.pipe = "1",
		.end = '{',
		.flags = NMX__NAME_EXCLUSIVE,
		.mem_id = 2,
		.tx_slots = 4,
		.rx_slots = 4 } });
	REFUSED({ "x{", "\"{\"", "write x{1 for one end" }, { "x}@2", "\"}\"", "lacks the pipe's identifier" },
		{ "x{^", "\"{\"", "lacks the pipe's identifier" }, { "{1", "\"{1\"", "names no port" },
		{ "vale0:{1", "\"vale0:{1\"", "names no port" }, { "x{1{2", "\"1{2\"", "is not a pipe's identifier" },
		{ "x{1}", "\"1}\"", "is not a pipe's identifier" }, { "x{a.b", "\"a.b\"", "letters, digits or _" },
		{ "x{\xc3\xa9", "\"\\xc3\\xa9\"", "letters, digits or _" }, { "x{1:a", "\"1:a\"", "identifier" },
		{ "xdp:x{1", "\"{1\"", "write x{1" }, { "loop:x}1", "\"}1\"", "no such prefix" },
		{ "x{a-b", "\"b\"", "is not a ring number" }, { "a-3{1", "\"a-3\"", "x{1-3" });
}

static void rings_are_chosen_by_the_suffix(void **state)
{
	(void)state;
	ACCEPTED(
	    { "eth0-0", { ETH0, .mode = NMX__ONE_NIC } }, { "eth0-3", { ETH0, .mode = NMX__ONE_NIC, .ring = 3 } },
	    { "eth0-4094", { ETH0, .mode = NMX__ONE_NIC, .ring = 4094 } },
	    { "eth0-007", { ETH0, .mode = NMX__ONE_NIC, .ring = 7 } }, { "eth0^", { ETH0, .mode = NMX__HOST } },
	    { "eth0^2", { ETH0, .mode = NMX__ONE_HOST, .ring = 2 } },
	    { "eth0^0", { ETH0, .mode = NMX__ONE_HOST, .ring = 0 } }, { "eth0*", { ETH0, .mode = NMX__NIC_HOST } },
	    { "eth0*/R@3", { ETH0, .mode = NMX__NIC_HOST, .flags = NMX__NAME_RX_ONLY, .mem_id = 3 } },
	    { "eth0^@3", { ETH0, .mode = NMX__HOST, .mem_id = 3 } });
	REFUSED({ "eth0-", "\"\"", "is not a ring number (0 to 4094); write eth0-3 for ring 3" },
		{ "eth0-/R", "\"\"", "write eth0-3" }, { "eth0-4095", "\"4095\"", "0 to 4094" },
		{ "eth0-65539", "\"65539\"", "0 to 4094" }, { "eth0-4294967299", "\"4294967299\"", "0 to 4094" },
		{ "eth0-18446744073709551619", "\"18446744073709551619\"", "0 to 4094" },
		{ "eth0-3^", "\"3^\"", "is not a ring number" }, { "eth0^-1", "\"-1\"", "eth0^2 for host ring 2" },
		{ "eth0^x", "\"x\"", "eth0^ for all host rings" }, { "eth0^3x", "\"3x\"", "is not a ring number" },
		{ "eth0^ 3", "\" 3\"", "is not a ring number" }, { "eth0^+3", "\"+3\"", "is not a ring number" },
		{ "eth0^4095", "\"4095\"", "0 to 4094" }, { "eth0*3", "\"3\"", "cannot stand here" },
		{ "eth0*-3", "\"-3\"", "cannot stand here" }, { "eth0*^", "\"^\"", "cannot stand here" });
}

static void a_dash_not_followed_by_a_number_belongs_to_the_name(void **state)
{
	(void)state;
	ACCEPTED({ "br-lan", { PORT("br-lan") } },
		 { "br-lan-3", { PORT("br-lan"), .mode = NMX__ONE_NIC, .ring = 3 } },
		 { "br-1a2b3c", { PORT("br-1a2b3c") } }, { "a-1-b", { PORT("a-1-b") } },
		 { "br-lan/R", { PORT("br-lan"), .flags = NMX__NAME_RX_ONLY } }, { "a--b", { PORT("a--b") } },
		 { "eth0-x", { PORT("eth0-x") } });
	REFUSED({ "a-3-4", "\"a-3\"", "ends like a ring number" }, { "a--3", "\"a-\"", "ends like a ring number" },
		{ "-x", "\"-x\"", "names no port" }, { "eth0- 3", "\" \"", "cannot be in the name" });
}

static void flags_are_letters_in_any_order(void **state)
{
	(void)state;
	ACCEPTED({ "eth0/x", { ETH0, .flags = NMX__NAME_EXCLUSIVE } },
		 { "eth0/z", { ETH0, .flags = NMX__NAME_ZCOPY_MON } },
		 { "eth0/t", { ETH0, .flags = NMX__NAME_MON_TX } }, { "eth0/r", { ETH0, .flags = NMX__NAME_MON_RX } },
		 { "eth0/R", { ETH0, .flags = NMX__NAME_RX_ONLY } },
		 { "eth0/T", { ETH0, .flags = NMX__NAME_TX_ONLY } },
		 { "eth0/RRxR", { ETH0, .flags = NMX__NAME_RX_ONLY | NMX__NAME_EXCLUSIVE } },
		 { "eth0/tr@2/x",
		   { ETH0, .flags = NMX__NAME_MON_TX | NMX__NAME_MON_RX | NMX__NAME_EXCLUSIVE, .mem_id = 2 } });
	REFUSED({ "eth0/", "\"eth0/\"", "no flag after the /" }, { "eth0/@2", "\"eth0/@2\"", "no flag after the /" },
		{ "eth0/q", "\"q\"", "is not a flag" }, { "eth0/x/z", "\"/\"", "is not a flag" },
		{ "eth0/R-3", "\"-\"", "is not a flag" }, { "eth0/RT", "\"RT\"", "write one or none" },
		{ "eth0/T@2/R", "\"R\"", "write one or none" }, { "eth0/1", "\"1\"", "is not a flag" });
}

static void a_memory_id_is_a_number_after_the_at_sign(void **state)
{
	(void)state;
	ACCEPTED({ "eth0@1", { ETH0, .mem_id = 1 } }, { "eth0@65535", { ETH0, .mem_id = 65535 } },
		 { "eth0@5@5", { ETH0, .mem_id = 5 } },
		 { "eth0@5@segment=s", { ETH0, .mem_id = 5, .segment = "s" } });
	REFUSED({ "eth0@0", "\"0\"", "is not a memory id (1 to 65535)" }, { "eth0@65536", "\"65536\"", "1 to 65535" },
		{ "eth0@65537", "\"65537\"", "write eth0@2" }, { "eth0@5x", "\"5x\"", "is not a memory id" },
		{ "eth0@5@6", "\"6\"", "is another memory id than 5" },
		{ "eth0@5-3", "\"5-3\"", "is not a memory id" }, { "eth0@segment=s@5", "\"5\"", "is not an option" });
}

static void sharing_names_a_port(void **state)
{
	(void)state;
	ACCEPTED({ "eth0@share=netmap:eth1", { ETH0, .share = "eth1" } },
		 { "eth0@share:port=br-lan", { ETH0, .share = "br-lan" } },
		 { "eth0@share=vale0:a", { ETH0, .share = "vale0:a" } },
		 { "eth0@share=netmap:x{1", { ETH0, .share = "x{1" } });
	REFUSED({ "eth0@share", "\"share\"", "write @share=netmap:eth0" }, { "eth0@share=", "\"\"", "is not a port" },
		{ "eth0@share=eth1-3", "\"eth1-3\"", "is not a port" }, { "eth0@share=eth1/R", "\"eth1/R\"", "port" },
		{ "eth0@share=foo:a", "\"foo:a\"", "@share=vale0:a" }, { "eth0@share=loop:", "\"loop:\"", "is not" },
		{ "eth0@share=xdp:eth1", "\"xdp:eth1\"", "is not" }, { "eth0@share=pcap:f", "\"pcap:f\"", "is not" },
		{ "eth0@share=pcap:", "\"pcap:\"", "is not" },
		{ "eth0@share=a@share=b", "\"share=b\"", "gives share again" },
		{ "eth0@share:", "\"\"", "is not a key of @share: port" },
		{ "eth0@share:port", "\"port\"", "has no value; write @share=netmap:eth0" },
		{ "eth0@share:port=a,port=b", "\"port=b\"", "sets port again" });
}

static void ring_and_slot_counts_come_from_conf(void **state)
{
	(void)state;
	ACCEPTED({ "a@conf=4", { PORT("a"), CONF(4, 4, 0, 0, 0, 0) } },
		 { "a@conf:rings=4", { PORT("a"), CONF(4, 4, 0, 0, 0, 0) } },
		 { "a@conf:host-rings=4", { PORT("a"), CONF(0, 0, 4, 4, 0, 0) } },
		 { "a@conf:host_rings=4", { PORT("a"), CONF(0, 0, 4, 4, 0, 0) } },
		 { "a@conf:slots=4", { PORT("a"), CONF(0, 0, 0, 0, 4, 4) } },
		 { "a@conf:tx-rings=1,rx-rings=2,host-tx-rings=3,host-rx_rings=4,tx-slots=5,rx_slots=6",
		   { PORT("a"), CONF(1, 2, 3, 4, 5, 6) } },
		 { "a@conf:rings=65535,slots=4294967295",
		   { PORT("a"), CONF(65535, 65535, 0, 0, UINT32_MAX, UINT32_MAX) } });
	REFUSED({ "a@conf:", "\"\"", "is not a key of @conf: rings, host-rings, slots" },
		{ "a@conf", "\"conf\"", "write @conf:rings=2,slots=512" },
		{ "a@conf:frobs=1", "\"frobs\"", "host-tx-rings, host-rx-rings, tx-slots, rx-slots" },
		{ "a@conf:Rings=1", "\"Rings\"", "is not a key of @conf" },
		{ "a@conf:r_ngs=1", "\"r_ngs\"", "is not a key of @conf" },
		{ "a@conf:rings=", "\"\"", "is not a number for rings (1 to 65535)" },
		{ "a@conf:rings=1,", "\"\"", "is not a key of @conf" },
		{ "a@conf:,rings=1", "\"\"", "is not a key of @conf" },
		{ "a@conf:tx-rings=1,tx_rings=1", "\"tx_rings=1\"", "sets tx-rings again" },
		{ "a@conf:rings=1@conf:slots=2", "\"conf:slots=2\"", "gives conf again" });
}

static void a_more_specific_key_overrides_in_any_order(void **state)
{
	(void)state;
	ACCEPTED({ "a@conf:rings=4,tx-rings=2", { PORT("a"), CONF(2, 4, 0, 0, 0, 0) } },
		 { "a@conf:tx-rings=2,rings=4", { PORT("a"), CONF(2, 4, 0, 0, 0, 0) } },
		 { "a@conf:rx-rings=2,rings=4", { PORT("a"), CONF(4, 2, 0, 0, 0, 0) } },
		 { "a@conf:host-rx-rings=1,host-rings=2", { PORT("a"), CONF(0, 0, 2, 1, 0, 0) } },
		 { "a@conf:rx-slots=8,slots=16,tx-slots=4", { PORT("a"), CONF(0, 0, 0, 0, 4, 8) } });
}

static void counts_are_never_cut_to_fit(void **state)
{
	(void)state;
	REFUSED({ "a@conf:rings=65536", "\"65536\"", "is not a number for rings (1 to 65535); write rings=1" },
		{ "a@conf=65537", "\"65537\"", "1 to 65535" }, { "a@conf:rx-rings=65537", "\"65537\"", "1 to 65535" },
		{ "a@conf:host-rings=131073", "\"131073\"", "1 to 65535" },
		{ "a@conf:host-tx-rings=4294967297", "\"4294967297\"", "1 to 65535" },
		{ "a@conf:slots=4294967296", "\"4294967296\"", "1 to 4294967295" },
		{ "a@conf:slots=18446744073709551617", "\"18446744073709551617\"", "1 to 4294967295" },
		{ "a@conf:tx-slots=99999999999999999999999999", "\"99999999999999999999999999\"", "4294967295" },
		{ "a@conf:rings=0", "\"0\"", "1 to 65535" }, { "a@conf:rings=-1", "\"-1\"", "1 to 65535" },
		{ "a@conf:rings=+1", "\"+1\"", "1 to 65535" }, { "a@conf:rings= 1", "\" 1\"", "1 to 65535" },
		{ "a@conf:rings=0x1", "\"0x1\"", "1 to 65535" }, { "a@conf:rings=1k", "\"1k\"", "1 to 65535" },
		{ "a@conf:rings=1\n", "\"1\\x0a\"", "1 to 65535" }, { "a@conf:rings=1.0", "\"1.0\"", "1 to 65535" });
}

static void external_memory_names_a_file(void **state)
{
	(void)state;
	ACCEPTED({ "a@extmem=/dev/shm/m,1", { PORT("a"), .extmem = "/dev/shm/m,1" } },
		 { "a@extmem:buf-num=6,if-num=1,if_size=2,ring-num=3,ring-size=4,file=m=n,buf_size=5",
		   { PORT("a"), .extmem = "m=n", .if_num = 1, .if_size = 2, .ring_num = 3, .ring_size = 4,
		     .buf_num = 6, .buf_size = 5 } });
	REFUSED(
	    { "a@extmem=", "\"\"", "is not a file name" },
	    { "a@extmem:buf-num=1", "\"buf-num=1\"", "leaves out file; write @extmem=FILE" },
	    { "a@extmem:file=f,buf-num=4294967296", "\"4294967296\"", "1 to 4294967295" },
	    { "a@extmem:file=f,rings=1", "\"rings\"", "if-num, if-size, ring-num, ring-size, buf-num, buf-size" });
}

static void an_offset_has_an_initial_value(void **state)
{
	(void)state;
	ACCEPTED({ "a@offset=64", { PORT("a"), .has_offset = true, .offset_initial = 64 } },
		 { "a@offset=0", { PORT("a"), .has_offset = true } },
		 { "a@offset:bits=64,initial=4294967295",
		   { PORT("a"), .has_offset = true, .offset_initial = UINT32_MAX, .offset_bits = 64 } });
	REFUSED({ "a@offset:bits=16", "\"bits=16\"", "leaves out initial" },
		{ "a@offset:initial=1,bits=65", "\"65\"", "1 to 64" }, { "a@offset=x", "\"x\"", "initial=64" });
}

static void a_segment_has_a_short_plain_name(void **state)
{
	(void)state;
	ACCEPTED(
	    { "x{1@segment=Big_one-2",
	      { .backend = NMX_PIPE, .port = "x{1", .base = "x", .pipe = "1", .end = '{', .segment = "Big_one-2" } },
	    { "a@segment=1234567890123456789012345678901",
	      { PORT("a"), .segment = "1234567890123456789012345678901" } });
	REFUSED({ "a@segment=12345678901234567890123456789012", "\"12345678901234567890123456789012\"", "1 to 31" },
		{ "a@segment=", "\"\"", "1 to 31 letters" }, { "a@segment=a/b", "\"a/b\"", "letters, digits" },
		{ "a@segment=..", "\"..\"", "letters, digits" },
		{ "a@segment=s@segment=s", "\"segment=s\"", "again" });
}

static void only_a_switch_port_may_block(void **state)
{
	(void)state;
	ACCEPTED({ "vale0:a@block", { .backend = NMX_SWITCH, PORT("vale0:a"), .flags = NMX__NAME_BLOCK } },
		 { "vale0:a/R@block@conf:slots=4",
		   { .backend = NMX_SWITCH, PORT("vale0:a"), .flags = NMX__NAME_BLOCK | NMX__NAME_RX_ONLY, .tx_slots = 4, .rx_slots = 4 } },
		 { "netmap:vale0:a@segment=s@block",
		   { .backend = NMX_SWITCH, PORT("vale0:a"), .flags = NMX__NAME_BLOCK, .segment = "s" } });
	REFUSED({ "vale0:a@block=1", "\"block=1\"", "takes none; write @block" },
		{ "vale0:a@block:", "\"block:\"", "takes none; write @block" },
		{ "vale0:a@block@block", "\"block\"", "again" }, { "x{1@block", "\"block\"", "write vale0:a@block" },
		{ "eth0@block", "\"block\"", "is for ports of switches" }, { "vale0:a@blocks", "\"blocks\"", "is not an option" });
}

static void options_combine(void **state)
{
	(void)state;
	ACCEPTED({ "netmap:eth0-3/xR@7@conf:rings=2@segment=s@share=y@offset=2@extmem=f",
		   { ETH0, .mode = NMX__ONE_NIC, .ring = 3, .flags = NMX__NAME_EXCLUSIVE | NMX__NAME_RX_ONLY,
		     .mem_id = 7, CONF(2, 2, 0, 0, 0, 0), .segment = "s", .share = "y", .has_offset = true,
		     .offset_initial = 2, .extmem = "f" } });
	REFUSED({ "a@", "\"\"", "is not an option; write @2 for memory 2" },
		{ "a@@share=b", "\"\"", "is not an option" }, { "a@share=b@", "\"\"", "is not an option" },
		{ "a@foo=1", "\"foo\"", "@share, @conf, @extmem" },
		{ "a@sharex=b", "\"sharex\"", "is not an option" }, { "a@shar=b", "\"shar\"", "is not an option" });
}

static void names_that_make_no_sense_are_refused(void **state)
{
	(void)state;
	REFUSED({ "", "\"\"", "names no port; write eth0" }, { "netmap:", "\"netmap:\"", "names no port" },
		{ "xdp:", "\"xdp:\"", "names no port" }, { "-3", "\"-3\"", "names no port" },
		{ "^", "\"^\"", "names no port" }, { "@share=a", "\"@share=a\"", "names no port" },
		{ "/tmp/x", "\"/tmp/x\"", "names no port" }, { ".", "\".\"", "cannot be a name" },
		{ "./x.pcap", "\".\"", "pcap:FILE" }, { "..{1", "\"..\"", "cannot be a name" },
		{ ":eth0", "\":\"", "is not a prefix" }, { "foo:eth0", "\"foo:\"", "write netmap:eth0, vale0:a" },
		{ "Netmap:eth0", "\"Netmap:\"", "is not a prefix" },
		{ "netmap0:eth0", "\"netmap0:\"", "is not a prefix" },
		{ "xdp:vale0:a", "\":\"", "cannot be in the name" }, { "netmap:xdp:a", "\":\"", "cannot be in" },
		{ "eth 0", "\" \"", "cannot be in the name" }, { "eth0\n", "\"\\x0a\"", "cannot be in the name" },
		{ "eth0\x7f", "\"\\x7f\"", "cannot be in the name" }, { "\t", "\"\\x09\"", "cannot be in the name" });
}

static void no_name_at_all_is_refused(void **state)
{
	struct nmx_report why;

	(void)state;
	refuse(NULL, &why);
	assert_non_null(strstr(why.text, "no port name was given; write eth0"));
}

static void the_report_reads_as_a_sentence(void **state)
{
	struct nmx_report why;

	(void)state;
	refuse("x{1-x", &why);
	assert_string_equal(why.text, "\"x{1-x\": \"x\" is not a ring number (0 to 4094); write eth0-3 for ring 3");
	refuse("", &why);
	assert_string_equal(why.text, "\"\" names no port; write eth0, netmap:eth0, vale0:a, x{1 or loop:");
}

static void the_report_escapes_what_a_terminal_would_obey(void **state)
{
	struct nmx_report why;

	(void)state;
	refuse("\x1b[2J\x9b\"\\:", &why);
	assert_non_null(strstr(why.text, "\"\\x1b[2J\\x9b\\\"\\\\:\" is not a prefix"));
	for (const char *c = why.text; *c; c++)
		assert_in_range((unsigned char)*c, ' ', '~');
}

static const char *repeated(char *out, const char *front, char c, size_t n, const char *back)
{
	size_t len = strlen(front);

	memcpy(out, front, len);
	memset(out + len, c, n);
	strcpy(out + len + n, back);
	return out;
}

static void names_hold_63_characters_and_are_never_cut(void **state)
{
	static const size_t lengths[] = { 15, 16, 62, 63 };
	struct nmx__name name;
	struct nmx_report why;
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		accept(repeated(text, "netmap:", 'a', lengths[i], "-7@conf=3"), &name);
		assert_int_equal(strlen(name.port), lengths[i]);
		assert_int_equal(name.ring, 7);
		accept(repeated(text, "", 'a', lengths[i] - 2, "{1"), &name);
		assert_int_equal(strlen(name.port), lengths[i]);
		accept(repeated(text, "x{", '1', lengths[i] - 2, ""), &name);
		assert_int_equal(strlen(name.pipe), lengths[i] - 2);
		accept(repeated(text, "vale0:", 'a', lengths[i] - 6, ""), &name);
		assert_int_equal(strlen(name.base), lengths[i]);
		accept(repeated(text, "a@share=netmap:", 'a', lengths[i], ""), &name);
		assert_int_equal(strlen(name.share), lengths[i]);
	}
	refuse(repeated(text, "netmap:", 'a', 64, ""), &why);
	assert_non_null(strstr(why.text, "has 64 characters; the name of a port has at most 63"));
	refuse(repeated(text, "", 'a', 62, "{1"), &why);
	refuse(repeated(text, "vale0:", 'a', 58, ""), &why);
	refuse(repeated(text, "vale", '0', 62, ":a"), &why);
	refuse(repeated(text, "a@share=", 'a', 64, ""), &why);
	refuse(repeated(text, "a@share=netmap:", 'a', 64, ""), &why);
}

static void file_names_hold_1023_characters_and_are_never_cut(void **state)
{
	static char text[2048];
	struct nmx__name name;
	struct nmx_report why;

	(void)state;
	accept(repeated(text, "pcap:", 'f', NMX__PATH_MAX, ""), &name);
	assert_int_equal(strlen(name.path), NMX__PATH_MAX);
	accept(repeated(text, "a@extmem=", 'f', NMX__PATH_MAX, ""), &name);
	assert_int_equal(strlen(name.extmem), NMX__PATH_MAX);
	refuse(repeated(text, "pcap:", 'f', NMX__PATH_MAX + 1, ""), &why);
	assert_non_null(strstr(why.text, "has 1024 characters; the name of a file has at most 1023"));
	refuse(repeated(text, "a@extmem=", 'f', NMX__PATH_MAX + 1, ""), &why);
}

static void very_long_texts_are_refused_with_a_short_report(void **state)
{
	static const char fillers[] = "a-0\x01\":{^*/@=,";
	static const char *const fronts[] = { "", "vale", "x{", "eth0-", "eth0/", "eth0@", "a@conf:", "a@conf=" };
	static char text[1 << 20];
	struct nmx_report why;

	(void)state;
	for (size_t i = 0; i < sizeof(fronts) / sizeof(fronts[0]); i++) {
		for (const char *c = fillers; *c; c++) {
			refuse(repeated(text, fronts[i], *c, sizeof(text) - 16, "!"), &why);
			assert_non_null(strstr(why.text, "\"..."));
			assert_in_range(strlen(why.text), 1, sizeof(why.text) - 2);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interfaces_are_named_as_the_system_names_them),
		cmocka_unit_test(prefixes_choose_the_backend),
		cmocka_unit_test(a_capture_takes_the_whole_rest_as_its_path),
		cmocka_unit_test(switch_ports_keep_their_switch_in_the_name),
		cmocka_unit_test(pipes_have_a_base_an_end_and_an_identifier),
		cmocka_unit_test(rings_are_chosen_by_the_suffix),
		cmocka_unit_test(a_dash_not_followed_by_a_number_belongs_to_the_name),
		cmocka_unit_test(flags_are_letters_in_any_order),
		cmocka_unit_test(a_memory_id_is_a_number_after_the_at_sign),
		cmocka_unit_test(sharing_names_a_port),
		cmocka_unit_test(ring_and_slot_counts_come_from_conf),
		cmocka_unit_test(a_more_specific_key_overrides_in_any_order),
		cmocka_unit_test(counts_are_never_cut_to_fit),
		cmocka_unit_test(external_memory_names_a_file),
		cmocka_unit_test(an_offset_has_an_initial_value),
		cmocka_unit_test(a_segment_has_a_short_plain_name),
		cmocka_unit_test(only_a_switch_port_may_block),
		cmocka_unit_test(options_combine),
		cmocka_unit_test(names_that_make_no_sense_are_refused),
		cmocka_unit_test(no_name_at_all_is_refused),
		cmocka_unit_test(the_report_reads_as_a_sentence),
		cmocka_unit_test(the_report_escapes_what_a_terminal_would_obey),
		cmocka_unit_test(names_hold_63_characters_and_are_never_cut),
		cmocka_unit_test(file_names_hold_1023_characters_and_are_never_cut),
		cmocka_unit_test(very_long_texts_are_refused_with_a_short_report),
	};

	return cmocka_run_group_tests_name("name", tests, NULL, NULL);
}
