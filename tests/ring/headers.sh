#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Every public header compiles alone, twice in a row, as C11 and as C++17, with the warnings that users turn on.
# usage: headers.sh INCLUDE_DIRECTORY
include=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
warnings='-Wall -Wextra -Wpedantic -Wshadow -Werror'
tried=0 failed=0

compile() # COMPILER LANGUAGE STANDARD FILE
{
	command -v "$1" >/dev/null || return 0
	tried=$((tried + 1))
	# shellcheck disable=SC2086
	if ! "$1" -x "$2" -std="$3" $warnings $5 -I"$include" -c "$4" -o "$work/out.o"; then
		echo "failed: $1 -std=$3 $5 $(basename "$4" .c)"
		failed=$((failed + 1))
	fi
}

for header in "$include"/nmx/*.h; do
	name=nmx/$(basename "$header")
	printf '#include <%s>\n#include <%s>\nint nmx_headers_test;\n' "$name" "$name" >"$work/$(basename "$header" .h).c"
done
# And used: what is inline is compiled where it is called.
cat >"$work/use.c" <<'END'
#include <nmx/nmx.h>
#include <nmx/worker.h>
int use(struct nmx_rx *rx, struct nmx_tx *tx, struct nmx_buf *buf);
int use(struct nmx_rx *rx, struct nmx_tx *tx, struct nmx_buf *buf)
{
	struct nmx_frame frames[4];
	struct nmx_batch batch;
	NMX_AUTO(port) port = NULL;
	NMX_AUTO(workers) workers = NULL;
	int sum = nmx_open(&port, "x", NULL, NULL) + nmx_workers_start(&workers, port, NULL, NULL, NULL, NULL);
	nmx_rx_for_each (rx, frame)
		if (frame.len > 60 ? nmx_tx_forward(tx, &frame) < 0 : nmx_frame_take(&frame, buf) < 0)
			break;
	sum += (int)nmx_rx_recv_batch(rx, frames, 4) + nmx_tx_put(tx, buf) + nmx_tx_send(tx, frames, 4);
	if (nmx_tx_reserve(tx, 4, &batch) > 0) {
		if (nmx_batch_fragment(&batch, 1) && nmx_batch_packet(&batch, 2))
			nmx_batch_trim(&batch, 1);
		nmx_batch_commit(&batch);
		nmx_batch_cancel(&batch);
	}
	if (nmx_rx_peek(rx, frames))
		nmx_rx_next(rx);
	return sum + nmx_rx_recv(rx, frames) + (int)nmx_tx_space(tx) + nmx_same_region(rx, tx);
}
END
for source in "$work"/*.c; do
	for checked in '' -DNMX_CHECKED; do
		for optimize in '' -O2; do
			compile gcc c c11 "$source" "$checked $optimize"
			compile clang c c11 "$source" "$checked $optimize"
			compile g++ c++ c++17 "$source" "$checked $optimize"
			compile clang++ c++ c++17 "$source" "$checked $optimize"
		done
	done
done
echo "$tried compilations, $failed failed"
[ "$tried" -gt 0 ] || exit 77
[ "$failed" -eq 0 ]
