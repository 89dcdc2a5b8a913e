"""mysqlclient (libmariadb or libmysqlclient): text protocol in C, compression, statistics."""

import MySQLdb
import MySQLdb.cursors
from told import ADDRESS, tell

OPTIONS = {
    "host": ADDRESS.host,
    "port": ADDRESS.port,
    "user": ADDRESS.user,
    "password": ADDRESS.password,
    "database": ADDRESS.database,
    "charset": "utf8mb4",
}
for extra in ({}, {"compress": True}):
    connection = MySQLdb.connect(**OPTIONS, **extra)
    cursor = connection.cursor()
    cursor.execute("SELECT 1, 'a', NULL, 1.50, DATE '2020-01-01', %s, X'00FF'", ("한글",))
    tell("row", cursor.fetchall(), cursor.description)
    cursor.execute("SELECT REPEAT('x', 100000), REPEAT('y', 17)")
    tell("long", [len(value) for value in cursor.fetchone()])
    cursor.execute("CREATE TEMPORARY TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, n TEXT)")
    cursor.executemany("INSERT INTO t (n) VALUES (%s)", [(str(n),) for n in range(100)])
    tell("many", cursor.rowcount, connection.insert_id())
    connection.commit()
    cursor.execute("SELECT * FROM t WHERE id > 97; SELECT 2")
    tell("first", cursor.fetchall())
    while cursor.nextset() is not None and cursor.nextset():
        tell("next", cursor.fetchall())
    cursor.close()
    tell("ping", connection.ping())
    connection.select_db(ADDRESS.database)
    tell("stat", connection.stat().split(":")[0])
    tell("character set", connection.character_set_name())
    connection.autocommit(True)
    try:
        connection.query("SELECT * FROM nowhere")
    except MySQLdb.Error as error:
        tell("error", error.args)
    streaming = connection.cursor(MySQLdb.cursors.SSCursor)
    streaming.execute("SELECT id FROM orders ORDER BY id LIMIT 300")
    tell("stream", sum(row[0] for row in streaming))
    streaming.close()
    connection.close()
