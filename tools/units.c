/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "units.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NOT_A_COUNT "not a count; write 1000, 10k, 2.5M or 1G"
#define NOT_A_TIME "not a time; write 2, 0.5, 20ms or 100us"
#define NOT_A_RANGE "not a length; write 60, or 60-1500"
#define NOT_WHOLE "not a whole number"
#define TOO_FINE "finer than a nanosecond"
#define TOO_LARGE "more than 18446744073709551615"
#define TIME_TOO_LONG "longer than 18446744073 seconds"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A decimal number as it was written: whole + fraction / 10^fraction_digits. */
struct decimal {
	uint64_t whole;
	uint64_t fraction;
	int fraction_digits; /* trailing zeros do not count */
	bool overflow;
	const char *rest; /* after the last digit */
};

static bool append_digit(uint64_t *value, char digit)
{
	return __builtin_mul_overflow(*value, 10, value) ||
	       __builtin_add_overflow(*value, (uint64_t)(digit - '0'), value);
}

static bool decimal_read(const char *text, struct decimal *d)
{
	*d = (struct decimal){ .rest = text };
	if (!is_digit(*text))
		return false;
	for (; is_digit(*d->rest); d->rest++)
		d->overflow |= append_digit(&d->whole, *d->rest);
	if (*d->rest != '.')
		return true;
	const char *first = ++d->rest, *significant = first;
	if (!is_digit(*first))
		return false;
	for (; is_digit(*d->rest); d->rest++)
		if (*d->rest != '0')
			significant = d->rest + 1;
	d->fraction_digits = (int)(significant - first < 1000 ? significant - first : 1000);
	for (int i = 0; i < d->fraction_digits && i < 19; i++)
		(void)append_digit(&d->fraction, first[i]); /* 19 digits always fit */
	return true;
}

enum scaled { SCALED, SCALED_NOT_WHOLE, SCALED_OVERFLOW };

/* *value = d * 10^exponent, if that is a whole number that fits. */
static enum scaled decimal_scale(const struct decimal *d, int exponent, uint64_t *value)
{
	uint64_t whole = d->whole, fraction = d->fraction, sum;

	if (d->fraction_digits > exponent)
		return SCALED_NOT_WHOLE;
	bool overflow = d->overflow;
	for (int i = 0; i < exponent; i++)
		overflow |= __builtin_mul_overflow(whole, 10, &whole);
	for (int i = d->fraction_digits; i < exponent; i++)
		overflow |= __builtin_mul_overflow(fraction, 10, &fraction);
	if (overflow || __builtin_add_overflow(whole, fraction, &sum))
		return SCALED_OVERFLOW;
	*value = sum;
	return SCALED;
}

struct suffix {
	const char *text;
	int exponent;
};

static int suffix_exponent(const struct suffix *suffixes, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(suffixes[i].text, text) == 0)
			return suffixes[i].exponent;
	return -1;
}

const char *units_count(const char *text, uint64_t *value)
{
	static const struct suffix suffixes[] = { { "", 0 }, { "k", 3 }, { "M", 6 }, { "G", 9 } };
	struct decimal d;

	if (!decimal_read(text, &d))
		return NOT_A_COUNT;
	int exponent = suffix_exponent(suffixes, sizeof(suffixes) / sizeof(*suffixes), d.rest);
	if (exponent < 0)
		return NOT_A_COUNT;
	switch (decimal_scale(&d, exponent, value)) {
	case SCALED_NOT_WHOLE:
		return NOT_WHOLE;
	case SCALED_OVERFLOW:
		return TOO_LARGE;
	default:
		return NULL;
	}
}

const char *units_seconds(const char *text, uint64_t *value_ns)
{
	static const struct suffix suffixes[] = { { "", 9 }, { "s", 9 }, { "ms", 6 }, { "us", 3 } };
	struct decimal d;

	if (!decimal_read(text, &d))
		return NOT_A_TIME;
	int exponent = suffix_exponent(suffixes, sizeof(suffixes) / sizeof(*suffixes), d.rest);
	if (exponent < 0)
		return NOT_A_TIME;
	switch (decimal_scale(&d, exponent, value_ns)) {
	case SCALED_NOT_WHOLE:
		return TOO_FINE;
	case SCALED_OVERFLOW:
		return TIME_TOO_LONG;
	default:
		return NULL;
	}
}

const char *units_range(const char *text, uint64_t *low, uint64_t *high)
{
	struct decimal a, b;

	if (!decimal_read(text, &a) || a.rest != text + strspn(text, "0123456789"))
		return NOT_A_RANGE;
	b = a;
	if (*a.rest == '-') {
		const char *second = a.rest + 1;
		if (!decimal_read(second, &b) || b.rest != second + strspn(second, "0123456789"))
			return NOT_A_RANGE;
	}
	if (*b.rest != '\0')
		return NOT_A_RANGE;
	if (a.overflow || b.overflow)
		return TOO_LARGE;
	if (a.whole > b.whole)
		return "the first is larger than the second";
	*low = a.whole;
	*high = b.whole;
	return NULL;
}

static int hex_value(char c)
{
	static const char digits[] = "0123456789abcdef";
	char lower = c >= 'A' && c <= 'F' ? (char)(c + 'a' - 'A') : c;
	const char *at = lower ? strchr(digits, lower) : NULL;

	return at ? (int)(at - digits) : -1;
}

const char *units_mac(const char *text, uint8_t mac[6])
{
	uint8_t read[6];

	for (int i = 0; i < 6; i++, text += 3) {
		int high = hex_value(text[0]);
		int low = high < 0 ? -1 : hex_value(text[1]);
		if (low < 0 || text[2] != (i < 5 ? ':' : '\0'))
			return "not a MAC address; write 02:00:00:00:00:01";
		read[i] = (uint8_t)(high << 4 | low);
	}
	memcpy(mac, read, sizeof(read));
	return NULL;
}

const char *units_ip4(const char *text, uint8_t ip[4])
{
	uint8_t read[4];

	for (int i = 0; i < 4; i++) {
		unsigned value = 0;
		int digits = 0;
		for (; digits < 4 && is_digit(*text); digits++)
			value = value * 10 + (unsigned)(*text++ - '0');
		if (digits == 0 || digits > 3 || value > 255 || *text != (i < 3 ? '.' : '\0'))
			return "not an IPv4 address; write 10.0.0.1";
		read[i] = (uint8_t)value;
		text++;
	}
	memcpy(ip, read, sizeof(read));
	return NULL;
}

char *units_grouped(char *text, uint64_t value)
{
	char plain[UNITS_TEXT];
	int digits = snprintf(plain, sizeof(plain), "%" PRIu64, value);
	char *to = text;

	for (int i = 0; i < digits; i++) {
		if (i > 0 && (digits - i) % 3 == 0)
			*to++ = ',';
		*to++ = plain[i];
	}
	*to = '\0';
	return text;
}

static int decimals_for(double value)
{
	return value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
}

char *units_scaled(char *text, double value, const char *unit)
{
	static const char *const prefix[] = { "", "k", "M", "G", "T" };
	size_t i = 0;

	for (; value >= 999.5 && i < sizeof(prefix) / sizeof(*prefix) - 1; i++)
		value /= 1000;
	snprintf(text, UNITS_TEXT, "%.*f %s%s", i == 0 ? 0 : decimals_for(value), value, prefix[i], unit);
	return text;
}

char *units_time(char *text, uint64_t ns)
{
	static const char *const unit[] = { "ns", "us", "ms", "s" };
	double value = (double)ns;
	size_t i = 0;

	for (; value >= 999.5 && i < sizeof(unit) / sizeof(*unit) - 1; i++)
		value /= 1000;
	snprintf(text, UNITS_TEXT, "%.*f %s", i == 0 ? 0 : decimals_for(value), value, unit[i]);
	return text;
}
