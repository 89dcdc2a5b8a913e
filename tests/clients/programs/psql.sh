# psql: meta commands, several statements, COPY, transactions, cursors, definitions, plans.
for command in '\d' '\d+ customers' '\dt+' '\di' '\dv+' '\df' '\dn+' '\du' '\dp' '\l' '\dT' '\dx' '\ds' '\dC' \
    '\dRp' '\det' '\db' '\drds' '\ddp' '\dc' '\da' '\dL' '\dy' '\d pg_class' '\encoding' '\dconfig work_mem'; do
    echo "## $command"
    psql -X -c "$command" 2>&1 | grep -v -E ' (kB|MB|bytes) '
done
psql -X <<'END' 2>&1
\set FETCH_COUNT 7
select id from products order by id limit 20;
\unset FETCH_COUNT
select 1 as a, 2 as b \gx
select 'x' as v \gset
\echo :v
select 1; select 2 \; select 3;
select 'create temp table z(a int)' \gexec
copy z from stdin;
1
2
\.
\copy (select * from z) to '/dev/stdout' csv header
select * from z \gdesc
begin;
select 1/0;
select 1;
rollback;
set work_mem='5MB';
show work_mem;
do $$ begin raise notice 'hi'; raise warning 'w' using detail='d', hint='h'; end $$;
explain (costs off) select * from orders where id=1;
explain (analyze, costs off, timing off, summary off) select * from orders where id=1;
prepare q(int) as select id from orders where id=$1;
execute q(3);
deallocate q;
declare c cursor with hold for select generate_series(1,5);
fetch 2 from c; move 1 in c; fetch all from c; close c;
vacuum z; analyze z;
create table lab_t(id int primary key generated always as identity, j jsonb default '{}', unique(j));
insert into lab_t(j) values('{"a":1}') on conflict do nothing returning *;
merge into lab_t t using (select 1 id) s on t.id=s.id when matched then update set j='{"b":2}';
select * from lab_t;
create index concurrently lab_i on lab_t((j->>'a'));
create function lab_f(int) returns int language sql as 'select $1+1';
select lab_f(2);
create procedure lab_p() language plpgsql as $$ begin commit; end $$;
call lab_p();
create view lab_v as select * from lab_t;
select * from lab_v;
create materialized view lab_m as select * from lab_t;
refresh materialized view lab_m;
comment on table lab_t is 'c';
grant select on lab_t to public;
alter table lab_t add column x int;
truncate lab_t restart identity cascade;
drop table lab_t cascade; drop function lab_f; drop procedure lab_p;
reset all; discard all;
select current_user, session_user, current_database();
END
