# sysbench: prepared statements over MariaDB's and PostgreSQL's C libraries.
bench() {
    sysbench "$@" --table-size=200 --tables=1 --threads=1 --events=60 --time=60
}
case $ROAD_ENGINE in
postgresql) set -- --db-driver=pgsql --pgsql-host="$ROAD_HOST" --pgsql-port="$ROAD_PORT" --pgsql-user="$ROAD_USER" \
    --pgsql-password="$ROAD_PASSWORD" --pgsql-db="$ROAD_DATABASE" ;;
*) set -- --db-driver=mysql --mysql-host="$ROAD_HOST" --mysql-port="$ROAD_PORT" --mysql-user="$ROAD_USER" \
    --mysql-password="$ROAD_PASSWORD" --mysql-db="$ROAD_DATABASE" ;;
esac
bench "$@" oltp_read_write prepare >/dev/null && echo prepared
for test in oltp_point_select oltp_read_only oltp_read_write oltp_write_only; do
    echo "$test"
    bench "$@" $test run 2>&1 | grep -E 'transactions:|errors:|FATAL' | sed -E 's/ +\(.*//'
done
bench "$@" oltp_read_write cleanup >/dev/null && echo cleaned
