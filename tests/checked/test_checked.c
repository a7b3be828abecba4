/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Runs each victim and expects it to be stopped at the line it names, with a sentence that tells the ring and the slot.
 * usage: test_checked VICTIMS */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "run.h"

static const struct {
	const char *victim, *says, *ring; /* says NULL: nothing is wrong */
} cases[] = {
	{ "take_after_sync", "nmx_frame_take: the frame is dead", "receive" },
	{ "forward_after_sync", "nmx_tx_forward: the frame is dead", "receive" },
	{ "take_after_refill", "nmx_frame_take: the frame is dead", "receive" },
	{ "take_after_refill_with_the_same_buffer", "nmx_frame_take: the frame is dead", "receive" },
	{ "forward_after_refill", "nmx_tx_forward: the frame is dead", "receive" },
	{ "forward_from_an_array_after_sync", "nmx_tx_forward: the frame is dead", "receive" },
	{ "take_twice", "nmx_frame_take: the frame is dead", "receive" },
	{ "forward_twice", "nmx_tx_forward: the frame is dead", "receive" },
	{ "next_when_nothing_waits", "nmx_rx_next: nothing is waiting", "receive" },
	{ "sync_in_another_thread", "nmx_rx_sync: the ring is used by two threads", "receive" },
	{ "receive_in_another_thread", "the ring is used by two threads", "receive" },
	{ "send_in_another_thread", "the ring is used by two threads", "transmit" },
	{ "handed_over_is_fine", NULL, NULL },
	{ "commit_twice", "nmx_batch_commit: the batch is not open", "transmit" },
	{ "packet_after_commit", "the batch is not open", "transmit" },
	{ "commit_after_cancel", "nmx_batch_commit: the batch is not open", "transmit" },
	{ "trim_to_more", "nmx_batch_trim: longer than it was, or empty", "transmit" },
	{ "trim_to_nothing", "nmx_batch_trim: longer than it was, or empty", "transmit" },
	{ "sync_after_close", "nmx_rx_sync: the ring was closed", "receive" },
	{ "rx_slot_outside", "nmx_rx_sync: a slot outside of the owned range was written", "receive" },
	{ "tx_slot_outside", "nmx_tx_sync: a slot outside of the owned range was written", "transmit" },
	{ "tx_slot_outside_before_the_first_sync", "nmx_tx_sync: a slot outside of the owned range was written", "transmit" },
	{ "rx_head_outside", "nmx_rx_sync: head or cur was moved outside of the owned range", "receive" },
	{ "tx_cur_outside", "nmx_tx_sync: head or cur was moved outside of the owned range", "transmit" },
	{ "tx_head_beyond_cur", "nmx_tx_sync: head or cur was moved outside of the owned range", "transmit" },
	{ "rx_tail_written", "nmx_rx_sync: tail was written", "receive" },
	{ "tx_tail_written", "nmx_tx_sync: tail was written", "transmit" },
	{ "rx_buffer_claimed_twice", "nmx_rx_sync: the buffer of this slot is claimed by another slot too", "receive" },
	{ "tx_buffer_claimed_twice", "nmx_tx_sync: the buffer of this slot is claimed by another slot too", "transmit" },
	{ "put_twice", "nmx_buf_put: not a buffer of this port, or given back twice", NULL },
	{ "put_of_another_port", "nmx_buf_put: not a buffer of this port, or given back twice", NULL },
};

static struct child child;

static void check(const char *victims, size_t i, const char *kind)
{
	const char *name = cases[i].victim;
	char ring[100], *end;

	child_start(&child, (const char *const[]){ victims, name, kind, run_dir, NULL });
	child_wait(&child, 10000);
	if (!cases[i].says) {
		EXPECT(child.code == 0 && !*child.err, "%s, %s: %d, %s", name, kind, child.code, child.err);
		return;
	}
	run_dir_clear();
	if (!EXPECT(child.code == RUN_SIGNAL + SIGABRT, "%s, %s: %d, %s", name, kind, child.code, child.err))
		return;
	end = strchr(child.out, '\n');
	*(end ? end : child.out) = '\0';
	EXPECT(*child.out && strstr(child.err, child.out), "%s, %s: does not name %s: %s", name, kind, child.out, child.err);
	EXPECT(strstr(child.err, cases[i].says), "%s, %s: does not say \"%s\": %s", name, kind, cases[i].says, child.err);
	if (!cases[i].ring)
		return;
	snprintf(ring, sizeof(ring), "(%s ring 0 of \"%s\", slot ", cases[i].ring,
	         strcmp(kind, "loop") == 0 ? "loop:" : cases[i].ring[0] == 't' ? "x{1" : "x}1");
	EXPECT(strstr(child.err, ring), "%s, %s: does not name %s: %s", name, kind, ring, child.err);
	EXPECT(strchr(child.err, '\n') == strrchr(child.err, '\n'), "%s, %s: more than a sentence: %s", name, kind, child.err);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	run_begin(argv[1]);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		check(argv[1], i, "loop");
		check(argv[1], i, "pipe");
	}
	return expect_result();
}
