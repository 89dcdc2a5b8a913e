#!/bin/sh
# Locks requirements/*.in with hashes and without any index address (uv.lock would record addresses).
# Usage: lock.sh [--upgrade]
set -eu
cd "$(dirname "$0")/.."
.venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip --upgrade >/dev/null
settings=$(.venv/bin/python demo/querykeep_demo/package_index.py)
eval "$settings"

lock() { # lock NAME ARGUMENT…
    name=$1
    shift
    .venv/bin/uv pip compile --quiet --no-header --universal --generate-hashes \
        --python-version 3.11 "requirements/$name.in" -o "requirements/$name.txt" "$@"
}

lock dev "$@"
# What runs is what was tested: the smaller sets take their versions from the whole one.
lock run -c requirements/dev.txt
lock bootstrap -c requirements/dev.txt
lock build -c requirements/dev.txt "$@"
lock clients "$@"
