#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Checks the models beside this script exhaustively, with spin: each must pass,
# and each of its sabotaged variants must fail, or the model sees nothing.
#
#   run.sh [model ...]       all of them when none is named
#
# Exit status: 0 all is as it must be, 1 something is not, 77 not run (no spin,
# or no C compiler).

models="ownership_pipe ownership_two_senders ownership_cleaner
wakeup_pipe wakeup_queue wakeup_queue_recovery_rings"

here=$(cd "$(dirname "$0")" && pwd) || exit 1
cc=${CC:-cc}

# The file and the definitions of a model.
source_of() {
	case $1 in
	wakeup_pipe)                 echo wakeup.pml ;;
	wakeup_queue)                echo wakeup.pml -DQUEUE ;;
	wakeup_queue_recovery_rings) echo wakeup.pml -DQUEUE -DRECOVERY_RINGS ;;
	*)                           echo "$1.pml" ;;
	esac
}

# The sabotages that a model must notice.
sabotages_of() {
	case $1 in
	wakeup_pipe)
		echo LOOK_BEFORE_COMMIT LOOK_BEFORE_SLEEP_WORD NO_SEQ_CST \
			WORD_DOES_NOT_COUNT ADD_WITHOUT_COMPARE \
			PEER_BEFORE_DRAIN SUCCESSOR_IS_SILENT ;;
	wakeup_queue)
		echo LOOK_BEFORE_COMMIT LOOK_BEFORE_SLEEP_WORD \
			WORD_DOES_NOT_COUNT ADD_WITHOUT_COMPARE \
			WORD_BEFORE_BELL ;;
	wakeup_queue_recovery_rings)
		echo RECOVERY_IS_SILENT ;;
	*)
		grep -o 'SABOTAGE_[A-Z_]*' "$here/$1.pml" | sort -u |
			sed 's/^SABOTAGE_//' ;;
	esac
}

# verify <directory> <optimisation> <file> [definition ...]
# Leaves what the verifier said in <directory>/log.
verify() (
	mkdir "$1" && cd "$1" || exit 1
	shift
	optimise=$1
	file=$2
	shift 2
	{
		spin -a "$@" "$here/$file" &&
		$cc "$optimise" -w -DSAFETY -DNOCLAIM -DCOLLAPSE -DMEMLIM=1000 \
			-o pan pan.c &&
		./pan -m"$depth"
	} >log 2>&1
)
depth=1000000

states_in() {
	sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$1" |
		awk '{ n = sprintf("%.0f", $1)
		       while (n ~ /[0-9][0-9][0-9][0-9]/)
			       n = gensub_commas(n)
		       print n }
		     function gensub_commas(n) {
			     match(n, /[0-9][0-9][0-9][0-9](,|$)/)
			     return substr(n, 1, RSTART) "," substr(n, RSTART + 1)
		     }'
}

complete() {
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

# Words, not quoted, are meant to split here.
# shellcheck disable=SC2046
check() {
	name=$1
	verify "$scratch/$name" -O2 $(source_of "$name")
	if ! complete "$scratch/$name"; then
		complain "$name" "$scratch/$name"
		return 1
	fi
	seen=0
	for sabotage in $(sabotages_of "$name"); do
		verify "$scratch/$name.$sabotage" -O0 $(source_of "$name") "-DSABOTAGE_$sabotage"
		if ! noticed "$scratch/$name.$sabotage"; then
			complain "$name: does not notice SABOTAGE_$sabotage" "$scratch/$name.$sabotage"
			return 1
		fi
		seen=$((seen + 1))
	done
	echo "ok $name: $(states_in "$scratch/$name/log") states, $seen sabotages noticed"
}

for tool in spin "$cc"; do
	if ! command -v "$tool" >/dev/null 2>&1; then
		echo "skipped: $tool is not installed"
		exit 77
	fi
done

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

status=0
# shellcheck disable=SC2086
for model in ${*:-$models}; do
	if [ ! -f "$here/$(source_of "$model" | cut -d' ' -f1)" ]; then
		echo "FAILED $model: no such model; there are: $(echo $models)"
		status=1
	elif ! check "$model"; then
		status=1
	fi
done
exit $status
