"""Promises of the whole repository that no single part can keep alone."""

import ast
import importlib.metadata
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENGINE_NAMES = re.compile(
    r"(?i)(?<![a-z])(postgresql|postgres|psycopg|postgast|mysql|mariadb|pymysql|sqlserver|athena|dynamodb)"
)
# Ways of signing in that carry an engine's name; the API verifies them for every engine.
MECHANISMS = re.compile("mysql_native_password")
# Of the web UI: the one table of engines, and the one map to the editor's SQL dialects.
WEB_ENGINE_MODULES = (
    "services/middleware/web/src/modules/databases/engines.ts",
    "services/middleware/web/src/modules/editor/sql-editor.tsx",
    "services/middleware/web/src/modules/gallery/",
)
# Where an engine's name may stand outside its folder, and why.
ENGINE_NAME_EXCEPTIONS = {
    # settings of the metadata database
    "services/api/querykeep_api/config",
    "services/api/querykeep_api/tool",
    # aliases of the command line (`qk psql`)
    "agent/querykeep_agent",
    # the demo itself
    "demo",
}
PYTHON_MEMBERS = (
    "libs/guard/querykeep_guard",
    "libs/engines/querykeep_engines",
    "libs/relay/querykeep_relay",
    "services/api/querykeep_api",
    "services/middleware/querykeep_middleware",
    "services/proxy/querykeep_proxy",
    "agent/querykeep_agent",
    "demo/querykeep_demo",
)
SETTING = re.compile(r"(?<![A-Z0-9_])QUERYKEEP_[A-Z0-9_]*[A-Z0-9]")
# A key of Django's request.META, not of the environment.
# What one Django app may import of another: its facade, and how requests are authenticated.
OPEN_MODULES = {"facade", "authentication"}
NO_SETTINGS = {"QUERYKEEP_CLIENT_ADDRESS"}
SETTINGS_TABLE = "docs/operations/settings.md"


def tracked_files() -> list[str]:
    """Return the paths that are tracked or would be by the next `git add`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def text_of(name: str) -> str | None:
    """Return a tracked file's text, None for a binary one."""
    content = (ROOT / name).read_bytes()
    return None if b"\0" in content else content.decode("utf-8")


def docstrings(tree: ast.AST) -> set[int]:
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found.add(id(node.value))
    return found


def words_of_code(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of every name and string in Python code, docstrings left out."""
    tree = ast.parse(source)
    prose = docstrings(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in prose:
                yield node.lineno, text
            case ast.Name(id=text) | ast.Attribute(attr=text):
                yield node.lineno, text
            case ast.FunctionDef(name=text) | ast.ClassDef(name=text):
                yield node.lineno, text
            case ast.Import(names=names):
                yield from ((node.lineno, name.name) for name in names)
            case ast.ImportFrom(module=str(text), names=names):
                yield node.lineno, text
                yield from ((node.lineno, name.name) for name in names)


def is_engine_folder(name: str) -> bool:
    return re.match(r"libs/engines/querykeep_engines/(?!kit/)[a-z]+/", name) is not None


def test_no_engine_is_named_outside_its_folder() -> None:
    found: list[str] = []
    for name in tracked_files():
        if not name.endswith(".py") or not name.startswith(PYTHON_MEMBERS):
            continue
        if is_engine_folder(name) or "/migrations/" in name:
            continue
        if any(name.startswith(exception + "/") for exception in ENGINE_NAME_EXCEPTIONS):
            continue
        for line, text in words_of_code((ROOT / name).read_text()):
            if match := ENGINE_NAMES.search(MECHANISMS.sub("", text)):
                found.append(f"{name}:{line}: {match[0]}")
    assert found == []


def test_web_ui_names_no_engine() -> None:
    found: list[str] = []
    for name in tracked_files():
        if not re.search(r"^services/middleware/web/src/.*\.tsx?$", name):
            continue
        if ".test." in name or "/i18n/" in name or name.startswith(WEB_ENGINE_MODULES):
            continue
        for number, line in enumerate((ROOT / name).read_text().splitlines(), start=1):
            code = re.sub(r"//.*|^\s*/?\*.*", "", line)
            if match := ENGINE_NAMES.search(code):
                found.append(f"{name}:{number}: {match[0]}")
    assert found == []


def test_no_address_of_a_registry_and_no_path_of_a_machine() -> None:
    # Put together here, so that this file does not contain what it looks for.
    forbidden = [
        "registry." + "npmjs.org",
        "registry." + "yarnpkg.com",
        "files." + "pythonhosted.org",
        "pypi." + "org/simple",
        "deb." + "debian.org",
        "/work" + "/main",
        "/work" + "/shared",
        "/opt" + "/wheels",
        "/home" + "/",
    ]
    found = [
        f"{name}: {text}"
        for name in tracked_files()
        for text in forbidden
        if text in (text_of(name) or "")
    ]
    assert found == []


def test_python_locks_hold_hashes_and_no_address() -> None:
    for lock in ("run", "dev", "bootstrap", "clients"):
        text = (ROOT / f"requirements/{lock}.txt").read_text()
        assert "://" not in text
        assert not re.search(r"^\s*-(-index-url|-extra-index-url|-find-links|i|f)\b", text, re.M)
        for requirement in re.split(r"\n(?=[a-z0-9])", text):
            assert "--hash=sha256:" in requirement, requirement.splitlines()[0]


def test_smaller_locks_hold_the_tested_versions() -> None:
    def pinned(lock: str) -> set[str]:
        text = (ROOT / f"requirements/{lock}.txt").read_text()
        return set(re.findall(r"^([a-z0-9][^\s;\\]*==[^\s;\\]+)", text, re.M))

    assert pinned("run") <= pinned("dev")
    assert pinned("bootstrap") <= pinned("dev")


def test_npm_lock_holds_hashes_and_no_address() -> None:
    for folder in ("services/middleware/web", "tests/clients/programs"):
        lock = json.loads((ROOT / folder / "package-lock.json").read_text())
        for path, package in lock["packages"].items():
            assert "resolved" not in package, path
            # Packages that stand inside another one's archive are covered by that one's hash.
            if path and not package.get("link") and not package.get("inBundle"):
                assert package.get("integrity"), path


def runtime_packages() -> list[str]:
    text = (ROOT / "requirements/run.txt").read_text()
    pinned = re.findall(r"^([a-z0-9][a-z0-9._-]*)==[^\s;\\]+([^\\\n]*)", text, re.M)
    # Lines with a marker (another system, an older Python) are not installed on every machine.
    return [name for name, rest in pinned if ";" not in rest]


@pytest.mark.parametrize("package", runtime_packages())
def test_runtime_package_is_not_under_gpl_or_agpl(package: str) -> None:
    metadata = importlib.metadata.metadata(package)
    texts = [*(metadata.get_all("License-Expression") or []), *(metadata.get_all("License") or [])]
    classifiers = metadata.get_all("Classifier") or []
    texts += [entry for entry in classifiers if entry.startswith("License")]
    # Of a whole licence text in the field only its title tells the licence.
    statement = "\n".join(text.strip().split("\n\n")[0][:200] for text in texts)
    assert statement.strip(), f"{package} declares no licence: look it up and decide"
    lesser = re.sub(
        r"(?i)lesser general public|library general public|\bLGPL[\w.+-]*", "", statement
    )
    assert not re.search(r"(?i)\bA?GPL|general public licen", lesser), statement


def test_every_setting_stands_in_the_table() -> None:
    used: set[str] = set()
    for name in tracked_files():
        is_code = name.endswith((".py", ".sh", ".yml", ".yaml")) or "Dockerfile" in name
        if is_code and not name.startswith(("tests/", "docs/")):
            used |= set(SETTING.findall(text_of(name) or ""))
    text = (ROOT / SETTINGS_TABLE).read_text()
    documented = set(re.findall(r"^\| `(QUERYKEEP_[A-Z0-9_]+)`", text, re.M))
    assert used - documented - NO_SETTINGS == set(), f"used, but not in {SETTINGS_TABLE}"
    assert documented - used == set(), f"in {SETTINGS_TABLE}, but used nowhere"


def app_imports() -> Iterator[tuple[str, str, str]]:
    """Yield (file, app, module) of the imports from one Django app to another."""
    package = ROOT / "services/api/querykeep_api"
    apps = {path.parent.name for path in package.glob("*/apps.py")}
    for path in package.glob("*/**/*.py"):
        app = path.relative_to(package).parts[0]
        if app not in apps or "migrations" in path.parts:
            continue
        tree = ast.parse(path.read_text())
        for_types_only = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            if id(node) in for_types_only:
                continue
            if not isinstance(node, ast.ImportFrom) or node.module is None:
                continue
            parts = node.module.split(".")
            if parts[0] == "querykeep_api" and len(parts) > 1 and parts[1] in apps - {app}:
                # `from querykeep_api.iam import facade` names the module last.
                imported = parts[2:] or [name.name for name in node.names]
                yield str(path.relative_to(ROOT)), parts[1], ".".join(imported)


def test_django_apps_meet_through_their_facades() -> None:
    # The kernel is what the apps stand on; the other way round it would be a cycle.
    found = [
        f"{file}: {app}.{module}"
        for file, app, module in app_imports()
        if app != "kernel" and not OPEN_MODULES & set(module.split("."))
    ]
    assert found == []


def test_nothing_is_left_to_be_done_in_comments() -> None:
    marks = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b")
    found = [
        f"{name}:{number}: {line.strip()[:80]}"
        for name in tracked_files()
        if name.endswith((".py", ".ts", ".tsx", ".sh", ".md")) or name == "Makefile"
        for number, line in enumerate((text_of(name) or "").splitlines(), start=1)
        if marks.search(line)
    ]
    assert found == []


def test_no_test_is_skipped() -> None:
    skip = re.compile(r"pytest\.(skip|xfail|importorskip)\(|mark\.(skip|skipif|xfail)\b")
    found = [
        name
        for name in tracked_files()
        if name.startswith("tests/") and name.endswith(".py") and name != "tests/test_repository.py"
        if skip.search(text_of(name) or "")
    ]
    assert found == []
