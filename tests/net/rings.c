/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "rings.h"

#include <inttypes.h>
#include <string.h>

static struct nmx_options in_run_dir(const struct nmx_options *options)
{
	struct nmx_options all = options ? *options : (struct nmx_options){ 0 };

	if (!all.directory)
		all.directory = run_dir;
	return all;
}

struct nmx_port *rings_open(int side, const char *name, const struct nmx_options *options)
{
	struct nmx_options all = in_run_dir(options);
	struct nmx_port *port = NULL;
	struct nmx_report why = { 0 };
	int err;

	net_enter(side);
	err = nmx_open(&port, name, &all, &why);
	net_leave();
	EXPECT(err == 0, "%s: %s: %s", name, nmx_error_name(err), why.text);
	return port;
}

void rings_open_refused(int side, const char *name, const struct nmx_options *options, int err, const char *part)
{
	struct nmx_options all = in_run_dir(options);
	struct nmx_port *port = NULL;
	struct nmx_report why = { 0 };
	int is;

	net_enter(side);
	is = nmx_open(&port, name, &all, &why);
	net_leave();
	EXPECT(is == err && !port, "%s: %s, not %s: %s", name, nmx_error_name(is), nmx_error_name(err), why.text);
	EXPECT(strstr(why.text, part), "%s: \"%s\" is not in: %s", name, part, why.text);
	nmx_close(port);
}

struct nmx_tx *rings_tx(struct nmx_port *port, uint32_t ring)
{
	struct nmx_tx *tx = NULL;
	int err = nmx_tx_ring(port, ring, &tx);

	EXPECT(err == 0, "transmit ring %u: %s", ring, nmx_error_name(err));
	return tx;
}

struct nmx_rx *rings_rx(struct nmx_port *port, uint32_t ring)
{
	struct nmx_rx *rx = NULL;
	int err = nmx_rx_ring(port, ring, &rx);

	EXPECT(err == 0, "receive ring %u: %s", ring, nmx_error_name(err));
	return rx;
}

struct nmx_stats rings_stats(const struct nmx_port *port)
{
	struct nmx_stats stats;

	nmx_port_stats(port, &stats);
	return stats;
}

/* ---- packets */

uint32_t rings_len(uint64_t id) { return MIN_LEN + (uint32_t)(id * 2654435761u % (MAX_LEN - MIN_LEN + 1)); }

/* The header is nobody's address and nobody's protocol; the number is after it. */
void rings_write(uint8_t *data, uint32_t len, uint64_t id)
{
	memset(data, 2, 12);
	data[12] = 0x88;
	data[13] = 0xb5;
	memcpy(data + 14, &id, sizeof(id));
	for (uint32_t i = 22; i < len; i++)
		data[i] = (uint8_t)(id + i * 7);
}

bool rings_is_right(const uint8_t *data, uint32_t len, uint64_t id)
{
	bool good = memcmp(data + 14, &id, sizeof(id)) == 0;

	for (uint32_t i = 22; i < len && good; i++)
		good = data[i] == (uint8_t)(id + i * 7);
	return good;
}

bool rings_send(struct nmx_tx *tx, struct flow *flow, uint32_t count)
{
	int64_t deadline = now_ms() + PATIENCE_MS;

	while (count > 0) {
		struct nmx_batch batch = { 0 };
		int got = nmx_tx_reserve(tx, count, &batch);
		uint8_t *data;

		if (!EXPECT(got >= 0, "reserve: %s", nmx_error_name(got)))
			return false;
		while ((data = nmx_batch_packet(&batch, rings_len(flow->sent))) != NULL) {
			rings_write(data, rings_len(flow->sent), flow->sent);
			flow->sent++;
			count--;
		}
		nmx_batch_commit(&batch);
		got = nmx_tx_sync(tx);
		if (!EXPECT(got >= 0 && now_ms() < deadline, "send: %s, %u left", nmx_error_name(got), count))
			return false;
		if (count > 0 && nmx_tx_wait(tx, 1, 100) < 0)
			return EXPECT(false, "no room");
	}
	return true;
}

bool rings_receive(struct nmx_rx *rx, struct flow *flow, uint32_t count)
{
	int64_t deadline = now_ms() + PATIENCE_MS;
	uint64_t until = flow->received + count;

	while (flow->received < until && now_ms() < deadline) {
		int n = nmx_rx_sync(rx);

		if (!EXPECT(n >= 0, "receive: %s", nmx_error_name(n)))
			return false;
		nmx_rx_for_each (rx, frame) {
			uint64_t id = flow->received++;

			if (frame.len == rings_len(id) && rings_is_right(frame.data, frame.len, id))
				continue;
			flow->broken = flow->broken || !EXPECT(false, "packet %" PRIu64 " is another, or not intact", id);
		}
		if (n == 0 && nmx_rx_wait(rx, 100) < 0)
			return EXPECT(false, "the wait failed");
	}
	return EXPECT(flow->received == until, "%" PRIu64 " of %" PRIu64 " have come", flow->received, until);
}

bool rings_forward(struct nmx_rx *rx, struct nmx_tx *tx, uint32_t count)
{
	int64_t deadline = now_ms() + PATIENCE_MS;
	uint32_t done = 0;

	while (done < count && now_ms() < deadline) {
		int n = nmx_rx_sync(rx), room;

		done += n > 0 ? nmx_forward(rx, tx, count - done) : 0;
		room = nmx_tx_sync(tx);
		if (!EXPECT(n >= 0 && room >= 0, "forward: %s, %s", nmx_error_name(n), nmx_error_name(room)))
			return false;
		if (room == 0 && nmx_tx_wait(tx, 1, 100) < 0)
			return EXPECT(false, "no room");
		if (n == 0 && nmx_rx_wait(rx, 100) < 0)
			return EXPECT(false, "the wait failed");
	}
	return EXPECT(done == count, "%u of %u forwarded", done, count);
}

void rings_nothing(struct nmx_rx *rx, const char *what)
{
	int n = nmx_rx_wait(rx, 50);

	EXPECT(n == 0 && nmx_rx_sync(rx) == 0, "%s: something came", what);
}

/* ---- buffers */

struct nmx_audit rings_audit(void)
{
	struct nmx_audit audit = { 0 };
	struct nmx_report why = { 0 };
	int err = nmx_segment_audit(run_dir, NULL, &audit, &why);

	EXPECT(err == 0, "audit: %s", why.text);
	return audit;
}

void rings_audit_same(const struct nmx_audit *before, const char *what)
{
	struct nmx_audit now = rings_audit();

	EXPECT(now.lost == 0 && now.doubled == 0, "%s: %u buffers lost, %u doubled", what, now.lost, now.doubled);
	EXPECT(now.free == before->free && now.held == before->held && now.queued == before->queued && now.quarantined == before->quarantined,
	       "%s: free %u -> %u, held %u -> %u, queued %u -> %u, in quarantine %u -> %u", what, before->free, now.free, before->held,
	       now.held, before->queued, now.queued, before->quarantined, now.quarantined);
}
