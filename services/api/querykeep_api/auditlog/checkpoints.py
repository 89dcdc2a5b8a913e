"""Signed checkpoints: where every chain stood, each minute, kept in the audit database and outside.

A chain alone cannot show that its *tail* was removed, nor that all of it was computed anew; a
signed head can. The signing key derives from the root key and never stands in the database; the
file (``QUERYKEEP_CHECKPOINT_FILE``) belongs on another disk or an append-only share.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from django.db import transaction

from querykeep_api.auditlog.models import AUDIT_DATABASE, Checkpoint, SpoolState
from querykeep_api.config.roots import derive, root_keys
from querykeep_guard.contracts.codec import ContractError, dumps, loads

_PURPOSE = "audit-checkpoint"
FULL_EVERY = 60
"""Every how many checkpoints all heads are written, instead of those that moved only."""
_TAIL_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Head:
    """Where one chain stood: the record up to which nothing was missing."""

    spool_id: str
    sequence: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class CheckpointBody:
    """What is signed. ``root`` covers the heads of all spools, ``heads`` those that moved since the
    previous checkpoint (all, where ``full``)."""

    number: int
    at: datetime
    previous: bytes
    root: bytes
    spools: int
    full: bool
    heads: tuple[Head, ...]


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint as it stands in the database and, as one JSON line, in the file."""

    body: str
    signature: bytes
    key_id: str

    @property
    def hash(self) -> bytes:
        """SHA-256 of the signed text, which the next checkpoint names as ``previous``."""
        return hashlib.sha256(self.body.encode("utf-8")).digest()

    def opened(self) -> CheckpointBody:
        """Return the body; raises ContractError when it is no checkpoint."""
        return loads(CheckpointBody, self.body)

    def is_genuine(self) -> bool:
        """True when one of the installation's keys signed the body."""
        for key in _keys():
            if key_id(key) != self.key_id:
                continue
            try:
                key.public_key().verify(self.signature, self.body.encode("utf-8"))
            except InvalidSignature:
                return False
            return True
        return False


def root_of(heads: dict[str, Head]) -> bytes:
    """Return the root over heads, independent of their order."""
    ordered = [heads[spool_id] for spool_id in sorted(heads)]
    return hashlib.sha256(dumps(ordered)).digest()


def key_id(key: Ed25519PrivateKey) -> str:
    """Return the short name of a key: a hash of its public half."""
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def make_checkpoint(now: datetime) -> CheckpointBody:
    """Sign where every chain stands and write it to the database and the file.

    Raises:
        OSError: The file cannot be written. The row is in the database then, and the next call
            brings the file up to date.
        RootKeyError: There is no root key.
    """
    path: Path = settings.QUERYKEEP.checkpoint_file
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a+b") as file:
        # The lock makes two workers take turns, so that lines stand in order.
        fcntl.flock(file, fcntl.LOCK_EX)
        last = _last_line(file)
        with transaction.atomic(using=AUDIT_DATABASE):
            body = _next_body(last, now)
            text = dumps(body).decode("utf-8")
            key = _keys()[0]
            signed = SignedCheckpoint(text, key.sign(text.encode("utf-8")), key_id(key))
            Checkpoint.objects.using(AUDIT_DATABASE).create(
                number=body.number,
                at=body.at,
                body=text,
                hash=signed.hash,
                signature=signed.signature,
                key_id=signed.key_id,
            )
        _append_missing(file, after=last.opened().number if last else 0)
        # After the commit and one by one: locking many spools in one transaction could cross an
        # ingest that holds one of them. A crash here only makes the next checkpoint name more.
        for head in body.heads:
            SpoolState.objects.using(AUDIT_DATABASE).filter(spool_id=head.spool_id).update(
                checkpointed=head.sequence
            )
    return body


def stored_checkpoints() -> Iterator[SignedCheckpoint]:
    """Yield the checkpoints of the database by number."""
    rows = Checkpoint.objects.using(AUDIT_DATABASE).order_by("number")
    for row in rows.iterator(chunk_size=500):
        yield SignedCheckpoint(row.body, bytes(row.signature), row.key_id)


def filed_checkpoints(path: Path) -> Iterator[SignedCheckpoint | None]:
    """Yield the checkpoints of the file in its order, None for a line that is none."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            yield _parse(line)


def _next_body(last: SignedCheckpoint | None, now: datetime) -> CheckpointBody:
    latest = Checkpoint.objects.using(AUDIT_DATABASE).order_by("-number").first()
    number, previous = 0, bytes(32)
    if latest is not None:
        number, previous = latest.number, bytes(latest.hash)
    if last is not None and last.opened().number > number:
        # Rows were removed from the database: go on where the file stands, so that
        # verification sees the hole instead of a second checkpoint of the same number.
        number, previous = last.opened().number, last.hash
    states = list(SpoolState.objects.using(AUDIT_DATABASE).order_by("spool_id"))
    heads = {s.spool_id: Head(s.spool_id, s.acknowledged, bytes(s.head_hash)) for s in states}
    known = {s.spool_id: s.checkpointed for s in states}
    full = latest is None or latest.number != number or (number + 1) % FULL_EVERY == 1
    moved = tuple(h for i, h in sorted(heads.items()) if full or h.sequence != known[i])
    return CheckpointBody(
        number=number + 1,
        at=now,
        previous=previous,
        root=root_of(heads),
        spools=len(heads),
        full=full,
        heads=moved,
    )


def _append_missing(file: IO[bytes], *, after: int) -> None:
    rows = Checkpoint.objects.using(AUDIT_DATABASE).filter(number__gt=after).order_by("number")
    for row in rows.iterator(chunk_size=500):
        line = {
            "body": row.body,
            "signature": base64.b64encode(bytes(row.signature)).decode("ascii"),
            "key_id": row.key_id,
        }
        file.write(json.dumps(line, ensure_ascii=False).encode("utf-8") + b"\n")
    file.flush()
    os.fsync(file.fileno())


def _last_line(file: IO[bytes]) -> SignedCheckpoint | None:
    """Return the last whole checkpoint of the file; a torn last line is closed off, not removed."""
    end = file.seek(0, os.SEEK_END)
    size = min(_TAIL_BYTES, end)
    while end:
        file.seek(end - size)
        tail = file.read(size)
        if not tail.endswith(b"\n"):
            file.seek(0, os.SEEK_END)
            file.write(b"\n")
            file.flush()
            tail += b"\n"
        lines = tail.split(b"\n")
        whole = lines if size == end else lines[1:]
        for line in reversed(whole):
            parsed = _parse(line) if line else None
            if parsed is not None and parsed.is_genuine():
                return parsed
        if size == end:
            return None
        size = min(size * 4, end)
    return None


def _parse(line: bytes) -> SignedCheckpoint | None:
    try:
        data = json.loads(line)
        signed = SignedCheckpoint(
            body=str(data["body"]),
            signature=base64.b64decode(data["signature"], validate=True),
            key_id=str(data["key_id"]),
        )
        signed.opened()
    except (ValueError, KeyError, TypeError, ContractError):
        return None
    return signed


def _keys() -> list[Ed25519PrivateKey]:
    roots = root_keys(settings.QUERYKEEP.secret_file)
    return [Ed25519PrivateKey.from_private_bytes(derive(root, _PURPOSE)) for root in roots]
