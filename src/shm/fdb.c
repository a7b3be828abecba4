/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "shm/fdb.h"

#define TAG_BITS   38
#define TAG_MASK   ((1ull << TAG_BITS) - 1)
#define AGE_BITS   18
#define AGE_MASK   ((1u << AGE_BITS) - 1)
#define PORT_SHIFT AGE_BITS
#define TAG_SHIFT  (AGE_BITS + 8)
#define CLEANED_AT_ONCE 8u /* buckets: all of the table in about two minutes of sending */

_Static_assert(NMX__FDB_BUCKETS == 1u << (48 - TAG_BITS), "bucket and tag are the whole address");
_Static_assert(NMX__FDB_AGEING_MAX_S < AGE_MASK / 2, "an age is told from a wrapped one");

/* ---- scrambling */

/* Odd, so that the product can be undone. */
static uint64_t factor(uint64_t key) { return (key & NMX__MAC_MASK) | 1; }

static uint64_t scramble(uint64_t mac, uint64_t key)
{
	uint64_t h = (mac ^ key >> 16) & NMX__MAC_MASK;

	h = h * factor(key) & NMX__MAC_MASK;
	h ^= h >> 24;
	h = h * 0x9e3779b97f4bull & NMX__MAC_MASK;
	return h ^ h >> 24;
}

/* The number whose product with odd f is 1, by Newton: each turn doubles the bits that are right. */
static uint64_t inverse(uint64_t f)
{
	uint64_t x = f;

	for (int i = 0; i < 5; i++)
		x *= 2 - f * x;
	return x;
}

static uint64_t unscramble(uint64_t h, uint64_t key)
{
	h ^= h >> 24;
	h = h * inverse(0x9e3779b97f4bull) & NMX__MAC_MASK;
	h ^= h >> 24;
	h = h * inverse(factor(key)) & NMX__MAC_MASK;
	return (h ^ key >> 16) & NMX__MAC_MASK;
}

/* ---- words */

static uint64_t word_make(uint64_t tag, uint32_t port, uint32_t now)
{
	return tag << TAG_SHIFT | (uint64_t)port << PORT_SHIFT | (now & AGE_MASK);
}
static uint32_t word_port(uint64_t word) { return (uint32_t)(word >> PORT_SHIFT) & 0xff; }

/* Seconds since it was seen.  Another's clock may be a tick ahead of ours. */
static uint32_t word_age(uint64_t word, uint32_t now)
{
	uint32_t age = (now - (uint32_t)word) & AGE_MASK;

	return age > AGE_MASK - 2 ? 0 : age;
}

uint32_t nmx__fdb_ageing(const struct nmx__fdb *fdb)
{
	uint32_t seconds = atomic_load_explicit(&fdb->sw->ageing_s, memory_order_relaxed);

	return seconds - 1 < NMX__FDB_AGEING_MAX_S ? seconds : NMX__FDB_AGEING_S;
}

static bool is_known(uint64_t word, uint32_t now, uint32_t ageing_s)
{
	return word_port(word) - 1 < NMX__SWITCH_PORTS && word_age(word, now) < ageing_s;
}

static _Atomic uint64_t *bucket_of(const struct nmx__fdb *fdb, uint64_t scrambled) { return fdb->sw->fdb[scrambled >> TAG_BITS]; }

/* ---- look-up */

static void note(struct nmx__fdb_seen *seen, const _Atomic uint64_t *word, uint64_t value, uint64_t mac, uint32_t now)
{
	if (seen)
		*seen = (struct nmx__fdb_seen){ .word = word, .value = value, .mac = mac, .port = word_port(value), .now = now };
}

uint32_t nmx__fdb_find(const struct nmx__fdb *fdb, uint64_t mac, uint32_t now, struct nmx__fdb_seen *seen)
{
	uint64_t scrambled = scramble(mac, fdb->key), tag = scrambled & TAG_MASK;
	_Atomic uint64_t *bucket = bucket_of(fdb, scrambled);

	for (uint32_t i = 0; i < NMX__FDB_WAYS; i++) {
		uint64_t word = atomic_load_explicit(&bucket[i], memory_order_relaxed);

		if (word >> TAG_SHIFT == tag && is_known(word, now, nmx__fdb_ageing(fdb))) {
			note(seen, &bucket[i], word, mac, now);
			return word_port(word);
		}
	}
	return 0;
}

/* ---- learning */

/* Who is beaten by another's store has lost nothing that the next packet does not bring back. */
static void replace(_Atomic uint64_t *word, uint64_t seen, uint64_t with)
{
	atomic_compare_exchange_strong_explicit(word, &seen, with, memory_order_relaxed, memory_order_relaxed);
}

/* The word of the bucket that is missed least: a free one, one that is too old anyway, the oldest. */
static uint32_t victim(const uint64_t words[NMX__FDB_WAYS], uint64_t tag, uint32_t now, uint32_t ageing_s)
{
	uint32_t oldest = (uint32_t)tag % NMX__FDB_WAYS, most = word_age(words[oldest], now);

	for (uint32_t i = 0; i < NMX__FDB_WAYS; i++) {
		uint32_t age = word_age(words[i], now);

		if (!is_known(words[i], now, ageing_s))
			return i;
		if (age > most) {
			most = age;
			oldest = i;
		}
	}
	return oldest;
}

void nmx__fdb_learn(const struct nmx__fdb *fdb, uint64_t mac, uint32_t port, uint32_t now, struct nmx__fdb_seen *seen)
{
	uint64_t scrambled = scramble(mac, fdb->key), tag = scrambled & TAG_MASK, with = word_make(tag, port, now);
	_Atomic uint64_t *bucket = bucket_of(fdb, scrambled);
	uint64_t words[NMX__FDB_WAYS];
	uint32_t at = NMX__FDB_WAYS;

	for (uint32_t i = 0; i < NMX__FDB_WAYS; i++) {
		words[i] = atomic_load_explicit(&bucket[i], memory_order_relaxed);
		if (words[i] >> TAG_SHIFT != tag || word_port(words[i]) == 0)
			continue;
		/* Two ports that learnt it at once may both have found a free word: then the second one goes. */
		if (at < NMX__FDB_WAYS)
			replace(&bucket[i], words[i], 0);
		else if (words[at = i] != with)
			replace(&bucket[i], words[i], with);
	}
	if (at == NMX__FDB_WAYS) {
		at = victim(words, tag, now, nmx__fdb_ageing(fdb));
		replace(&bucket[at], words[at], with);
	}
	note(seen, &bucket[at], with, mac, now);
}

/* ---- ageing */

static void clean_bucket(const struct nmx__fdb *fdb, uint32_t number, uint32_t now)
{
	_Atomic uint64_t *bucket = fdb->sw->fdb[number % NMX__FDB_BUCKETS];
	uint32_t ageing_s = nmx__fdb_ageing(fdb);

	for (uint32_t i = 0; i < NMX__FDB_WAYS; i++) {
		uint64_t word = atomic_load_explicit(&bucket[i], memory_order_relaxed);

		if (word && !is_known(word, now, ageing_s))
			replace(&bucket[i], word, 0);
	}
}

static void clear(const struct nmx__fdb *fdb)
{
	for (uint32_t b = 0; b < NMX__FDB_BUCKETS; b++)
		for (uint32_t i = 0; i < NMX__FDB_WAYS; i++)
			atomic_store_explicit(&fdb->sw->fdb[b][i], 0, memory_order_relaxed);
}

void nmx__fdb_tick(const struct nmx__fdb *fdb, uint32_t now)
{
	uint32_t last = atomic_load_explicit(&fdb->sw->second, memory_order_relaxed);
	int32_t passed = (int32_t)(now - last);

	if (passed == 0 || passed == -1) /* another processor's clock is a tick ahead */
		return;
	if (!atomic_compare_exchange_strong_explicit(&fdb->sw->second, &last, now, memory_order_relaxed, memory_order_relaxed))
		return;
	if (passed < 0 || (uint32_t)passed >= nmx__fdb_ageing(fdb)) /* nobody sent for so long: all is too old, whatever it looks like */
		clear(fdb);
	for (uint32_t i = 0; i < CLEANED_AT_ONCE; i++)
		clean_bucket(fdb, now * CLEANED_AT_ONCE + i, now);
}

void nmx__fdb_forget(const struct nmx__fdb *fdb, uint32_t port)
{
	for (uint32_t b = 0; b < NMX__FDB_BUCKETS; b++)
		for (uint32_t i = 0; i < NMX__FDB_WAYS; i++) {
			uint64_t word = atomic_load_explicit(&fdb->sw->fdb[b][i], memory_order_relaxed);

			if (word_port(word) == port)
				replace(&fdb->sw->fdb[b][i], word, 0);
		}
}

int nmx__fdb_each(const struct nmx__fdb *fdb, uint32_t now, int (*fn)(uint64_t mac, uint32_t port, uint32_t age_s, void *arg),
                  void *arg)
{
	int stop = 0;

	for (uint32_t b = 0; b < NMX__FDB_BUCKETS && stop == 0; b++)
		for (uint32_t i = 0; i < NMX__FDB_WAYS && stop == 0; i++) {
			uint64_t word = atomic_load_explicit(&fdb->sw->fdb[b][i], memory_order_relaxed);

			if (is_known(word, now, nmx__fdb_ageing(fdb)))
				stop = fn(unscramble((uint64_t)b << TAG_BITS | word >> TAG_SHIFT, fdb->key), word_port(word), word_age(word, now),
				          arg);
		}
	return stop;
}
