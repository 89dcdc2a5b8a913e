select email from customers limit 1
select * from (select email e from customers) d limit 1
select (select email from customers limit 1)
with w as (select rrn x from customers) select x from w limit 1
select c.* from customers c limit 1
select json_object('a',email) from customers limit 1
select json_arrayagg(email) from customers where id<3
select group_concat(email) from customers where id<3
select min(email) from customers
select concat(email,'') from customers limit 1
select concat_ws('',email) from customers limit 1
select email+0 from customers limit 1
select phone+1 from customers limit 1
select upper(email) from customers limit 1
select if(email like 'g%',1,0) from customers limit 1
select case when email like 'g%' then 1 end from customers limit 1
select coalesce(email,'x') from customers limit 1
select nullif(email,'a') from customers limit 1
select ifnull(email,'a') from customers limit 1
select name from customers where email like 'g%' limit 1
select name from customers order by email limit 1
select name from customers order by 1 limit 1
select email from customers order by 1 limit 1
select email e from customers order by e limit 1
select count(*) from customers group by email limit 1
select email from customers group by 1 limit 1
select distinct email from customers limit 1
select email from customers union select phone from customers limit 1
select name from customers union all select email from customers limit 2500
select 1 from customers having max(email) > 'a'
select cast(email as char) from customers limit 1
select convert(email using utf8mb4) from customers limit 1
select binary email from customers limit 1
select hex(email) from customers limit 1
select to_base64(email) from customers limit 1
select length(email) from customers limit 1
select ascii(email) from customers limit 1
select substr(email,1,1) from customers limit 1
select mid(email,1,1) from customers limit 1
select md5(email) from customers limit 1
select extractvalue('<a/>',concat('/',email)) from customers limit 1
select updatexml('<a/>',concat('~',email),'x') from customers limit 1
select exp(email) from customers limit 1
select a.id from customers a join customers b on a.email=b.email limit 1
select a.id from customers a join customers b using (email) limit 1
select * from customers natural join customer_contact limit 1
table customers
values row((select email from customers limit 1))
select @x:=email from customers limit 1
set @x=(select email from customers limit 1)
select @x
select email into @y from customers limit 1
select email into outfile '/tmp/zz' from customers
select email into dumpfile '/tmp/zz' from customers limit 1
select email/**/into/**/outfile '/tmp/zz' from customers
select /*!50000 email */ from customers limit 1
select /*!50000 id, email */ from customers limit 1
select /*M! email */ from customers limit 1
select /*M!100000 email */ from customers limit 1
select id /*!99999 , email */ from customers limit 1
select id /*! , email*/ from customers limit 1
select 1 -- x
select 1 # x
select id, email from customers where id=1 /* ; */
select `email` from `shop`.`customers` limit 1
select EMAIL from customers limit 1
select shop.customers.email from shop.customers limit 1
handler customers open
handler customers read first
do (select email from customers limit 1)
explain select * from customers where email='x'
explain extended select * from customers where id=1
show warnings
analyze select * from customers where id=1
analyze format=json select * from customers
describe customers
show columns from customers
show full columns from customers
show index from customers
show table status
show create table customers
show create view customer_contact
show processlist
show full processlist
select * from information_schema.processlist
select * from information_schema.tables where table_name='customers'
select table_rows,data_length from information_schema.tables where table_name='customers'
select * from information_schema.columns where table_name='customers' limit 1
select * from information_schema.statistics limit 1
select * from information_schema.innodb_sys_tables
select * from mysql.user
select * from mysql.column_stats
select * from mysql.innodb_table_stats
select * from performance_schema.events_statements_current
select * from sys.x
prepare p from 'select email from customers limit 1'
execute p
prepare q from 'select salary from employees'
execute immediate 'select email from customers limit 1'
create temporary table t select email from customers
create table t as select email from customers
insert into products(sku,name) select email,rrn from customers limit 1
replace into products(sku,name) select email,rrn from customers limit 1
update customers set note=email where id=1
update customers set email='x' where id=1
update products p join customers c on p.id=c.id set p.name=c.email where p.id=1
insert into customers(id,name,email) values(1,'a','b') on duplicate key update note=email
delete from customers where id=9999999 returning email
insert into products(id,sku,name,category,price,in_stock) values (99999,'a','b','c',1,1) returning (select email from customers limit 1)
select * from customer_contact limit 1
select email from customer_contact limit 1
select name from customer_contact where email like 'g%'
select salary from employees
select * from employees
select max(salary) from employees
select id from employees order by salary
select id from employees where salary>1
select count(*) from payroll
select exists(select 1 from payroll where amount>1)
select sleep(0.01)
select sleep(if(email like 'g%',1,0)) from customers limit 1
select benchmark(1,1)
select load_file('/etc/passwd')
load data infile '/etc/passwd' into table products
load data local infile '/etc/passwd' into table products
select get_lock('a',1)
select row_number() over (order by email), id from customers limit 1
select first_value(email) over (order by id) from customers limit 1
select lag(email) over (order by id) from customers limit 3
select json_value(json_object('a',email),'$.a') from customers limit 1
select * from json_table('[1]','$[*]' columns(a int path '$')) t
select jt.* from customers c, json_table(json_array(c.email),'$[*]' columns(a varchar(100) path '$')) jt limit 1
select email is null from customers limit 1
select email='x' from customers limit 1
select email in ('x') from customers limit 1
select email regexp '^g' from customers limit 1
select email like 'g%' from customers limit 1
select greatest(email,'a') from customers limit 1
select elt(1,email) from customers limit 1
select field(email,'a') from customers limit 1
select locate('@',email) from customers limit 1
select reverse(email) from customers limit 1
select lpad(email,5,'x') from customers limit 1
select replace(email,'@','') from customers limit 1
select soundex(email) from customers limit 1
select email sounds like 'x' from customers limit 1
select match(email) against ('x') from customers limit 1
select count(email) from customers
select count(distinct email) from customers
select email collate utf8mb4_bin from customers limit 1
select weight_string(email) from customers limit 1
select email from customers procedure analyse()
select email from customers for update
select email from customers lock in share mode
select email from customers limit 1; select rrn from customers limit 1
set sql_mode='ANSI_QUOTES'
select "email" from customers limit 1
set sql_mode='NO_BACKSLASH_ESCAPES'
select 'a\', email from customers limit 1 -- '
select '\', email, '\' from customers limit 1
set sql_mode=''
set names gbk
set character_set_client=gbk
set names latin1
set character_set_results=null
select email from customers limit 1
set names utf8mb4
set password=password('x')
set global x=1
set role none
use mysql
use shop
kill 1
flush tables
call p()
create function f() returns int return 1
create procedure p() select email from customers
alter table customers add x int
truncate orders
drop table orders
grant select on shop.* to x
lock tables customers read
unlock tables
xa start 'a'
begin not atomic select email from customers; end
if 1 then select email from customers; end if
get diagnostics condition 1 @p = message_text
show errors
select found_rows()
select row_count()
select last_insert_id()
select user(), current_user(), database(), version(), connection_id()
select _utf8mb4'email' from customers limit 1
select email as `salary` from customers limit 1
select (email) from customers limit 1
select ((select ((email)))) from customers limit 1
select (select c.email) from customers c limit 1
select t.a from (select email a union all select 'x') t
select a from (select id, email a from customers order by a) q limit 1
select * from (values ((select email from customers where id=1))) v
select x from customers, lateral (select email x) l limit 1
select default(email) from customers limit 1
select email->'$.a' from customers limit 1
select interval(email,1) from customers limit 1
select format(email,1) from customers limit 1
select inet_aton(email) from customers limit 1
select uuid()
select rand(email) from customers limit 1
select encrypt(email) from customers limit 1
select aes_encrypt(email,'k') from customers limit 1
select column_create('a',email) from customers limit 1
select std(email) from customers
select bit_count(email) from customers limit 1
select email div 1 from customers limit 1
select not email from customers limit 1
select -email from customers limit 1
select !email from customers limit 1
select email xor 1 from customers limit 1
select sql_calc_found_rows email from customers limit 1
select straight_join email from customers limit 1
select all email from customers limit 1
select customers.* from customers limit 1
select email from customers use index (primary) limit 1
select email from customers partition (p0) limit 1
select email from customers for system_time all limit 1
select nextval(x)
show table status
show table status like 'customers'
show table status from shop where rows > 0
show index from customers
show keys from employees
select * from information_schema.tables where table_schema = 'shop' order by table_name
select table_name, table_rows, avg_row_length, data_length, index_length, data_free from information_schema.tables where table_name = 'customers'
select table_rows from information_schema.tables where table_name = 'payroll'
select table_name from information_schema.tables where data_length > 300000
select sum(data_length) from information_schema.tables
select * from information_schema.statistics where table_name = 'customers'
select cardinality from information_schema.statistics where table_name = 'payroll'
select * from information_schema.partitions where table_name = 'customers'
select table_rows from information_schema.partitions where table_name = 'payroll'
select * from information_schema.innodb_sys_tablestats
select * from information_schema.innodb_sys_tablespaces
select * from information_schema.innodb_tablespaces_encryption
select * from information_schema.table_statistics
select * from information_schema.index_statistics
select * from information_schema.innodb_buffer_page
select * from information_schema.innodb_metrics
select * from information_schema.column_statistics
select * from mysql.innodb_table_stats
select * from mysql.table_stats
select * from mysql.column_stats
select * from mysql.general_log
select * from information_schema.processlist
show full processlist
show status like 'Handler%'
show session status like 'Innodb_rows%'
show global status
show engine innodb status
show open tables
show warnings
show errors
show profiles
show profile
get diagnostics @a = row_count
explain select * from customers
explain select * from payroll
explain select * from orders
explain extended select * from customers where email like 'g%'
explain format=json select * from customers
analyze select * from customers where email like 'g%'
analyze format=json select * from customers
desc customers
describe customers email
show full columns from customers
show create table customers
show create view customer_contact
checksum table customers
checksum table payroll
check table customers
analyze table customers
optimize table customers
handler customers open
handler customers read first
select id, email from customers procedure analyse()
select email into @e from customers limit 1
set @e = (select email from customers limit 1)
select @e := email from customers limit 1
select id from customers where email = @e
select found_rows()
select row_count()
select sql_calc_found_rows id from customers limit 1; select found_rows()
select last_insert_id(length(email)) from customers limit 1
select last_insert_id()
select get_lock(email, 0) from customers limit 1
select sleep(length(email) > 300) from customers limit 1
select benchmark(1, email) from customers limit 1
select email + 0 from customers limit 3
select email div 1 from customers limit 3
select cast(email as unsigned) from customers limit 3
select cast(email as date) from customers limit 3
select date(email) from customers limit 3
select json_extract(email, '$') from customers limit 3
select json_valid(email) from customers limit 3
select json_arrayagg(email) from customers
select json_objectagg(id, email) from customers
select json_object('e', email) from customers limit 3
select * from json_table((select json_arrayagg(email) from customers), '$[*]' columns (e text path '$')) j limit 3
select extractvalue(1, concat('~', email)) from customers limit 1
select updatexml(1, concat('~', email), 1) from customers limit 1
select exp(710 * (email like 'g%')) from customers limit 1
select 1 from customers where 1 = (select 1 union select 2 from customers where email like 'g%')
select (select email from customers) from products limit 1
select st_geomfromtext(email) from customers limit 1
select convert(email using latin1) from customers limit 3
select email collate utf8mb4_bin from customers limit 3
select binary email from customers limit 3
select hex(email), to_base64(phone) from customers limit 3
select char_length(email), bit_length(email) from customers limit 3
select password(email), sha2(email, 256), crc32(email) from customers limit 3
select elt(1, email), field(email, 'a'), find_in_set(email, 'a') from customers limit 3
select ifnull(email, 'x'), nullif(email, 'a'), isnull(email) from customers limit 3
select greatest(email, 'a'), interval(email, 1) from customers limit 3
select email regexp '^g', email rlike '^g', email like 'g%' from customers limit 3
select email <=> phone, email = phone, email between 'a' and 'z' from customers limit 3
select case when email then 1 end from customers limit 3
select if(email, 1, 2) from customers limit 3
select not email, !email, -email, ~email from customers limit 3
select strcmp(email, 'a') from customers limit 3
select soundex(email), reverse(email), lpad(email, 3, 'x') from customers limit 3
select substring_index(email, '@', 1) from customers limit 3
select mid(email, 2, 3), insert(email, 1, 0, 'x'), replace(email, 'a', 'b') from customers limit 3
select min(email), max(phone), count(distinct rrn), group_concat(card_number) from customers
select count(email), count(distinct email), bit_xor(email), std(email), sum(phone) from customers
select tier, group_concat(name order by email) from customers group by tier
select first_value(email) over (order by id), lead(email) over (order by id) from customers limit 3
select row_number() over (order by email), id from customers limit 3
select percentile_cont(0.5) within group (order by length(email)) over () from customers limit 1
select id from customers order by email limit 3
select id from customers order by -phone limit 3
select id from customers group by email limit 3
select tier from customers group by tier with rollup having max(email) > 'a'
select distinct email from customers limit 3
select id from customers having email like 'g%' limit 3
select id from customers limit 1 offset 5
select name from customers union select email from customers limit 3
select name from customers except select email from customers
select name from customers intersect select phone from customers
values row((select email from customers limit 1))
values ((select email from customers limit 1))
table customers
select * from customers partition (p0)
select * from customers use index (primary) limit 3
select * from customers as of timestamp now()
select * from customers for system_time all
select straight_join email from customers limit 3
select sql_buffer_result email from customers limit 3
select high_priority email from customers limit 3
select /*! email */ from customers limit 3
select /*!99999 1, */ email from customers limit 3
select /*!101119 1, */ email from customers limit 3
select /*!101120 1, */ email from customers limit 3
select /*M!101119 1, */ email from customers limit 3
select /*M!999999 1, */ email from customers limit 3
select 1 /*!, email */ from customers limit 3
select 1 /*!080000 , email */ from customers limit 3
select 1 /*!50700, email */ from customers limit 3
select 1 -- , email
select 1 --, email from customers
select 1 # , email
select `email` from `shop`.`customers` limit 3
select shop.customers.email from shop.customers limit 3
select e.email from shop.customers e limit 3
select "email" from customers limit 3
set sql_mode = 'ANSI_QUOTES'; select "email" from customers limit 3
set sql_mode = ansi_quotes
select "email" from customers where "email" like 'g%' limit 3
set sql_mode = 'NO_BACKSLASH_ESCAPES'
select '\' or email like ''g%' from customers limit 3
set sql_mode = 'PIPES_AS_CONCAT'
select 'a' || email from customers limit 3
set sql_mode = 'ORACLE'
set sql_mode = default
set names gbk
set names latin1
set character_set_client = sjis
set character_set_results = ucs2
set collation_connection = gbk_chinese_ci
set names utf8mb4
set global general_log = 1
set session optimizer_trace = 'enabled=on'
select * from information_schema.optimizer_trace
set profiling = 1
set @@session.sql_select_limit = 1
set autocommit = 0
set statement max_statement_time = 1 for select email from customers where email like 'g%'
set statement sql_mode = 'ANSI_QUOTES' for select "email" from customers limit 3
set role none
set password = 'x'
use information_schema
select email from shop.customers limit 3
use shop
prepare leak from 'select email from customers where email like ?'
execute leak using @a
prepare leak from 'select email from customers limit 3'
execute leak
execute immediate concat('select email', ' from customers limit 3')
execute immediate 'select email from customers where email like \'g%\''
deallocate prepare leak
create temporary table t1 as select email from customers
create temporary table t2 like customers
insert into products (id, sku, name) select 100000 + id, email, phone from customers limit 1
insert into customers (id, email) values (1, 'x') on duplicate key update name = 'q', email = values(email)
insert into customers (id, email) values (1, 'x') on duplicate key update note = email
insert ignore into customers (id, email) values (1, 'x')
insert into customers (id, name, email) values (999999, 'x', 'y') returning email, length(email)
replace into customers (id, name) values (1, 'q') returning email
update customers set email = 'g' where id = 1
update customers set note = email where id = 1
update customers set name = 'q' where rrn = '!'
update customers set name = 'q' order by email limit 1
update orders o join customers c on c.id = o.customer_id and c.email like 'g%' set o.status = 'x' where o.id > 0
update ignore customers set name = 'q' where id = 1
delete from customers where email = 'x'
delete from orders where customer_id in (select id from customers where phone like '%1')
delete from orders where id = 1 order by (select email from customers limit 1) limit 1
delete from customers where id = 999999 returning email
select * from employees
select salary from employees limit 1
select name from employees where salary > 2 limit 1
select * from payroll
select 1 from payroll limit 1
select exists (select 1 from payroll where employee_id = 150)
insert into payroll values (150, '2024-01-01', 3)
insert ignore into payroll values (150, '2024-01-01', 3)
delete from employees where id = 150
insert into employees (id, name) values (1, 'x') on duplicate key update salary = salary + 1
select load_file('/etc/passwd')
select email into outfile '/tmp/x' from customers
select email into dumpfile '/tmp/y' from customers limit 1
load data infile '/etc/passwd' into table products
load data local infile '/etc/passwd' into table products
load xml local infile '/x' into table products
lock tables customers read, payroll read
unlock tables
flush tables customers for export
kill query 1
do (select email from customers limit 1)
do sleep(0)
call f()
begin not atomic select email from customers limit 1; end
declare c cursor for select email from customers
create view v as select email as name from customers
create function f() returns text return (select email from customers limit 1)
create trigger t before insert on orders for each row set new.status = (select email from customers limit 1)
create event e on schedule every 1 second do select 1
alter table customers add check (email like 'g%')
create unique index i on customers (email)
signal sqlstate '45000' set message_text = 'x'
help 'select'
show binlog events
show slave status
show grants
show create user
select * from mysql.user
select current_user(), @@datadir, @@secure_file_priv
select nextval(s)
xa start 'x'
shutdown
