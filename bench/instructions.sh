#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Instructions per packet of the loops in instructions.c, and, for root, of a sync of an interface in sync.c, counted by
# callgrind: repeatable, whatever else the machine does.  Usage: instructions.sh BUILD_DIRECTORY [COMPILER...]
set -eu
build=$1
shift
[ $# -gt 0 ] || set -- gcc clang
source=$(cd "$(dirname "$0")/.." && pwd)
command -v valgrind >/dev/null || { echo "instructions: valgrind is not installed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# callgrind's inclusive cost of one function: its own lines and those of what it calls.
cost() {
	valgrind --tool=callgrind --dump-instr=no --toggle-collect="$2" --callgrind-out-file="$work/out" "$1" "$2" >/dev/null 2>"$work/err" ||
		{ cat "$work/err" >&2; exit 1; }
	awk '/^(summary|totals):/ { total = $2 } END { print total + 0 }' "$work/out"
}

packets=102300 # 100 calls, 1023 packets each
printf '%-22s' loop
for compiler; do printf '%10s' "$compiler"; done
printf '\n'
for compiler; do
	command -v "$compiler" >/dev/null || { echo "instructions: $compiler is not installed" >&2; exit 77; }
	"$compiler" -std=c11 -O2 -g -I"$source/include" -o "$work/$compiler" "$source/bench/instructions.c" -L"$build/src" -lnmx -Wl,-rpath,"$build/src"
done
for loop in rx_by_hand rx_for_each rx_recv rx_recv_batch tx_by_hand tx_batch tx_send forward_by_hand forward_one_by_one forward_all; do
	printf '%-22s' "$loop"
	for compiler; do
		printf '%10s' "$(cost "$work/$compiler" "$loop" | awk -v n=$packets '{ printf "%.1f", $1 / n }')"
	done
	printf '\n'
done

# A sync of an interface, as the build directory's compiler made it.  Counted is what happens in the functions named, but
# for sendto, where the kernel is played.  sync_cost CASE nmx|xsk FUNCTION...
sync_cost() {
	case=$1 who=$2 toggles=--toggle-collect=sendto
	shift 2
	for function; do toggles="$toggles --toggle-collect=$function"; done
	out=$(valgrind --tool=callgrind --dump-instr=no $toggles --callgrind-out-file="$work/out.%p" \
		"$build/nmx-bench-sync" --count "$case" "$who" 2>"$work/err") || { grep -v '^==' "$work/err" >&2; exit 1; }
	cat "$work"/out.* | awk -v n="${out##* }" '/^totals:/ { total += $2 } END { printf "%.1f", total / n }'
	rm -f "$work"/out.*
}

minus() { echo "$1 $2" | awk '{ printf "%.1f", $1 - $2 }'; }

if [ "$(id -u)" -ne 0 ]; then
	echo "instructions: as root, those of a sync of an interface as well"
	exit 0
fi
printf '\n%-22s%10s%10s%10s%10s%10s\n' 'interface, batch 64' program sync checksums bare adds
for loop in 'sync-rx nmx_receive bare_receive' 'sync-tx nmx_send bare_send' 'sync-fwd nmx_forward_all bare_forward'; do
	set -- $loop
	all=$(sync_cost "$1" nmx "$2")
	sync=$(sync_cost "$1" nmx nmx_rx_sync nmx_tx_sync)
	plain=$(sync_cost "$1" nmx nmx_rx_sync nmx_tx_sync complete_singles)
	bare=$(sync_cost "$1" xsk "$3")
	printf '%-22s%10s%10s%10s%10s%10s\n' "$1" "$(minus "$all" "$sync")" "$plain" "$(minus "$sync" "$plain")" "$bare" "$(minus "$plain" "$bare")"
done
