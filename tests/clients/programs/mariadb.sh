# mariadb: tables, several results, warnings, completion's questions, LOAD refused alike; mariadb-dump.
run() { mariadb --no-defaults --skip-ssl -h"$ROAD_HOST" -P"$ROAD_PORT" -u"$ROAD_USER" "$ROAD_DATABASE" "$@" 2>&1; }
export MYSQL_PWD="$ROAD_PASSWORD"
for text in 'SHOW TABLES' 'SHOW FULL COLUMNS FROM customers' 'SHOW CREATE TABLE orders' 'SHOW CREATE VIEW order_summary' \
    'DESCRIBE products' 'SHOW DATABASES' 'SHOW VARIABLES LIKE "sql_mode"' 'SHOW WARNINGS' 'SHOW INDEX FROM order_items' \
    'EXPLAIN SELECT * FROM orders WHERE id = 1' 'SELECT COUNT(*) FROM orders' 'SELECT * FROM nowhere' 'SELECT 1/0' 'SHOW ENGINES'; do
    echo "## $text"
    run -t -e "$text"
done
run --html -e 'SELECT id, name FROM products LIMIT 2'
run --xml -e 'SELECT id, name FROM products LIMIT 2'
run -vvv --auto-rehash <<'END' | grep -v -E '\([0-9.]+ sec\)'
CREATE TABLE lab_t (id INT AUTO_INCREMENT PRIMARY KEY, j JSON, n VARCHAR(20) DEFAULT 'x', KEY (n));
INSERT INTO lab_t (j) VALUES ('{"a": 1}'), ('{}') RETURNING id;
REPLACE INTO lab_t VALUES (1, '{}', 'y');
INSERT INTO lab_t VALUES (1, '{}', 'z') ON DUPLICATE KEY UPDATE n = 'again';
UPDATE lab_t SET n = 'u' WHERE id = 2;
WITH c AS (SELECT * FROM lab_t) SELECT id, n FROM c ORDER BY id;
START TRANSACTION; DELETE FROM lab_t WHERE id = 1; SAVEPOINT s; ROLLBACK TO s; ROLLBACK;
PREPARE p FROM 'SELECT n FROM lab_t WHERE id = ?'; SET @id = 1; EXECUTE p USING @id; DEALLOCATE PREPARE p;
ALTER TABLE lab_t ADD COLUMN x INT; CREATE INDEX lab_i ON lab_t (x); TRUNCATE lab_t; ANALYZE TABLE lab_t;
CREATE TEMPORARY TABLE lab_x AS SELECT id, name FROM products LIMIT 3; SELECT * FROM lab_x; DROP TABLE lab_x;
delimiter //
CREATE PROCEDURE lab_p(IN a INT) BEGIN SELECT a; SELECT a + 1; END //
delimiter ;
CALL lab_p(3); DROP PROCEDURE lab_p;
LOCK TABLES lab_t WRITE; UNLOCK TABLES;
DROP TABLE lab_t;
SELECT CURRENT_USER(), DATABASE();
END
dump() { mariadb-dump --no-defaults --skip-ssl --skip-dump-date -h"$ROAD_HOST" -P"$ROAD_PORT" -u"$ROAD_USER" "$@" "$ROAD_DATABASE" 2>&1 | cksum; }
dump
dump --single-transaction --routines --triggers --events
dump --no-data --skip-lock-tables
dump --tab=/nowhere --fields-terminated-by=, | wc -l
