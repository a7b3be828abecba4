#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""hygiene.py SOURCE_ROOT: licence lines, sizes of files, paths of somebody's machine."""

import pathlib
import re
import sys

SPDX = 'SPDX-License-Identifier: MIT OR Apache-2.0'
CODE = {'.c', '.h', '.py', '.sh', '.pml', '.build', '.map'}
CODE_NAMES = {'Makefile', 'packages'}
TEXT = CODE | {'.md', '.txt', '.dict', ''}
HOME = re.compile(r'(?<![\w.])/(home/[a-z]|root/|Users/|work/)')
MOST_LINES = 600


def sources(root):
    for top in sorted(root.iterdir()):
        if top.name == '.git' or top.name.startswith('build'):
            continue
        for path in sorted(top.rglob('*')) if top.is_dir() else [top]:
            relative = path.relative_to(root)
            if '__pycache__' not in relative.parts and path.is_file() and not path.is_symlink():
                yield path, relative


def is_code(path):
    if path.suffix in CODE or path.name in CODE_NAMES:
        return True
    return path.suffix == '' and path.read_bytes()[:2] == b'#!'


def main(root):
    wrong = files = 0
    for path, relative in sources(root):
        if path.suffix not in TEXT and not is_code(path):
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue  # a capture, an icon
        files += 1
        lines = text.splitlines()
        if is_code(path) and not any(SPDX in line for line in lines[:5]):
            print(f'{relative}: no line "{SPDX}" at its top')
            wrong += 1
        for number, line in enumerate(lines, 1):
            if path != pathlib.Path(__file__).resolve() and HOME.search(line):
                print(f'{relative}:{number}: a path of somebody\'s machine: {line.strip()[:80]}')
                wrong += 1
        if relative.parts[0] in ('src', 'tools', 'include') and len(lines) > MOST_LINES:
            print(f'note: {relative} has {len(lines)} lines: it wants a seam')
    print(f'{files} files, {wrong} things wrong')
    return 1 if wrong or files < 20 else 0


if __name__ == '__main__':
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))
