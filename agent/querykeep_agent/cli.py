"""``qk``: the command line.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not signed in, 4 refused, 5 not reachable,
6 certificate not trusted, 7 local port taken; ``qk psql`` and ``qk mysql`` end with the program's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable, Sequence

import trio

from querykeep_agent import __version__, signin_commands, tunnel_commands
from querykeep_agent.console import Console
from querykeep_agent.errors import AgentError
from querykeep_agent.home import Home
from querykeep_agent.tasks import first_agent_error

_INTERRUPTED = 130
_CLIENTS = ("psql", "mysql")
Command = Callable[[Home, Console], Awaitable[int | None]]


def main() -> None:
    """Entry point."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command; return its exit code."""
    options = _parser().parse_args(arguments)
    console = Console(as_json=getattr(options, "json", False))
    try:
        return trio.run(_command, options, console) or 0
    except AgentError as error:
        return _failed(error)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BaseExceptionGroup as group:
        found = first_agent_error(group)
        if found is not None:
            return _failed(found)
        if group.subgroup(KeyboardInterrupt) is not None:
            return _INTERRUPTED
        raise


async def _command(options: argparse.Namespace, console: Console) -> int | None:
    home = Home.open()
    server = options.server
    match options.command:
        case "login":
            await signin_commands.login(
                home,
                console,
                server=server,
                use_browser=not options.no_browser,
                ca_file=options.ca,
            )
        case "logout":
            await signin_commands.logout(
                home, console, server=server, here_only=options.here_only, forget=options.forget
            )
        case "status":
            await signin_commands.status(home, console)
        case "doctor":
            await signin_commands.doctor(home, console, server=server)
        case "ls":
            await tunnel_commands.ls(home, console, server=server)
        case "connect":
            await tunnel_commands.connect(
                home, console, server=server, names=options.names, port=options.port
            )
        case "url":
            await tunnel_commands.url(
                home,
                console,
                server=server,
                name=options.name,
                jdbc=options.jdbc,
                renew_password=options.new_password,
            )
        case "env":
            await tunnel_commands.env(home, console, server=server, name=options.name)
        case client:
            return await tunnel_commands.run_client(
                home, server=server, cli=client, name=options.name, arguments=options.arguments
            )
    return None


def _failed(error: AgentError) -> int:
    print(f"qk: {error.message}", file=sys.stderr)
    return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qk", description="Reach your databases through Querykeep.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"qk {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str, *, json: bool = True) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.add_argument(
            "--server", default="", metavar="HOST:PORT", help="which Querykeep (default: the last)"
        )
        if json:
            command.add_argument("--json", action="store_true", help="answer in JSON")
        return command

    login = add("login", "Sign in through the browser.")
    login.add_argument(
        "--no-browser", action="store_true", help="show a short code to type on another machine"
    )
    login.add_argument("--ca", default="", metavar="FILE", help="CA of the server (PEM)")
    logout = add("logout", "Sign out; open sessions end.")
    logout.add_argument(
        "--here-only", action="store_true", help="delete the secrets here, tell no server"
    )
    logout.add_argument("--forget", action="store_true", help="forget the server and its ports too")
    add("status", "Show sign-ins and open ports.")
    add("doctor", "Check everything between here and a database.")
    add("ls", "List the databases that you may open.")
    connect = add("connect", "Open local ports until Ctrl-C.")
    connect.add_argument("names", nargs="+", metavar="NAME")
    connect.add_argument("--port", type=_port, help="use this local port from now on")
    url = add("url", "Show the local address with its password.")
    url.add_argument("name", metavar="NAME")
    url.add_argument("--jdbc", action="store_true", help="as a JDBC address")
    url.add_argument("--new-password", action="store_true", help="make a new local password")
    env = add("env", 'Show variables for a shell: eval "$(qk env NAME)".')
    env.add_argument("name", metavar="NAME")
    for client in _CLIENTS:
        command = add(
            client, f"Run {client} on a database, with any arguments of its own.", json=False
        )
        command.add_argument("name", metavar="NAME")
        command.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT")
    return parser


def _port(text: str) -> int:
    if not text.isdigit() or not 1024 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1024 to 65535")
    return int(text)


if __name__ == "__main__":
    main()
