# pg_dump in its formats, pg_restore, vacuumdb, reindexdb.
# What pg_dump makes up anew at each run is left out (\restrict keys, since its security release).
steady() { grep -v -E '^\\(un)?restrict' | cksum; }
folder=$(mktemp -d)
pg_dump "$PGDATABASE" | steady
pg_dump -s "$PGDATABASE" | steady
pg_dump --inserts -t products "$PGDATABASE" | steady
pg_dump -Fc "$PGDATABASE" -f "$folder/whole" && pg_restore -f - "$folder/whole" | steady
pg_dump -Fd -j2 "$PGDATABASE" -f "$folder/parallel" && echo parallel
pg_restore -t products --data-only -f - "$folder/parallel" | steady
vacuumdb -q "$PGDATABASE" -t products && echo vacuumed
reindexdb -q -t products "$PGDATABASE" && echo reindexed
rm -r "$folder"
