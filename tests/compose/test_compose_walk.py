"""`docker-compose up` from images of this checkout: the demo, a restart with data, the first owner.

Run by `make test-compose`: it needs root, Docker's packages and the machine's package mirror.
"""

import re
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import psycopg
import pymysql
import pytest
from tests.compose.private_docker import (
    ROOT,
    Docker,
    build_images,
    docker_program,
    make_base_image,
    private_docker,
)
from tests.ports import free_ports

from querykeep_demo.ports import CONNECTIONS_SPAN
from querykeep_demo.processes import ProcessError, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_600)]

HOST = "127.0.0.1"
READY_TIMEOUT_S = 400.0
SERVICES = ("api", "worker", "beat", "tool", "middleware", "proxy", "postgresql", "redis", "demo")
OWNER_PASSWORD = "first-owner-of-this-test-4711"
MASKED_MAIL = re.compile(r"^\w\*\*\*\*\*@example\.com$")


@dataclass(frozen=True, slots=True)
class Project:
    """One project of docker-compose on host ports of its own."""

    docker: Docker
    name: str
    variables: Mapping[str, str] = field(repr=False)

    def compose(self, *command: str, timeout_s: float = 600) -> str:
        """Run docker-compose."""
        return self.docker.run(
            *("docker-compose", "-p", self.name, "-f", str(ROOT / "docker-compose.yml"), *command),
            environment=self.variables,
            timeout_s=timeout_s,
        )

    @property
    def web(self) -> str:
        """The web UI over TLS."""
        return f"https://{HOST}:{self.variables['QUERYKEEP_HTTPS_PORT']}"

    def up(self) -> None:
        """Start everything and wait until every service is healthy."""
        self.compose("up", "-d", "--no-build")
        if not wait_for(self._is_healthy, timeout_s=READY_TIMEOUT_S, interval_s=2):
            raise ProcessError(
                f"not healthy: {self.compose('ps')}\n{self.compose('logs', '--tail=30')}"
            )

    def _is_healthy(self) -> bool:
        states = self.docker.run(
            *(docker_program(), "ps", "--filter", f"label=com.docker.compose.project={self.name}"),
            *("--format", '{{.Label "com.docker.compose.service"}} {{.Status}}'),
        )
        healthy = {line.split()[0] for line in states.splitlines() if "(healthy)" in line}
        return healthy >= set(SERVICES)

    def setup_log(self) -> str:
        """Return what the service `setup` printed, all runs."""
        return self.compose("logs", "--no-color", "setup")

    def client(self) -> httpx.Client:
        """Return a browser without a person that trusts this installation's authority alone."""
        authority = self.compose("exec", "-T", "middleware", "cat", "/run/querykeep/public/ca.pem")
        start = authority.index("-----BEGIN")
        context = ssl.create_default_context(cadata=authority[start:])
        return httpx.Client(base_url=self.web, verify=context, timeout=30, trust_env=False)


def post(client: httpx.Client, path: str, body: Mapping[str, str]) -> httpx.Response:
    """POST as the page does, with its token."""
    token = client.get("/api/v1/auth/csrf").json()["token"]
    origin = str(client.base_url).rstrip("/")
    headers = {"X-CSRFToken": token, "Origin": origin, "Referer": origin + "/"}
    return client.post(path, json=dict(body), headers=headers)


def sign_in(client: httpx.Client, username: str, password: str) -> None:
    body = {"username": username, "password": password}
    answer = post(client, "/api/v1/auth/sign-in", body)
    assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    """A private daemon with our images."""
    before = firewall()
    with private_docker() as daemon:
        make_base_image(daemon)
        build_images(daemon)
        yield daemon
    assert firewall() == before


def firewall() -> str:
    """Return the machine's firewall rules, which a test must leave alone."""
    done = subprocess.run(["iptables", "-S"], capture_output=True, text=True, check=False)
    return done.stdout


@contextmanager
def project(docker: Docker, name: str, *, demo: bool) -> Iterator[Project]:
    first = free_ports(CONNECTIONS_SPAN)
    https = str(free_ports(1))
    variables = {
        "QUERYKEEP_DEMO": "1" if demo else "0",
        "QUERYKEEP_HTTP_PORT": str(free_ports(1)),
        "QUERYKEEP_HTTPS_PORT": https,
        "QUERYKEEP_AGENT_SIGNIN_PORT": str(free_ports(1)),
        "QUERYKEEP_API_PORT": str(free_ports(1)),
        "QUERYKEEP_TOOL_PORT": str(free_ports(1)),
        "QUERYKEEP_ESTABLISH_PORT": str(free_ports(1)),
        "QUERYKEEP_DATA_PORT": str(free_ports(1)),
        "QUERYKEEP_PORTS": f"{first}-{first + CONNECTIONS_SPAN - 1}",
        "QUERYKEEP_PUBLIC_URL": f"https://{HOST}:{https}",
    }
    made = Project(docker, name, variables)
    try:
        yield made
    finally:
        made.compose("down", "-v", "--remove-orphans")


@dataclass(frozen=True, slots=True)
class Printed:
    """What `setup` prints for a person."""

    passwords: dict[str, str] = field(repr=False)
    tokens: dict[str, tuple[int, str, str]] = field(repr=False)

    @classmethod
    def read(cls, log: str) -> "Printed":
        passwords = dict(re.findall(r"  (admin|dba|analyst|developer|auditor) +(\S+)", log))
        tokens = {
            name: (int(port), user, password)
            for name, port, user, password in re.findall(
                r"(shop-\w+): port (\d+), analyst's token (\S+) / (\S+)", log
            )
        }
        return cls(passwords, tokens)


def read_through_both_roads(printed: Printed, mark: str) -> None:
    """Read masked rows with psycopg and PyMySQL through the published ports."""
    statement = f"SELECT id, email, rrn FROM customers WHERE id = 1 /* {mark} */"
    port, user, password = printed.tokens["shop-postgresql"]
    with psycopg.connect(
        host=HOST, port=port, user=user, password=password, dbname="shop"
    ) as postgresql:
        row = postgresql.execute(statement.encode()).fetchone()
    assert row is not None
    assert MASKED_MAIL.match(row[1])
    assert row[2] == "******-*******"
    port, user, password = printed.tokens["shop-mariadb"]
    with (
        pymysql.connect(
            host=HOST, port=port, user=user, password=password, database="shop"
        ) as mariadb,
        mariadb.cursor() as cursor,
    ):
        cursor.execute(statement)
        assert cursor.fetchone() == row


def connections_that_ran(client: httpx.Client, mark: str) -> set[str]:
    """Return the names of connections on which statements with this mark were recorded."""
    found: set[str] = set()

    def has_both() -> bool:
        answer = client.get("/api/v1/audit/statements", params={"search": mark})
        assert answer.status_code == 200, answer.text
        for entry in answer.json()["results"]:
            assert entry["verdict"] == "masked"
            assert entry["outcome"] in ("ok", None)
            connection = entry["connection"]
            found.add(connection["name"] if isinstance(connection, dict) else connection)
        return len(found) == 2

    wait_for(has_both, timeout_s=20)
    return found


def test_compose_demo_guards_records_and_keeps_data(docker: Docker) -> None:
    with project(docker, "qkdemo", demo=True) as demo:
        demo.up()
        printed = Printed.read(demo.setup_log())
        assert set(printed.passwords) == {"admin", "dba", "analyst", "developer", "auditor"}
        with demo.client() as browser:
            page = browser.get("/")
            assert page.status_code == 200
            assert "<title>" in page.text
            sign_in(browser, "analyst", printed.passwords["analyst"])
            assert browser.get("/api/v1/me").json()["username"] == "analyst"
        plain = httpx.get(
            f"http://{HOST}:{demo.variables['QUERYKEEP_HTTP_PORT']}/", trust_env=False, timeout=30
        )
        assert plain.status_code in (200, 301, 302, 307, 308)
        tool = httpx.get(
            f"http://{HOST}:{demo.variables['QUERYKEEP_TOOL_PORT']}/readyz",
            trust_env=False,
            timeout=30,
        )
        assert tool.status_code == 200, tool.text

        read_through_both_roads(printed, "before-restart")
        both = {"shop-postgresql", "shop-mariadb"}
        with demo.client() as auditor:
            sign_in(auditor, "auditor", printed.passwords["auditor"])
            assert connections_that_ran(auditor, "before-restart") == both

        demo.compose("down")
        demo.up()
        assert Printed.read(demo.setup_log()) == printed
        read_through_both_roads(printed, "after-restart")
        with demo.client() as auditor:
            sign_in(auditor, "auditor", printed.passwords["auditor"])
            assert connections_that_ran(auditor, "before-restart") == both
            assert connections_that_ran(auditor, "after-restart") == both

        # A service that is made anew answers again over TLS.
        demo.compose("up", "-d", "--no-build", "--force-recreate", "--no-deps", "middleware")
        with demo.client() as browser:

            def is_there() -> bool:
                try:
                    return browser.get("/readyz").status_code == 200
                except httpx.TransportError:
                    return False

            assert wait_for(is_there, timeout_s=60, interval_s=1)


def test_compose_without_demo_prints_a_link_that_works_once(docker: Docker) -> None:
    with project(docker, "qkplain", demo=False) as plain:
        plain.up()
        log = plain.setup_log()
        link = re.search(r"(https://\S+)/setup\?link=(\S+)", log)
        assert link is not None, log
        assert link[1] == plain.web
        body = {
            "link": link[2],
            "username": "owner",
            "display_name": "Owner",
            "password": OWNER_PASSWORD,
        }
        with plain.client() as browser:
            assert browser.get(f"/setup?link={link[2]}").status_code == 200
            answer = post(browser, "/api/v1/auth/owner-link", body)
            assert answer.status_code in (200, 201), answer.text
            assert browser.get("/api/v1/me").json()["username"] == "owner"
        with plain.client() as second:
            again = post(second, "/api/v1/auth/owner-link", body | {"username": "other"})
            assert again.status_code in (400, 401, 403, 404), again.text
            sign_in(second, "owner", OWNER_PASSWORD)
