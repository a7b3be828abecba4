/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A program outside of this tree: built against the installed library, as C11 and as C++17. */
#include <stdio.h>

#include <nmx/nmx.h>
#include <nmx/worker.h>

#ifdef __cplusplus
static_assert(__cplusplus >= 201703L, "C++17");
#else
_Static_assert(__STDC_VERSION__ >= 201112L, "C11");
#endif

static int once(struct nmx_port *port)
{
	NMX_AUTO(tx) tx = NULL;
	NMX_AUTO(rx) rx = NULL;
	struct nmx_batch batch;
	uint8_t *data;
	int seen = 0;

	if (nmx_tx_ring(port, 0, &tx) < 0 || nmx_rx_ring(port, 0, &rx) < 0 || nmx_tx_reserve(tx, 1, &batch) != 1)
		return 1;
	data = nmx_batch_packet(&batch, 60);
	if (!data)
		return 1;
	memset(data, 7, 60);
	nmx_batch_commit(&batch);
	if (nmx_tx_sync(tx) < 0 || nmx_rx_sync(rx) != 1)
		return 1;
	nmx_rx_for_each (rx, frame)
		seen += frame.len == 60 && frame.data[59] == 7;
	return seen != 1;
}

static int work(struct nmx_worker *self)
{
	*(uint32_t *)self->state = 1 + self->index;
	while (!nmx_worker_stopping(self))
		if (nmx_rx_wait(self->rx, -1) < 0)
			return NMX_ERR_IO;
	return 0;
}

static int with_workers(struct nmx_port *port)
{
	struct nmx_worker_options options = { NULL, 0, NMX_UNPINNED, sizeof(uint32_t) };
	NMX_AUTO(workers) workers = NULL;

	if (nmx_workers_start(&workers, port, work, NULL, &options, NULL) < 0)
		return 1;
	nmx_workers_stop(workers);
	return nmx_workers_join(workers, -1, NULL) != 0 || *(uint32_t *)nmx_workers_get(workers, 0)->state != 1;
}

int main(void)
{
	NMX_AUTO(port) port = NULL;
	struct nmx_report why;
	struct nmx_info info;
	char expected[32];

	if (nmx_open(&port, "loop:", NULL, &why) < 0) {
		fprintf(stderr, "%s\n", why.text);
		return 1;
	}
	nmx_port_info(port, &info);
	snprintf(expected, sizeof(expected), "%d.%d.%d", NMX_VERSION_MAJOR, NMX_VERSION_MINOR, NMX_VERSION_PATCH);
	if (strcmp(expected, nmx_version()) != 0 || info.tx_rings != 1 || once(port) || with_workers(port)) {
		fprintf(stderr, "version %s, %u rings\n", nmx_version(), info.tx_rings);
		return 1;
	}
	return 0;
}
