#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""without_xdp.py SOURCE_ROOT: a build without AF_XDP has no file for interfaces, compiles without a warning, moves
packets, and says of an interface why it cannot be opened."""

import json
import pathlib
import subprocess
import sys
import tempfile

OPTIONS = ['-Dxdp=disabled', '-Dtests=disabled', '-Dtools=disabled', '-Dwerror=true', '--buildtype=debug']
PROGRAM = r'''
#include <stdio.h>
#include <nmx/inspect.h>

int main(void)
{
	struct nmx_interface_info info;
	struct nmx_report why;
	struct nmx_port *port;

	printf("%s: ", nmx_error_name(nmx_open(&port, "lo", NULL, &why)));
	printf("%s\n", why.text);
	printf("%s\n", nmx_error_name(nmx_open(&port, "xdp:lo", NULL, NULL)));
	printf("%s\n", nmx_error_name(nmx_backend_probe(NMX_XDP, NULL, NULL)));
	printf("%s\n", nmx_error_name(nmx_interface_inspect("lo", &info, NULL)));
	return 0;
}
'''


def run(*command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if done.returncode:
        sys.exit(f'{" ".join(map(str, command))}\n{done.stdout}\nended with {done.returncode}')
    return done.stdout


def expect(what, is_so):
    if not is_so:
        sys.exit(what)


def main(root):
    with tempfile.TemporaryDirectory() as work:
        build = pathlib.Path(work, 'build')
        run('meson', 'setup', *OPTIONS, build, root)
        compiled = [command['file'] for command in json.loads((build / 'compile_commands.json').read_text())]
        linux = [file for file in compiled if '/xsk/' in file or '/backend/xdp' in file]
        expect(f'files for interfaces are compiled: {linux}', not linux)
        run('ninja', '-C', build, 'src/libnmx.a', 'examples/hello', 'examples/pipe_threads')
        expect('examples/hello says something else', 'hello netmap!' in run(build / 'examples' / 'hello'))

        program = pathlib.Path(work, 'program')
        program.with_suffix('.c').write_text(PROGRAM)
        run('cc', '-I', root / 'include', '-o', program, program.with_suffix('.c'), build / 'src' / 'libnmx.a', '-ldl', '-pthread')
        said = run(program)
        print(said, end='')
        expect('it does not say why', said.count('NMX_ERR_UNSUPPORTED_PLATFORM') == 4 and
               'built without AF_XDP' in said)


if __name__ == '__main__':
    main(pathlib.Path(sys.argv[1]))
