/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Port names: netmap's grammar as libnetmap reads it, plus the prefixes and two options of nmx.
 *
 *   name    [netmap:]port[rings][/flags][@memory][options]   /flags and @memory also repeated, in any order
 *           xdp:..., loop:..., null:...   the same; no pipes.  loop: and null: need no port
 *           pcap:FILE                     all that follows is the path, '/' and '@' too: the direction of a
 *                                         capture comes from nmx_options.flags, and it takes no options
 *   port    NAME                 an interface
 *           valeID:NAME          a switch port; ID may be empty
 *           NAME{ID, NAME}ID     the two ends of a pipe; valeID:NAME{ID too
 *   rings   (none) all of the NIC, -N one of them, ^ the host's, ^N one of those, * NIC and host; N < 4095
 *   flags   any of xztrRT, but not both R and T
 *   memory  1 to 65535
 *   options @share=PORT  @extmem=FILE  @conf=RINGS  @offset=INITIAL  @segment=NAME  @block, or with
 *           keys, @conf:tx-rings=2,slots=512 (libnetmap.h documents them); each option and each key once.  A more
 *           specific key overrides a general one.  Values hold no '@', and in a list of keys no ','.  @block is of
 *           switch ports, and takes no value
 *
 * ID is letters, digits and '_'.  NAME is anything but blanks, control characters and the separators : { } ^ * / @
 * and does not begin with '-', end in '-' and digits, equal "." or "..", nor, in a plain name, begin with "vale"
 * (as in netmap; xdp:valerie is fine).
 * A '-' begins a ring when only digits follow up to the end or to one of ^ * / @, and in a pipe's ID.  Any other
 * belongs to the name, where libnetmap refuses it: br-lan, br-lan-3 (ring 3 of br-lan), eth0-x (an interface of
 * that name).  An interface called wan-2 cannot be named: that is ring 2 of wan, as in netmap.
 *
 * Stricter than libnetmap: numbers are decimal digits and in range, never cut to 16 bits; nothing may be empty
 * ("x{^", "eth0/@2", "@conf:rings="); an option is not given twice; what is shared is a port and nothing more.
 * Wider: keys may follow the documentation where libnetmap's code does not (@conf=RINGS), @offset is enabled. */
#ifndef NMX_CORE_NAME_H
#define NMX_CORE_NAME_H

#include <nmx/nmx.h>

#define NMX__NAME_MAX    63   /* characters of a port name, as netmap's nr_name */
#define NMX__PATH_MAX    1023 /* characters of a file name in a port name */
#define NMX__SEGMENT_MAX 31

/* Which rings a name asks for: NR_REG_* of netmap. */
enum nmx__name_mode { NMX__ALL_NIC, NMX__HOST, NMX__NIC_HOST, NMX__ONE_NIC, NMX__ONE_HOST };

enum nmx__name_flags {
	NMX__NAME_EXCLUSIVE = 1 << 0, /* /x */
	NMX__NAME_ZCOPY_MON = 1 << 1, /* /z */
	NMX__NAME_MON_TX    = 1 << 2, /* /t */
	NMX__NAME_MON_RX    = 1 << 3, /* /r */
	NMX__NAME_RX_ONLY   = 1 << 4, /* /R */
	NMX__NAME_TX_ONLY   = 1 << 5, /* /T */
	NMX__NAME_BLOCK     = 1 << 6, /* @block */
};

struct nmx__name {
	enum nmx_backend backend;       /* the one that the prefix insists on, or NMX_ANY (a plain name) */
	char port[NMX__NAME_MAX + 1];   /* as netmap's nr_name: "eth0", "vale0:a", "x{1"; "" of pcap:, loop:, null: */
	char base[NMX__NAME_MAX + 1];   /* without the pipe: "x" */
	char pipe[NMX__NAME_MAX + 1];   /* the pipe's identifier: "1"; "" when it is none */
	char end;                       /* '{', '}', or 0 */
	char path[NMX__PATH_MAX + 1];   /* pcap:FILE */
	enum nmx__name_mode mode;
	uint32_t ring;                  /* of NMX__ONE_NIC and NMX__ONE_HOST */
	uint32_t flags;                 /* enum nmx__name_flags */
	uint32_t mem_id;                /* @NN; 0: not given */
	/* @conf; 0: not given */
	uint32_t tx_rings, rx_rings, host_tx_rings, host_rx_rings, tx_slots, rx_slots;
	char share[NMX__NAME_MAX + 1];  /* @share=PORT, as port above */
	char segment[NMX__SEGMENT_MAX + 1]; /* @segment=NAME */
	char extmem[NMX__PATH_MAX + 1]; /* @extmem=FILE, or file= of it */
	uint32_t if_num, if_size, ring_num, ring_size, buf_num, buf_size; /* @extmem */
	bool has_offset;                /* @offset */
	uint32_t offset_initial, offset_bits;
};

/* Reads text.  Pure: looks at nothing but its arguments, allocates nothing; any thread.  text and why may be NULL.
 * Returns 0, and leaves why alone, or NMX_ERR_BAD_NAME: then *name is all zeros, and the report shows the
 * offending part and the right spelling. */
NMX_MUST_CHECK int nmx__name_parse(const char *text, struct nmx__name *name, struct nmx_report *why);

#endif
