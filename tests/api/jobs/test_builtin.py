"""The jobs themselves, on real target databases, a real Redis and the real stores."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from tests.ports import free_port

from querykeep_api.auditlog.models import Checkpoint, Event, Record
from querykeep_api.dbam.actions.connections import do_create_connection
from querykeep_api.dbam.actions.grants import do_change_grant, do_create_grant
from querykeep_api.dbam.models import Connection, Grant, Privilege
from querykeep_api.dbam.opening import open_session
from querykeep_api.jobs.models import JobReport, JobRun
from querykeep_api.jobs.running import carry_out
from querykeep_api.kernel import clock
from querykeep_api.kernel.models import OutboxEvent
from querykeep_api.kernel.policy_version import current_version
from querykeep_demo.shop import Shop
from querykeep_guard.contracts.session import ClientInfo, Route

pytestmark = pytest.mark.django_db(databases=["default", "audit"], transaction=True)


def run(name: str, **arguments: str) -> JobRun:
    row = JobRun.objects.create(job=name, queued_at=clock.now(), arguments=arguments)
    assert carry_out(name, row.pk) is not None
    row.refresh_from_db()
    return row


@pytest.fixture
def connect(db: None, settings: Any) -> Callable[..., Connection]:
    def make(shop: Shop, **changes: object) -> Connection:
        data = {
            "name": f"shop-{shop.engine}",
            "engine": shop.engine,
            "host": shop.host,
            "port": shop.port,
            "database": shop.database,
            "username": shop.account_user,
            "password": shop.account_password,
            **changes,
        }
        return do_create_connection(data, acting_user=None)

    return make


def changes_of(row: JobRun) -> set[tuple[str, str]]:
    return {(change["kind"], change["subject"]) for change in row.changes}


@pytest.mark.timeout(400)
def test_crawl_lists_what_changed(connect, shop_postgresql: Shop, shop_mariadb: Shop) -> None:
    first = connect(shop_postgresql)
    connect(shop_mariadb)
    row = run("schema_crawl")
    assert row.state == "ok", row.error
    assert changes_of(row) == {("first", "shop-postgresql"), ("first", "shop-mariadb")}
    row = run("schema_crawl")
    assert (row.state, row.changes) == ("ok", [])
    with psycopg.connect(
        host=shop_postgresql.host,
        port=shop_postgresql.port,
        dbname=shop_postgresql.database,
        user=shop_postgresql.user,
        password=shop_postgresql.password,
        autocommit=True,
    ) as direct:
        direct.execute("CREATE TABLE crawled (id int, name text)")
        try:
            assert changes_of(run("schema_crawl", connection=first.pk)) == {
                ("added", "shop-postgresql: public.crawled")
            }
            direct.execute("ALTER TABLE crawled ADD COLUMN more int, DROP COLUMN name")
            row = run("schema_crawl", connection=first.pk)
            assert changes_of(row) == {("altered", "shop-postgresql: public.crawled")}
            assert row.changes[0]["detail"].startswith("+more, -name")
        finally:
            direct.execute("DROP TABLE crawled")
    row = run("schema_crawl")
    assert changes_of(row) == {("removed", "shop-postgresql: public.crawled")}


def test_crawl_and_health_of_a_database_that_is_down(connect, shop_postgresql: Shop) -> None:
    connect(shop_postgresql)
    connect(shop_postgresql, name="down", port=free_port())
    connect(shop_postgresql, name="off", port=free_port(), is_enabled=False)
    row = run("schema_crawl")
    assert row.state == "failed"
    assert row.error == "1 of 2 connections could not be read."
    assert ("failed", "down") in changes_of(row)
    assert ("first", "shop-postgresql") in changes_of(row)
    row = run("target_health_probe")
    assert (row.state, row.summary) == ("ok", "1 of 2 databases answer.")
    assert changes_of(row) == {("ok", "shop-postgresql"), ("failed", "down")}
    row = run("target_health_probe")
    assert changes_of(row) == {("failed", "down")}
    assert shop_postgresql.account_password not in json.dumps(row.changes)


def test_grant_expiry_and_dormant_grants(connect, shop_postgresql: Shop, new_user) -> None:
    connection = connect(shop_postgresql)
    privilege = Privilege.objects.create(name="reading", kinds=["select"])
    now = clock.now()

    def grant(username: str, **data: object) -> Grant:
        return do_create_grant(
            user=new_user(username),
            group=None,
            connection=connection,
            privilege=privilege,
            data=data,
            acting_user=None,
        )

    expired = grant("kim", valid_until=now - timedelta(minutes=1))
    grant("lee", valid_until=now + timedelta(days=1))
    unused = grant("park")
    Grant.everything.filter(pk=unused.pk).update(updated_at=now - timedelta(days=91))
    before = current_version()
    row = run("grant_expiry")
    assert [change["kind"] for change in row.changes] == ["expired"]
    assert "kim" in row.changes[0]["subject"]
    assert current_version() > before
    assert run("grant_expiry").changes == []
    before = current_version()
    row = run("dormant_grant_report")
    assert [change["kind"] for change in row.changes] == ["dormant"]
    assert "park" in row.changes[0]["subject"]
    unused.refresh_from_db()
    assert unused.state(clock.now()) == "dormant"
    assert expired.state(clock.now()) == "expired"
    # It is reported, and holds as before.
    assert current_version() == before
    assert Grant.holding(unused.user_id or "").filter(pk=unused.pk).exists()
    assert [change["kind"] for change in run("dormant_grant_report").changes] == ["still dormant"]
    run("audit_outbox")
    assert {"grant.expired", "grant.dormant"} <= set(Event.objects.values_list("kind", flat=True))


def test_dormant_grants_sleep_only_where_the_setting_says_so(
    connect, shop_postgresql: Shop, new_user, settings
) -> None:
    connection, person = connect(shop_postgresql), new_user("park")
    grant = do_create_grant(
        user=person,
        group=None,
        connection=connection,
        privilege=Privilege.objects.create(name="reading", kinds=["select"]),
        acting_user=None,
    )
    long_ago = clock.now() - timedelta(days=8)
    Grant.everything.filter(pk=grant.pk).update(last_used_at=long_ago)
    settings.QUERYKEEP = replace(
        settings.QUERYKEEP, dormant_after_days=7, dormant_grants_sleep=True
    )
    before = current_version()
    row = run("dormant_grant_report")
    assert {change["kind"] for change in row.changes} == {"dormant", "put to sleep"}
    assert current_version() > before
    assert not Grant.holding(person.pk).exists()
    grant.refresh_from_db()
    # A change wakes it.
    do_change_grant(grant, {"valid_until": clock.now() + timedelta(days=1)}, acting_user=None)
    assert Grant.holding(person.pk).exists()


def test_a_dormant_grant_that_is_used_is_dormant_no_more(
    connect, shop_postgresql: Shop, new_user
) -> None:
    connection, person = connect(shop_postgresql), new_user("park")
    grant = do_create_grant(
        user=person,
        group=None,
        connection=connection,
        privilege=Privilege.objects.create(name="reading", kinds=["select"]),
        acting_user=None,
    )
    Grant.everything.filter(pk=grant.pk).update(last_used_at=clock.now() - timedelta(days=91))
    assert [change["kind"] for change in run("dormant_grant_report").changes] == ["dormant"]
    open_session(
        person, connection, route=Route.EDITOR, client=ClientInfo(address="127.0.0.1"), ep="test"
    )
    grant.refresh_from_db()
    assert grant.state(clock.now()) == "active"
    assert run("dormant_grant_report").changes == []


def test_audit_jobs(db, tmp_path: Path, settings, new_user) -> None:
    path = tmp_path / "cp" / "audit.jsonl"
    settings.QUERYKEEP = replace(settings.QUERYKEEP, checkpoint_file=path)
    new_user("someone")
    new_user("someone-else")
    assert OutboxEvent.objects.filter(delivered_at=None).exists()
    assert run("audit_outbox").summary.endswith("events delivered.")
    assert run("audit_outbox").summary == "Nothing was waiting."
    assert run("audit_checkpoint").summary == "Checkpoint 1 over 1 chains."
    row = run("audit_chain_verify")
    assert (row.state, "whole" in row.summary) == ("ok", True)
    Record.objects.earliest("id").delete()
    row = run("audit_chain_verify")
    assert row.state == "failed"
    assert ("gap", "api#1") in changes_of(row)
    assert run("audit_retention").summary.startswith("QUERYKEEP_AUDIT_RETENTION_DAYS is not set")
    path.unlink()
    path.mkdir()
    row = run("audit_checkpoint")
    assert (row.state, "QUERYKEEP_CHECKPOINT_FILE" in row.error) == ("failed", True)
    assert Checkpoint.objects.count() == 1


def test_cleanup_says_what_went(db) -> None:
    JobRun.objects.create(job="schema_crawl", queued_at=clock.now() - timedelta(hours=2))
    row = run("session_token_cleanup")
    assert row.state == "ok", row.error
    assert {"kind": "removed", "subject": "lost job runs", "detail": "1"} in row.changes


def test_result_store_cleanup_asks_and_waits(db, settings, redis_server) -> None:
    settings.QUERYKEEP = replace(settings.QUERYKEEP, redis_url="")
    assert run("result_store_cleanup").state == "failed"
    settings.QUERYKEEP = replace(settings.QUERYKEEP, redis_url=redis_server.url)
    row = run("result_store_cleanup")
    assert "No middleware listens" in row.error
    listener = redis.Redis.from_url(redis_server.url).pubsub()
    listener.subscribe("querykeep:jobs")
    assert listener.get_message(timeout=10)["type"] == "subscribe"

    def answer() -> None:
        from django.db import connections

        message = listener.get_message(timeout=20)
        request = json.loads(message["data"])
        JobReport.objects.create(
            run_id=request["run_id"],
            service="middleware",
            ep="m-1",
            at=clock.now(),
            ok=True,
            summary="2 results removed",
            changes=[{"kind": "removed", "subject": "result", "detail": "r1"}],
        )
        connections.close_all()

    thread = threading.Thread(target=answer)
    thread.start()
    row = run("result_store_cleanup")
    thread.join()
    listener.close()
    assert (row.state, row.summary) == ("ok", "1 result stores cleaned.")
    assert changes_of(row) == {("cleaned", "m-1"), ("removed", "result")}
