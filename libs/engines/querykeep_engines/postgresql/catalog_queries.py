"""The SQL of the catalog crawl. Each query runs once whatever the size of the database.

All run in one read-only snapshot under ``search_path = ''``, so that the server prints every name
of a definition with its schema. Temporary objects belong to sessions and are left out.
"""

from __future__ import annotations

BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
DEFAULTS = "SELECT pg_catalog.current_setting('search_path'), session_user::text"
PIN = "SET LOCAL search_path = ''; SET LOCAL statement_timeout = '120s'"

SETTINGS = """
SELECT name, setting FROM pg_catalog.pg_settings
WHERE name IN ('server_version', 'server_version_num', 'standard_conforming_strings',
               'server_encoding', 'max_identifier_length', 'default_transaction_read_only',
               'transform_null_equals', 'array_nulls', 'IntervalStyle', 'DateStyle', 'TimeZone',
               'lc_messages', 'block_size')
ORDER BY name
"""

# A schema without USAGE is skipped by name resolution, as it is by the server.
SCHEMAS = """
SELECT nspname FROM pg_catalog.pg_namespace
WHERE nspname !~ '^pg_(temp|toast_temp)_' AND pg_catalog.has_schema_privilege(oid, 'USAGE')
ORDER BY 1
"""

RELATIONS = """
SELECT c.oid::text, n.nspname, c.relname, c.relkind::text, c.reltuples::bigint::text,
       coalesce(d.description, ''),
       CASE WHEN c.relkind IN ('v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
            THEN coalesce(pg_catalog.pg_get_viewdef(c.oid), '') ELSE '' END
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_description d
  ON d.objoid = c.oid AND d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objsubid = 0
WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p', 'S') AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_(toast|temp)'
ORDER BY n.nspname, c.relname
"""

COLUMNS = """
SELECT a.attrelid::text, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
       a.attnum::text, a.attnotnull::text, a.atttypid::text, a.attgenerated::text,
       CASE WHEN a.attrelid < 16384 THEN NULL
            ELSE pg_catalog.pg_get_expr(f.adbin, f.adrelid) END,
       coalesce(d.description, '')
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
LEFT JOIN pg_catalog.pg_description d
  ON d.objoid = a.attrelid AND d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass
 AND d.objsubid = a.attnum AND a.attrelid >= 16384
WHERE a.attnum > 0 AND NOT a.attisdropped
  AND c.relkind IN ('r', 'v', 'm', 'f', 'p', 'S') AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_(toast|temp)'
ORDER BY a.attrelid, a.attnum
"""

# The last array: columns that expressions and the predicate read, from the dependencies.
INDEXES = """
SELECT i.indrelid::text, ic.relname, i.indisunique::text, i.indisprimary::text,
       pg_catalog.pg_get_indexdef(i.indexrelid), (i.indexprs IS NOT NULL)::text,
       pg_catalog.array_to_json(ARRAY(
         SELECT a.attname FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY k(n, o)
         JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.n
         ORDER BY k.o))::text,
       pg_catalog.array_to_json(ARRAY(
         SELECT DISTINCT a.attname FROM pg_catalog.pg_depend p
         JOIN pg_catalog.pg_attribute a ON a.attrelid = p.refobjid AND a.attnum = p.refobjsubid
         WHERE p.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND p.objid = i.indexrelid
           AND p.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
           AND p.refobjid = i.indrelid AND p.refobjsubid > 0
           AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
         ORDER BY 1))::text
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
WHERE i.indrelid >= 16384 AND ic.relpersistence <> 't'
ORDER BY i.indrelid, ic.relname
"""

CONSTRAINTS = """
SELECT k.conrelid::text, k.conname, k.contype::text, pg_catalog.pg_get_constraintdef(k.oid),
       coalesce(rn.nspname, ''), coalesce(rc.relname, ''),
       pg_catalog.array_to_json(ARRAY(
         SELECT a.attname FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY u(n, o)
         JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.n
         ORDER BY u.o))::text,
       pg_catalog.array_to_json(ARRAY(
         SELECT a.attname FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY u(n, o)
         JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.n
         ORDER BY u.o))::text
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
LEFT JOIN pg_catalog.pg_class rc ON rc.oid = k.confrelid
LEFT JOIN pg_catalog.pg_namespace rn ON rn.oid = rc.relnamespace
WHERE k.contype IN ('f', 'c', 'x') AND k.conrelid >= 16384 AND c.relpersistence <> 't'
ORDER BY k.conrelid, k.conname
"""

TRIGGERS = """
SELECT t.tgrelid::text, t.tgname, t.tgtype::text, pg_catalog.pg_get_triggerdef(t.oid), 'trigger'
FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal
UNION ALL
SELECT r.ev_class::text, r.rulename, r.ev_type::text, pg_catalog.pg_get_ruledef(r.oid), 'rule'
FROM pg_catalog.pg_rewrite r WHERE r.rulename <> '_RETURN' AND r.ev_class >= 16384
ORDER BY 1, 2
"""

# Only where row-level security is on; a policy of a table where it is off does nothing.
POLICIES = """
SELECT p.polrelid::text, p.polname, coalesce(pg_catalog.pg_get_expr(p.polqual, p.polrelid), ''),
       coalesce(pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), '')
FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
WHERE c.relrowsecurity
ORDER BY p.polrelid, p.polname
"""

PARENTS = """
SELECT i.inhrelid::text, i.inhparent::text FROM pg_catalog.pg_inherits i
ORDER BY i.inhrelid, i.inhseqno
"""

# Extensions of the list were read: their operators and overloads compute from their arguments
# alone, so they do not count as user routines that shadow a builtin. Calling one of their own names
# is still a call of an unvouched function.
ROUTINES = """
WITH vetted AS (
  SELECT d.classid, d.objid FROM pg_catalog.pg_depend d
  JOIN pg_catalog.pg_extension e
    ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid
  WHERE d.deptype = 'e' AND e.extname IN (
    'btree_gin', 'btree_gist', 'citext', 'cube', 'fuzzystrmatch', 'hstore', 'intarray',
    'isn', 'ltree', 'pg_trgm', 'plpgsql', 'seg', 'unaccent', 'uuid-ossp')
)
SELECT n.nspname, p.proname,
       CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate'
                      WHEN 'w' THEN 'window' ELSE 'function' END
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE p.oid >= 16384 AND n.nspname !~ '^pg_(toast|temp)'
  AND (1255, p.oid) NOT IN (SELECT classid::int8, objid FROM vetted)
UNION
SELECT n.nspname, o.oprname, 'operator'
FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
WHERE o.oid >= 16384 AND n.nspname !~ '^pg_(toast|temp)'
  AND (2617, o.oid) NOT IN (SELECT classid::int8, objid FROM vetted)
UNION
SELECT n.nspname, t.typname, 'cast'
FROM pg_catalog.pg_cast c
JOIN pg_catalog.pg_type t ON t.oid = c.casttarget
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE c.oid >= 16384 AND c.castfunc <> 0
  AND (2605, c.oid) NOT IN (SELECT classid::int8, objid FROM vetted)
UNION
SELECT n.nspname, t.typname,
       CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'c' THEN 'composite'
                      WHEN 'r' THEN 'range' WHEN 'm' THEN 'multirange' ELSE 'base' END || '_type'
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.oid >= 16384 AND n.nspname !~ '^pg_(toast|temp)' AND t.typcategory <> 'A'
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_class c
                  WHERE c.oid = t.typrelid AND c.relkind <> 'c')
ORDER BY 1, 2, 3
"""

# Every catalog row that a crawl reads, by its identity and version (xmin). Autovacuum and ANALYZE
# change such rows in place and leave xmin alone, so that they do not move the fingerprint.
FINGERPRINT = """
SELECT pg_catalog.md5(pg_catalog.concat_ws('|', pg_catalog.current_setting('server_version'),
  session_user, pg_catalog.current_database(), pg_catalog.string_agg(part, '|' ORDER BY part)))
FROM (
  SELECT 'class' || count(*) || ':' ||
         sum(pg_catalog.hashtextextended(c.oid::text || ':' || c.xmin::text, 0)) AS part
  FROM pg_catalog.pg_class c WHERE c.oid >= 16384 AND c.relpersistence <> 't'
    AND c.relkind IN ('r', 'v', 'm', 'f', 'p', 'S', 'c')
  UNION ALL
  SELECT 'attribute' || count(*) || ':' || sum(pg_catalog.hashtextextended(
         a.attrelid::text || ':' || a.attnum::text || ':' || a.xmin::text, 0))
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  WHERE a.attrelid >= 16384 AND a.attnum > 0 AND c.relpersistence <> 't'
    AND c.relkind IN ('r', 'v', 'm', 'f', 'p', 'S', 'c')
  UNION ALL
  SELECT 'default' || count(*) || ':' ||
         sum(pg_catalog.hashtextextended(f.oid::text || ':' || f.xmin::text, 0))
  FROM pg_catalog.pg_attrdef f JOIN pg_catalog.pg_class c ON c.oid = f.adrelid
  WHERE c.relpersistence <> 't'
  UNION ALL
  SELECT 'rewrite' || count(*) || ':' ||
         sum(pg_catalog.hashtextextended(r.oid::text || ':' || r.xmin::text, 0))
  FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
  WHERE r.oid >= 16384 AND c.relpersistence <> 't'
  UNION ALL
  SELECT 'index' || count(*) || ':' ||
         sum(pg_catalog.hashtextextended(i.indexrelid::text || ':' || i.xmin::text, 0))
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  WHERE i.indrelid >= 16384 AND c.relpersistence <> 't'
  UNION ALL
  SELECT 'constraint' || count(*) || ':' ||
         sum(pg_catalog.hashtextextended(k.oid::text || ':' || k.xmin::text, 0))
  FROM pg_catalog.pg_constraint k LEFT JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
  WHERE k.oid >= 16384 AND coalesce(c.relpersistence, 'p') <> 't'
  UNION ALL
  SELECT 'trigger' || count(*) || ':' ||
         sum(pg_catalog.hashtextextended(t.oid::text || ':' || t.xmin::text, 0))
  FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
  WHERE NOT t.tgisinternal AND c.relpersistence <> 't'
  UNION ALL
  SELECT 'policy' || count(*) || ':' ||
         sum(pg_catalog.hashtextextended(p.oid::text || ':' || p.xmin::text, 0))
  FROM pg_catalog.pg_policy p
  UNION ALL
  SELECT 'inherits' || count(*) || ':' || sum(pg_catalog.hashtextextended(
         i.inhrelid::text || ':' || i.inhparent::text || ':' || i.xmin::text, 0))
  FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
  WHERE c.relpersistence <> 't'
  UNION ALL
  SELECT 'proc' || count(*) || ':' ||
         sum(pg_catalog.hashtextextended(p.oid::text || ':' || p.xmin::text, 0))
  FROM pg_catalog.pg_proc p WHERE p.oid >= 16384
  UNION ALL
  SELECT 'operator' || count(*) || ':' ||
         sum(pg_catalog.hashtextextended(o.oid::text || ':' || o.xmin::text, 0))
  FROM pg_catalog.pg_operator o WHERE o.oid >= 16384
  UNION ALL
  SELECT 'cast' || count(*) || ':' ||
         sum(pg_catalog.hashtextextended(c.oid::text || ':' || c.xmin::text, 0))
  FROM pg_catalog.pg_cast c WHERE c.oid >= 16384
  UNION ALL
  SELECT 'type' || count(*) || ':' ||
         sum(pg_catalog.hashtextextended(t.oid::text || ':' || t.xmin::text, 0))
  FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
  WHERE t.oid >= 16384 AND t.typtype IN ('e', 'd', 'r', 'b', 'm')
    AND t.typcategory <> 'A' AND coalesce(c.relpersistence, 'p') <> 't'
  UNION ALL
  SELECT 'schema' || count(*) || ':' ||
         sum(pg_catalog.hashtextextended(n.oid::text || ':' || n.xmin::text, 0))
  FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_(temp|toast_temp)_'
  UNION ALL
  SELECT 'description' || count(*) || ':' || sum(pg_catalog.hashtextextended(
         d.objoid::text || ':' || d.objsubid::text || ':' || d.xmin::text, 0))
  FROM pg_catalog.pg_description d
  WHERE d.objoid >= 16384 AND d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass
  UNION ALL
  SELECT 'setting' || count(*) || ':' || sum(pg_catalog.hashtextextended(
         s.setdatabase::text || ':' || s.setrole::text || ':' || s.xmin::text, 0))
  FROM pg_catalog.pg_db_role_setting s
) parts
"""
