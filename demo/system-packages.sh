#!/bin/sh
# Installs Debian packages that are missing, without letting any of them start a server.
#
# Usage: system-packages.sh PACKAGE…   (as root)
#
# A maintainer script starts a freshly installed server unless policy-rc.d forbids it (Debian policy,
# "invoke-rc.d"): one that forbids stands there while this script runs. Two runs at once (two
# checkouts) wait for each other, so that none takes away the other's.
set -eu

POLICY=/usr/sbin/policy-rc.d
LOCK=/run/lock/querykeep-packages.lock

if [ "$(id -u)" != 0 ]; then
    echo "system-packages.sh: must run as root" >&2
    exit 1
fi

mkdir -p "$(dirname "$LOCK")"
exec 9>"$LOCK"
flock 9

made_policy=
cleanup() {
    if [ -n "$made_policy" ]; then
        rm -f "$POLICY"
    fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

if [ ! -e "$POLICY" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
    made_policy=yes
fi

install_packages() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        -o DPkg::Lock::Timeout=400 -o Dpkg::Use-Pty=0 "$@" </dev/null
}

# Package lists may be missing or too old for what the mirror holds: fetch them, then try once more.
if ! install_packages "$@"; then
    apt-get update -o DPkg::Lock::Timeout=400 </dev/null
    install_packages "$@"
fi
