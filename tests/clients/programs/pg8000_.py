"""pg8000: both interfaces, prepared statements, COPY, notices, notifications."""

import io

import pg8000.dbapi
import pg8000.native
from told import ADDRESS, tell

OPTIONS = {
    "user": ADDRESS.user,
    "password": ADDRESS.password,
    "host": ADDRESS.host,
    "port": ADDRESS.port,
    "database": ADDRESS.database,
}
native = pg8000.native.Connection(**OPTIONS)
tell("row", native.run("SELECT 1, 'a', 1.5::numeric, ARRAY[1,2], '{\"a\": 1}'::jsonb, NULL"))
tell("named", native.run("SELECT :v || 'x'", v="한글"))
tell("columns", [(c["name"], c["type_oid"], c["table_oid"] > 0) for c in native.columns])
statement = native.prepare("SELECT id, name FROM products WHERE id < :n ORDER BY id")
tell("prepared", statement.run(n=4))
tell("prepared", statement.run(n=2))
statement.close()
native.run("CREATE TEMP TABLE c (a int, b text)")
native.run("COPY c FROM STDIN WITH (FORMAT CSV)", stream=io.StringIO("1,one\n2,two\n"))
out = io.StringIO()
native.run("COPY c TO STDOUT WITH (FORMAT CSV)", stream=out)
tell("copy", out.getvalue())
try:
    native.run("SELECT 1/0")
except pg8000.DatabaseError as error:
    tell("error", error.args[0]["C"], error.args[0]["M"])
native.run("LISTEN x")
native.run("NOTIFY x, 'p'")
native.run("SELECT 1")
tell("notified", [note[1:] for note in native.notifications])
native.run("DO $$ BEGIN RAISE NOTICE 'told'; END $$")
tell("notices", [notice[b"M"] for notice in native.notices])
tell("parameters", native.parameter_statuses["server_version"])
native.close()
connection = pg8000.dbapi.connect(**OPTIONS)
cursor = connection.cursor()
cursor.executemany("SELECT %s::int", [(1,), (2,)])
cursor.execute("SELECT * FROM generate_series(1, 5)")
tell("dbapi", cursor.fetchmany(2), cursor.fetchall())
connection.tpc_begin("pg8000-xid")
try:
    cursor.execute("SELECT 1")
    connection.tpc_prepare()
except pg8000.DatabaseError as error:
    tell("two phase", error.args[0]["C"])
    connection.tpc_rollback()
connection.close()
