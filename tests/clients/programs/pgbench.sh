# pgbench: initialization by COPY, and its three ways to send.
PATH=$PATH:$(echo /usr/lib/postgresql/*/bin | tr ' ' ':')
pgbench -i -q -s 1 >/dev/null 2>&1 && echo initialized
for mode in simple extended prepared; do
    pgbench -n -M $mode -c 4 -t 50 2>&1 | grep -E 'actually|failed'
done
psql -X -qc 'drop table pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers'
