"""Catalogs: stored compressed by version, read back whole, and browsed from memory."""

from __future__ import annotations

import zlib
from functools import lru_cache

from django.db import transaction

from querykeep_api.dbam.models import CatalogVersion, Connection
from querykeep_api.kernel import clock
from querykeep_guard.contracts.catalog import Catalog
from querykeep_guard.contracts.codec import dumps, loads

# Older catalogs serve enforcement points that still decide by them.
KEPT_VERSIONS = 3
_IN_MEMORY = 32


def latest(connection_id: str) -> CatalogVersion | None:
    """Return the newest stored version without its payload, or None."""
    return (
        CatalogVersion.objects.filter(connection_id=connection_id)
        .defer("payload")
        .order_by("-version")
        .first()
    )


def payload_of(connection_id: str, fingerprint: str = "") -> tuple[str, bytes] | None:
    """Return (fingerprint, JSON bytes) of the newest version, or of the one asked for."""
    rows = CatalogVersion.objects.filter(connection_id=connection_id)
    if fingerprint:
        rows = rows.filter(fingerprint=fingerprint)
    row = rows.order_by("-version").first()
    return (row.fingerprint, zlib.decompress(bytes(row.payload))) if row is not None else None


def catalog_of(connection_id: str) -> Catalog | None:
    """Return the newest catalog, parsed (the most recent ones stay in memory)."""
    row = latest(connection_id)
    return _parsed(connection_id, row.fingerprint, row.pk) if row is not None else None


@lru_cache(maxsize=_IN_MEMORY)
def _parsed(_connection_id: str, _fingerprint: str, version_pk: int) -> Catalog:
    """Parse a stored catalog. The key names its content too: the number of a row whose transaction
    was undone is given again."""
    payload = CatalogVersion.objects.values_list("payload", flat=True).get(pk=version_pk)
    return loads(Catalog, zlib.decompress(bytes(payload)))


@transaction.atomic
def do_store_catalog(connection: Connection, catalog: Catalog) -> CatalogVersion:
    """Store a catalog as it was read. One with the present fingerprint only renews the time.

    Returns:
        The version that now holds (of the newest row).
    """
    Connection.everything.select_for_update().filter(pk=connection.pk).values_list("pk").first()
    now = clock.now()
    newest = latest(connection.pk)
    same = newest is not None and newest.fingerprint == catalog.fingerprint
    if newest is not None and same and newest.complete == catalog.complete:
        CatalogVersion.objects.filter(pk=newest.pk).update(crawled_at=catalog.crawled_at)
        newest.crawled_at = catalog.crawled_at
        stored = newest
    else:
        stored = CatalogVersion.objects.create(
            connection=connection,
            version=newest.version + 1 if newest is not None else 1,
            fingerprint=catalog.fingerprint,
            crawled_at=catalog.crawled_at,
            relations=len(catalog.relations),
            complete=catalog.complete,
            payload=zlib.compress(dumps(catalog), 6),
        )
        CatalogVersion.objects.filter(
            connection=connection, version__lte=stored.version - KEPT_VERSIONS
        ).delete()
    Connection.everything.filter(pk=connection.pk).update(
        catalog_state="ok",
        catalog_error="",
        catalog_checked_at=now,
        server_version=catalog.server_version or connection.server_version,
        flavour=catalog.flavour or connection.flavour,
    )
    return stored
