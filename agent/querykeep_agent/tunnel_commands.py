"""``qk ls``, ``connect``, ``url``, ``env``, and the client programs ``qk psql``, ``qk mysql``."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import trio

from querykeep_agent.account import Account
from querykeep_agent.clients import client_kind
from querykeep_agent.clients.kind import Address
from querykeep_agent.console import Console, table
from querykeep_agent.errors import AgentError, NotSignedInError, UnreachableError, UsageError
from querykeep_agent.files import private_folder
from querykeep_agent.home import Home
from querykeep_agent.ports import remembered_port
from querykeep_agent.proofs import new_password
from querykeep_agent.session import Database, Sessions, open_sessions
from querykeep_agent.tasks import open_tasks
from querykeep_agent.tunnel import HOST, Notice, Tunnel, listen

_RENEW_EVERY_S = 20 * 60.0
_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


async def ls(home: Home, console: Console, *, server: str) -> None:
    """List what this person may open."""
    account = Account(home, home.server(server))
    name = account.server.name
    async with open_sessions(account) as sessions:
        databases = await sessions.databases()
    ports = home.server(name).ports
    rows, data = [], []
    for entry in databases:
        tunnel = home.open_tunnel(name, entry.id)
        port = tunnel.port if tunnel else ports.get(entry.id)
        rows.append(
            [
                entry.name,
                entry.label,
                entry.database,
                entry.privilege,
                str(port or "–"),
                "open" if tunnel else "–",
            ]
        )
        data.append(
            {
                "id": entry.id,
                "name": entry.name,
                "engine": entry.engine,
                "database": entry.database,
                "privilege": entry.privilege,
                "cli": entry.cli,
                "port": port,
                "open": tunnel is not None,
            }
        )
    heads = ["NAME", "ENGINE", "DATABASE", "PRIVILEGE", "PORT", "STATE"]
    text = table(heads, rows) if rows else "You have no grant on any database. Ask for access."
    console.result(text, data)


async def connect(
    home: Home, console: Console, *, server: str, names: Sequence[str], port: int | None
) -> None:
    """Hold the local ports of some databases open until a signal comes."""
    if port is not None and len(names) != 1:
        raise UsageError("--port goes with one name: each connection has a port of its own")
    account = Account(home, home.server(server))
    name = account.server.name

    def tell(notice: Notice) -> None:
        console.note(f"{notice.database}: {notice.text}")

    async with open_sessions(account) as sessions:
        chosen = {entry.id: entry for entry in [await sessions.database(n) for n in names]}
        with contextlib.ExitStack() as held:
            tunnels = []
            for entry in chosen.values():
                local = port or remembered_port(home, account.server, entry.id)
                held.enter_context(home.holding_tunnel(name, entry.id, local))
                listener = await listen(local)
                if port is not None:
                    home.set_port(name, entry.id, port)
                password = await trio.to_thread.run_sync(account.password, entry.id)
                tunnels.append((entry, Tunnel(sessions, entry, password, listener, tell)))
            await _hold(console, account, tunnels)


async def _hold(
    console: Console, account: Account, tunnels: Sequence[tuple[Database, Tunnel]]
) -> None:
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        async with open_tasks() as nursery:
            for entry, tunnel in tunnels:
                nursery.start_soon(tunnel.serve)
                console.result(
                    f"{entry.name} is open on {HOST}:{tunnel.port}  "
                    f"(address with password: qk url {shlex.quote(entry.name)})",
                    {"event": "open", "name": entry.name, "host": HOST, "port": tunnel.port},
                )
            nursery.start_soon(_keep_signed_in, account, console)
            if not console.as_json:
                console.note("Ctrl-C ends it.")
            async for _ in signals:
                nursery.cancel_scope.cancel()
                break


async def _keep_signed_in(account: Account, console: Console) -> None:
    """Renew now and then, so that an idle tunnel does not lose its sign-in."""
    while True:
        await trio.sleep(_RENEW_EVERY_S)
        try:
            await account.access_token()
        except NotSignedInError as error:
            console.note(error.message)
        except UnreachableError:
            continue  # the next connection or the next turn will tell


async def url(
    home: Home, console: Console, *, server: str, name: str, jdbc: bool, renew_password: bool
) -> None:
    """Show the address of a database with its local password."""
    database, address = await _address(home, server, name, renew_password=renew_password)
    template = database.jdbc if jdbc else database.url
    if not template:
        raise AgentError(f"{database.label} has no {'JDBC ' if jdbc else ''}address. Use: qk env")
    text = template.format(
        host=address.host,
        port=address.port,
        database=quote(address.database, safe=""),
        username=quote(address.username, safe=""),
        password=quote(address.password, safe=""),
    )
    console.result(
        text,
        {
            "url": text,
            "host": address.host,
            "port": address.port,
            "database": address.database,
            "username": address.username,
            "password": address.password,
        },
    )


async def env(home: Home, console: Console, *, server: str, name: str) -> None:
    """Show the variables by which programs find a database: eval "$(qk env NAME)"."""
    database, address = await _address(home, server, name)
    variables = client_kind(database.cli).environment(address)
    text = "\n".join(f"export {key}={shlex.quote(value)}" for key, value in variables.items())
    console.result(text, variables)


async def _address(
    home: Home, server: str, name: str, *, renew_password: bool = False
) -> tuple[Database, Address]:
    account = Account(home, home.server(server))
    async with open_sessions(account) as sessions:
        database = await sessions.database(name)
    tunnel = home.open_tunnel(account.server.name, database.id)
    if tunnel and renew_password:
        raise AgentError(f"{database.name} is open by process {tunnel.pid}: end that first")
    port = tunnel.port if tunnel else remembered_port(home, account.server, database.id)
    password = account.password(database.id, renew=renew_password)
    return database, Address(HOST, port, account.server.username, password, database.database)


async def run_client(
    home: Home, *, server: str, cli: str, name: str, arguments: Sequence[str]
) -> int:
    """Run a client program on a tunnel of its own, with a password for this once; return its exit
    code. Signals go to the program: Ctrl-C cancels its statement."""
    account = Account(home, home.server(server))
    async with open_sessions(account) as sessions:
        database = await sessions.database(name)
        if database.cli != cli:
            raise UsageError(
                f"{database.name} is a {database.label} database: use qk {database.cli} "
                f"{shlex.quote(database.name)}"
            )
        async with _own_tunnel(sessions, database) as address:
            folder = private_folder(home.folder / "clients")
            with tempfile.TemporaryDirectory(dir=folder) as private:
                launch = client_kind(cli).launch(address, arguments, os.environ, Path(private))
                return await _run(launch.arguments, dict(launch.environment))


@asynccontextmanager
async def _own_tunnel(sessions: Sessions, database: Database) -> AsyncIterator[Address]:
    password = new_password()
    # What goes wrong is told to the client in its own protocol, and it tells the person.
    tunnel = Tunnel(sessions, database, password, await listen(0), lambda notice: None)
    async with open_tasks() as nursery:
        nursery.start_soon(tunnel.serve)
        username = sessions.account.server.username
        yield Address(HOST, tunnel.port, username, password, database.database)
        nursery.cancel_scope.cancel()


async def _run(arguments: Sequence[str], environment: dict[str, str]) -> int:
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        process = await trio.lowlevel.open_process(list(arguments), env=environment)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_pass_on, signals, process)
            try:
                code = await process.wait()
            finally:
                if process.returncode is None:
                    process.terminate()
            nursery.cancel_scope.cancel()
    return code if code >= 0 else 128 - code


async def _pass_on(signals: AsyncIterator[int], process: trio.Process) -> None:
    """Hand signals on, but Ctrl-C: the terminal gives that to the whole foreground group."""
    async for number in signals:
        if number != signal.SIGINT:
            process.send_signal(number)
