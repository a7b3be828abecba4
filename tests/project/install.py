#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""install.py SOURCE_ROOT BUILD_ROOT: installs into a directory of its own, and uses what is there as a stranger would:
pkg-config, the shared and the static library, C11 and C++17; and looks at what the library exports and how large it is."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

PRIVATE = {'nmx__at', 'nmx__trap', 'nmx__check_thread', 'nmx__forward_copy'}  # what inlines and checked builds call
MOST_KIB = 256
WARNINGS = ['-Wall', '-Wextra', '-Wpedantic', '-Werror']


def run(command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if done.returncode:
        sys.exit(f'{" ".join(map(str, command))}\n{done.stdout}\nended with {done.returncode}')
    return done.stdout


def install(build, stage):
    run(['meson', 'install', '-C', build, '--no-rebuild', '--destdir', stage])
    found = sorted(pathlib.Path(stage).rglob('nmx.pc'))
    if len(found) != 1:
        sys.exit(f'nmx.pc is installed {len(found)} times: {found}')
    return found[0]


def installed_loops(pc):
    """Adapters for event loops: those that this build has."""
    return [name for name in ('nmx-uv', 'nmx-uring') if (pc.parent / f'{name}.pc').exists()]


def pkg_config(pc, stage, *args, name='nmx'):
    # The file names directories below the prefix; here they are below the stage as well.  Not so libuv's and liburing's.
    system = run(['pkg-config', '--variable', 'pc_path', 'pkg-config']).strip()
    env = dict(os.environ, PKG_CONFIG_LIBDIR=f'{pc.parent}:{system}', PKG_CONFIG_SYSROOT_DIR=str(stage))
    return run(['pkg-config', *args, name], env=env).split()


def loop_consumers(source, pc, stage, libdir, names):
    """One program in each loop, which says so itself where the kernel has no io_uring for it."""
    for name in names:
        for language, compiler in compilers(pathlib.Path(source, f'tests/project/consumer_{name.split("-")[1]}.c')):
            program = pathlib.Path(stage, 'loop_consumer')
            run(compiler + WARNINGS + ['-o', str(program)] + pkg_config(pc, stage, '--cflags', '--libs', name=name) +
                ['-D_GNU_SOURCE', '-luv' if name == 'nmx-uv' else '-luring'])  # as the headers of these want it
            said = run([str(program)], env=dict(os.environ, LD_LIBRARY_PATH=str(libdir)))
            print(f'{language} program with {name}: built and run{said and ": "}{said.strip()}')


def compilers(source):
    yield 'C11', [os.environ.get('CC', 'cc').split()[0], '-std=c11', str(source)]
    if shutil.which('g++'):
        yield 'C++17', ['g++', '-std=c++17', '-x', 'c++', str(source), '-x', 'none']
    else:
        sys.exit('g++ is not there: apt-get install g++')


def consumers(source, pc, stage, libdir):
    for name, compiler in compilers(source):
        for static in (False, True):
            flags = pkg_config(pc, stage, '--cflags', '--libs', *(['--static'] if static else []))
            if static:
                flags = ['-l:libnmx.a' if f == '-lnmx' else f for f in flags]
            program = pathlib.Path(stage, 'consumer')
            run(compiler + WARNINGS + ['-o', str(program)] + flags)
            uses = 'libnmx' in run(['ldd', str(program)])
            if uses == static:
                sys.exit(f'{name}, static={static}: linked against the wrong library')
            run([str(program)], env=dict(os.environ, LD_LIBRARY_PATH=str(libdir)))
            print(f'{name} program with the {"static" if static else "shared"} library: built and run')


def headers_alone(stage, pc):
    headers = sorted(pathlib.Path(stage).rglob('nmx/*.h'))
    flags = pkg_config(pc, stage, '--cflags')
    for header in headers:
        line = f'#include <nmx/{header.name}>\n'
        run(['cc', '-std=c11', *WARNINGS, *flags, '-fsyntax-only', '-x', 'c', '-'], input=line)
        run(['g++', '-std=c++17', *WARNINGS, *flags, '-fsyntax-only', '-x', 'c++', '-'], input=line)
    print(f'{len(headers)} headers compile alone as C11 and C++17')
    return headers


def symbols(library, headers, prefix='nmx_', private=()):
    lines = run(['nm', '-D', '--defined-only', '--with-symbol-versions', str(library)]).splitlines()
    exported = {line.split()[-1].split('@')[0]: line for line in lines if ' A ' not in line}
    declared = set()
    for header in headers:
        text = re.sub(r'/\*.*?\*/', '', header.read_text(), flags=re.S)
        declared |= set(re.findall(r'\b(nmx_\w+)\s*\(', text))
    for name, line in exported.items():
        if f'@@{prefix.upper()}' not in line:
            sys.exit(f'{name} is exported without a version')
        if name.startswith('nmx__') and name not in private:
            sys.exit(f'{name} is private, and exported')
        if not name.startswith(prefix):
            sys.exit(f'{name} is exported, and not ours')
        if name not in declared:
            sys.exit(f'{name} is exported, and no installed header declares it')
    if not set(private) <= exported.keys():
        sys.exit(f'not exported: {private - exported.keys()}')
    print(f'{library.name}: {len(exported)} symbols are exported, those that the headers declare')


def size(library, stage):
    stripped = pathlib.Path(stage, 'stripped.so')
    run(['strip', '-o', str(stripped), str(library)])
    kib = stripped.stat().st_size / 1024
    print(f'stripped shared library: {kib:.0f} KiB, at most {MOST_KIB}')
    if kib > MOST_KIB:
        sys.exit('too large')


def main(source, build):
    for tool in ('meson', 'pkg-config', 'nm', 'strip', 'ldd'):
        if not shutil.which(tool):
            print(f'skipped: {tool} is not there: scripts/install-packages build test')
            return 77
    with tempfile.TemporaryDirectory(prefix='nmx-install-') as stage:
        pc = install(build, stage)
        libdir = pc.parent.parent
        library = (libdir / 'libnmx.so').resolve()
        consumers(pathlib.Path(source, 'tests/project/consumer.c'), pc, stage, libdir)
        headers = headers_alone(stage, pc)
        symbols(library, headers, private=PRIVATE)
        loops = installed_loops(pc)
        loop_consumers(source, pc, stage, libdir, loops)
        for name in loops:
            symbols((libdir / f'lib{name}.so').resolve(), headers, prefix=name.replace('-', '_') + '_')
        size(library, stage)
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], sys.argv[2]))
