"""Has the API's own job read the demo databases' catalogs, so that people can start at once."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from http.client import HTTPException

from querykeep_demo.processes import ProcessError, wait_for

CRAWL_TIMEOUT_S = 60.0
REQUEST_TIMEOUT_S = 15.0


def crawl_catalogs(
    api_url: str, api_token: str, connection_ids: dict[str, str], *, say: Callable[[str], None]
) -> None:
    """Ask for a crawl of each connection that has no catalog yet, and wait until all have one.

    Raises:
        ProcessError: A crawl failed or took too long; the text says what the API said.
    """
    api = _Api(api_url, api_token)
    missing = {name: path for name, path in _paths(connection_ids) if not api.has_catalog(path)}
    if not missing:
        return
    say("reading the catalogs of the demo databases")
    for path in missing.values():
        api.request("POST", f"{path}/crawl")
    for name, path in missing.items():
        if not wait_for(partial(api.has_catalog, path), timeout_s=CRAWL_TIMEOUT_S, interval_s=0.2):
            raise ProcessError(f"the catalog of {name} was not read: {api.catalog_state(path)}")


def _paths(connection_ids: dict[str, str]) -> list[tuple[str, str]]:
    return [(name, f"/api/v1/connections/{identity}") for name, identity in connection_ids.items()]


class _Api:
    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token

    def request(self, method: str, path: str) -> dict[str, object]:
        """Send a request without a body and return the JSON answer."""
        request = urllib.request.Request(
            self._url + path,
            method=method,
            headers={"Authorization": f"Bearer {self._token}", "Accept": "application/json"},
            data=b"{}" if method == "POST" else None,
        )
        if method == "POST":
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as answer:
                content = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            text = error.read(2_000).decode("utf-8", "replace")
            raise ProcessError(f"{method} {path} answered {error.code}: {text}") from error
        except (OSError, HTTPException, ValueError) as error:
            raise ProcessError(f"{method} {path} failed: {error}") from error
        if not isinstance(content, dict):
            raise ProcessError(f"{method} {path} answered no object")
        return content

    def catalog_state(self, path: str) -> dict[str, object]:
        """Return the connection's catalog entry."""
        catalog = self.request("GET", path).get("catalog")
        return catalog if isinstance(catalog, dict) else {}

    def has_catalog(self, path: str) -> bool:
        """Return whether a whole catalog is stored."""
        catalog = self.catalog_state(path)
        return bool(catalog.get("version")) and bool(catalog.get("complete"))
