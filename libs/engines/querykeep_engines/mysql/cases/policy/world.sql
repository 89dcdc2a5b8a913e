-- The schema of the cases in this folder: the demo shop, and what a guard can be led astray with.
-- What stands in /*M! … */ is MariaDB's only. Statements end with a semicolon at the end of a line.
CREATE TABLE customers (
  id int NOT NULL PRIMARY KEY, name varchar(100) NOT NULL, email varchar(200), phone varchar(40),
  rrn varchar(20), card_number varchar(40), birth_date date, city varchar(60),
  tier varchar(20) NOT NULL DEFAULT 'basic', note text, created_at datetime NOT NULL DEFAULT '2026-01-01');
CREATE TABLE products (
  id int NOT NULL PRIMARY KEY, sku varchar(20) NOT NULL UNIQUE, name varchar(120) NOT NULL,
  category varchar(40) NOT NULL, price decimal(12, 2) NOT NULL, in_stock int NOT NULL);
CREATE TABLE orders (
  id int NOT NULL PRIMARY KEY, customer_id int NOT NULL, status varchar(20) NOT NULL,
  ordered_at datetime NOT NULL, total decimal(12, 2) NOT NULL, ship_address varchar(200),
  FOREIGN KEY (customer_id) REFERENCES customers (id));
CREATE TABLE order_items (
  order_id int NOT NULL, product_id int NOT NULL, quantity int NOT NULL,
  unit_price decimal(12, 2) NOT NULL, PRIMARY KEY (order_id, product_id));
CREATE TABLE employees (
  id int NOT NULL PRIMARY KEY, name varchar(100) NOT NULL, department varchar(60) NOT NULL,
  salary decimal(12, 2), hired_on date NOT NULL);
CREATE TABLE payroll (
  employee_id int NOT NULL, month date NOT NULL, amount decimal(12, 2) NOT NULL,
  PRIMARY KEY (employee_id, month));

-- The same names in another database, and nothing hidden in it.
CREATE TABLE other.customers (id int, email text, name text);

-- A hidden column below a unique key, generated columns, a foreign key.
CREATE TABLE people (
  id int NOT NULL PRIMARY KEY, email varchar(200), status enum('new', 'paid') DEFAULT 'new',
  email_lower varchar(200) AS (lower(email)) STORED, email_size int AS (char_length(email)) VIRTUAL,
  nick varchar(40), UNIQUE KEY nick_key (nick));
CREATE TABLE nick_notes (
  id int NOT NULL PRIMARY KEY, nick varchar(40), note text,
  FOREIGN KEY (nick) REFERENCES people (nick));

-- A hidden column in a CHECK, in an index, in a full-text index, as the key of partitions.
CREATE TABLE checked (
  id int NOT NULL PRIMARY KEY, ceiling int, wish int, CONSTRAINT wish_below_ceiling CHECK (wish <= ceiling));
CREATE TABLE solo (id int NOT NULL PRIMARY KEY, secret varchar(40), KEY secret_key (secret));
CREATE TABLE papers (id int NOT NULL PRIMARY KEY, title varchar(80), body text, FULLTEXT KEY body_words (body));
CREATE TABLE sealed (id int NOT NULL, secret varchar(40)) PARTITION BY KEY (secret) PARTITIONS 4;
CREATE TABLE logs (id int NOT NULL, note text, at date NOT NULL) PARTITION BY RANGE (YEAR(at))
  (PARTITION old VALUES LESS THAN (2026), PARTITION new VALUES LESS THAN MAXVALUE);

-- A trigger that sees a hidden column.
CREATE TABLE watched (id int NOT NULL PRIMARY KEY, secret varchar(80), seen int DEFAULT 0);
CREATE TRIGGER watched_touch BEFORE INSERT ON watched FOR EACH ROW
  SET NEW.seen = (SELECT COUNT(*) FROM customers WHERE email = NEW.secret);
CREATE TRIGGER watched_again BEFORE UPDATE ON watched FOR EACH ROW
  SET NEW.seen = char_length(OLD.secret);

-- A hidden column of every kind of type.
CREATE TABLE vault (
  id int NOT NULL PRIMARY KEY, label varchar(40), tiny tinyint, small smallint unsigned,
  medium mediumint, whole int(8) zerofill, big bigint unsigned, exact decimal(12, 2), single float,
  dbl double, flags bit(9), made year, born date, at time(3), seen datetime(6),
  stamped timestamp NULL, code char(8), bytes varbinary(20), bin binary(4), blobs mediumblob,
  texts mediumtext, mood enum('calm', 'glad', 'wild'), moods set('calm', 'glad', 'wild'), doc json,
  place point);

-- Views, also over views and with a hidden column in a predicate.
CREATE VIEW customer_contact AS SELECT id, name, email, phone FROM customers;
CREATE VIEW contact_twice AS SELECT id, email AS mail FROM customer_contact;
CREATE VIEW order_summary AS
  SELECT orders.id AS order_id, customers.name AS customer_name, customers.city AS city,
    orders.total AS total
  FROM orders JOIN customers ON customers.id = orders.customer_id;
CREATE VIEW vip AS SELECT id, name FROM customers WHERE email LIKE '%@example.com' AND rrn > '5';
CREATE VIEW emails_by_city AS SELECT city, count(DISTINCT email) AS emails FROM customers GROUP BY city;
CREATE ALGORITHM = TEMPTABLE VIEW kept AS SELECT id, rrn FROM customers;

-- Functions and a procedure of users.
CREATE FUNCTION peek(n int) RETURNS text READS SQL DATA RETURN (SELECT email FROM customers WHERE id = n);
CREATE FUNCTION other.upper(t text) RETURNS text DETERMINISTIC RETURN t;
CREATE VIEW with_function AS SELECT id, peek(id) AS peeked FROM customers;
CREATE PROCEDURE tell() SELECT email FROM customers ORDER BY id;
/*M! CREATE SEQUENCE numbers START WITH 1 */;
/*M! CREATE TABLE ages (id int NOT NULL PRIMARY KEY, email varchar(200)) WITH SYSTEM VERSIONING */;
