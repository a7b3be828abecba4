#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""layers.py SOURCE_ROOT: what each layer may include (docs/architecture.md, "Layers").  Arrows point down only, and what
only Linux has is used in Linux's files alone."""

import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')
SYSTEM = re.compile(r'^([a-z0-9_]+\.h|(sys|net|netinet|netpacket|arpa|linux|asm)/[a-z0-9_/.-]+\.h)$')

# Layer: (folders, which quoted includes it may have, which headers beyond libc and <nmx/...> it may have).
# A quoted include is a path from src/, or, where nothing of src/ may be used, one of the folder's own headers.
LAYERS = {
    'base': (['src/base'], r'base/', ()),
    'shm': (['src/shm'], r'(shm|base)/', ()),
    'xsk': (['src/xsk'], r'(xsk|base)/', ()),
    'netmap': (['src/netmap'], r'(netmap|base)/', ()),
    'core': (['src/core'], r'(core|base)/', ()),
    'backend': (['src/backend'], r'(backend/(local|netmap|pipe|switch|xdp)\.h$|core/port\.h$|shm/|xsk/|netmap/|base/)', ('pcap/pcap.h',)),
    'event': (['src/event'], r'event/', ('uv.h', 'liburing.h')),
    'public headers': (['include/nmx'], None, ()),
    'tools': (['tools'], 'own', ('pcap/pcap.h', 'pcap.h')),
    'examples': (['examples'], 'own', ('isa-l/crc.h', 'isa-l/erasure_code.h')),
    'bench': (['bench'], 'own', ()),
}

# Each of them is left out of the build where it does not belong (src/meson.build), or does without (bench).
LINUX_FILES = re.compile(r'(src/xsk/|src/backend/xdp|bench/|src/event/uring\.c$|examples/echo_uring\.c$|'
                         r'src/base/poller_epoll\.c$|src/shm/(lock_ofd|space_fallocate)\.c$)')
LINUX_HEADER = re.compile(r'(linux|asm|netpacket)/|(features|malloc|byteswap|sys/(capability|epoll|eventfd|fanotify|fsuid|inotify|'
                          r'personality|pidfd|prctl|random|sendfile|signalfd|syscall|sysinfo|timerfd|vfs|xattr))\.h$')
LINUX_WORD = re.compile(r'\b(epoll_\w+|eventfd|timerfd_\w+|signalfd|pidfd_\w+|memfd_\w+|syscall|SYS_\w+|prctl|F_OFD_\w+|fallocate|'
                        r'FALLOC_\w+|MADV_DONTDUMP|CLOCK_\w+_COARSE|getrandom|gettid|mremap|program_invocation_\w+)\b(?=\s*[^\s\w])|'
                        r'/proc/')
CONDITION = re.compile(r'^\s*#\s*(if|ifdef|ifndef|elif|else|endif)\b(.*)')
COMMENT = re.compile(r'/\*.*?\*/', re.S)


def own_header(path, name):
    return '/' not in name and (path.parent / name).is_file()


def why_not(path, kind, name, allowed, extra):
    if kind == '<':
        if name.startswith('nmx/') or name in extra or SYSTEM.match(name):
            return None
        return 'only <nmx/...>' + ''.join(f', <{e}>' for e in extra) + ' and the C library'
    if allowed is None:
        return 'only <nmx/...> and the C library'
    if allowed == 'own':
        return None if own_header(path, name) else 'its own headers and <nmx/...>, nothing of src/'
    return None if re.match(allowed, name) else f'only what matches {allowed}'


def check_file(path, layer, allowed, extra):
    wrong = 0
    for number, line in enumerate(path.read_text().splitlines(), 1):
        found = INCLUDE.match(line)
        rule = found and why_not(path, found[1], found[2], allowed, extra)
        if rule:
            print(f'{path}:{number}: {found[2]}: an arrow that does not point down: the layer "{layer}" may include {rule}')
            wrong += 1
    return wrong


def outside_of_conditions(text):
    """The lines, without comments, that are compiled everywhere: those under #ifdef __linux__, or under a question for
    the very thing, are not."""
    text = COMMENT.sub(lambda m: '\n' * m[0].count('\n'), text)
    asked = []
    for number, line in enumerate(text.splitlines(), 1):
        found = CONDITION.match(line)
        if not found:
            yield number, line, ' '.join(asked)
        elif found[1] == 'endif':
            asked.pop()
        elif found[1] in ('elif', 'else'):
            asked[-1] = found[2]
        else:
            asked.append(found[2])


def check_linux(path, name):
    wrong = 0
    if LINUX_FILES.match(name):
        return 0
    for number, line, asked in outside_of_conditions(path.read_text()):
        header = INCLUDE.match(line)
        used = [header[2]] if header and LINUX_HEADER.match(header[2]) else [m[0] for m in LINUX_WORD.finditer(line)]
        for what in used:
            if '__linux__' not in asked and what not in asked:
                print(f'{path}:{number}: {what}: only Linux has it, and this is none of the files for Linux')
                wrong += 1
    return wrong


def main(root):
    wrong = files = 0
    for layer, (folders, allowed, extra) in LAYERS.items():
        for folder in folders:
            for path in sorted((root / folder).rglob('*.[ch]')):
                wrong += check_file(path, layer, allowed, extra) + check_linux(path, path.relative_to(root).as_posix())
                files += 1
    known = {folder for folders, _, _ in LAYERS.values() for folder in folders}
    for folder in (root / 'src').iterdir():
        if folder.is_dir() and f'src/{folder.name}' not in known:
            print(f'src/{folder.name} is in no layer: add it here and to docs/architecture.md')
            wrong += 1
    print(f'{files} files, {wrong} things that are not allowed')
    return 1 if wrong or files < 20 else 0


if __name__ == '__main__':
    sys.exit(main(pathlib.Path(sys.argv[1])))
