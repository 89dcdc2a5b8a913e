"""``qk login``, ``logout``, ``status``, ``doctor``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from querykeep_agent.account import Account, seconds_left
from querykeep_agent.browser import open_page
from querykeep_agent.console import Console
from querykeep_agent.errors import (
    AgentError,
    NotSignedInError,
    UnreachableError,
    UsageError,
)
from querykeep_agent.home import Home, Server
from querykeep_agent.login import (
    DEFAULT_SERVER,
    Prompt,
    check_establish,
    find_server,
    read_address,
    sign_in,
)
from querykeep_agent.session import open_sessions
from querykeep_agent.web import clock_fault, open_api

SERVER_SETTING = "QUERYKEEP_AGENT_SERVER"


async def login(
    home: Home, console: Console, *, server: str, use_browser: bool, ca_file: str
) -> None:
    """Sign in."""
    address, ca_pem = _address(home, server), _ca(ca_file)
    known = home.servers().get(_name(address))
    ca_pem = ca_pem or (known.ca_pem if known else "")

    def show(prompt: Prompt) -> None:
        if prompt.user_code:
            minutes = round(prompt.valid_s / 60)
            console.note(f"Open      {prompt.url}\nand type  {prompt.user_code}\n")
            console.note(f"Waiting for you to confirm (at most {minutes} minutes) …")
            return
        opened = open_page(prompt.url)
        console.note(
            f"{'Opening' if opened else 'Open in a browser on this machine:'} {prompt.url}"
        )
        if not opened:
            console.note("No browser here? Use: qk login --no-browser")
        console.note("Waiting for you to confirm …")

    account = await sign_in(home, address, ca_pem=ca_pem, use_browser=use_browser, show=show)
    found = account.server
    console.result(
        f"Signed in to {found.name} as {found.username} ({found.display_name}).\n"
        "See your databases: qk ls",
        {"server": found.name, "username": found.username, "web": found.web},
    )


async def logout(
    home: Home, console: Console, *, server: str, here_only: bool, forget: bool
) -> None:
    """Sign out: the server revokes the agent, which ends its sessions; secrets are deleted."""
    found = home.server(server)
    account = Account(home, found)
    try:
        if here_only:
            account.forget()
        else:
            await account.sign_out()
    except NotSignedInError:
        account.forget()
    except UnreachableError as error:
        raise UnreachableError(
            f"{error.message} You are still signed in. To forget the sign-in on this machine "
            "without the server knowing: qk logout --here-only"
        ) from error
    if forget:
        home.forget(found.name)
    console.result(f"Signed out of {found.name}.", {"server": found.name})


async def status(home: Home, console: Console) -> None:
    """Show each server's sign-in and open ports; raises NotSignedInError when none holds."""
    servers = home.servers()
    if not servers:
        raise NotSignedInError("not signed in. Sign in first: qk login --server HOST:PORT")
    default = home.server().name
    entries = [await _status_of(home, server) for server in servers.values()]
    lines = []
    for entry in entries:
        mark = "*" if entry["server"] == default else " "
        lines.append(f"{mark} {entry['server']}  {entry['username']}  {entry['state']}")
        if entry["message"]:
            lines.append(f"    {entry['message']}")
        if entry["days_left"] is not None:
            lines.append(f"    without use, the sign-in lasts {entry['days_left']} days more")
        lines.append(f"    secrets in the {entry['keystore']}; web UI {entry['web']}")
        lines += [f"    open: 127.0.0.1:{port}" for port in _list(entry["open_ports"])]
    console.result("\n".join(lines), {"default": default, "servers": entries})
    if all(entry["state"] == "signed_out" for entry in entries):
        raise NotSignedInError("not signed in. Sign in again: qk login")


async def _status_of(home: Home, server: Server) -> dict[str, object]:
    state, message, days = "signed_in", "", None
    account = Account(home, server)
    try:
        async with open_sessions(account) as sessions:
            await sessions.databases()
    except NotSignedInError as error:
        state, message = "signed_out", error.message
    except UnreachableError as error:
        state, message = "unreachable", error.message
    except AgentError as error:
        state, message = "error", error.message
    if state != "signed_out":
        days = round(seconds_left(account.tokens().refresh_expires_at) / 86400)
    tunnels = [home.open_tunnel(server.name, connection) for connection in server.ports]
    return {
        "server": server.name,
        "web": server.web,
        "username": server.username,
        "display_name": server.display_name,
        "state": state,
        "message": message,
        "days_left": days,
        "keystore": server.keystore,
        "open_ports": [tunnel.port for tunnel in tunnels if tunnel],
    }


async def doctor(home: Home, console: Console, *, server: str) -> None:
    """Check each part between here and a database; raises AgentError when one does not work."""
    checks: list[tuple[str, bool, str]] = []

    async def check(title: str, work: Callable[[], Awaitable[str]]) -> bool:
        try:
            checks.append((title, True, await work()))
        except AgentError as error:
            checks.append((title, False, error.message))
        return checks[-1][1]

    found = home.server(server)
    account = Account(home, found)

    async def folder() -> str:
        return f"{home.folder}, secrets in the {found.keystore}"

    async def signin() -> str:
        told = await find_server(found.name, found.ca_pem)
        return f"{told.signin}, web UI {told.web}"

    async def clock() -> str:
        async with open_api(found.signin, "the sign-in server", found.ca_pem) as api:
            if fault := await clock_fault(api):
                raise AgentError(fault)
        return "agrees with the server's"

    async def proxy() -> str:
        await check_establish(found)
        return found.establish

    async def renewal() -> str:
        await account.access_token()
        return f"as {found.username}"

    async def data() -> str:
        async with open_sessions(account) as sessions:
            databases = await sessions.databases()
            if not databases:
                return "not tried: you have no grant on any database"
            return await sessions.probe_data_port(databases[0])

    async def programs() -> str:
        names = [name for name in ("psql", "mariadb", "mysql") if shutil.which(name)]
        if not names:
            raise AgentError("none of psql, mariadb and mysql is installed (other tools still can)")
        return ", ".join(names)

    await check("agent's folder", folder)
    if await check("sign-in server", signin):
        await check("clock", clock)
    await check("proxy", proxy)
    if await check("signed in", renewal):
        await check("data port", data)
    await check("client programs", programs)
    width = max(len(title) for title, _, _ in checks)
    console.result(
        "\n".join(f"{'ok' if ok else '!!'}  {t:{width}}  {text}" for t, ok, text in checks),
        [{"check": title, "ok": ok, "message": text} for title, ok, text in checks],
    )
    if not all(ok for _, ok, _ in checks):
        raise AgentError("something is not as it should be: see the lines marked !!")


def _address(home: Home, server: str) -> str:
    """Return the address to sign in to: told, set, last used, or this machine's own."""
    chosen = server or os.environ.get(SERVER_SETTING, "")
    if chosen:
        return chosen
    return home.server().name if home.servers() else DEFAULT_SERVER


def _name(address: str) -> str:
    host, port = read_address(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _ca(file: str) -> str:
    if not file:
        return ""
    try:
        return Path(file).read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--ca {file}: cannot be read as PEM: {error}") from error


def _list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value
