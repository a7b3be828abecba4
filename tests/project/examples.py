#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""examples.py SOURCE_ROOT EXAMPLES_BUILD_DIR: runs every example, and checks what it says."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

TIMEOUT = 60


class Examples:
    def __init__(self, folder, directory):
        self.folder = folder
        self.env = dict(os.environ, NMX_DIR=directory)
        self.used = set()

    def has(self, name):
        """Some need a library that is not everywhere."""
        if (self.folder / name).exists():
            return True
        self.used.add(name)
        print(f'{name} was not built here: its event loop is missing (scripts/install-packages build)')
        return False

    def start(self, name, *args):
        self.used.add(name)
        return subprocess.Popen([self.folder / name, *args], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True)

    def finish(self, process, pattern):
        try:
            said, _ = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            sys.exit(f'{process.args} did not end; it said: {process.communicate()[0]}')
        if process.returncode or not re.fullmatch(pattern, said, re.S):
            sys.exit(f'{process.args} ended with {process.returncode} and said:\n{said}\nexpected: {pattern}')
        print(f'{pathlib.Path(process.args[0]).name}: {said.strip().splitlines()[-1]}')

    def run(self, pattern, name, *args):
        self.finish(self.start(name, *args), pattern)


def pair(examples, sender_first):
    """Two programs that share nothing but a name, in either order."""
    sender = (r'example\{1: sent 20000 packets\n', 'pipe_sender', 'example{1', '20000')
    receiver = (r'example\}1: received 20000 packets, 0 wrong; the sender has gone\n', 'pipe_receiver')
    started = [(which[0], examples.start(*which[1:])) for which in ((sender, receiver) if sender_first else (receiver, sender))]
    for pattern, process in started:
        examples.finish(process, pattern)


def several(examples):
    poll = examples.start('poll_basic', 'a}1', 'b}1')
    senders = [(n, examples.start('pipe_sender', n + '{1', count)) for n, count in (('a', '1000'), ('b', '2000'))]
    for name, process in senders:
        examples.finish(process, name + r'\{1: sent \d+ packets\n')
    examples.finish(poll, r'(?=.*a\}1: 1000 packets)(?=.*b\}1: 2000 packets).*')


def until_it_says(process, pattern, ask=None):
    """The line that matches; asked for by a signal, again and again."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        if ask:
            process.send_signal(ask)
        line = process.stdout.readline()
        if re.fullmatch(pattern, line):
            return
        time.sleep(0.01)
    process.kill()
    sys.exit(f'{process.args} has not said {pattern}')


def proxy(examples):
    """Between a sender and a receiver: all that is sent comes, and its counters say so when they are asked for."""
    name = 'async_proxy'
    if not examples.has(name):
        return
    both = examples.start(name, 'p}1', 'q{1')
    receiver = examples.start('pipe_receiver', 'q}1')
    examples.run(r'p\{1: sent 50000 packets\n', 'pipe_sender', 'p{1', '50000')
    until_it_says(both, r'p\}1 to q\{1: 50000 packets, 400000 bytes, held up \d+ times\n', signal.SIGUSR1)
    both.terminate()
    examples.finish(both, r'.*p\}1 to q\{1: 50000 packets, 400000 bytes, .*q\{1 to p\}1: 0 packets, .*')
    examples.finish(receiver, r'q\}1: received 50000 packets, 0 wrong; the sender has gone\n')


def echo(examples):
    name = 'echo_uring'
    if not examples.has(name):
        return
    there = examples.start(name, 'e}1')
    sender = examples.start('pipe_sender', 'e{1', '500')
    while sender.poll() is None and there.poll() is None:
        time.sleep(0.01)
    if there.poll() == 77:  # it says why
        print(f'{name}: skipped: {there.communicate()[0].strip()}')
        sender.kill()
        sender.communicate()
        return
    examples.finish(sender, r'e\{1: sent 500 packets\n')
    there.terminate()
    examples.finish(there, r'e\}1: 500 packets in, 500 back\n')


def help_is_there(examples):
    for name in ('async_pipe', 'async_proxy', 'echo_uring'):
        if examples.has(name):
            examples.run(rf'usage: {name} .*', name, '--help')


def checksum(data):
    words = sum(data[i] << 8 | (data[i + 1] if i + 1 < len(data) else 0) for i in range(0, len(data), 2))
    while words >> 16:
        words = (words & 0xffff) + (words >> 16)
    return words


def host(examples, directory):
    """Over a pipe, each is the host of the other; into a capture, for a look at every byte."""
    capture = pathlib.Path(directory, 'capture')
    where = '02:00:00:00:00:07', '192.0.2.1', '192.0.2.7', '4711'
    line = r'%4d bytes  UDP 192\.0\.2\.1 port 40000 to 192\.0\.2\.7 port 4711\n'
    for text in ('hello host', 'odd', 'x' * 1472, ''):
        said = rf': {42 + len(text)} bytes for 192\.0\.2\.7, UDP port 4711\n'
        receive = examples.start('host_receive', 'h}1', '1')
        examples.finish(examples.start('host_transmit', 'h{1', *where, text), r'h\{1' + said)
        examples.finish(receive, line % (42 + len(text)))
        examples.finish(examples.start('host_transmit', f'pcap:{capture}', *where, text), '.*' + said)
        frame = capture.read_bytes()[24 + 16:]
        capture.unlink()
        udp = frame[34:]
        good = (frame[:14].hex() == '0200000000070200000000010800' and frame[42:] == text.encode() and
                int.from_bytes(frame[16:18], 'big') == len(frame) - 14 and int.from_bytes(udp[4:6], 'big') == len(udp) and
                checksum(frame[14:34]) == 0xffff and
                checksum(frame[26:34] + bytes([0, 17]) + udp[4:6] + udp) == 0xffff)
        if not good:
            sys.exit(f'host_transmit made {frame.hex()}')


def tour_is_complete(source):
    """Every call of <nmx/ring.h> is in the tour."""
    header = re.sub(r'/\*.*?\*/', '', (source / 'include/nmx/ring.h').read_text(), flags=re.S)
    tour = (source / 'examples/tour.c').read_text()
    calls = set(re.findall(r'^(?:NMX_MUST_CHECK )?(?:static inline )?(?:int|void|bool|uint32_t|uint8_t \*|struct pollfd) ?(nmx_[a-z]\w*)\(',
                           header, re.M))
    missing = sorted(c for c in calls if not re.search(rf'\b{c} ?\(', tour))
    if missing or len(calls) < 25:
        sys.exit(f'of {len(calls)} calls of <nmx/ring.h>, the tour lacks {missing}')
    print(f'the tour shows all {len(calls)} calls of <nmx/ring.h>')


def main(source, folder):
    tour_is_complete(source)
    with tempfile.TemporaryDirectory(prefix='nmx-examples-') as directory:
        examples = Examples(folder, directory)
        examples.run(r'received 14 bytes: hello netmap!\n', 'hello')
        examples.run(r'.*in all: (\d+) packets sent, \1 received\n', 'tour')
        examples.run(r'2000 round trips, .* microseconds each\n', 'ping_pong', '2000')
        examples.run(r'200000 packets, .*: right\n', 'pipe_threads', '200000')
        pair(examples, True)
        pair(examples, False)
        several(examples)
        if examples.has('async_pipe'):
            examples.run(r'200000 packets, 0 wrong\n', 'async_pipe', '200000')
        proxy(examples)
        echo(examples)
        help_is_there(examples)
        host(examples, directory)
        left = os.listdir(directory)
        if left:
            sys.exit(f'left in the namespace directory: {left}')
    there = {p.stem for p in (source / 'examples').glob('*.c')}
    if there != examples.used:
        sys.exit(f'examples that are not run: {sorted(there - examples.used)}')
    return 0


if __name__ == '__main__':
    sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
