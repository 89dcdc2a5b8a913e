"""Tables of the audit database.

``Record`` is the evidence: every link of every chain as it arrived. ``Statement`` and ``Event`` are
projections of records, made for people to search; ``verification`` compares them with the records.
Nothing but retention ever removes a row, and nothing updates a ``Record``.
"""

from __future__ import annotations

from django.db import models

AUDIT_DATABASE = "audit"
"""Alias of the database that holds every table of this module."""


class SpoolState(models.Model):
    """How far the chain of one spool has arrived.

    ``acknowledged`` is the highest sequence up to which nothing is missing, ``head_hash`` the hash
    of that record, ``checkpointed`` the one that the latest checkpoint names; ``trimmed`` and
    ``trimmed_hash`` say where retention cut the beginning off.
    """

    spool_id = models.CharField(max_length=200, primary_key=True)
    service = models.CharField(max_length=64, default="")
    ep = models.CharField(max_length=200, default="")
    acknowledged = models.BigIntegerField(default=0)
    head_hash = models.BinaryField(default=b"")
    highest = models.BigIntegerField(default=0)
    checkpointed = models.BigIntegerField(default=0)
    trimmed = models.BigIntegerField(default=0)
    trimmed_hash = models.BinaryField(default=b"")
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        db_table = "audit_spool"

    def __str__(self) -> str:
        return f"{self.spool_id}@{self.acknowledged}"


class Record(models.Model):
    """One link of a chain, as it arrived.

    ``payload`` is the canonical JSON of the event. ``flag`` says what was wrong on arrival (empty,
    or words joined by a space: ``changed``, ``relinked``, ``gap``, ``duplicate``, ``unreadable``).
    ``subject`` is the statement or session that the record speaks of; it is derived, not chained.
    """

    spool_id = models.CharField(max_length=200)
    sequence = models.BigIntegerField()
    event_id = models.CharField(max_length=200, unique=True)
    at = models.DateTimeField()
    type = models.CharField(max_length=64)
    payload = models.TextField()
    prev_hash = models.BinaryField()
    hash = models.BinaryField()
    subject = models.CharField(max_length=200, default="")
    flag = models.CharField(max_length=64, default="")
    received_at = models.DateTimeField()

    class Meta:
        db_table = "audit_record"
        indexes = (
            models.Index(fields=["spool_id", "sequence"], name="audit_record_place"),
            models.Index(fields=["subject"], name="audit_record_subject"),
        )

    def __str__(self) -> str:
        return f"{self.spool_id}#{self.sequence} {self.type}"


class Statement(models.Model):
    """One statement, merged from its start and its completion.

    ``has_start`` is False for the moment in which only the completion has arrived; such rows are
    not listed. ``search_text`` is what ``?search=`` looks through, in lower case.
    """

    id = models.CharField(max_length=200, primary_key=True)
    has_start = models.BooleanField(default=False)
    started_at = models.DateTimeField(null=True)
    session_id = models.CharField(max_length=200, default="")
    user_id = models.CharField(max_length=200, default="")
    username = models.CharField(max_length=300, default="")
    route = models.CharField(max_length=20, default="")
    client_address = models.CharField(max_length=300, default="")
    client_program = models.TextField(default="")
    client_version = models.TextField(default="")
    client_host_name = models.TextField(default="")
    client_user_name = models.TextField(default="")
    connection_id = models.CharField(max_length=200, default="")
    connection_name = models.CharField(max_length=300, default="")
    database = models.TextField(default="")
    statement = models.TextField(default="")
    kind = models.CharField(max_length=100, default="")
    objects_json = models.TextField(default="[]")
    verdict = models.CharField(max_length=20, default="")
    rules_json = models.TextField(default="[]")
    digest = models.CharField(max_length=200, default="")
    policy_version = models.BigIntegerField(default=0)
    catalog_version = models.CharField(max_length=200, default="")
    protocol = models.CharField(max_length=40, default="")
    parameters = models.BigIntegerField(default=0)
    refusal = models.TextField(default="")
    refusal_code = models.CharField(max_length=40, default="")
    reason_json = models.TextField(default="")
    search_text = models.TextField(default="")
    completed_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=20, default="")
    rows = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)
    duration_ms = models.FloatField(default=0.0)
    failure = models.TextField(default="")
    failure_code = models.CharField(max_length=40, default="")

    class Meta:
        db_table = "audit_statement"
        indexes = (
            models.Index(fields=["started_at", "id"], name="audit_stmt_time"),
            models.Index(fields=["user_id", "started_at"], name="audit_stmt_user"),
            models.Index(fields=["username", "started_at"], name="audit_stmt_username"),
            models.Index(fields=["connection_id", "started_at"], name="audit_stmt_connection"),
            models.Index(fields=["route", "started_at"], name="audit_stmt_route"),
            models.Index(fields=["verdict", "started_at"], name="audit_stmt_verdict"),
            models.Index(fields=["session_id"], name="audit_stmt_session"),
        )

    def __str__(self) -> str:
        return f"{self.id} {self.verdict}"


class Event(models.Model):
    """Anything but a statement: sign-ins, sessions, administration, tokens, chain findings.

    ``id`` is the event id of its record. ``before`` and ``after`` are JSON texts, empty when the
    event changed nothing.
    """

    id = models.CharField(max_length=200, primary_key=True)
    at = models.DateTimeField()
    kind = models.CharField(max_length=100)
    actor_id = models.CharField(max_length=200, default="")
    actor_name = models.CharField(max_length=300, default="")
    subject_kind = models.CharField(max_length=100, default="")
    subject_id = models.CharField(max_length=200, default="")
    subject_name = models.TextField(default="")
    connection_id = models.CharField(max_length=200, default="")
    connection_name = models.CharField(max_length=300, default="")
    route = models.CharField(max_length=20, default="")
    address = models.CharField(max_length=300, default="")
    summary = models.TextField(default="")
    before = models.TextField(default="")
    after = models.TextField(default="")
    search_text = models.TextField(default="")

    class Meta:
        db_table = "audit_event"
        indexes = (
            models.Index(fields=["at", "id"], name="audit_event_time"),
            models.Index(fields=["kind", "at"], name="audit_event_kind"),
            models.Index(fields=["actor_id", "at"], name="audit_event_actor"),
            models.Index(fields=["connection_id", "at"], name="audit_event_connection"),
        )

    def __str__(self) -> str:
        return f"{self.id} {self.kind}"


class Checkpoint(models.Model):
    """A signed statement of where every chain stood at one time.

    ``body`` is the canonical JSON that is signed: number, time, previous checkpoint's hash, root
    and the heads of all spools. The same line stands in a file outside this database.
    """

    number = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    body = models.TextField()
    hash = models.BinaryField()
    signature = models.BinaryField()
    key_id = models.CharField(max_length=64)

    class Meta:
        db_table = "audit_checkpoint"
        indexes = (models.Index(fields=["at"], name="audit_checkpoint_time"),)

    def __str__(self) -> str:
        return f"checkpoint {self.number}"
