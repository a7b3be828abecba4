#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""snippets.py SOURCE_ROOT BUILD_ROOT DOCUMENT [DRIVER [LIBRARY...]]: every C snippet of the document compiles.  Whole programs
are run, and print what the block that follows them shows.  With DRIVER, a C file that includes SNIPPETS, so are the functions:
it calls each of them, and may need libraries."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

BLOCK = re.compile(r'^```(\w*)\n(.*?)^```$', re.M | re.S)
FUNCTION = re.compile(r'^(?:static )?\w[\w ]*[ *](\w+)\([^;]*\)\n\{', re.M)


def run(command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, **more)
    if done.returncode:
        sys.exit(f'{" ".join(map(str, command))}\n{done.stdout}\nended with {done.returncode}')
    return done.stdout


def standard(text):
    """Ours are strict; others' headers need what the compiler knows beside it."""
    return '-std=gnu11' if '<liburing.h>' in text or '<uv.h>' in text else '-std=c11'


class Snippets:
    def __init__(self, source, build, scratch):
        self.scratch = pathlib.Path(scratch)
        self.compiler = os.environ.get('CC', 'cc').split() + ['-Wall', '-Wextra', '-Werror', f'-I{source}/include']
        self.link = [f'-L{build}/src', f'-Wl,-rpath,{build}/src', '-lnmx', '-pthread']
        self.functions = []

    def add(self, number, text):
        """Compiles it alone."""
        file = self.scratch / f'snippet{number}.c'
        file.write_text(text if '#include <nmx/' in text else '#include <nmx/nmx.h>\n' + text)
        run(self.compiler + [standard(text), '-c', '-o', f'{file}.o', str(file)])
        if 'int main(' not in text:
            self.functions.append(text)
            return None
        program = self.scratch / f'program{number}'
        run(self.compiler + [standard(text), '-o', str(program), str(file)] + self.link)
        return run([str(program)], env=dict(os.environ, NMX_DIR=str(self.scratch)))

    def drive(self, driver, libraries):
        """All functions in one file, called by the driver."""
        both = self.scratch / 'snippets.c'
        both.write_text('#include <nmx/nmx.h>\n#include <pthread.h>\n' + '\n'.join(self.functions))
        names = [name for text in self.functions for name in FUNCTION.findall(text)]
        calls = driver.read_text() + both.read_text()
        unused = [name for name in names if len(re.findall(rf'\b{name}\b', calls)) < 2]
        if unused or not names:
            sys.exit(f'{driver} calls nothing of {unused or names}')
        program = self.scratch / 'driver'
        run(self.compiler + [standard(calls), f'-DSNIPPETS="{both}"', '-o', str(program), str(driver)] + self.link
            + [f'-l{name}' for name in libraries])
        run([str(program)], env=dict(os.environ, NMX_DIR=str(self.scratch)))
        return names


def main(source, build, document, driver=None, *libraries):
    blocks = BLOCK.findall((source / document).read_text())
    with tempfile.TemporaryDirectory(prefix='nmx-snippets-') as scratch:
        snippets = Snippets(source, build, scratch)
        programs = 0
        for i, (language, text) in enumerate(blocks):
            if language != 'c':
                continue
            said = snippets.add(i, text)
            if said is None:
                continue
            programs += 1
            expected = ''.join(line + '\n' for line in blocks[i + 1][1].splitlines() if not line.startswith('$ '))
            if said != expected:
                sys.exit(f'a program of {document} says\n{said}\nand it shows\n{expected}')
        called = snippets.drive(pathlib.Path(driver), libraries) if driver else []
        if not programs or not snippets.functions:
            sys.exit(f'{document} has {programs} programs and {len(snippets.functions)} other C snippets')
    print(f'{programs} programs run, {len(snippets.functions)} other snippets compile'
          + (f', their {len(called)} functions run' if driver else ''))
    return 0


if __name__ == '__main__':
    sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), *sys.argv[3:]))
