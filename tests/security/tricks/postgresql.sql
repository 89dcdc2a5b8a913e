select email from customers limit 1
select * from (select email e from customers) d limit 1
select (select email from customers limit 1)
with w as (select rrn x from customers) select x from w limit 1
select c from customers c limit 1
select c::text from customers c limit 1
select row_to_json(c) from customers c limit 1
select to_jsonb(c) from customers c limit 1
select json_agg(c) from customers c where id<3
select array_agg(email) from customers where id<3
select string_agg(email,',') from customers where id<3
select min(email) from customers
select (c).email from customers c limit 1
select x.* from (select c from customers c) x limit 1
select ((select c from customers c limit 1)).email
select email||'' from customers limit 1
select upper(email) from customers limit 1
select case when email like 'g%' then 1 else 0 end from customers limit 1
select coalesce(email,'x') from customers limit 1
select nullif(email,'a') from customers limit 1
select name from customers where email like 'g%' limit 1
select name from customers order by email limit 1
select count(*) from customers group by email limit 1
select distinct email from customers limit 1
select email from customers union select phone from customers limit 1
select name from customers union all select email from customers limit 2500
select 1/(case when email like 'g%' then 0 else 1 end) from customers limit 1
select cast(email as int) from customers limit 1
select email::bytea from customers limit 1
select length(email) from customers limit 1
select md5(email) from customers limit 1
select generate_series(1,length(email)) from customers limit 1
select regexp_split_to_table(email,'') from customers limit 1
select unnest(array[email]) from customers limit 1
select a.email from customers a join customers b on a.email=b.email limit 1
select a.id from customers a join customers b using (email) limit 1
select * from customers natural join customers x limit 1
select email from customers tablesample system(10) limit 1
select ctid, id from customers limit 1
table customers
values ((select email from customers limit 1))
select query_to_xml('select email from customers limit 2',true,true,'')
select table_to_xml('customers',true,true,'')
select database_to_xml(true,true,'')
select cursor_to_xml('x',1,true,true,'')
select most_common_vals from pg_stats where tablename='customers'
select * from pg_statistic limit 1
select histogram_bounds from pg_catalog.pg_stats limit 3
select * from pg_stat_activity
select query from pg_stat_activity
select * from pg_prepared_statements
select * from pg_cursors
select * from pg_stat_statements
select * from pg_authid
select rolpassword from pg_catalog.pg_authid
select * from pg_shadow
select pg_read_file('/etc/passwd')
select lo_import('/etc/passwd')
copy customers to stdout
copy (select email from customers) to stdout
copy customers to '/tmp/x'
copy customers to program 'cat'
explain select * from customers where email='x'
explain analyze select * from customers where email like 'g%'
prepare p as select email from customers limit 1
execute p
declare cu cursor for select email from customers
begin; declare cu cursor for select email from customers; fetch 2 from cu; commit
do $$ begin raise notice '%', (select email from customers limit 1); end $$
select set_config('search_path','x',false)
set role postgres
set session authorization postgres
create temp table t as select email from customers
select email into temp tt from customers
insert into products(sku,name) select email, rrn from customers limit 1
update customers set note=email where id=1
update customers set name='x' where id=1 returning email
with x as (update customers set tier='gold' where id=1 returning *) select * from x
delete from customers where id=999999 returning *
select * from customer_contact limit 1
select email from customer_contact limit 1
select customer_name from order_summary limit 1
select name from customer_contact where email like 'g%'
select pg_get_viewdef('customer_contact')
select salary from employees
select * from employees
select max(salary) from employees
select id from employees where salary>1
select id from employees order by salary
select e from employees e
select amount from payroll
select count(*) from payroll
select 1 from payroll limit 1
select exists(select 1 from payroll where amount>0)
select id from employees where id in (select employee_id from payroll where amount > 5000000)
select pg_relation_size('customers')
select relname, reltuples, relpages from pg_class where relname='customers'
select pg_sleep(0.01)
select pg_sleep(case when email like 'g%' then 1 else 0 end) from customers limit 1
select U&"\0065mail" from customers limit 1
select "email" from public.customers limit 1
select email from shop.public.customers limit 1
select EMAIL from CUSTOMERS limit 1
select /* x */ email /* from employees */ from customers limit 1
select 1; select email from customers limit 1
select c.email from customers as c(id,name,email) limit 1
select c.z from customers as c(a,b,z) limit 1
select z from customers as c(a,b,z) limit 1
select lateral_e.e from customers c, lateral (select c.email e) lateral_e limit 1
select first_value(email) over () from customers limit 1
select lag(email) over (order by id) from customers limit 3
select row_number() over (order by email), id from customers limit 1
select sum(id) filter (where email like 'g%') from customers
select percentile_disc(0.5) within group (order by email) from customers
select greatest(email,'a') from customers limit 1
select (array[email])[1] from customers limit 1
select row(email) from customers limit 1
select row(c.*) from customers c limit 1
select (row(email,1)).f1 from customers limit 1
select xmlelement(name a, email) from customers limit 1
select xmlforest(email) from customers limit 1
select format('%s',email) from customers limit 1
select concat(email) from customers limit 1
select json_build_object('a',email) from customers limit 1
select jsonb_object_agg(id,email) from customers where id<3
select * from jsonb_to_recordset((select jsonb_agg(c) from customers c where id<3)) as x(email text)
select * from rows from (unnest((select array_agg(email) from customers where id<3))) u
select (select string_agg(email,',') from customers where id<3)
select email collate "C" from customers limit 1
select email from only customers limit 1
select count(email) from customers
select count(distinct email) from customers
select bool_or(email like 'g%') from customers
select email is null from customers limit 1
select email = 'x' from customers limit 1
select email in ('x') from customers limit 1
select substr(email,1,1) from customers limit 1
select to_tsvector(email) from customers limit 1
listen x
notify x, 'y'
select pg_notify('a','b')
select currval('customers_id_seq')
select lastval()
select nextval('customers_id_seq')
select pg_advisory_lock(1)
lock table customers
vacuum customers
analyze customers
show all
select current_setting('x.y',true)
merge into products p using customers c on p.id=c.id when matched then update set name=c.email
select 1 from customers where exists (select 1 where customers.email like 'g%') limit 1
select id from customers limit (select length(email) from customers where id=1)
select id from customers offset (select length(email) from customers where id=1) limit 1
with recursive r(e) as (select email from customers where id=1 union all select e from r limit 2) select * from r
select t.* from customers c cross join lateral (values (c.email)) t(v) limit 1
select * from (values ((select email from customers where id=1))) v(x)
select e.x from (select email as x, id from customers) e where e.x like 'g%'
select x from (select id, email x from customers order by x) q limit 1
select pg_typeof(email) from customers limit 1
select pg_column_size(email) from customers limit 1
select quote_literal(email) from customers limit 1
select encode(email::bytea,'hex') from customers limit 1
select overlay(email placing '' from 1 for 0) from customers limit 1
select trim(email) from customers limit 1
select translate(email,'a','b') from customers limit 1
select reverse(email) from customers limit 1
select hashtext(email) from customers limit 1
select ascii(email) from customers limit 1
select strpos(email,'@') from customers limit 1
select email ~ '^g' from customers limit 1
select similar_to_escape(email) from customers limit 1
select txid_current()
select inet_server_addr()
select version()
select pg_ls_dir('.')
select pg_stat_file('x')
select dblink('','select 1')
select * from information_schema.columns where table_name='customers' limit 1
select * from pg_indexes limit 1
create function f() returns text language sql as 'select email from customers limit 1'
alter table customers add x int
truncate orders
grant select on customers to public
select pg_terminate_backend(1)
select pg_cancel_backend(1)
set client_encoding to 'SJIS'
set standard_conforming_strings to off
set search_path to pg_temp, public
select * from generate_series(1,2)
fetch all from cu
call x()
checkpoint
load 'x'
security label on table customers is 'x'
reassign owned by current_user to postgres
select relname, relpages, reltuples, relallvisible from pg_class where relnamespace = 'public'::regnamespace order by 1
select relname, reltuples::bigint from pg_class where relname in ('customers', 'payroll', 'employees') order by 1
select * from pg_class where relname = 'customers'
select c from pg_class c where relname = 'customers'
select row_to_json(c) from pg_class c where relname = 'customers'
select relname from pg_class where relpages > 40 order by 1
select relname from pg_class where relnamespace = 'public'::regnamespace order by relpages, relname
select max(relpages) from pg_class where relname = 'customers'
select sum(reltuples) from pg_class where relname = 'payroll'
select pg_total_relation_size('customers'), pg_table_size('customers'), pg_indexes_size('customers')
select pg_size_pretty(pg_relation_size('customers'))
select pg_database_size('shop')
select pg_database_size(current_database())
select pg_tablespace_size('pg_default')
select pg_relation_size(oid) from pg_class where relname = 'customers'
select pg_relation_size(oid) from pg_class where relname = 'payroll'
select pg_relation_size('payroll')
select * from pg_statio_user_tables
select n_live_tup from pg_stat_user_tables where relname = 'customers'
select n_live_tup from pg_stat_all_tables where relname = 'payroll'
select pg_stat_get_live_tuples('payroll'::regclass)
select * from pg_stat_database where datname = 'shop'
select * from pg_stat_io
select * from pg_stat_wal
select pg_current_wal_lsn()
select * from pg_locks
select last_value from pg_sequences
select stawidth from pg_statistic where starelid = 'customers'::regclass
select avg_width from pg_stats where tablename = 'customers'
select * from pg_stats_ext
select stxdmcv from pg_statistic_ext_data
explain select * from orders
explain select * from customers
explain select * from payroll
explain select * from employees
explain (costs off) select * from customers
explain select 1 from orders where customer_id in (select id from customers)
select count(*) from orders o join customers c on c.id = o.customer_id
select pg_column_size(email) from customers limit 1
select octet_length(email) from customers limit 1
select pg_column_size(c) from customers c limit 1
select hashtext(email) from customers limit 1
select ctid from orders limit 1
select ctid from employees limit 1
select tableoid::regclass from customers limit 1
select xmin from payroll limit 1
select * from customers tablesample bernoulli(50) repeatable (1)
insert into customers(id, name, email) values (1, 'x', 'y') on conflict (id) do nothing
insert into customers(id, name, email) values (1, 'x', 'y') on conflict (id) do update set name = 'q' where customers.email like 'g%'
insert into customers(id, name, email) values (1, 'x', 'y') on conflict (id) do update set note = customers.email
update customers set email = 'x' where id = 1
update customers set name = 'q' where id = 1 and rrn is null
update orders set status = 'x' from customers c where c.id = orders.customer_id and c.email like 'g%'
delete from orders using customers c where c.phone = '1' and c.id = orders.customer_id
merge into orders o using customers c on c.email = o.status when matched then delete
insert into employees(id, name, department, salary, hired_on) values (1, 'a', 'b', 1, now())
insert into employees(id, name, department, hired_on) values (100000, 'a', 'b', now()) returning *
insert into payroll values (150, '2024-01', 1)
insert into payroll values (150, '2024-01-01', 1) on conflict do nothing
delete from employees where id = 150
update employees set id = 99999 where id = 150
select nextval('customers_id_seq')
lock table payroll
select * from employees for update
select name from employees where id in (select employee_id from payroll)
select 1 from employees e where exists (select from payroll p where p.employee_id = e.id)
select has_column_privilege('customers', 'email', 'select')
select pg_get_expr(conbin, conrelid) from pg_constraint
select * from information_schema.columns where table_name = 'customers' order by ordinal_position
select obj_description('customers'::regclass)
with recursive r(n, e) as (select id, email from customers where id = 1 union all select id, email from customers, r where id = n + 1 and n < 5) select e from r
with recursive r as (select email from customers where id = 1 union select email from customers) select count(*) from r
select count(*) from (select email from customers limit 5) d
select count(*) from (select distinct email from customers) d
select count(*) from (select email from customers group by email) d
select exists (select 1 from customers where email is null)
select email is null from customers limit 5
select email is not distinct from phone from customers limit 5
select (email, phone) = (phone, email) from customers limit 5
select num_nulls(email, phone) from customers limit 5
select coalesce(email, phone) from customers limit 5
select email from customers order by id limit (select length(email) from customers where id = 1)
select id from customers limit (select ascii(email) from customers where id = 1)
select id from customers order by id offset (select length(rrn) from customers where id = 1)
select id, email from customers order by 2
select id from customers order by (select email)
select id, rank() over (order by rrn) from customers
select string_agg(name, ',' order by email) from customers
select array(select email from customers order by id limit 3)
select (select array_agg(email) from customers)
select json_object_agg(id, email) from customers
select x.e from customers c cross join lateral (select c.email) x(e) limit 3
select u.e from customers c cross join lateral unnest(array[c.email, c.phone]) u(e) limit 3
select * from customers c, jsonb_each_text(to_jsonb(c)) limit 5
select * from customers c, jsonb_to_record(to_jsonb(c)) x(email text) limit 5
select jsonb_path_query(to_jsonb(c), '$.email') from customers c limit 3
select to_jsonb(c) -> 'email' from customers c limit 3
select to_jsonb(c) @> '{"email": "x"}' from customers c limit 3
select c::text::json from customers c limit 3
select c is null from customers c limit 3
select c = c from customers c limit 3
select (c).* from customers c limit 3
select (x.c).email from (select c from customers c) x limit 3
select (customers).email from customers limit 3
select customers from customers limit 3
select email(c) from customers c limit 3
select c.email::regclass from customers c limit 1
select email::name from customers limit 3
select email::char(1) from customers limit 3
select email::varchar(3) from customers limit 3
select email collate "C" from customers limit 3
select email::date from customers limit 1
select email::xml from customers limit 1
select email::citext from customers limit 1
select case when true then email end from customers limit 3
select case id when 1 then email else phone end from customers limit 3
select least(email, phone) from customers limit 3
select cast(cast(email as text) as varchar) from customers limit 3
select overlay(email placing 'x' from 1) from customers limit 3
select email ~ '^g' from customers limit 3
select substring(email from '(.)@') from customers limit 3
select to_tsvector(email) from customers limit 3
select encode(email::bytea, 'hex') from customers limit 3
select convert_to(email, 'latin1') from customers limit 3
select email || null from customers limit 3
select name || email from customers limit 3
select repeat(email, 1) from customers limit 3
select * from (values (1)) v(x), customers limit 3
select * from customers c join customers d using (id) limit 3
select * from (customers c join customers d using (id)) as j limit 3
select j.email from (customers c join orders o on o.customer_id = c.id) as j limit 3
select merged.email from customers c join customers d using (email) as merged limit 3
select * from customer_contact natural join customers limit 3
select email from customer_contact union all select sku from products limit 3
select sku from products union all select email from customers limit 303
select sku from products intersect select email from customers
select sku from products except select email from customers limit 3
select * from only customers limit 3
select * from customers * limit 3
table customer_contact
select currval('customers_id_seq')
select pg_typeof(email) from customers limit 3
select raise_error(email) from customers
select set_config('application_name', email, false) from customers limit 1
select set_config('querykeep.x', (select email from customers limit 1), false)
select pg_notify('a', email) from customers limit 1
select pg_advisory_lock(length(email)) from customers limit 1
select setseed(length(email)/100.0) from customers limit 1
select lo_from_bytea(0, email::bytea) from customers limit 1
select dblink('a', email) from customers limit 1
select pg_logical_emit_message(false, 'a', email) from customers limit 1
select pg_backend_pid() from customers where pg_cancel_backend(length(email))
select generate_series(1, 3), email from customers limit 3
select width_bucket(length(email), 1, 10, 5) from customers limit 3
create temp table t1 as table customers
create temp view v1 as select email as name from customers
create temp table t2 (like customers including all)
select * into temp t3 from customers
copy customers (email) to stdout
copy (table customers) to stdout (format binary)
copy customers from stdin
prepare leak as select email from customers order by id limit 2; execute leak; deallocate leak
declare leak cursor for select email, phone from customers order by id; fetch 2 from leak; fetch absolute 5 from leak; fetch relative -1 from leak; close leak
begin; savepoint a; select email from customers where email like 'g%'; rollback to a; select email from customers limit 1
set search_path to pg_temp, public; select email from customers limit 1
set search_path = nowhere; select email from public.customers limit 1
set standard_conforming_strings = off; select '\' or email like ''g%' from customers
set debug_print_plan = on
set client_min_messages = debug5; select email from customers limit 1
set log_statement = 'all'
set session_replication_role = replica
set row_security = off
set transform_null_equals = on; select id from customers where email = null
set plan_cache_mode = force_generic_plan
set array_nulls = off
set bytea_output = escape; select email::bytea from customers
set default_tablespace = 'pg_default'
analyze customers
analyze verbose customers
vacuum verbose customers
cluster verbose customers
reindex (verbose) table customers
comment on table customers is 'x'
security label on table customers is 'x'
listen a; notify a, 'x'
refresh materialized view x
grant all on customers to public
alter table customers add check (email like 'g%')
create index on customers (email)
create unique index on customers (left(email, 1))
create rule r as on select to orders do instead select * from customers
create function f() returns text language sql as 'select email from customers limit 1'
create trigger t before insert on orders execute function f()
call f()
checkpoint
load 'x'
discard all
