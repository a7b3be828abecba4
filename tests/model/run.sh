#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Checks the models beside this script exhaustively, with spin: each must pass,
# and each of its sabotaged variants must fail, or the model sees nothing.
#
#   run.sh [model ...]       all of them when none is named
#
# To see how a model fails: spin -a X.pml, cc -DSAFETY -o pan pan.c, ./pan, then
# spin -t -p -g X.pml (each with the definitions of source_of, in an empty
# directory).
#
# Exit status: 0 all is as it must be, 1 something is not, 77 not run (no spin,
# or no C compiler).

# The largest first, for two are checked at a time.
models="ownership_switch ownership_two_senders ownership_switch_one_process"
models="$models ownership_pipe quarantine ownership_cleaner"
models="$models wakeup_pipe wakeup_queue wakeup_queue_recovery_rings wakeup_room"
long_models="ownership_two_senders_receiver_dies"

here=$(cd "$(dirname "$0")" && pwd) || exit 1
cc=${CC:-cc}
# For sabotages, which are found early: what compiles fastest.
quick=tcc
command -v tcc >/dev/null 2>&1 || quick="$cc -O0"

# The file and the definitions of a model.
source_of() {
	case $1 in
	wakeup_pipe)                 echo wakeup.pml ;;
	wakeup_queue)                echo wakeup.pml -DQUEUE ;;
	wakeup_queue_recovery_rings) echo wakeup.pml -DQUEUE -DRECOVERY_RINGS ;;
	ownership_switch_one_process) echo ownership_switch.pml -DONE_PROCESS ;;
	ownership_two_senders_receiver_dies)
		echo ownership_two_senders.pml -DRECEIVER_DIES ;;
	*)                           echo "$1.pml" ;;
	esac
}

# The sabotages that a model must notice.
sabotages_of() {
	case $1 in
	wakeup_pipe)
		echo LOOK_BEFORE_COMMIT LOOK_BEFORE_SLEEP_WORD NO_SEQ_CST \
			COMMIT_NOT_SEQ_CST SLEEP_NOT_SEQ_CST \
			WORD_DOES_NOT_COUNT ADD_WITHOUT_COMPARE \
			PEER_BEFORE_DRAIN SUCCESSOR_IS_SILENT \
			SAME_NUMBER_AGAIN ;;
	wakeup_queue)
		echo LOOK_BEFORE_COMMIT LOOK_BEFORE_SLEEP_WORD \
			WORD_DOES_NOT_COUNT ADD_WITHOUT_COMPARE \
			WORD_BEFORE_BELL SAME_NUMBER_AGAIN ;;
	wakeup_queue_recovery_rings)
		echo RECOVERY_IS_SILENT ;;
	ownership_switch)
		echo UNLOCK_BEFORE_COMMIT NO_LOOK_INSIDE NOBODY_IS_SEEN_OUT \
			LOCK_RELEASED_FIRST CLAIM_BEFORE_SWEEP SEEN_OUT_AGAIN \
			ROOM_BEFORE_LOCK ;;
	ownership_switch_one_process)
		echo HOLD_IS_THE_PROCESS ;;
	*)
		grep -o 'SABOTAGE_[A-Z_]*' "$here/$(source_of "$1" | cut -d' ' -f1)" | sort -u |
			sed 's/^SABOTAGE_//' ;;
	esac
}

# verify <model> <sabotage>, or "none": leaves what the verifier said in
# $scratch/<model>.<sabotage>/log.
# Words, not quoted, are meant to split here.
# shellcheck disable=SC2046,SC2086
verify() (
	mkdir "$scratch/$1.$2" && cd "$scratch/$1.$2" || exit 1
	set -- "$2" $(source_of "$1")
	if [ "$1" = none ]; then
		compile="$cc -O1"
	else
		compile=$quick
		set -- "$@" "-DSABOTAGE_$1"
	fi
	file=$2
	shift 2
	{
		cp "$here/$file" . && spin -a "$@" "$file" &&
		$compile -w -DSAFETY -DNOCLAIM -DMEMLIM=2000 -o pan pan.c &&
		./pan -m1000000 -w23
	} >log 2>&1
)

# Every model and every sabotage of it, a pair a line.
jobs_of() {
	for name in "$@"; do
		echo "$name none"
	done
	for name in "$@"; do
		for sabotage in $(sabotages_of "$name"); do
			echo "$name $sabotage"
		done
	done
}

# 1234567 as 1,234,567
states_in() {
	sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$1" |
		awk '{ n = sprintf("%.0f", $1)
		       while (length(n) > 3) {
			       rest = "," substr(n, length(n) - 2) rest
			       n = substr(n, 1, length(n) - 3)
		       }
		       print n rest }'
}

passed() {
	grep -q 'errors: 0$' "$1/log" &&
		! grep -Eqi 'search depth too small|truncated|not completed|out of memory|MEMLIM|error:' "$1/log"
}

noticed() {
	grep -Eq 'errors: [1-9]' "$1/log" && grep -q 'assertion violated' "$1/log"
}

complain() {
	echo "FAILED $1"
	tail -n 30 "$2/log" | sed 's/^/    /'
}

judge() {
	if ! passed "$scratch/$1.none"; then
		complain "$1" "$scratch/$1.none"
		return 1
	fi
	seen=0
	for sabotage in $(sabotages_of "$1"); do
		if ! noticed "$scratch/$1.$sabotage"; then
			complain "$1: does not notice SABOTAGE_$sabotage" "$scratch/$1.$sabotage"
			return 1
		fi
		seen=$((seen + 1))
	done
	echo "ok $1: $(states_in "$scratch/$1.none/log") states, $seen sabotages noticed"
}

# This script runs itself for each job: two at a time.
if [ "$1" = --verify ]; then
	verify "$2" "$3"
	exit 0
fi

for tool in spin "$cc"; do
	if ! command -v "$tool" >/dev/null 2>&1; then
		echo "skipped: $tool is not installed"
		exit 77
	fi
done

# shellcheck disable=SC2086
[ $# -gt 0 ] || set -- $models
for model in "$@"; do
	case " $models $long_models " in
	*" $model "*) ;;
	*)
		echo "$model: no such model; there are: $models $long_models" >&2
		exit 1 ;;
	esac
done

scratch=$(mktemp -d) || exit 1
export scratch
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

jobs_of "$@" | xargs -n 2 -P 2 "$here/run.sh" --verify

status=0
for model in "$@"; do
	judge "$model" || status=1
done
exit $status
