// npm pg, postgres, mysql, mysql2 and mariadb: one smoke each; prints one JSON line per finding.
const {ROAD_HOST: host, ROAD_USER: user, ROAD_PASSWORD: password, ROAD_DATABASE: database} = process.env;
const port = Number(process.env.ROAD_PORT);
const tell = (...findings) =>
  console.log(JSON.stringify(findings, (_, v) => (typeof v === "bigint" ? `${v}n` : v)));
const parts = {
  async pg() {
    const pg = require("pg");
    const client = new pg.Client({host, port, user, password, database});
    await client.connect();
    tell("values", (await client.query("SELECT 1::int8 a, 'x' b, ARRAY[1,2] c, '{\"a\":1}'::jsonb d, NULL e")).rows);
    tell("parameters", (await client.query("SELECT $1::int + 1 AS n, $2::text AS t", [41, "한글"])).rows);
    for (const n of [1, 2, 3])
      tell("prepared", (await client.query({name: "q", text: "SELECT name FROM products WHERE id = $1", values: [n]})).rows);
    const several = await client.query("SELECT 1 AS a; SELECT 2 AS b");
    tell("several", several.map((r) => r.rows));
    try { await client.query("SELECT 1/0"); } catch (e) { tell("error", e.code, e.message); }
    const heard = new Promise((r) => client.once("notification", (n) => r(n.payload)));
    await client.query("LISTEN canal"); await client.query("NOTIFY canal, 'hi'");
    tell("heard", await heard);
    const array = await client.query({text: "SELECT id, name FROM products ORDER BY id LIMIT 3", rowMode: "array"});
    tell("array", array.rows, array.fields.map((f) => [f.name, f.dataTypeID, f.columnID]));
    await client.end();
    const pool = new pg.Pool({host, port, user, password, database, max: 3});
    tell("pool", (await Promise.all([...Array(12).keys()].map((n) => pool.query("SELECT $1::int n", [n])))).map((r) => r.rows[0].n));
    await pool.end();
  },
  async postgres() {
    const sql = require("postgres")({host, port, user, password, database, onnotice: (n) => tell("notice", n.message)});
    tell("values", await sql`SELECT 1 AS a, ${"x"} AS b, ${[1, 2]}::int[] AS c`);
    tell("many", await Promise.all([...Array(30).keys()].map((n) => sql`SELECT ${n}::int AS n`)));
    await sql.begin(async (tx) => {
      await tx`CREATE TEMP TABLE p (a int, b text)`;
      await tx`INSERT INTO p ${tx([{a: 1, b: "x"}, {a: 2, b: "y"}])}`;
      tell("cursor", (await tx`SELECT * FROM p ORDER BY a`.cursor(1, () => {})) ?? null);
      const writable = await tx`COPY p FROM STDIN`.writable();
      await new Promise((done, fail) => { writable.on("finish", done); writable.on("error", fail); writable.write("3\tz\n"); writable.end(); });
      const readable = await tx`COPY p TO STDOUT`.readable();
      let text = ""; for await (const chunk of readable) text += chunk;
      tell("copy", text);
      await tx.savepoint(async (sp) => { await sp`SELECT 1/0`; }).catch((e) => tell("savepoint", e.code));
    });
    await sql.unsafe("DO $$ BEGIN RAISE NOTICE 'told'; END $$");
    const query = sql`SELECT pg_sleep(60)`;
    setTimeout(() => query.cancel(), 500);
    await query.catch((e) => tell("cancelled", e.code));
    tell("simple", await sql.unsafe("SELECT 1 AS a; SELECT 2 AS b"));
    await sql.end();
  },
  async mysql() {
    const connection = require("mysql").createConnection({host, port, user, password, database, multipleStatements: true});
    const query = (...given) => new Promise((done, fail) => connection.query(...given, (e, r) => (e ? fail(e) : done(r))));
    tell("values", await query("SELECT 1 a, 'x' b, NULL c, 1.50 d, DATE '2020-01-01' e, ? f", ["한글"]));
    tell("several", await query("SELECT 1 a; SELECT 2 b"));
    await query("CREATE TEMPORARY TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, b BLOB)");
    const done = await query("INSERT INTO t SET ?", {b: Buffer.from([0, 255, 39, 92])});
    tell("insert", done.insertId, done.affectedRows);
    tell("blob", await query("SELECT * FROM t"));
    await query("SELECT * FROM nowhere").catch((e) => tell("error", e.errno, e.sqlMessage));
    await new Promise((done, fail) => connection.changeUser({user, password, database}, (e) => (e ? fail(e) : done())));
    tell("changed", await query("SELECT DATABASE() d"));
    await new Promise((done) => connection.ping(done));
    await new Promise((done) => connection.end(done));
  },
  async mysql2() {
    const mysql = require("mysql2/promise");
    for (const extra of [{}, {compress: true}]) {
      const connection = await mysql.createConnection({host, port, user, password, database, multipleStatements: true, ...extra});
      tell("values", (await connection.query("SELECT 1 a, 'x' b, NULL c, 1.50 d, 9007199254740993 e, ? f", ["한글"]))[0]);
      for (const n of [1, 2]) tell("execute", (await connection.execute("SELECT id, name, price FROM products WHERE id = ?", [n]))[0]);
      tell("several", (await connection.query("SELECT 1 a; SELECT 2 b"))[0]);
      await connection.query("CREATE TEMPORARY TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, b BLOB, d DATETIME(3), j JSON)");
      const [done] = await connection.execute("INSERT INTO t (b, d, j) VALUES (?, ?, ?)", [Buffer.from([0, 255]), new Date(0), {a: 1}]);
      tell("insert", done.insertId, done.affectedRows);
      tell("row", (await connection.execute("SELECT * FROM t"))[0]);
      tell("row", (await connection.query("SELECT * FROM t"))[0]);
      await connection.execute("SELECT * FROM nowhere").catch((e) => tell("error", e.errno, e.sqlMessage));
      await connection.changeUser({user, password, database});
      tell("changed", (await connection.query("SELECT DATABASE() d"))[0]);
      await connection.ping();
      await connection.reset();
      await connection.end();
    }
  },
  async mariadb() {
    const mariadb = require("mariadb");
    for (const extra of [{}, {compress: true}]) {
      const connection = await mariadb.createConnection({host, port, user, password, database, multipleStatements: true, ...extra});
      tell("values", await connection.query("SELECT 1 a, 'x' b, NULL c, 1.50 d, 9007199254740993 e, ? f", ["한글"]));
      tell("execute", await connection.execute("SELECT id, name, price FROM products WHERE id < ?", [3]));
      tell("several", await connection.query("SELECT 1 a; SELECT 2 b"));
      await connection.query("CREATE TEMPORARY TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, n VARCHAR(20), j JSON)");
      tell("batch", (await connection.batch("INSERT INTO t (n) VALUES (?)", [["a"], ["b"], [null]])).affectedRows);
      tell("rows", await connection.query("SELECT * FROM t"));
      await connection.query("SELECT * FROM nowhere").catch((e) => tell("error", e.errno, e.sqlMessage));
      await connection.changeUser({user, password, database});
      tell("changed", await connection.query("SELECT DATABASE() d"));
      await connection.reset();
      await connection.ping();
      await connection.end();
    }
    const pool = mariadb.createPool({host, port, user, password, database, connectionLimit: 3});
    tell("pool", (await Promise.all([...Array(12).keys()].map((n) => pool.query("SELECT ? n", [n])))).map((r) => r[0].n));
    await pool.end();
  },
};
parts[process.argv[2]]().then(() => process.exit(0), (e) => { console.log(e); process.exit(1); });
