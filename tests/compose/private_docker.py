"""A private Docker daemon, a base image from the machine's own package mirror, and our images.

Nothing of the machine's own Docker is used or touched: socket, data and state stand in one folder,
and the daemon makes no firewall rules. The base image is made by debootstrap, so that no image is
fetched from anywhere. Build stages get the machine's package settings as build inputs.

`QUERYKEEP_TEST_DOCKER=FOLDER` keeps the folder, and with it the build cache, for the next run.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from querykeep_demo.package_index import parse_pip_settings
from querykeep_demo.processes import ProcessError, log_tail, start_detached, stop, wait_for

ROOT = Path(__file__).parents[2]
BASE_IMAGE = "querykeep-test/base"
SUITE = "bookworm"
TARGETS = ("app", "postgresql", "redis", "demo")
DAEMON_TIMEOUT_S = 60.0
BUILD_TIMEOUT_S = 2_400
# pip's settings that hold in a container as well; paths of this machine do not.
PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "timeout", "default-timeout")


@dataclass(frozen=True, slots=True)
class Docker:
    """One private daemon."""

    folder: Path

    @property
    def address(self) -> str:
        """Where the daemon listens, as DOCKER_HOST wants it."""
        return f"unix://{self.folder}/s"

    def run(
        self,
        *command: str,
        environment: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        timeout_s: float = BUILD_TIMEOUT_S,
        data: bytes | None = None,
    ) -> str:
        """Run a client program against this daemon and return what it printed.

        Raises:
            ProcessError: It failed; the text holds the end of what it said.
        """
        return run(
            command,
            environment={
                "DOCKER_HOST": self.address,
                "DOCKER_BUILDKIT": "1",
                **(environment or {}),
            },
            cwd=cwd,
            timeout_s=timeout_s,
            data=data,
        )


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    timeout_s: float = 600,
    data: bytes | None = None,
) -> str:
    """Run a program to its end and return its output and errors together."""
    done = subprocess.run(
        command,
        env=os.environ | (environment or {}),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        input=data if data is not None else b"",
        timeout=timeout_s,
        check=False,
    )
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode != 0:
        raise ProcessError(f"{' '.join(command)} failed ({done.returncode}):\n{text[-6_000:]}")
    return text


def docker_program() -> str:
    """Return the client of the distribution's package: another in PATH may lack what it needs."""
    found = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else shutil.which("docker")
    if found is None:
        raise ProcessError("docker is not installed: `make test-compose` installs docker.io")
    return found


@contextmanager
def private_docker() -> Iterator[Docker]:
    """Run a daemon of our own.

    Raises:
        ProcessError: Docker cannot run here; the text says why and what to do.
    """
    if os.geteuid() != 0:
        raise ProcessError("a private Docker daemon needs root: sudo make test-compose")
    kept = os.environ.get("QUERYKEEP_TEST_DOCKER")
    folder = Path(kept) if kept else Path(tempfile.mkdtemp(prefix="qk-docker-"))
    folder.mkdir(exist_ok=True)
    program = shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if program is None:
        raise ProcessError("dockerd is not installed: `make test-compose` installs docker.io")
    log = folder / "dockerd.log"
    for left in ("p", "s"):
        (folder / left).unlink(missing_ok=True)
    identity = start_detached(
        [
            program,
            *("--data-root", str(folder / "d"), "--exec-root", str(folder / "x")),
            *("--pidfile", str(folder / "p"), "-H", f"unix://{folder}/s"),
            # No rules in the machine's firewall: ports are published by docker's own relay.
            *("--iptables=false", "--ip6tables=false", "--bridge=none"),
        ],
        log_file=log,
        pid_file=folder / "dockerd.json",
    )
    docker = Docker(folder)
    try:
        if not wait_for(
            lambda: not identity.is_running() or _answers(docker), timeout_s=DAEMON_TIMEOUT_S
        ) or not _answers(docker):
            raise ProcessError(
                "dockerd does not run on this machine (it needs overlay or vfs mounts, cgroups and "
                f"network namespaces). The end of its log:\n{log_tail(log)}"
            )
        yield docker
    finally:
        stop(identity, timeout_s=60)
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


def _answers(docker: Docker) -> bool:
    try:
        docker.run(docker_program(), "info", timeout_s=20)
    except (ProcessError, subprocess.TimeoutExpired):
        return False
    return True


def make_base_image(docker: Docker) -> None:
    """Make a bare Debian image from the mirror that this machine's apt uses.

    Raises:
        ProcessError: There is no such mirror, or debootstrap failed.
    """
    if docker.run(docker_program(), "images", "-q", BASE_IMAGE).strip():
        return
    listing = run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)"])
    repositories = [line.split() for line in dict.fromkeys(listing.splitlines())]
    mirror = next((uri for uri, suite in repositories if suite == SUITE), None)
    if mirror is None:
        raise ProcessError(f"apt on this machine knows no mirror of {SUITE}: images need one")
    root = docker.folder / "root"
    shutil.rmtree(root, ignore_errors=True)
    run(["debootstrap", "--variant=minbase", SUITE, str(root), mirror], timeout_s=1_200)
    sources = "".join(
        f"deb {uri} {suite} main\n" for uri, suite in repositories if suite.startswith(SUITE)
    )
    (root / "etc/apt/sources.list").write_text(sources)
    settings = run(["apt-config", "dump"]).splitlines()
    (root / "etc/apt/apt.conf.d/90machine").write_text(
        "".join(
            f"{line}\n"
            for line in settings
            if re.match(r'Acquire::(http|https|Check-)[\w:-]* "..*"', line)
        )
    )
    archive = docker.folder / "base.tar"
    run(["tar", "-C", str(root), "-cf", str(archive), "."])
    docker.run(docker_program(), "import", str(archive), BASE_IMAGE)
    archive.unlink()
    shutil.rmtree(root)


def build_images(docker: Docker) -> None:
    """Build every image from the checkout as it stands, without what git ignores."""
    with tempfile.TemporaryDirectory(prefix="qk-context-") as name:
        context = Path(name)
        files = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        present = "\0".join(path for path in files.split("\0") if path and (ROOT / path).exists())
        archive = context / "context.tar"
        run(
            ["tar", "--null", "--files-from=-", "-cf", str(archive)],
            data=present.encode(),
        )
        run(["tar", "-C", name, "-xf", str(archive)])
        archive.unlink()
        write_build_inputs(context / "deploy/build-inputs")
        for target in TARGETS:
            docker.run(
                *(docker_program(), "build", "--network=host", "--progress=plain"),
                *("--build-arg", f"BASE_IMAGE={BASE_IMAGE}", "--target", target),
                *("-f", "deploy/Dockerfile", "-t", f"querykeep/{target}", "."),
                cwd=context,
            )


def write_build_inputs(folder: Path) -> None:
    """Hand this machine's certificates and package index on to the build stages."""
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    shutil.copy(bundle, folder / "ca.pem")
    if find_spec("pip") is None:  # not locked; as demo/bootstrap.sh does
        run([sys.executable, "-m", "ensurepip", "--upgrade"])
    listing = run([sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"])
    settings = parse_pip_settings(listing)
    lines = [
        f"{key.removeprefix('default-')} = {' '.join(settings[key].split())}\n"
        for key in PIP_SETTINGS
        if key in settings
    ]
    (folder / "pip.conf").write_text("".join(["[global]\n", *lines]))
    npm = Path(sys.executable).parent / "npm"
    registry = run([str(npm), "config", "get", "registry"]).strip().splitlines()[-1]
    (folder / "npmrc").write_text(f"registry={registry}\n")
