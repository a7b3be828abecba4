#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""examples.py SOURCE_ROOT EXAMPLES_BUILD_DIR MIDDLEBOX: runs every example, and checks what it says; under the command in
$EXAMPLES_UNDER (make leaks: valgrind), if that is set."""

import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import zlib

TIMEOUT = 60


class Examples:
    def __init__(self, folder, directory):
        self.folder = folder
        self.env = dict(os.environ, NMX_DIR=directory)
        self.used = set()
        self.under = os.environ.get('EXAMPLES_UNDER', '').split()

    def start(self, name, *args):
        self.used.add(name)
        return subprocess.Popen([*self.under, self.folder / name, *args], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True)

    def finish(self, process, pattern):
        try:
            said, _ = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            sys.exit(f'{process.args} did not end; it said: {process.communicate()[0]}')
        if process.returncode or not re.fullmatch(pattern, said, re.S):
            sys.exit(f'{process.args} ended with {process.returncode} and said:\n{said}\nexpected: {pattern}')
        print(f'{pathlib.Path(process.args[len(self.under)]).name}: {said.strip().splitlines()[-1]}')

    def run(self, pattern, name, *args):
        self.finish(self.start(name, *args), pattern)

    def lacks(self, name):
        self.used.add(name)
        return not (self.folder / name).exists()


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
    if examples.lacks(name):
        print(f'{name}: left out: it was built without its event loop (libuv1-dev, liburing-dev)')
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
    if examples.lacks(name):
        print(f'{name}: left out: it was built without its event loop (libuv1-dev, liburing-dev)')
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


def write_file(scratch, size):
    """Bytes that are the same every time, and not the same as each other."""
    file = pathlib.Path(scratch, 'file')
    file.write_bytes(random.Random(size).randbytes(size))
    return file


def same(file, copy):
    if file.read_bytes() != copy.read_bytes():
        sys.exit(f'{file.stat().st_size} bytes were sent, and others have come')
    copy.unlink()


def over_a_bad_path(examples, middlebox, scratch):
    """Of a hundred packets 20 are lost, 10 doubled, 10 late; nothing of it reaches the file.  Straight, for edges."""
    sent = r'sent {} bytes in .* MB/s; (\d+) packets, \d+ of them again, .*'
    copy = pathlib.Path(scratch, 'copy')
    for size, seed in ((1000000, 1), (1000000, 2), (1024, 3), (0, 0), (1023, 0), (300000, 0)):
        file = write_file(scratch, size)
        receive = examples.start('sliding_window_arq', 'receive', 'b}1' if seed else 'a}1', copy)
        bad = seed and subprocess.Popen([middlebox, 'a}1', 'b{1', '20', '10', '10', str(seed)], env=examples.env,
                                        stdout=subprocess.PIPE, text=True)
        examples.run(sent.format(size), 'sliding_window_arq', 'send', 'a{1', file)
        examples.finish(receive, rf'received {size} bytes; .*')
        if bad:
            said, _ = bad.communicate(timeout=TIMEOUT)
            if bad.returncode:
                sys.exit(f'the middlebox ended with {bad.returncode}: {said}')
            print(f'middlebox: {said.strip()}')
        same(file, copy)


def forward_error_correction(examples, scratch):
    """Every choice of as many losses as there is parity is made good; one more is not, and is said."""
    if examples.lacks('fec'):
        print('fec: left out: it was built without ISA-L (libisal-dev)')
        return
    copy = pathlib.Path(scratch, 'copy')
    for k, m, lose, size in ((4, 2, 0, 100000), (4, 2, 1, 100000), (4, 2, 2, 100000), (8, 3, 3, 1400000), (32, 16, 16, 300000),
                             (1, 1, 1, 0), (2, 1, 1, 4096)):
        file = write_file(scratch, size)
        crc = f'CRC-32 {zlib.crc32(file.read_bytes()):08x}'
        receive = examples.start('fec', 'receive', 'f}1', copy, str(lose))
        examples.run(rf'sent {size} bytes in \d+ groups, {crc}\n', 'fec', 'send', 'f{1', file, str(k), str(m))
        examples.finish(receive, rf'\d+ packets repaired\nreceived {size} bytes in \d+ groups, {crc}\n')
        same(file, copy)
    receive = examples.start('fec', 'receive', 'f}1', copy, '3')
    examples.run('sent .*', 'fec', 'send', 'f{1', write_file(scratch, 4096), '4', '2')
    said, _ = receive.communicate(timeout=TIMEOUT)
    if receive.returncode != 1 or '1 of 1 groups lost more than they had to spare' not in said:
        sys.exit(f'more losses than parity: {receive.returncode}, {said}')


def workers(examples):
    """Each worker moves what is in its ring; on one CPU, on two if there are two; until it is interrupted."""
    cpus = sorted(os.sched_getaffinity(0))
    rates = r'worker 0 on CPU \d+: .* Mpps.*\n'
    for named in ((), ('-c', f'{cpus[-1]}'), ('-c', f'{cpus[-1]},{cpus[0]}')):
        each = ''.join(rf'worker {i} on CPU \d+: 20000 packets\n' for i in range(4))
        receive = examples.start('thread_per_ring', 'receive', 'r}1@conf:rings=4', *named)
        examples.run('.*' + each + r'in all 80000 packets\n', 'thread_per_ring', 'send', 'r{1@conf:rings=4', '-n', '20000', *named)
        examples.finish(receive, '.*' + each + r'in all 80000 packets\n')
    receive = examples.start('thread_per_ring', 'receive', 'vale0:to@conf:rings=4', '-n', '20000')
    until_it_says(receive, rates)  # in a switch, what is sent to nobody is gone
    examples.run('.*' + each + r'in all 80000 packets\n', 'thread_per_ring', 'send', 'vale0:from@conf:rings=4@block', '-n', '20000')
    examples.finish(receive, '.*' + each + r'in all 80000 packets\n')
    endless = examples.start('thread_per_ring', 'receive', 'null:')
    until_it_says(endless, rates)
    endless.send_signal(signal.SIGINT)
    examples.finish(endless, r'.*worker 0 on CPU \d+: \d+ packets\nin all \d+ packets\n')
    examples.run(r'.*worker 0 on CPU \d+: 0 packets\n.*', 'thread_per_ring', 'receive', 'quiet}1', '-t', '1')
    refused(examples, r'thread_per_ring: -c "0,x": write ', 'thread_per_ring', 'receive', 'quiet}1', '-c', '0,x')
    if examples.lacks('async_proxy'):
        return
    full = examples.start('async_proxy', 'vale0:full', 'quiet{1')  # stops when the pipe is full, which nobody reads
    said, end = '', time.monotonic() + TIMEOUT
    while ' that found the receiver full (@block waits)\n' not in said:  # at first it may not be there yet
        sender = examples.start('thread_per_ring', 'send', 'vale0:from', '-n', '20000')
        said, _ = sender.communicate(timeout=TIMEOUT)
        if sender.returncode or time.monotonic() > end:
            sys.exit(f'{sender.args} ended with {sender.returncode} and said:\n{said}')
    print(f'thread_per_ring: {said.strip().splitlines()[-1]}')
    full.terminate()
    full.communicate(timeout=TIMEOUT)


def helpful(examples):
    for name in sorted(examples.used):
        if not examples.lacks(name):
            examples.run(rf'usage: {name}\b.*', name, '--help')


def refused(examples, pattern, name, *args):
    process = examples.start(name, *args)
    said, _ = process.communicate(timeout=TIMEOUT)
    if process.returncode != 2 or not re.match(pattern, said):
        sys.exit(f'{process.args} ended with {process.returncode} and said:\n{said}\nexpected: {pattern}')


NUMBERS = (('async_pipe', 'PACKETS'), ('ping_pong', 'TURNS'), ('pipe_threads', 'PACKETS'), ('pipe_sender', 'PACKETS', 'quiet{1'),
           ('host_receive', 'PACKETS', 'quiet}1'), ('host_transmit', 'UDP_PORT', 'quiet{1', '02:00:00:00:00:07', '192.0.2.1', '192.0.2.7'),
           ('fec', 'K', 'send', 'quiet{1', 'file'), ('fec', 'M', 'send', 'quiet{1', 'file', '8'), ('fec', 'LOSE', 'receive', 'quiet}1', 'copy'),
           ('thread_per_ring', '-n', 'receive', 'quiet}1', '-n'), ('thread_per_ring', '-t', 'receive', 'quiet}1', '-t'))


def numbers(examples):
    """What is no number is never taken for one."""
    wrong = ('10x', '-1', '', ' 1', '1.5k', '10kk', '99999999999999999999', '99999999999G')
    for i, (name, what, *before) in enumerate(NUMBERS):
        for text in wrong if i == 0 or name == 'pipe_sender' else wrong[:2]:
            if not examples.lacks(name):
                after = ['text'] if name == 'host_transmit' else []
                refused(examples, rf'{name}: {what} "{re.escape(text)}": write a whole number, as 1000, 10k or 2M\n', name, *before, text, *after)


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


def main(source, folder, middlebox):
    tour_is_complete(source)
    with tempfile.TemporaryDirectory(prefix='nmx-examples-') as directory, tempfile.TemporaryDirectory() as scratch:
        examples = Examples(folder, directory)
        examples.run(r'received 14 bytes: hello netmap!\n', 'hello')
        examples.run(r'.*in all: (\d+) packets sent, \1 received\n', 'tour')
        examples.run(r'2000 round trips, .* microseconds each\n', 'ping_pong', '2k')
        examples.run(r'200000 packets, .*: right\n', 'pipe_threads', '200000')
        pair(examples, True)
        pair(examples, False)
        several(examples)
        if not examples.lacks('async_pipe'):
            examples.run(r'200000 packets, 0 wrong\n', 'async_pipe', '200000')
        proxy(examples)
        echo(examples)
        host(examples, directory)
        over_a_bad_path(examples, middlebox, scratch)
        forward_error_correction(examples, scratch)
        workers(examples)
        numbers(examples)
        helpful(examples)
        left = os.listdir(directory)
        if left:
            sys.exit(f'left in the namespace directory: {left}')
    there = {p.stem for p in (source / 'examples').glob('*.c')}
    if there != examples.used:
        sys.exit(f'examples that are not run: {sorted(there - examples.used)}')
    return 0


if __name__ == '__main__':
    sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]))
