"""psycopg2: cursors, COPY in its three forms, notices, notifications, asynchronous connections."""

import io
import select

import psycopg2
import psycopg2.extensions
import psycopg2.extras
from told import ADDRESS, tell

OPTIONS = {
    "host": ADDRESS.host,
    "port": ADDRESS.port,
    "user": ADDRESS.user,
    "password": ADDRESS.password,
    "dbname": ADDRESS.database,
}


def wait(connection: psycopg2.extensions.connection) -> None:
    while True:
        match connection.poll():
            case psycopg2.extensions.POLL_OK:
                return
            case psycopg2.extensions.POLL_READ:
                select.select([connection.fileno()], [], [], 30)
            case psycopg2.extensions.POLL_WRITE:
                select.select([], [connection.fileno()], [], 30)


connection = psycopg2.connect(**OPTIONS)
cursor = connection.cursor()
cursor.execute("SELECT 1, 'a', 1.5, now() IS NOT NULL, ARRAY['x'], %s::jsonb", ('{"a": 1}',))
tell("row", cursor.fetchall(), [column[:2] for column in cursor.description])
cursor.execute("CREATE TEMP TABLE c (a int, b text)")
cursor.copy_from(io.StringIO("1\tone\n2\t\\N\n"), "c")
cursor.copy_expert("COPY c FROM STDIN WITH CSV", io.StringIO("3,three\n"))
out = io.StringIO()
cursor.copy_to(out, "c")
tell("copy", out.getvalue())
psycopg2.extras.execute_values(cursor, "INSERT INTO c VALUES %s", [(n, "v") for n in range(250)])
psycopg2.extras.execute_batch(cursor, "INSERT INTO c VALUES (%s, %s)", [(n, "b") for n in range(9)])
cursor.execute("SELECT count(*), sum(a) FROM c")
tell("count", cursor.fetchall())
with connection.cursor("named", withhold=True) as named:
    named.itersize = 10
    named.execute("SELECT id FROM products ORDER BY id LIMIT 25")
    tell("named", list(named))
tell("notices", connection.notices)
try:
    cursor.execute("SELECT 1/0")
except psycopg2.Error as error:
    tell("error", error.pgcode, error.pgerror)
connection.rollback()
connection.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_SERIALIZABLE)
cursor.execute("SHOW transaction_isolation")
tell("isolation", cursor.fetchall())
connection.rollback()
connection.set_session(readonly=True, autocommit=True)
try:
    cursor.execute("CREATE TABLE no_table (a int)")
except psycopg2.Error as error:
    tell("read only", error.pgcode)
connection.close()
asynchronous = psycopg2.connect(**OPTIONS, async_=1)
wait(asynchronous)
cursor = asynchronous.cursor()
cursor.execute("SELECT generate_series(1, 3)")
wait(asynchronous)
tell("async", cursor.fetchall())
cursor.execute("LISTEN x; NOTIFY x, 'payload'")
wait(asynchronous)
wait(asynchronous)
tell("notify", [(note.channel, note.payload) for note in asynchronous.notifies])
asynchronous.close()
