/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "frame.h"

#include <string.h>
#include <unistd.h>

#include "clock.h"

enum {
	ETHERTYPE = 12,
	IP = 14,
	IP_LEN = 16,
	IP_ID = 18,
	IP_PROTOCOL = 23,
	IP_SUM = 24,
	IP_SRC = 26,
	IP_DST = 30,
	UDP = 34,
	UDP_DST = 36,
	UDP_LEN = 38,
	UDP_SUM = 40,
	STAMP = FRAME_HEAD,
	FILLER = FRAME_MIN,
	PROTOCOL_UDP = 17,
	PORT_DISCARD = 9,
};
#define MASK48 UINT64_C(0xffffffffffff)

static uint16_t be16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void put_be16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint64_t swap_if_big(uint64_t value)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	return __builtin_bswap64(value);
#else
	return value;
#endif
}

static uint64_t load64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint64_t le64(const uint8_t *at)
{
	return swap_if_big(load64(at));
}

static void put_le64(uint8_t *at, uint64_t value)
{
	value = swap_if_big(value);
	memcpy(at, &value, sizeof(value));
}

/* The Internet checksum (RFC 1071) does not care for byte order or word size, so sums are of 32-bit words as they
 * lie in memory; fold() makes 16 bits of them, to be stored the same way. */
static uint64_t sum_word(uint64_t word)
{
	return (word >> 32) + (uint32_t)word;
}

static uint64_t sum_bytes(const uint8_t *data, uint32_t len)
{
	uint64_t sum = 0, last = 0;
	uint32_t i = 0;

	for (; i + 8 <= len; i += 8)
		sum += sum_word(load64(data + i));
	memcpy(&last, data + i, len - i);
	return sum + sum_word(last);
}

static uint16_t fold(uint64_t sum)
{
	sum = (sum >> 32) + (uint32_t)sum;
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)((sum >> 16) + sum);
}

static void put_sum(uint8_t *at, uint64_t sum)
{
	uint16_t value = (uint16_t)~fold(sum);

	memcpy(at, &value, sizeof(value));
}

/* What a big-endian 16-bit field adds to a sum. */
static uint64_t sum_be16(uint32_t value)
{
	uint8_t bytes[2];
	uint16_t word;

	put_be16(bytes, value);
	memcpy(&word, bytes, sizeof(word));
	return word;
}

/* The finaliser of MurmurHash3: every bit of the argument changes about half of the result's. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
	x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return x ^ x >> 33;
}

/* The first two words of the stamp, the check without: time in the lower 48 bits of the second. */
struct words {
	uint64_t id, time;
};

static uint32_t check_of(struct words words, uint32_t flow, uint32_t len)
{
	return (uint32_t)(mix(mix(words.id ^ (uint64_t)flow << 32) ^ words.time ^ (uint64_t)len << 48) >> 32);
}

/* Filler: an arithmetic sequence of 64-bit words that starts where a mix of the identity says. */
#define FILLER_STEP UINT64_C(0x9e3779b97f4a7c15)
static uint64_t filler_start(uint64_t id, uint32_t flow)
{
	return mix(id + flow * FILLER_STEP + 1);
}

static uint64_t filler_write(uint8_t *to, uint32_t len, uint64_t word)
{
	uint64_t sum = 0, last = 0;
	uint32_t i = 0;

	for (; i + 8 <= len; i += 8, word += FILLER_STEP) {
		uint64_t stored = swap_if_big(word);
		memcpy(to + i, &stored, sizeof(stored));
		sum += sum_word(stored);
	}
	word = swap_if_big(word);
	memcpy(to + i, &word, len - i);
	memcpy(&last, to + i, len - i);
	return sum + sum_word(last);
}

/* Adds what is there to *sum.  0: it is as filler_write() made it. */
static uint64_t filler_differs(const uint8_t *from, uint32_t len, uint64_t word, uint64_t *sum)
{
	uint64_t differs = 0, added = 0, last = 0, expected = 0;
	uint32_t i = 0;

	for (; i + 8 <= len; i += 8, word += FILLER_STEP) {
		uint64_t stored = load64(from + i);
		differs |= stored ^ swap_if_big(word);
		added += sum_word(stored);
	}
	word = swap_if_big(word);
	memcpy(&last, from + i, len - i);
	memcpy(&expected, &word, len - i);
	*sum += added + sum_word(last);
	return differs | (last ^ expected);
}

uint16_t frame_run_id(void)
{
	return (uint16_t)(mix(clock_ns() ^ (uint64_t)getpid() << 40) >> 48);
}

void frame_template(struct frame_template *t, const struct frame_addresses *addresses, bool stamped, uint16_t run)
{
	memset(t, 0, sizeof(*t));
	t->run = run;
	t->stamped = stamped;
	memcpy(t->head, addresses->dst_mac, 6);
	memcpy(t->head + 6, addresses->src_mac, 6);
	put_be16(t->head + ETHERTYPE, 0x0800);
	put_be16(t->head + IP, 0x4500);
	put_be16(t->head + 22, 64 << 8 | PROTOCOL_UDP); /* time to live, protocol */
	memcpy(t->head + IP_SRC, addresses->src_ip, 4);
	memcpy(t->head + IP_DST, addresses->dst_ip, 4);
	t->first_port = !stamped && addresses->src_port ? addresses->src_port : FRAME_FIRST_PORT;
	put_be16(t->head + UDP_DST, stamped ? FRAME_PORT : addresses->dst_port ? addresses->dst_port : PORT_DISCARD);
	t->ip_sum = sum_bytes(t->head + IP, 20);
	t->udp_sum = sum_bytes(t->head + IP_SRC, 8) + sum_be16(PROTOCOL_UDP) + sum_bytes(t->head + UDP, 8);
}

static uint64_t stamp_write(uint8_t *data, uint32_t len, const struct frame_stamp *stamp)
{
	struct words words = { (stamp->sequence & MASK48) << 16 | stamp->run, stamp->time_ns & MASK48 };
	uint32_t check = check_of(words, stamp->flow, len);

	put_le64(data + STAMP, words.id);
	put_le64(data + STAMP + 8, words.time | (uint64_t)check << 48);
	data[STAMP + 16] = (uint8_t)(check >> 16);
	data[STAMP + 17] = (uint8_t)(check >> 24);
	return sum_bytes(data + STAMP, FILLER - STAMP) +
	       filler_write(data + FILLER, len - FILLER, filler_start(words.id, stamp->flow));
}

void frame_build(const struct frame_template *t, uint8_t *data, uint32_t len, const struct frame_stamp *stamp)
{
	uint32_t port = (stamp->flow + t->first_port) & 0xffff, id = stamp->flow >> 16, udp_len = len - UDP;
	uint64_t sum = t->udp_sum + sum_be16(port) + 2 * sum_be16(udp_len); /* once in the pseudo header */

	memcpy(data, t->head, FRAME_HEAD);
	put_be16(data + IP_LEN, len - IP);
	put_be16(data + IP_ID, id);
	put_sum(data + IP_SUM, t->ip_sum + sum_be16(len - IP) + sum_be16(id));
	put_be16(data + UDP, port);
	put_be16(data + UDP_LEN, udp_len);
	if (t->stamped)
		sum += stamp_write(data, len, stamp);
	else
		memset(data + FRAME_HEAD, 0, len - FRAME_HEAD);
	put_sum(data + UDP_SUM, sum);
	if (data[UDP_SUM] == 0 && data[UDP_SUM + 1] == 0)
		put_be16(data + UDP_SUM, 0xffff); /* 0 would say that there is none: RFC 768 */
}

static bool is_stamped(const uint8_t *data, uint32_t len)
{
	return len >= FRAME_MIN && be16(data + ETHERTYPE) == 0x0800 && data[IP] == 0x45 &&
	       data[IP_PROTOCOL] == PROTOCOL_UDP && (be16(data + UDP_DST) == FRAME_PORT || be16(data + UDP) == FRAME_PORT);
}

/* The flow that the headers tell of.  Of an answer with exchanged ports, `upper` is what the stamp must confirm: the
 * answering host's identification is its own, and flows of an echo are few. */
static uint32_t flow_of(const uint8_t *data, bool upper)
{
	bool exchanged = be16(data + UDP_DST) != FRAME_PORT;
	uint32_t port = be16(data + (exchanged ? UDP_DST : UDP));

	return (upper ? (uint32_t)be16(data + IP_ID) << 16 : 0) | ((port - FRAME_FIRST_PORT) & 0xffff);
}

enum frame_kind frame_check(const uint8_t *data, uint32_t len, struct frame_stamp *stamp)
{
	if (!is_stamped(data, len))
		return FRAME_FOREIGN;
	if (be16(data + IP_LEN) != len - IP || be16(data + UDP_LEN) != len - UDP ||
	    fold(sum_bytes(data + IP, 20)) != 0xffff || be16(data + UDP_SUM) == 0)
		return FRAME_CORRUPT;

	uint64_t second = le64(data + STAMP + 8);
	struct words words = { le64(data + STAMP), second & MASK48 };
	uint32_t check =
	    (uint32_t)(second >> 48) | (uint32_t)data[STAMP + 16] << 16 | (uint32_t)data[STAMP + 17] << 24;
	uint32_t flow = flow_of(data, true);
	if (check != check_of(words, flow, len) && be16(data + UDP_DST) != FRAME_PORT)
		flow = flow_of(data, false);
	uint64_t sum = sum_bytes(data + IP_SRC, 8) + sum_be16(PROTOCOL_UDP) + sum_be16(len - UDP) +
		       sum_bytes(data + UDP, FILLER - UDP);
	uint64_t differs = filler_differs(data + FILLER, len - FILLER, filler_start(words.id, flow), &sum);
	if (differs || check != check_of(words, flow, len) || fold(sum) != 0xffff)
		return FRAME_CORRUPT;
	*stamp = (struct frame_stamp){ (uint16_t)words.id, flow, words.id >> 16, words.time };
	return FRAME_INTACT;
}

uint64_t frame_age(const struct frame_stamp *stamp, uint64_t now_ns)
{
	uint64_t age = (now_ns - stamp->time_ns) & MASK48;

	return age >> 47 ? 0 : age;
}

static void exchange(uint8_t *a, uint8_t *b, size_t len)
{
	uint8_t kept[6];

	memcpy(kept, a, len);
	memcpy(a, b, len);
	memcpy(b, kept, len);
}

void frame_turn(uint8_t *data, uint32_t len)
{
	if (len < ETHERTYPE + 2)
		return;
	exchange(data, data + 6, 6);
	if (len >= IP + 20 && be16(data + ETHERTYPE) == 0x0800)
		exchange(data + IP_SRC, data + IP_DST, 4);
}
