"""MySQL Connector/Python, pure and in C: prepared statements, cursors, change of user, reset."""

import mysql.connector
from mysql.connector import errors
from told import ADDRESS, tell

OPTIONS = {
    "host": ADDRESS.host,
    "port": ADDRESS.port,
    "user": ADDRESS.user,
    "password": ADDRESS.password,
    "database": ADDRESS.database,
    "collation": "utf8mb4_general_ci",
}
for is_pure in (True, False) if mysql.connector.HAVE_CEXT else (True,):
    for extra in ({}, {"compress": True}, {"ssl_disabled": True}):
        connection = mysql.connector.connect(**OPTIONS, **extra, use_pure=is_pure)
        tell("connected", is_pure, extra)
        cursor = connection.cursor()
        cursor.execute("SELECT 1, 'a', NULL, 1.50, DATE '2020-01-01', '한글', %s", (b"\x00\xff",))
        tell("row", cursor.fetchall(), cursor.column_names)
        prepared = connection.cursor(prepared=True)
        for number in (3, 5):
            prepared.execute("SELECT id, name, price FROM products WHERE id < %s", (number,))
            tell("prepared", prepared.fetchall())
        prepared.execute("SELECT %s, %s, %s", (1.5, "long" * 3000, None))
        row = prepared.fetchone()
        tell("parameters", row[0], len(row[1]), row[2])
        prepared.close()
        cursor.execute("CREATE TEMPORARY TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, n TEXT)")
        cursor.executemany("INSERT INTO t (n) VALUES (%s)", [("a",), ("b",), ("c",)])
        tell("many", cursor.rowcount, cursor.lastrowid)
        connection.commit()
        connection.cmd_reset_connection()
        try:
            cursor.execute("SELECT * FROM t")
        except errors.ProgrammingError as error:
            tell("reset", error.errno, error.msg)
        connection.cmd_init_db(ADDRESS.database)
        connection.ping()
        tell("statistics", "Uptime" in connection.cmd_statistics())
        if "compress" not in extra:
            connection.cmd_change_user(ADDRESS.user, ADDRESS.password, ADDRESS.database)
            cursor = connection.cursor()
            cursor.execute("SELECT DATABASE()")
            tell("changed user", cursor.fetchall())
        connection.close()
