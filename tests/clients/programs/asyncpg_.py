"""asyncpg: prepared statements, cursors, COPY, types by introspection, notifications, cancel."""

import asyncio
import io

import asyncpg
from told import ADDRESS, tell


async def main() -> None:
    options = {
        "host": ADDRESS.host,
        "port": ADDRESS.port,
        "user": ADDRESS.user,
        "password": ADDRESS.password,
        "database": ADDRESS.database,
    }
    connection = await asyncpg.connect(**options, server_settings={"application_name": "loop"})
    tell("version", connection.get_server_version())
    tell("rows", await connection.fetch("SELECT $1::int + n FROM generate_series(1, 4) n", 10))
    tell("types", await connection.fetchrow(
        "SELECT '{1,2}'::int[], '1 day'::interval, 1.50::numeric, ROW(1, 'x'), '(1,2)'::point,"
        " '{\"a\":1}'::jsonb, '[1,3)'::int8range, DATE '2020-01-01', '한글'"))  # fmt: skip
    await connection.execute("DROP TYPE IF EXISTS mood CASCADE; CREATE TYPE mood AS ENUM ('ok')")
    await connection.execute("CREATE TEMP TABLE m (a mood, b mood[])")
    await connection.execute("INSERT INTO m VALUES ($1, $2)", "ok", ["ok"])
    tell("enum", await connection.fetch("SELECT * FROM m"))
    await connection.execute("DROP TABLE m; DROP TYPE mood")
    statement = await connection.prepare("SELECT id, name FROM products WHERE id < $1 ORDER BY id")
    tell("parameters", statement.get_parameters(), statement.get_attributes())
    tell("prepared", await statement.fetch(5), await statement.fetchval(2, column=1))
    async with connection.transaction(isolation="serializable", readonly=True):
        tell("cursor", [row async for row in connection.cursor(
            "SELECT id FROM orders ORDER BY id LIMIT 23", prefetch=5)])  # fmt: skip
        cursor = await connection.cursor("SELECT generate_series(1, 20)")
        await cursor.forward(10)
        tell("forward", await cursor.fetch(3))
    await connection.execute("CREATE TEMP TABLE c (a int, b text)")
    tell("copy in", await connection.copy_records_to_table("c", records=[(1, "x"), (2, None)]))
    tell("copy csv", await connection.copy_to_table("c", source=io.BytesIO(b"3,y\n"), format="csv"))
    out = io.BytesIO()
    tell("copy out", await connection.copy_from_query("SELECT * FROM c", output=out, format="csv"))
    tell("csv", out.getvalue())
    await connection.executemany("INSERT INTO c VALUES ($1, $2)", [(n, "m") for n in range(300)])
    tell("count", await connection.fetchval("SELECT count(*) FROM c"))
    try:
        await connection.executemany("INSERT INTO c VALUES (1/$1, '')", [(1,), (0,), (2,)])
    except asyncpg.PostgresError as error:
        tell("error", error.sqlstate, str(error))
    tell("count", await connection.fetchval("SELECT count(*) FROM c"))
    heard: asyncio.Queue[object] = asyncio.Queue()
    await connection.add_listener("canal", lambda *a: heard.put_nowait(a[2:]))
    await connection.execute("NOTIFY canal, 'hello'")
    tell("notified", await asyncio.wait_for(heard.get(), 30))
    logged: list[object] = []
    connection.add_log_listener(lambda _c, message: logged.append(message.message))
    await connection.execute("DO $$ BEGIN RAISE NOTICE 'told'; END $$")
    tell("logged", logged)
    try:
        await connection.fetch("SELECT pg_sleep(60)", timeout=0.5)
    except TimeoutError:
        tell("timeout")
    tell("alive", await connection.fetchval("SELECT 1"))
    await connection.reset()
    await connection.close()
    async with asyncpg.create_pool(**options, min_size=2, max_size=4) as pool:
        values = await asyncio.gather(*[pool.fetchval("SELECT $1::int", n) for n in range(40)])
        tell("pool", values)


asyncio.run(main())
