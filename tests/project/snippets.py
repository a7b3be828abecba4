#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""snippets.py SOURCE_ROOT BUILD_ROOT: every C snippet of README.md compiles; the first is a program, is run, and prints
what the block that follows it shows."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

BLOCK = re.compile(r'^```(\w*)\n(.*?)^```$', re.M | re.S)


def run(command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, **more)
    if done.returncode:
        sys.exit(f'{" ".join(map(str, command))}\n{done.stdout}\nended with {done.returncode}')
    return done.stdout


def main(source, build):
    blocks = BLOCK.findall((source / 'README.md').read_text())
    programs = [i for i, (language, _) in enumerate(blocks) if language == 'c']
    if not programs:
        sys.exit('README.md has no C snippet')
    compiler = os.environ.get('CC', 'cc').split() + ['-Wall', '-Wextra', '-Werror', '-std=c11', f'-I{source}/include']
    with tempfile.TemporaryDirectory(prefix='nmx-snippets-') as scratch:
        for number, i in enumerate(programs):
            file = pathlib.Path(scratch, f'snippet{number}.c')
            file.write_text(('' if '#include' in blocks[i][1] else '#include <nmx/nmx.h>\n') + blocks[i][1])
            run(compiler + ['-c', '-o', str(file) + '.o', str(file)])
        libdir = build / 'src'
        first = pathlib.Path(scratch, 'first')
        run(compiler + ['-o', str(first), str(first.parent / 'snippet0.c'), f'-L{libdir}', f'-Wl,-rpath,{libdir}', '-lnmx'])
        said = run([str(first)], env=dict(os.environ, NMX_DIR=scratch))
        expected = blocks[programs[0] + 1][1]
        if said.strip() != expected.strip().splitlines()[-1]:
            sys.exit(f'the first program says\n{said}\nand README.md shows\n{expected}')
    print(f'{len(programs)} snippets compile, the first one runs')
    return 0


if __name__ == '__main__':
    sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
