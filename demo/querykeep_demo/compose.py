"""What containers of docker-compose.yml need beside the services: secrets, demo databases, seed.

    python -m querykeep_demo.compose secrets     makes what is missing (service `init`)
    python -m querykeep_demo.compose databases   runs the demo databases (service `demo`)
    python -m querykeep_demo.compose seed        makes the demo (service `setup`)

Each folder below /run/querykeep is a volume that only its readers mount.
"""

import argparse
import base64
import datetime
import hashlib
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from querykeep_demo.certificates import make_certificates
from querykeep_demo.installation import ACCOUNTS, SERVICES_WITH_KEYS, spoken_password
from querykeep_demo.processes import ProcessError
from querykeep_demo.report import Seeded, write_private
from querykeep_demo.seed import demo_seed
from querykeep_demo.servers import MariadbServer, PostgresqlServer, new_password
from querykeep_demo.shop import ACCOUNT, DATABASE, Shop, load_mariadb, load_postgresql

VOLUMES = Path("/run/querykeep")
DEMO_DATA = Path("/var/lib/querykeep-demo")
READY_FILE = Path("/tmp/demo-ready")
DEMO_HOST = "demo"
POSTGRESQL_PORT = 5432
MARIADB_PORT = 3306
WATCH_INTERVAL_S = 1.0
SEED_TIMEOUT_S = 180


def make_secrets(volumes: Path, *, now: datetime.datetime) -> None:
    """Make every key, password and certificate that is missing; what is there stays."""
    redis = _kept(volumes / "redis/password", new_password, mode=0o644)
    _environment(
        volumes / "redis", {"QUERYKEEP_REDIS_URL": f"redis://querykeep:{redis}@redis:6379/0"}
    )
    database = _kept(volumes / "database/password", new_password, mode=0o644)
    _environment(
        volumes / "database",
        {
            variable: f"postgresql://{name}:{database}@postgresql:5432/{name}"
            for variable, name in (
                ("QUERYKEEP_DATABASE_URL", "querykeep"),
                ("QUERYKEEP_AUDIT_DATABASE_URL", "querykeep_audit"),
            )
        },
    )
    _kept(volumes / "api/api.key", lambda: base64.b64encode(secrets.token_bytes(32)).decode())
    digests = {}
    for service in SERVICES_WITH_KEYS:
        key = _kept(volumes / service / "internal.key", lambda: secrets.token_hex(32))
        digests[service] = hashlib.sha256(key.encode()).hexdigest()
        variables = {"QUERYKEEP_INTERNAL_KEY_FILE": str(volumes / service / "internal.key")}
        _environment(volumes / service, variables)
    write_private(volumes / "api/service-keys.json", digests)
    _environment(
        volumes / "api",
        {
            "QUERYKEEP_SECRET_FILE": str(volumes / "api/api.key"),
            "QUERYKEEP_SERVICE_KEYS_FILE": str(volumes / "api/service-keys.json"),
        },
    )
    make_certificates(
        ca_file=volumes / "public/ca.pem",
        ca_key_file=volumes / "ca/ca-key.pem",
        cert_file=volumes / "tls/server.pem",
        key_file=volumes / "tls/server-key.pem",
        now=now,
    )
    _environment(
        volumes / "tls",
        {
            "QUERYKEEP_TLS_CERT_FILE": str(volumes / "tls/server.pem"),
            "QUERYKEEP_TLS_KEY_FILE": str(volumes / "tls/server-key.pem"),
        },
    )
    for name in ("postgresql", "mariadb", "shop_postgresql", "shop_mariadb"):
        _kept(volumes / f"demo/{name}.password", new_password)
    for name in ACCOUNTS:
        _kept(volumes / f"demo/account-{name}.password", spoken_password)


def run_databases(volumes: Path, data: Path) -> int:
    """Run the demo databases until SIGTERM; without QUERYKEEP_DEMO=1 only wait for it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    if os.environ.get("QUERYKEEP_DEMO") != "1":
        READY_FILE.touch()
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
        return 0
    postgresql = PostgresqlServer(
        data / "postgresql",
        port=POSTGRESQL_PORT,
        password=_password(volumes, "postgresql"),
        listen_address="0.0.0.0",
    )
    mariadb = MariadbServer(
        data / "mariadb",
        port=MARIADB_PORT,
        password=_password(volumes, "mariadb"),
        listen_address="0.0.0.0",
    )
    with postgresql, mariadb:
        load_postgresql(postgresql, account_password=_password(volumes, "shop_postgresql"))
        load_mariadb(mariadb, account_password=_password(volumes, "shop_mariadb"))
        READY_FILE.touch()
        while signal.sigtimedwait({signal.SIGTERM, signal.SIGINT}, WATCH_INTERVAL_S) is None:
            for server in (postgresql, mariadb):
                if server.process() is None:
                    READY_FILE.unlink()
                    raise ProcessError(f"{server.name} ended by itself; see {server.log_file}")
    return 0


def run_seed(volumes: Path) -> int:
    """Make the demo's accounts, connections and rules once, and print the accounts each time."""
    passwords = {name: _password(volumes, f"account-{name}") for name in ACCOUNTS}
    kept = volumes / "demo/seeded.json"
    if kept.exists():
        seeded = Seeded.parse(kept.read_text())
    else:
        shops = {
            "postgresql": _shop(volumes, "postgresql", "postgres", POSTGRESQL_PORT),
            "mariadb": _shop(volumes, "mariadb", "root", MARIADB_PORT),
        }
        done = subprocess.run(
            ["querykeep", "seed-demo", "--file", "-"],
            input=json.dumps(demo_seed(shops, passwords, renew_tokens=True)),
            stdout=subprocess.PIPE,
            text=True,
            timeout=SEED_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise ProcessError(f"querykeep seed-demo failed with code {done.returncode}")
        seeded = Seeded.parse(done.stdout)
        seeded.write(kept)
    print(f"Querykeep demo: {os.environ.get('QUERYKEEP_PUBLIC_URL', 'http://127.0.0.1')}")
    for name, password in passwords.items():
        print(f"  {name:<11} {password}")
    for name, port in seeded.connection_ports.items():
        token = seeded.proxy_tokens[name]["analyst"]
        print(f"  {name}: port {port}, analyst's token {token.username} / {token.password}")
    return 0


def _shop(volumes: Path, engine: str, user: str, port: int) -> Shop:
    return Shop(
        engine=engine,
        host=DEMO_HOST,
        port=port,
        database=DATABASE,
        user=user,
        password=_password(volumes, engine),
        account_user=ACCOUNT,
        account_password=_password(volumes, f"shop_{engine}"),
    )


def _password(volumes: Path, name: str) -> str:
    return (volumes / f"demo/{name}.password").read_text().strip()


def _kept(path: Path, make: Callable[[], str], *, mode: int = 0o600) -> str:
    """Return what a file holds, made first when it is missing."""
    if not path.exists():
        descriptor = os.open(path.with_suffix(".new"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "w") as file:
            file.write(make() + "\n")
        path.with_suffix(".new").replace(path)
    return path.read_text().strip()


def _environment(folder: Path, variables: dict[str, str]) -> None:
    """Write the variables that `deploy/entrypoint.sh` reads from this volume."""
    text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    (folder / "env").write_text(text)


def main() -> int:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["secrets", "databases", "seed"])
    try:
        match parser.parse_args().command:
            case "secrets":
                make_secrets(VOLUMES, now=datetime.datetime.now(datetime.UTC))
                return 0
            case "databases":
                return run_databases(VOLUMES, DEMO_DATA)
            case _:
                return run_seed(VOLUMES)
    except ProcessError as error:
        print(f"querykeep: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
