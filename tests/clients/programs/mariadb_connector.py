"""MariaDB Connector/Python (Connector/C): binary protocol, bulk execute, cursors, long data."""

import mariadb
from told import ADDRESS, tell

OPTIONS = {
    "host": ADDRESS.host,
    "port": ADDRESS.port,
    "user": ADDRESS.user,
    "password": ADDRESS.password,
    "database": ADDRESS.database,
}
for extra in ({}, {"compress": True}):
    connection = mariadb.connect(**OPTIONS, **extra)
    cursor = connection.cursor()
    cursor.execute("SELECT 1, 'a', NULL, 1.50, DATE '2020-01-01', ?", ("한글",))
    tell("row", cursor.fetchall(), cursor.description)
    cursor.execute("CREATE TEMPORARY TABLE t (id INT, n VARCHAR(50), d DATETIME(6))")
    cursor.executemany("INSERT INTO t VALUES (?, ?, ?)", [(n, f"n{n}", None) for n in range(200)])
    tell("bulk", cursor.rowcount)
    cursor.execute("SELECT COUNT(*), SUM(id) FROM t")
    tell("count", cursor.fetchall())
    binary = connection.cursor(binary=True)
    binary.execute("SELECT id, name, price, in_stock FROM products WHERE id < ?", (4,))
    tell("binary", binary.fetchall())
    unbuffered = connection.cursor(buffered=False, cursor_type=1)
    unbuffered.execute("SELECT id FROM orders WHERE id < ? ORDER BY id", (100,))
    tell("server cursor", sum(row[0] for row in unbuffered.fetchall()))
    unbuffered.close()
    try:
        cursor.execute("SELECT * FROM nowhere")
    except mariadb.Error as error:
        tell("error", error.errno, str(error))
    connection.ping()
    connection.reset()
    connection.change_user(ADDRESS.user, ADDRESS.password, ADDRESS.database)
    tell("reset", connection.database, connection.character_set)
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("CREATE OR REPLACE PROCEDURE qk_p(IN a INT, OUT b INT) SET b = a + 1")
    cursor.callproc("qk_p", (1, 0))
    tell("call", cursor.fetchall())
    cursor.execute("DROP PROCEDURE qk_p")
    connection.close()
