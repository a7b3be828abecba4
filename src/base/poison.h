/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Under AddressSanitizer, buffers that the caller does not own are poisoned, so that a stale use stops at its line.
 * The symbols are weak: it is enough that the program is built with the sanitizer. */
#ifndef NMX_BASE_POISON_H
#define NMX_BASE_POISON_H

#include <stdbool.h>
#include <stddef.h>

void __asan_poison_memory_region(const volatile void *start, size_t bytes) __attribute__((__weak__));
void __asan_unpoison_memory_region(const volatile void *start, size_t bytes) __attribute__((__weak__));

static inline bool nmx__poisoning(void) { return __asan_poison_memory_region != NULL; }

static inline void nmx__poison(const void *start, size_t bytes)
{
	if (nmx__poisoning())
		__asan_poison_memory_region(start, bytes);
}

static inline void nmx__unpoison(const void *start, size_t bytes)
{
	if (nmx__poisoning())
		__asan_unpoison_memory_region(start, bytes);
}

#endif
