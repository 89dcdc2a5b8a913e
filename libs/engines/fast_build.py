"""Compiles the twins of hot loops (``querykeep_engines/*/_fast/*.pyx``) beside their sources.

    python libs/engines/fast_build.py        from a virtual environment that holds Cython

Needs a C compiler and Python's headers. Nothing else of Querykeep needs them, and without compiled
twins their Python twins run; so a caller may go on when this fails, and says so.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 300
FLAGS = ("-O2", "-g0", "-shared", "-fPIC", "-fwrapv", "-fno-strict-aliasing")


def main() -> int:
    """Compile every module. Each is replaced in one step: a running process keeps its own."""
    for source in sorted(HERE.glob("querykeep_engines/*/_fast/*.pyx")):
        try:
            build(source)
        except subprocess.CalledProcessError as error:
            sys.stderr.write(f"{source.name}: {error.stderr or error}\n")
            return 1
        except OSError as error:
            sys.stderr.write(f"{source.name}: {error}\n")
            return 1
    return 0


def build(source: Path) -> None:
    """Compile one module.

    Raises:
        OSError: There is no compiler.
        subprocess.CalledProcessError: It failed; ``stderr`` says why.
    """
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")
    target = source.with_suffix(sysconfig.get_config_var("EXT_SUFFIX") or ".so")
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        c_file, library = Path(folder) / "module.c", Path(folder) / "module.so"
        name = ".".join(source.relative_to(HERE).with_suffix("").parts)
        translate = [sys.executable, "-m", "cython", "-3", "--module-name", name]
        run([*translate, "-o", str(c_file), str(source.relative_to(HERE))])
        include = sysconfig.get_path("include")
        run([*compiler, *FLAGS, f"-I{include}", "-o", str(library), str(c_file)])
        library.chmod(0o755)
        library.replace(target)


def run(command: list[str]) -> None:
    """Run a step of the build."""
    subprocess.run(command, cwd=HERE, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)


if __name__ == "__main__":
    sys.exit(main())
