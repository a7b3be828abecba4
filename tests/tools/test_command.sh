#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# The nmx command between two processes: exit codes and what summaries say.  usage: test_command.sh NMX
nmx=$1
dir=$(mktemp -d /dev/shm/nmx-test-XXXXXX) || exit 77
trap 'rm -rf "$dir"' EXIT
failed=0
peer=

fail()
{
	echo "FAILED: $1"
	cat "$dir/out" "$dir/err" "$dir/peer"
	failed=1
}

# expect CODE WHAT COMMAND...: runs it, compares the exit code, keeps the output.
expect()
{
	code=$1 what=$2
	shift 2
	timeout 30 "$@" >"$dir/out" 2>"$dir/err" </dev/null
	got=$?
	[ $got -eq "$code" ] || fail "$what: exit code $got, not $code"
}

says() { grep -q -e "$1" "$dir/out" "$dir/err" || fail "\"$1\" was not said"; }

start_peer()
{
	timeout 30 "$@" >"$dir/peer" 2>&1 </dev/null &
	peer=$!
}

peer_ends()
{
	wait $peer
	got=$?
	[ $got -eq "$1" ] || fail "the other end: exit code $got, not $1"
}

: >"$dir/peer"
mkdir "$dir/ns"

expect 2 'no command' "$nmx"
expect 2 'unknown command' "$nmx" frobnicate
expect 0 'version' "$nmx" --version
expect 2 'unknown option' "$nmx" gen 'x{1' --cout 3
says 'unknown option --cout'
expect 2 'bad count' "$nmx" gen 'x{1' -n 12q
says '-n "12q": not a count; write 1000, 10k, 2.5M or 1G'
for command in gen sink ping pong bridge replay dump demo doctor; do
	expect 0 "help $command" "$nmx" help $command
	says "usage: nmx $command"
done

start_peer "$nmx" gen 'a{1' --dir "$dir/ns" -n 100k -l 60-1500 --flows 5 --verify -q
expect 0 'every packet arrives' "$nmx" sink 'a}1' --dir "$dir/ns" -n 100k --verify --json -q
says '"packets": 100000,'
says '"intact": 100000, "lost": 0, "reordered": 0, "duplicate": 0,'
peer_ends 0

expect 1 'nobody takes' "$nmx" gen 'b{1' --dir "$dir/ns" -n 10 --timeout 200ms --json -q
says '"slots_not_taken": 10'

start_peer "$nmx" gen 'c{1' --dir "$dir/ns" -n 10 -q
expect 1 'fewer than asked for' "$nmx" sink 'c}1' --dir "$dir/ns" -n 11 -q
says 'the other end has gone after 10 of 11 packets'
peer_ends 0

start_peer "$nmx" pong 'd}1' --dir "$dir/ns" -q
expect 0 'every ping is answered' "$nmx" ping 'd{1' --dir "$dir/ns" -n 500 --json -q
says '"sent": 500, "answered": 500, "lost": 0,'
peer_ends 0

start_peer "$nmx" gen 'e{1' --dir "$dir/ns" -n 1000 -l 700 -q
expect 0 'dump' "$nmx" dump 'e}1' "$dir/capture" --dir "$dir/ns" -n 1000 -q
peer_ends 0
start_peer "$nmx" sink 'f}1' --dir "$dir/ns" -n 3000 -q
expect 0 'replay' "$nmx" replay "$dir/capture" 'f{1' --dir "$dir/ns" --rate max --loop 3 --json -q
says '"packets": 3000, "bytes": 2100000,'
peer_ends 0
head -c 1000 "$dir/capture" >"$dir/cut"
expect 1 'a capture that is cut' "$nmx" replay "$dir/cut" null: --rate max -q
says 'truncated'
expect 1 'no capture' "$nmx" replay "$0" null: -q
expect 1 'full disk' "$nmx" dump null: /dev/full -n 1000 -q
says 'No space left on device; 0 packets are in it'

timeout -s INT 0.5 "$nmx" gen 'g{1' --dir "$dir/ns" -r 1000 --verify -q >"$dir/peer" 2>&1 &
expect 0 'Ctrl-C at the other end loses nothing' "$nmx" sink 'g}1' --dir "$dir/ns" --verify -q
wait

exit $failed
