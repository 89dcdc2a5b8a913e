"""PyMySQL: text protocol, several results, streaming, character sets, sessions."""

import pymysql
from pymysql.constants import CLIENT
from pymysql.cursors import DictCursor, SSCursor
from told import ADDRESS, tell

OPTIONS = {
    "host": ADDRESS.host,
    "port": ADDRESS.port,
    "user": ADDRESS.user,
    "password": ADDRESS.password,
    "database": ADDRESS.database,
}
TYPES = (
    "SELECT 1, -9223372036854775808, 18446744073709551615, 1.5, 12.340, 'a', NULL, X'00FF',"
    " DATE '2024-02-29', TIMESTAMP '2024-02-29 12:00:00.123456', TIME '-838:59:59',"
    " CAST('{\"a\": 1}' AS JSON), '한글', TRUE, b'101'"
).replace("CAST('{\"a\": 1}' AS JSON)", "JSON_OBJECT('a', 1)")
connection = pymysql.connect(**OPTIONS, client_flag=CLIENT.MULTI_STATEMENTS, autocommit=False)
cursor = connection.cursor()
cursor.execute(TYPES)
tell("values", cursor.fetchall())
tell("columns", cursor.description)
cursor.execute("SELECT 1; SELECT 2 FROM DUAL WHERE FALSE; DO 1; SELECT 'four'")
results = [cursor.fetchall()]
while cursor.nextset():
    results.append(cursor.fetchall())
tell("several", results)
cursor.execute("CREATE TEMPORARY TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, note VARCHAR(20))")
tell("insert", cursor.execute("INSERT INTO t (note) VALUES ('a'), ('b')"), cursor.lastrowid)
tell("many", cursor.executemany("INSERT INTO t (note) VALUES (%s)", [(f"n{n}",) for n in range(9)]))
tell("update", cursor.execute("UPDATE t SET note = 'x' WHERE id < 4"))
tell("same", cursor.execute("UPDATE t SET note = 'x' WHERE id < 4"))
cursor.execute("CREATE TEMPORARY TABLE b (v VARBINARY(300))")
cursor.execute("INSERT INTO b VALUES (%s), (%s)", (bytes(range(256)), b"'\\\xe3'"))
cursor.execute("SELECT v FROM b WHERE v = %s OR v LIKE %s", (bytes(range(256)), b"%\xe3%"))
tell("bytes", cursor.fetchall())
for text in ("SELEC", "SELECT * FROM nowhere", "INSERT INTO t VALUES (1, 'x')", "SELECT 1 FROM"):
    try:
        cursor.execute(text)
    except pymysql.Error as error:
        tell("error", error.args)
cursor.execute("SELECT CAST('x' AS SIGNED)")
cursor.execute("SHOW WARNINGS")
tell("warnings", cursor.fetchall())
tell("large", cursor.execute("SELECT REPEAT('x', 3000000)"), len(cursor.fetchone()[0]))
connection.rollback()
with connection.cursor(SSCursor) as streaming:
    streaming.execute("SELECT id FROM orders ORDER BY id LIMIT 500")
    tell("stream", streaming.fetchmany(3), len(streaming.fetchall()))
with connection.cursor(DictCursor) as named:
    named.execute("SELECT id, sku FROM products ORDER BY id LIMIT 2")
    tell("dict", named.fetchall())
tell("ping", connection.ping())
connection.select_db(ADDRESS.database)
cursor.execute("SELECT DATABASE()")
tell("database", cursor.fetchall())
cursor.execute("CREATE PROCEDURE qk_two() BEGIN SELECT 1; SELECT 2, 3; END")
cursor.callproc("qk_two")
results = [cursor.fetchall()]
while cursor.nextset():
    results.append(cursor.fetchall())
tell("call", results)
cursor.execute("DROP PROCEDURE qk_two")
for charset in ("utf8mb4", "utf8mb3"):
    with pymysql.connect(**OPTIONS, charset=charset) as other, other.cursor() as cursor:
        cursor.execute("SELECT @@character_set_client, 'a'")
        tell("charset", cursor.fetchall())
with pymysql.connect(**OPTIONS, init_command="SET time_zone = '+09:00'", sql_mode="ANSI") as other:
    cursor = other.cursor()
    cursor.execute("SELECT @@time_zone, @@sql_mode")
    tell("init", cursor.fetchall())
tell("thread", connection.thread_id() > 0, connection.get_server_info())
connection.close()
