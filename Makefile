# SPDX-License-Identifier: MIT OR Apache-2.0
#
# A short front of meson, which does the work.
#   make            builds build/nmx, build/nmx-bench and the library
#   make demo       installs what is missing, builds, and shows packets moving
#   make check      installs what is missing, builds, and runs all tests
#   make bench      measures pipes against a bare loop (BENCH="--quick turn-spin": options and cases)
#   make bench-event  measures event loops against spinning loops and eventfds
#   make bench-xdp  measures interfaces against a bare AF_XDP loop, AF_PACKET and DPDK; root only, as it makes its own
#   make bench-switch  measures switches against a bare copying loop, pipes, DPDK and the kernel's bridge (root for that one)
#   make instructions  instructions per packet of the inlines, by gcc and clang
#   make sanitize   the tests under AddressSanitizer with UndefinedBehaviorSanitizer, and under ThreadSanitizer
#   make checked    the tests with a checked library
#   make leaks      the tests of event loops and of the netmap device, and the examples, under valgrind
#   make fuzz       the fuzzers of the parsers, FUZZ_SECONDS (10) each
#   make lint       cppcheck, clang-tidy, clang-format
#   make install    into PREFIX (/usr/local), below DESTDIR if that is given
#   make clean      removes what the above have built
# make PACKAGES=true ... leaves the packages alone.

BUILD    ?= build
PREFIX   ?= /usr/local
PACKAGES ?= scripts/install-packages
MESON    ?= meson
BENCH    ?=
FUZZ_SECONDS ?= 10

SETUP    := $(BUILD)/build.ninja
ASAN     := -Db_sanitize=address,undefined -Doptimization=1 -Ddebug=true -Dtests=enabled -Dwerror=true
LEAKS    := valgrind -q --leak-check=full --errors-for-leak-kinds=definite,indirect,possible --error-exitcode=9
TSAN     := -Db_sanitize=thread -Doptimization=1 -Ddebug=true -Dtests=enabled -Dwerror=true

all: $(SETUP)
	ninja -C $(BUILD)

$(SETUP):
	@command -v $(MESON) >/dev/null || $(PACKAGES) build
	$(MESON) setup $(BUILD) --prefix=$(abspath $(PREFIX))

demo:
	@$(PACKAGES) build
	@$(MAKE) --no-print-directory quiet
	@$(BUILD)/nmx demo

# For targets whose own output is what people want to see.
quiet: $(SETUP)
	@ninja -C $(BUILD) --quiet

check:
	@$(PACKAGES) build test
	@$(MAKE) --no-print-directory $(SETUP)
	@scripts/check $(BUILD) -- -Dtests=enabled

sanitize: sanitize-address sanitize-thread

sanitize-address:
	@$(PACKAGES) build test sanitize
	@[ -f build-asan/build.ninja ] || $(MESON) setup build-asan $(ASAN)
	@scripts/check build-asan --setup sanitize

sanitize-thread:
	@$(PACKAGES) build test sanitize
	@[ -f build-tsan/build.ninja ] || CC=clang $(MESON) setup build-tsan $(TSAN)
	@scripts/check build-tsan --setup threads

fuzz:
	@$(PACKAGES) build test sanitize
	@[ -f build-fuzz/build.ninja ] || CC=clang $(MESON) setup build-fuzz -Dfuzzers=true
	@scripts/check build-fuzz --setup fuzz -- -Dfuzz_seconds=$(FUZZ_SECONDS)

# The library that stops at misuse must not stop at what the tests do rightly.
checked:
	@$(PACKAGES) build test
	@[ -f build-checked/build.ninja ] || $(MESON) setup build-checked -Dchecked=true -Dtests=enabled -Dwerror=true
	@scripts/check build-checked --setup rings

# Without the tests of lost wake-ups: valgrind stops all threads while one sleeps in an io_uring.  What it says of examples goes
# into files, for it is no part of what they say.
leaks:
	@$(PACKAGES) build test count
	@$(MAKE) --no-print-directory quiet
	@$(MESON) test -C $(BUILD) --print-errorlogs --timeout-multiplier 4 --wrap "$(LEAKS)" --suite event --suite netmap --no-suite wakeups
	@EXAMPLES_UNDER="$(LEAKS) --log-file=$(abspath $(BUILD))/meson-logs/valgrind-%p.txt" $(MESON) test -C $(BUILD) --print-errorlogs --timeout-multiplier 4 examples

bench:
	@$(PACKAGES) build
	@$(MAKE) --no-print-directory quiet
	@$(BUILD)/nmx-bench $(BENCH)

bench-event:
	@$(PACKAGES) build
	@$(MAKE) --no-print-directory quiet
	@$(BUILD)/nmx-bench-event $(BENCH)

# In network namespaces of its own: root.
bench-xdp:
	@$(PACKAGES) build
	@$(MAKE) --no-print-directory quiet
	@$(BUILD)/nmx-bench-sync $(filter --%,$(BENCH))
	@$(BUILD)/nmx-bench-xdp $(BENCH)

bench-switch:
	@$(PACKAGES) build
	@$(MAKE) --no-print-directory quiet
	@$(BUILD)/nmx-bench-switch $(BENCH)

# Counted, not timed: callgrind.
instructions:
	@$(PACKAGES) build sanitize count
	@$(MAKE) --no-print-directory quiet
	@bench/instructions.sh $(abspath $(BUILD))

lint:
	@$(PACKAGES) build lint
	@$(MAKE) --no-print-directory quiet
	@scripts/lint $(BUILD)

# ldconfig: programs find a new shared library only when its cache knows it; not for a staging directory.
install: all
	$(MESON) configure $(BUILD) -Dprefix=$(abspath $(PREFIX))
	$(MESON) install -C $(BUILD) $(if $(DESTDIR),--destdir $(abspath $(DESTDIR)))
	@[ -n "$(DESTDIR)" ] || [ "$$(id -u)" -ne 0 ] || ldconfig

clean:
	rm -rf $(BUILD) build-asan build-tsan build-checked build-fuzz

.PHONY: all demo quiet check sanitize sanitize-address sanitize-thread checked fuzz leaks bench bench-event bench-xdp bench-switch instructions lint install clean
