#!/bin/sh
# PostgreSQL for metadata and audit: makes the cluster at the first start, then becomes the server.
set -eu
DATA=/var/lib/postgresql/data
BIN=$(dirname "$(find /usr/lib/postgresql -name initdb | sort -V | tail -n 1)")
PASSWORD=$(cat /run/querykeep/database/password)

if [ ! -e "$DATA/querykeep-ready" ]; then
    # A cluster without the mark is one whose making was cut off.
    find "$DATA" -mindepth 1 -delete
    "$BIN/initdb" -D "$DATA" -U postgres --auth-local=peer --auth-host=scram-sha-256 -E UTF8 \
        --locale=C.UTF-8
    echo "host all all all scram-sha-256" >>"$DATA/pg_hba.conf"
    "$BIN/pg_ctl" -D "$DATA" -w -o "-c listen_addresses='' -c unix_socket_directories=/tmp" start
    for database in querykeep querykeep_audit; do
        psql -h /tmp -v ON_ERROR_STOP=1 -v owner="$database" -v password="$PASSWORD" <<'SQL'
CREATE ROLE :"owner" LOGIN PASSWORD :'password';
CREATE DATABASE :"owner" OWNER :"owner";
SQL
    done
    "$BIN/pg_ctl" -D "$DATA" -w stop
    touch "$DATA/querykeep-ready"
fi
exec "$BIN/postgres" -D "$DATA" -c "listen_addresses=*" -c unix_socket_directories=/tmp
