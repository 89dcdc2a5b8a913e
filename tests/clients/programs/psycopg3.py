"""psycopg 3: sync and async, text and binary, pipeline, COPY, cursors, notices, notifications."""

import asyncio
import threading

import psycopg
from told import ADDRESS, tell

CONNINFO = psycopg.conninfo.make_conninfo(
    host=ADDRESS.host,
    port=ADDRESS.port,
    user=ADDRESS.user,
    password=ADDRESS.password,
    dbname=ADDRESS.database,
)
VALUES = (
    "SELECT 1::int2, 2::int4, 3::int8, 1.5::float8, 'a'::text, true, NULL::int, ARRAY[1,2,NULL],"
    " '{\"a\": [1]}'::jsonb, DATE '2024-02-29', TIMESTAMPTZ '2024-02-29 12:00:00+09',"
    " INTERVAL '1 month 2 days', 12.340::numeric, '\\x00ff'::bytea, int4range(1, 5),"
    " '10.0.0.1/8'::inet, '6f1d2c70-0000-4000-8000-000000000001'::uuid, '한글'::text"
)


def rows_and_types(connection: psycopg.Connection) -> None:
    for binary in (False, True):
        with connection.cursor(binary=binary) as cursor:
            tell("values", binary, cursor.execute(VALUES).fetchall())
            tell("types", binary, [(c.name, c.type_code) for c in cursor.description or ()])
    for number in range(8):
        row = connection.execute("SELECT %s::int + 1, %s", (number, "x"), prepare=True).fetchone()
        tell("prepared", row)
    tell("empty", connection.execute("").statusmessage)
    cursor = connection.execute("SELECT 1; SELECT 2 WHERE false; SELECT 'three'")
    tell("several", [r.fetchall() for r in cursor.results()])
    tell("stream", list(connection.cursor().stream("SELECT generate_series(1, 5)")))
    with connection.cursor(name="server side") as cursor:
        cursor.itersize = 7
        cursor.execute("SELECT id, name FROM products ORDER BY id LIMIT 40")
        tell("server cursor", list(cursor))
    with connection.cursor(name="scroll", scrollable=True) as cursor:
        cursor.execute("SELECT generate_series(1, 10)")
        cursor.scroll(5)
        tell("scrolled", cursor.fetchmany(2))
        cursor.scroll(0, mode="absolute")
        tell("back", cursor.fetchone())


def errors_and_transactions(connection: psycopg.Connection) -> None:
    connection.execute("CREATE TEMP TABLE t (id int PRIMARY KEY, note text, CHECK (id < 1000))")
    for text in ("SELECT 1/0", "SELEC", "SELECT * FROM nowhere", "INSERT INTO t VALUES (5000)"):
        try:
            with connection.transaction():
                connection.execute(text)
        except psycopg.Error as error:
            diag = error.diag
            tell("error", diag.sqlstate, diag.message_primary, diag.statement_position)
            tell("diag", diag.severity, diag.constraint_name, diag.table_name, diag.message_detail)
    connection.cursor().executemany("INSERT INTO t VALUES (%s, %s)", [(i, "n") for i in range(50)])
    try:
        connection.cursor().executemany("INSERT INTO t VALUES (%s, '')", [(90,), (1,), (91,)])
    except psycopg.Error as error:
        tell("batch", error.diag.sqlstate, error.diag.message_detail)
        connection.rollback()
    tell("status", connection.info.transaction_status.name)
    tell("left", connection.execute("SELECT to_regclass('t')").fetchall())
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE r (id serial, note text)")
        cursor.executemany(
            "INSERT INTO r (note) VALUES (%s) RETURNING id", [("a",), ("b",)], returning=True
        )
        tell("returning", [r.fetchall() for r in cursor.results()])
    connection.commit()


def pipelines(connection: psycopg.Connection) -> None:
    with connection.pipeline() as pipeline:
        cursors = [connection.execute("SELECT %s::int", (n,)) for n in range(30)]
        pipeline.sync()
        tell("pipeline", [c.fetchone() for c in cursors])
    try:
        with connection.pipeline():
            connection.execute("SELECT 1")
            bad = connection.execute("SELECT 1/%s", (0,))
            connection.execute("SELECT 2")
            bad.fetchall()
    except psycopg.Error as error:
        tell("pipeline error", type(error).__name__, error.diag.sqlstate)
    connection.rollback()
    tell("after", connection.execute("SELECT 'fine'").fetchall())
    connection.rollback()


def copies(connection: psycopg.Connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE c (a int, b text)")
        with cursor.copy("COPY c FROM STDIN") as copy:
            for number in range(1000):
                copy.write_row((number, f"row {number}" if number % 3 else None))
        tell("copied", cursor.rowcount)
        with cursor.copy("COPY c (a, b) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["int4", "text"])
            copy.write_row((5000, "binary"))
        with cursor.copy("COPY (SELECT * FROM c ORDER BY a LIMIT 5) TO STDOUT") as copy:
            tell("copy out", list(copy.rows()))
        with cursor.copy("COPY c TO STDOUT (FORMAT CSV, HEADER)") as copy:
            tell("csv", len(b"".join(copy)))
        with cursor.copy("COPY (SELECT a FROM c WHERE a > 998) TO STDOUT (FORMAT BINARY)") as copy:
            copy.set_types(["int4"])
            tell("binary out", list(copy.rows()))
        connection.commit()
        try:
            with cursor.copy("COPY c FROM STDIN") as copy:
                copy.write("not\ta\tnumber\n")
        except psycopg.Error as error:
            tell("copy error", error.diag.sqlstate, error.diag.context)
        connection.rollback()
        try:
            with cursor.copy("COPY c FROM STDIN") as copy:
                copy.write_row((1, "x"))
                raise KeyError("the client gives up")
        except KeyError:
            tell("copy given up", connection.info.transaction_status.name)
        connection.rollback()


def notices(connection: psycopg.Connection) -> None:
    heard: list[str] = []
    connection.add_notice_handler(lambda diag: heard.append(diag.message_primary or ""))
    connection.execute("DROP TABLE IF EXISTS nowhere_at_all")
    tell("notices", heard)
    connection.commit()
    connection.autocommit = True
    connection.execute("LISTEN canal")
    with psycopg.connect(CONNINFO, autocommit=True) as other:
        other.execute("NOTIFY canal, 'hello'")
    for notification in connection.notifies(timeout=20, stop_after=1):
        tell("notified", notification.channel, notification.payload)
    connection.execute("UNLISTEN *")
    for name in ("server_version", "client_encoding", "DateStyle", "integer_datetimes", "TimeZone"):
        tell("parameter", name, connection.info.parameter_status(name))
    connection.execute("SET TIME ZONE 'Asia/Seoul'")
    tell("parameter changed", connection.info.parameter_status("TimeZone"))


def cancels(connection: psycopg.Connection) -> None:
    for cancel in (connection.cancel, connection.cancel_safe):
        timer = threading.Timer(0.5, cancel)
        timer.start()
        try:
            connection.execute("SELECT pg_sleep(60)")
        except psycopg.Error as error:
            tell("cancelled", error.diag.sqlstate)
        timer.join()
    tell("alive", connection.execute("SELECT 1").fetchall())


async def in_async() -> None:
    async with await psycopg.AsyncConnection.connect(CONNINFO) as connection:
        tell("async", await (await connection.execute(VALUES)).fetchall())
        async with connection.pipeline():
            cursors = [await connection.execute("SELECT %s::int8", (n,)) for n in range(20)]
        tell("async pipeline", [await c.fetchone() for c in cursors])
        async with connection.cursor() as cursor:
            await cursor.execute("CREATE TEMP TABLE ac (a int)")
            async with cursor.copy("COPY ac FROM STDIN") as copy:
                await copy.write(b"1\n2\n")
            await cursor.execute("SELECT sum(a) FROM ac")
            tell("async copy", await cursor.fetchall())


def two_phase() -> None:
    with psycopg.connect(CONNINFO, client_encoding="utf8", application_name="two") as connection:
        tell("application", connection.execute("SHOW application_name").fetchall())
        connection.execute("SELECT 1")
        tell("isolation", connection.execute("SHOW transaction_isolation").fetchall())


with psycopg.connect(CONNINFO) as opened:
    rows_and_types(opened)
    errors_and_transactions(opened)
    pipelines(opened)
    copies(opened)
    notices(opened)
    cancels(opened)
asyncio.run(in_async())
two_phase()
