#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""layers.py SOURCE_ROOT: what each layer may include (docs/architecture.md, "Layers").  Arrows point down only."""

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
    'core': (['src/core'], r'(core|base)/', ()),
    'backend': (['src/backend'], r'(backend/(local|pipe|switch|xdp)\.h$|core/port\.h$|shm/|xsk/|base/)', ('pcap/pcap.h',)),
    'public headers': (['include/nmx'], None, ()),
    'tools': (['tools'], 'own', ('pcap/pcap.h', 'pcap.h')),
    'examples': (['examples'], 'own', ()),
    'bench': (['bench'], 'own', ()),
}


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


def main(root):
    wrong = files = 0
    for layer, (folders, allowed, extra) in LAYERS.items():
        for folder in folders:
            for path in sorted((root / folder).rglob('*.[ch]')):
                wrong += check_file(path, layer, allowed, extra)
                files += 1
    known = {folder for folders, _, _ in LAYERS.values() for folder in folders}
    for folder in (root / 'src').iterdir():
        if folder.is_dir() and f'src/{folder.name}' not in known:
            print(f'src/{folder.name} is in no layer: add it here and to docs/architecture.md')
            wrong += 1
    print(f'{files} files, {wrong} includes that are not allowed')
    return 1 if wrong or files < 20 else 0


if __name__ == '__main__':
    sys.exit(main(pathlib.Path(sys.argv[1])))
