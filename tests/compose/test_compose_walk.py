"""`docker-compose up` from images of this checkout: the demo, a restart with data, the first owner.

Run by `make test-compose`: it needs root, Docker's packages and the machine's package mirror.
"""

import base64
import hashlib
import re
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg
import pymysql
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from playwright.sync_api import expect, sync_playwright
from tests.chromium import chromium_program
from tests.compose.private_docker import (
    ROOT,
    Docker,
    build_images,
    docker_program,
    make_base_image,
    private_docker,
)
from tests.e2e.editor import EditorScreen
from tests.e2e.screen import WAIT_S, Screen
from tests.ports import free_ports

from querykeep_demo.ports import CONNECTIONS_SPAN
from querykeep_demo.processes import ProcessError, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_600)]

HOST = "127.0.0.1"
READY_TIMEOUT_S = 400.0
SERVICES = ("api", "worker", "beat", "tool", "middleware", "proxy", "postgresql", "redis", "demo")
OWNER_PASSWORD = "sand-Kiefer-4711-lantern"
LINK = re.compile(r"(https://\S+)/setup\?link=(\S+)")
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

    def tool_listens(self) -> bool:
        """Return whether the installation console answers, whatever it says."""
        address = f"http://{HOST}:{self.variables['QUERYKEEP_TOOL_PORT']}/healthz"
        try:
            httpx.get(address, timeout=30, trust_env=False)
        except httpx.TransportError:
            return False
        return True

    def setup_log(self) -> str:
        """Return what the service `setup` printed, all runs."""
        return self.compose("logs", "--no-color", "setup")

    def client(self) -> httpx.Client:
        """Return a browser without a person that trusts this installation's authority alone."""
        authority = self.compose("exec", "-T", "middleware", "cat", "/run/querykeep/public/ca.pem")
        start = authority.index("-----BEGIN")
        context = ssl.create_default_context(cadata=authority[start:])
        return httpx.Client(base_url=self.web, verify=context, timeout=30, trust_env=False)


def printed_links(project: Project) -> list[tuple[str, str]]:
    """Return the links that `setup` printed, as address of the web UI and secret."""
    return LINK.findall(project.setup_log())


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


def user_ids(project: Project) -> dict[str, str]:
    """Return as which user each service runs."""
    return {name: project.compose("exec", "-T", name, "id", "-u").split()[-1] for name in SERVICES}


def outer_address(project: Project) -> str:
    """Return the address that this machine has for the containers."""
    network = f"{project.name}_outside"
    form = "{{(index .IPAM.Config 0).Gateway}}"
    found = project.docker.run(docker_program(), "network", "inspect", network, "--format", form)
    return found.strip()


@contextmanager
def chromium(project: Project) -> Iterator[Screen]:
    """A window of a Chromium that takes this installation's certificate, beside known ones."""
    https = int(project.variables["QUERYKEEP_HTTPS_PORT"])
    certificate = x509.load_pem_x509_certificate(ssl.get_server_certificate((HOST, https)).encode())
    public_key = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    pin = base64.b64encode(hashlib.sha256(public_key).digest()).decode()
    expect.set_options(timeout=WAIT_S * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_program(),
            args=[
                *("--no-sandbox", "--disable-dev-shm-usage"),
                f"--ignore-certificate-errors-spki-list={pin}",
            ],
        )
        context = browser.new_context(locale="ko-KR", reduced_motion="reduce")
        context.set_default_timeout(WAIT_S * 1000)
        screen = Screen(context.new_page(), project.web, "ko")
        yield screen
        browser.close()
        assert screen.problems == []


def read_in_the_editor(project: Project, printed: Printed, mark: str) -> None:
    """Sign in with Chromium, from the plain port on, and read masked rows on both engines."""
    with demo_api(project, printed) as api:
        listed = api.get("/api/v1/connections").json()["results"]
    connections = {entry["name"]: entry["id"] for entry in listed}
    with chromium(project) as screen:
        screen.page.goto(f"http://{HOST}:{project.variables['QUERYKEEP_HTTP_PORT']}/")
        expect(screen.page).to_have_url(re.compile(f"^{re.escape(project.web)}/"))
        screen.sign_in("analyst", printed.passwords["analyst"])
        screen.expect_inside()
        editor = EditorScreen(screen)
        for name in ("shop-postgresql", "shop-mariadb"):
            editor.open(connections[name])
            editor.run(f"SELECT id, email, rrn FROM customers WHERE id = 1 /* {mark} */")
            assert editor.cell(0, 0) == "1"
            assert MASKED_MAIL.match(editor.cell(0, 1))
            assert editor.cell(0, 2) == "******-*******"


@contextmanager
def demo_api(project: Project, printed: Printed) -> Iterator[httpx.Client]:
    """The web port as the administrator sees it."""
    with project.client() as client:
        sign_in(client, "admin", printed.passwords["admin"])
        yield client


@dataclass(frozen=True, slots=True)
class Tool:
    """The installation console of a project, with the token of whoever can enter its container."""

    http: httpx.Client

    @classmethod
    @contextmanager
    def of(cls, project: Project) -> "Iterator[Tool]":
        token = project.compose("exec", "-T", "tool", "cat", "/var/lib/querykeep/tool/token")
        with httpx.Client(
            base_url=f"http://{HOST}:{project.variables['QUERYKEEP_TOOL_PORT']}",
            headers={"Authorization": f"Bearer {token.split()[-1]}"},
            timeout=60,
            trust_env=False,
        ) as http:
            yield cls(http)

    def readiness(self) -> tuple[int, dict[str, Any]]:
        """Return the status of /readyz and what it says about each part."""
        answer = self.http.get("/readyz")
        return answer.status_code, answer.json()["parts"]

    def pending(self) -> list[str]:
        """Return the migrations that have not run."""
        found = self.http.get("/migrations").json()["pending"]
        assert isinstance(found, list)
        return found

    def migrate(self) -> None:
        """Run them and wait for the end."""
        answer = self.http.post("/migrations")
        assert answer.status_code == 202, answer.text

        def state() -> str:
            return str(self.http.get("/migrations").json()["state"])

        assert wait_for(lambda: state() != "running", timeout_s=READY_TIMEOUT_S, interval_s=1)
        assert state() == "done", self.http.get("/migrations").json()["lines"]


def test_compose_demo_guards_records_and_keeps_data(docker: Docker) -> None:
    with project(docker, "qkdemo", demo=True) as demo:
        demo.up()
        assert "0" not in user_ids(demo).values()
        printed = Printed.read(demo.setup_log())
        assert set(printed.passwords) == {"admin", "dba", "analyst", "developer", "auditor"}
        with demo.client() as browser:
            page = browser.get("/")
            assert page.status_code == 200
            assert "<title>" in page.text
            sign_in(browser, "analyst", printed.passwords["analyst"])
            assert browser.get("/api/v1/me").json()["username"] == "analyst"
        with Tool.of(demo) as tool:
            status, parts = tool.readiness()
            assert status == 200, parts
            assert {"worker", "beat", "middleware", "proxy", "migrations"} <= set(parts)
            assert tool.pending() == []

        both = {"shop-postgresql", "shop-mariadb"}
        read_through_both_roads(printed, "before-restart")
        read_in_the_editor(demo, printed, "in-the-editor")
        with demo.client() as auditor:
            sign_in(auditor, "auditor", printed.passwords["auditor"])
            assert connections_that_ran(auditor, "before-restart") == both
            assert connections_that_ran(auditor, "in-the-editor") == both
            # The client's own address, not that of the container that passed the request on.
            seen = auditor.get("/api/v1/audit/events", params={"actor": "auditor"}).json()
            addresses = {entry["address"] for entry in seen["results"] if entry["address"]}
            assert addresses == {outer_address(demo)}

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
        # Tool first, beside databases that are empty: it shows what is pending and runs it.
        plain.compose("up", "-d", "--no-build", "postgresql", "redis")
        plain.compose("up", "-d", "--no-build", "--no-deps", "tool")
        assert wait_for(plain.tool_listens, timeout_s=READY_TIMEOUT_S, interval_s=1)
        with Tool.of(plain) as tool:
            status, parts = tool.readiness()
            assert (status, parts["migrations"]["ok"]) == (503, False)
            assert parts["metadata_database"]["ok"]
            assert "iam.0001_initial" in " ".join(tool.pending())
            tool.migrate()
            assert tool.pending() == []

        plain.up()
        links = printed_links(plain)
        assert len(links) == 1, links
        assert links[0][0] == plain.web
        body = {
            "link": links[0][1],
            "username": "owner",
            "display_name": "Owner",
            "password": OWNER_PASSWORD,
        }
        with plain.client() as browser:
            assert browser.get(f"/setup?link={body['link']}").status_code == 200
            answer = post(browser, "/api/v1/auth/owner-link", body)
            assert answer.status_code in (200, 201), answer.text
            assert browser.get("/api/v1/me").json()["username"] == "owner"
        with plain.client() as second:
            again = post(second, "/api/v1/auth/owner-link", body | {"username": "other"})
            assert again.status_code == 401, again.text
            assert again.json()["code"] == "bad_link"
            sign_in(second, "owner", OWNER_PASSWORD)

        # Another one for somebody else, which is left lying until it is too old.
        made = plain.compose(
            *("exec", "-T", "api", "/opt/querykeep/deploy/entrypoint.sh"),
            *("querykeep", "create-owner"),
        )
        link = LINK.search(made)
        assert link is not None, made
        plain.compose(
            *("exec", "-T", "postgresql", "psql", "-h", "/tmp", "-d", "querykeep", "-c"),
            "UPDATE iam_ownerlink SET expires_at = now() WHERE used_at IS NULL",
        )
        with plain.client() as late:
            answer = post(late, "/api/v1/auth/owner-link", body | {"link": link[2]})
            assert (answer.status_code, answer.json()["code"]) == (401, "bad_link"), answer.text

        # Once there is an owner, starting again prints no link.
        plain.compose("up", "-d", "--no-build", "setup")
        plain.up()
        assert printed_links(plain) == links
