/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* One rtnetlink request in a buffer of fixed size, built attribute by attribute, sent, and answered. */
#ifndef NMX_XSK_REQUEST_H
#define NMX_XSK_REQUEST_H

#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NMX__REQUEST_BYTES 1024

struct nmx__request {
	union {
		struct nlmsghdr header;
		uint8_t bytes[NMX__REQUEST_BYTES];
	};
	bool overflow; /* something did not fit: it is not sent */
};

/* body: what follows the header (struct ifinfomsg, struct tcmsg). */
void nmx__request_begin(struct nmx__request *request, uint16_t type, uint16_t flags, const void *body, size_t bytes);
void nmx__request_put(struct nmx__request *request, uint16_t type, const void *data, size_t bytes);
void nmx__request_put_text(struct nmx__request *request, uint16_t type, const char *text);
void nmx__request_put_u32(struct nmx__request *request, uint16_t type, uint32_t value);
void nmx__request_put_u8(struct nmx__request *request, uint16_t type, uint8_t value);
/* Attributes within an attribute: what open returns is for close.  `body` may be NULL; it comes before the first. */
size_t nmx__request_open(struct nmx__request *request, uint16_t type, const void *body, size_t bytes);
void nmx__request_close(struct nmx__request *request, size_t nest);

/* Sends it and reads what the kernel answers: each message (that is not about errors) is given to fn, if there is one.
 * Returns 0 or a negated errno. */
int nmx__request_send(int fd, struct nmx__request *request, void (*fn)(const struct nlmsghdr *message, void *arg),
                      void *arg);

/* The attributes of a message after a body of so many bytes, or those within an attribute: by type, NULL where there is
 * none.  Types of `max` and more are passed over. */
void nmx__attributes(const struct nlmsghdr *message, size_t body, const struct rtattr **table, uint16_t max);
void nmx__attributes_within(const struct rtattr *attribute, const struct rtattr **table, uint16_t max);
/* 0, or "", where there is none or it is too short. */
uint32_t nmx__attribute_u32(const struct rtattr *attribute);
uint8_t nmx__attribute_u8(const struct rtattr *attribute);
void nmx__attribute_text(const struct rtattr *attribute, char *out, size_t size);

#endif
