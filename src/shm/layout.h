/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What processes share: the files of a namespace directory, to the byte.  docs/segment-protocol.md is the protocol.
 *
 *   NAME            the segment: every member maps it and may write all of it, so nothing read from it is trusted
 *     header          one page; geometry is all that is ever read from it, and is checked against the file's size
 *     members         which ids are taken
 *     records         one per pipe: its name, its two ends, where its queues are
 *     used            a bitmap: set = the buffer is owned by somebody ("free bit" of the protocol, inverted, so that
 *                     a new file is all free)
 *     control         the queues, found through their records
 *     area            256 bytes, then num_bufs buffers of buf_stride bytes, then the rest of the page and one more
 *   NAME.mID.SEG        a member's own file: only that process writes it, others read it with pread
 *   NAME.bREC.Q.S.SEG   a doorbell: a FIFO for the sleeping side S (r or t) of queue Q of record REC
 *                   SEG: 8 hexadecimal digits of the segment's id
 *
 * Sizes are in bytes unless named otherwise.  Little endian, as all platforms of nmx are.
 */
#ifndef NMX_SHM_LAYOUT_H
#define NMX_SHM_LAYOUT_H

#include <stdatomic.h>
#include <stdint.h>

#include <nmx/nmx.h>

#define NMX__SEG_MAGIC    0x746e656d6765736eull /* "nsegment" */
#define NMX__OWN_MAGIC    0x7265626d656d786eull /* "nxmember" */
#define NMX__SHM_VERSION  4u
#define NMX__PAGE         4096u
#define NMX__MAX_MEMBERS  1024u
#define NMX__MAX_RECORDS  4096u
#define NMX__RECORD_NAME  64u   /* bytes of a name, with its end */
#define NMX__MAX_EXTENTS  2048u /* ports that one process has open in one segment, about */
#define NMX__MAX_RINGS    64u   /* of a port, each way */
#define NMX__PORT_RINGS   16u   /* the same, of a port of a switch */
#define NMX__SWITCH_PORTS 254u  /* of a switch, numbered from 1: 0 and 255 are no port */
#define NMX__MIN_SLOTS    2u
#define NMX__MAX_SLOTS    32768u
#define NMX__FIRST_BUF    2u    /* 0 and 1 are reserved, as in netmap */
#define NMX__MAX_BUFS     (1u << 24)
#define NMX__BUF_LEN      2048u /* bytes of a buffer that packets may use */
#define NMX__BUF_OFFSET   256u  /* of buffer 0 in the area; XDP_PACKET_HEADROOM: where AF_XDP puts a packet in its chunk */
#define NMX__NUM_COUNTERS 32u

/* How long the kernel may go on with the buffers of a process that has died, from its recovery on.  Its sockets are
 * closed with it, but a little before or after its life lock, and a device may finish what it was told. */
#define NMX__QUARANTINE_MS   2000u
#define NMX__QUARANTINE_OVER UINT64_MAX

struct nmx__seg_header {
	_Atomic uint64_t magic;
	uint32_t version;
	uint32_t num_bufs;
	uint32_t buf_stride;
	uint32_t reserved;
	uint64_t id;                 /* random: tells one incarnation of a name from the next */
	_Atomic uint32_t lock_owner; /* member id + 1 of who is inside the segment lock; 0: nobody */
	_Atomic uint32_t last_gen;   /* of members, records and attachments */
	_Atomic uint32_t num_records; /* that were ever in use: no need to look further */
	_Atomic uint32_t device_bufs; /* buffers below it may be registered with devices: their space is never given back */
	_Atomic uint32_t removing;    /* nobody is in it, and its files are being removed: whoever finds it so goes on */
};

struct nmx__seg_member {
	_Atomic uint32_t gen; /* 0: free */
	_Atomic int32_t pid;  /* a hint */
	/* Of one that has died: 0: not recovered; when all was recovered but the buffers that the kernel holds (ms of
	 * CLOCK_MONOTONIC); or NMX__QUARANTINE_OVER: those are being given back too. */
	_Atomic uint64_t quarantine_ms;
};

/* Who has an end of a pipe: member id in the upper half, the generation of this attachment (each has its own) in
 * the lower; 0: nobody. */
typedef uint64_t nmx__end_t;
static inline nmx__end_t nmx__end_make(uint32_t member, uint32_t gen) { return (uint64_t)member << 32 | gen; }
static inline uint32_t nmx__end_member(nmx__end_t end) { return (uint32_t)(end >> 32); }
static inline uint32_t nmx__end_gen(nmx__end_t end) { return (uint32_t)end; }

struct nmx__counters {
	_Atomic uint64_t at[NMX__NUM_COUNTERS]; /* in the order of struct nmx_stats */
};

/* Totals of the users of an end that are gone.  Adding is repeatable: the sums are written to the copy that is not
 * in use, then one store of `word` switches over and names the member that was added. */
struct nmx__totals {
	_Atomic uint64_t word; /* generation of the attachment added last << 1 | copy in use */
	struct nmx__counters copy[2];
};

/* What others need of one ring of a switch port.  In every life of every record it means the same: who comes late, with
 * the record of a port that is gone, finds a lane, and no other's memory. */
struct nmx__lane {
	_Atomic uint32_t lock; /* of the receive ring's queue, whose senders are many: nmx__hold_make(); 0: nobody */
	_Atomic uint32_t seen_head; /* of that queue, by who had the lock last: look_at_queue() */
	_Atomic uint64_t drop_full; /* what found that queue full; added to by senders */
	uint64_t reserved1[6];
	_Atomic uint64_t waiters[4]; /* bit p: port p waits for room in that queue */
	_Atomic uint32_t tx_sleep;   /* odd: the transmit ring of this number sleeps, for want of room somewhere */
	uint32_t reserved2[7];
};

/* A lock word: which member, and which of its times.  So a word that has not changed is a lock that was not let go. */
#define NMX__HOLD_BITS 21
static inline uint32_t nmx__hold_make(uint32_t member, uint32_t time)
{
	return (member + 1) << NMX__HOLD_BITS | (time & ((1u << NMX__HOLD_BITS) - 1));
}
static inline uint32_t nmx__hold_member(uint32_t hold) { return (hold >> NMX__HOLD_BITS) - 1; }

enum nmx__record_kind {
	NMX__RECORD_PIPE,
	NMX__RECORD_PORT,   /* of a switch: end[1] is its owner, to whom the queues of "end 0" lead; many send on them */
	NMX__RECORD_SWITCH, /* no ends, no queues: its control pages are a struct nmx__switch */
};
enum nmx__record_flags {
	NMX__RECORD_STAYS = 1, /* also when nobody has it: asked for by name */
	NMX__RECORD_LEFT = 2,  /* a port that is not there for senders, and none is in the middle of sending to it */
	NMX__RECORD_DEAF = 4,  /* a port whose owner does not receive */
};

struct nmx__record {
	_Atomic uint32_t live; /* generation of this record; 0: free */
	uint32_t control_page; /* of the control area */
	uint32_t control_pages;
	uint16_t rings[2];     /* that each end sends on */
	uint32_t slots[2];     /* of those rings, and of the other end's receive rings */
	uint16_t kind;
	uint16_t number;       /* PORT: of the port at its switch */
	_Atomic uint32_t flags; /* enum nmx__record_flags */
	_Atomic nmx__end_t end[2]; /* [0] is x{1, [1] is x}1 */
	char name[NMX__RECORD_NAME]; /* "x{1", "vale0:a", "vale0" */
	struct nmx__totals totals[2];
	uint32_t home, home_gen;   /* PORT: the record of its switch, and its generation */
	uint32_t tx_rings, tx_slots; /* PORT: of its owner; for whoever asks */
	uint8_t pad[2048 - 128 - 2 * sizeof(struct nmx__totals)];
	struct nmx__lane lane[NMX__PORT_RINGS]; /* PORT */
};

/* An entry always holds a buffer: `full` for entries in [head, tail) of the queue, `empty` for the others. */
struct nmx__entry {
	_Atomic uint64_t full;  /* as the first 8 bytes of a netmap_slot; written by the sender only */
	_Atomic uint32_t empty; /* written by the receiver only */
	uint32_t reserved;
};

/* The indices run freely; capacity is a power of two.  One pair of cache lines for each writer: processors fetch
 * lines in pairs. */
struct nmx__queue {
	_Atomic uint32_t tail; /* written by the sender */
	uint8_t pad0[124];
	_Atomic uint32_t head; /* written by the receiver */
	uint8_t pad1[124];
	_Atomic uint32_t rx_sleep; /* odd: the receiver sleeps */
	_Atomic uint32_t tx_sleep; /* odd: the sender waits for room */
	uint8_t pad2[120];
	struct nmx__entry entry[];
};

static inline uint32_t nmx__round_up(uint64_t value, uint32_t unit) { return (uint32_t)((value + unit - 1) / unit * unit); }

/* Entries of the queue under rings of so many slots: the power of two that holds a full ring. */
static inline uint32_t nmx__queue_capacity(uint32_t slots)
{
	uint32_t capacity = 1;

	while (capacity + 1 < slots)
		capacity *= 2;
	return capacity;
}

static inline uint32_t nmx__queue_bytes(uint32_t slots)
{
	return nmx__round_up(sizeof(struct nmx__queue) + (uint64_t)nmx__queue_capacity(slots) * sizeof(struct nmx__entry), 128);
}

/* ---- a switch */

#define NMX__FDB_BUCKETS 1024u
#define NMX__FDB_WAYS    8u /* a cache line */

/* A port's word: its record, and the generation of its owner's attachment; 0: none. */
static inline uint64_t nmx__port_word(uint32_t record, uint32_t attach_gen) { return (uint64_t)record << 32 | attach_gen; }

struct nmx__switch {
	_Atomic uint64_t port[256];  /* by number */
	_Atomic uint32_t num_ports;  /* the highest number that was ever in use: no need to look further */
	_Atomic uint32_t ageing_s;   /* an address that was not seen for so long is forgotten */
	_Atomic uint32_t second;     /* of CLOCK_MONOTONIC, when somebody sent last */
	uint32_t reserved[29];
	_Atomic uint64_t fdb[NMX__FDB_BUCKETS][NMX__FDB_WAYS]; /* where addresses are: shm/fdb.h */
};

/* ---- a member's own file: a header, then extents of whole pages */

enum nmx__extent_kind {
	NMX__EXTENT_PORT = 1,    /* the rings and spare buffers of a port */
	NMX__EXTENT_STAGING = 2, /* buffers on their way into a new record's queues; void once that record is live */
	NMX__EXTENT_DEVICE = 3,  /* as PORT, of an interface: no record, and the kernel may hold buffers of its rings */
	NMX__EXTENT_CLOSED = 4,  /* a DEVICE that is being given back: the kernel has let go, and marks are mentions like others */
};

struct nmx__own_header {
	_Atomic uint64_t magic;
	uint32_t version;
	uint32_t member, gen;
	int32_t pid;
	uint64_t segment_id;
	char program[16];
	uint8_t pad[64 - 48];
	_Atomic uint64_t extent[NMX__MAX_EXTENTS]; /* first page << 32 | pages; 0: free */
};

/* At the start of an extent. */
struct nmx__own_extent {
	uint32_t kind;
	uint32_t record, record_gen, end; /* PORT, STAGING: what it belongs to */
	uint32_t attach_gen;              /* PORT: as in the record's end */
	uint32_t num_rings;               /* PORT, DEVICE: transmit rings first, then receive rings */
	uint32_t num_tx;
	uint32_t num_held, held_ofs;      /* a table of buffer indices outside of rings: spares, or what is staged */
	uint32_t ring_ofs[2 * NMX__MAX_RINGS]; /* of struct nmx__own_ring */
};

struct nmx__own_ring {
	struct nmx__counters counters;
	/* PORT: a sync in flight: committed index << 32 | first slot << 16 | slots (at least 1); 0: none.  When the queue's
	 * index has reached the committed index, `pending` is what the ring's slots hold; before that, the slots are. */
	_Atomic uint64_t txn;
	/* Of a switch port's transmit ring, valid while txn is set: nmx__target_make().  The slots of the sync are then not
	 * neighbours: `first slot` is a place in the table at order_ofs, which lists them. */
	_Atomic uint64_t target;
	uint32_t transit;    /* buffer about to be overwritten by an exchange; 0: none */
	uint32_t order_ofs;  /* from this struct: uint16_t[num_slots]; 0: slots of a sync are neighbours */
	uint32_t queue;      /* its number among those of the record */
	uint32_t num_slots;
	uint32_t pending_ofs; /* PORT: from this struct: uint64_t[num_slots], indexed by slot */
	uint32_t ring_ofs;    /* from this struct: struct netmap_ring; in a DEVICE's slots, 0 is no buffer */
	uint32_t held_ofs, held_bufs; /* DEVICE: from this struct: uint8_t[held_bufs]: not 0: the kernel holds buffer i */
	uint8_t is_tx;
};

static inline uint64_t nmx__txn_make(uint32_t committed, uint32_t first, uint32_t slots)
{
	return (uint64_t)committed << 32 | first << 16 | slots;
}
static inline uint32_t nmx__txn_committed(uint64_t txn) { return (uint32_t)(txn >> 32); }
static inline uint32_t nmx__txn_first(uint64_t txn) { return (uint32_t)txn >> 16; }
static inline uint32_t nmx__txn_slots(uint64_t txn) { return (uint32_t)txn & 0xffff; }

/* Which queue, and under which hold of its lock. */
static inline uint64_t nmx__target_make(uint32_t record, uint32_t lane, uint32_t hold)
{
	return (uint64_t)(record * NMX__PORT_RINGS + lane) << 32 | hold;
}
static inline uint32_t nmx__target_record(uint64_t target) { return (uint32_t)(target >> 32) / NMX__PORT_RINGS; }
static inline uint32_t nmx__target_lane(uint64_t target) { return (uint32_t)(target >> 32) % NMX__PORT_RINGS; }
static inline uint32_t nmx__target_hold(uint64_t target) { return (uint32_t)target; }

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the layout is little endian");
_Static_assert(sizeof(struct nmx__entry) == 16, "an entry is 16 bytes");
_Static_assert(sizeof(struct nmx__queue) == 384, "queue layout");
_Static_assert(sizeof(struct nmx__lane) == 128, "lane layout");
_Static_assert(offsetof(struct nmx__record, lane) == 2048 && sizeof(struct nmx__record) == 4096, "record layout");
_Static_assert(offsetof(struct nmx__switch, fdb) == 2176, "switch layout");
_Static_assert(NMX__MAX_MEMBERS < 1u << (32 - NMX__HOLD_BITS), "a lock word has room for every member");
_Static_assert(offsetof(struct nmx__own_header, extent) == 64, "own file layout");
_Static_assert(sizeof(struct nmx_stats) <= NMX__NUM_COUNTERS * sizeof(uint64_t), "every counter has a place");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics must not take locks");

#endif
