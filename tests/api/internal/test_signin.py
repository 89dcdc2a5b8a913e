"""Agentless sign-in: SCRAM and the MySQL mechanisms, steady fakes, and every refusal."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Any

import pytest
from tests.api.internal.conftest import CLIENT, Shop, b64

from querykeep_engines.kit.scram import ScramClient

pytestmark = pytest.mark.django_db(databases=["default", "audit"])


def scram(
    call: Any, connection_id: str, username: str, password: str, database: str = "shop", **more: Any
) -> Any:
    client = ScramClient(password, base64.b64encode(os.urandom(18)), b"", server_offers_plus=False)
    first = client.first()
    common = {
        "connection_id": connection_id,
        "route": "agentless",
        "mechanism": "SCRAM-SHA-256",
        "username": username,
        "client": CLIENT,
        "tls": False,
        **more,
    }
    challenge = call(
        "POST",
        "signin/challenge",
        {**common, "data": b64(first.removeprefix(b"n,,")), "gs2_header": b64(b"n,,")},
    )
    if challenge.status_code != 200:
        return challenge
    final = client.final(base64.b64decode(challenge.json()["data"]))
    answer = call(
        "POST",
        "signin/prove",
        {
            **common,
            "data": b64(final),
            "nonce": "",
            "challenge_id": challenge.json()["challenge_id"],
            "database": database,
            "ep": "proxy-1",
        },
    )
    if answer.status_code == 200:
        client.verify(base64.b64decode(answer.json()["data"]))
    return answer


def code(answer: Any) -> str:
    assert answer.status_code == 403, answer.content
    refusal: str = answer.json()["refusal"]["code"]
    return refusal


def test_scram_opens_a_session_with_policy_and_target(internal: Any, shop: Shop) -> None:
    answer = scram(internal(), shop.connection.pk, shop.token.username, shop.password)
    assert answer.status_code == 200, answer.content
    grant = answer.json()["grant"]
    assert grant["route"] == "agentless"
    assert grant["target"]["password"] == "target password"
    assert grant["policy"]["subject"]["username"] == "analyst"
    assert [scope["privilege"] for scope in grant["policy"]["grants"]] == ["read-only"]
    assert "unknown" not in grant["policy"]["grants"][0]["kinds"]


def test_wrong_password_and_unknown_user_look_alike(internal: Any, shop: Shop) -> None:
    wrong = scram(internal(), shop.connection.pk, shop.token.username, "no")
    unknown = scram(internal(), shop.connection.pk, "nobody", "no")
    assert code(wrong) == code(unknown) == "bad_credentials"
    assert wrong.json()["refusal"] == unknown.json()["refusal"]


def test_unknown_user_gets_a_steady_salt(internal: Any, shop: Shop) -> None:
    def salt(username: str) -> bytes:
        answer = internal()(
            "POST",
            "signin/challenge",
            {
                "connection_id": shop.connection.pk,
                "route": "agentless",
                "mechanism": "SCRAM-SHA-256",
                "username": username,
                "data": b64(b"n=,r=abcdefghijklmnopqrstuvwx"),
                "gs2_header": b64(b"n,,"),
                "client": CLIENT,
                "tls": False,
            },
        )
        message = base64.b64decode(answer.json()["data"])
        return message.split(b",s=")[1].split(b",")[0]

    assert salt("nobody") == salt("nobody")
    assert salt("nobody") != salt("somebody")


@pytest.mark.parametrize("mechanism", ["mysql_native_password", "caching_sha2_password"])
def test_mysql_mechanisms(internal: Any, shop: Shop, mechanism: str) -> None:
    nonce = os.urandom(20)

    def response(password: str) -> bytes:
        if mechanism == "mysql_native_password":
            stage1 = hashlib.sha1(password.encode()).digest()
            key = hashlib.sha1(nonce + hashlib.sha1(stage1).digest()).digest()
        else:
            stage1 = hashlib.sha256(password.encode()).digest()
            stage2 = hashlib.sha256(stage1).digest()
            key = hashlib.sha256(stage2 + nonce).digest()
        return bytes(a ^ b for a, b in zip(stage1, key, strict=True))

    def prove(password: str, nonce: bytes = nonce) -> Any:
        return internal()(
            "POST",
            "signin/prove",
            {
                "connection_id": shop.connection.pk,
                "route": "agentless",
                "mechanism": mechanism,
                "username": shop.token.username,
                "data": b64(response(password)),
                "nonce": b64(nonce),
                "database": "",
                "client": CLIENT,
                "tls": False,
                "ep": "proxy-1",
            },
        )

    assert prove(shop.password).status_code == 200
    assert code(prove("wrong")) == "bad_credentials"
    assert code(prove(shop.password, os.urandom(20))) == "bad_credentials"


def test_refusals_after_a_right_password(internal: Any, shop: Shop, settings: Any) -> None:
    from datetime import timedelta

    from django.utils import timezone

    from querykeep_api.dbam.models import Connection, Grant
    from querykeep_api.iam.models import User

    def attempt(database: str = "shop") -> str:
        return code(
            scram(internal(), shop.connection.pk, shop.token.username, shop.password, database)
        )

    assert attempt("other") == "unknown_database"
    hour = {"weekdays": [(timezone.now() + timedelta(days=3)).weekday()], "zone": "UTC"}
    Grant.everything.update(hours={**hour, "start": "00:00", "end": "00:01"})
    assert attempt() == "outside_hours"
    Grant.everything.update(hours=None, valid_until=timezone.now())
    assert attempt() == "no_grant"
    Grant.everything.update(valid_until=None)
    User.everything.update(locked_until=timezone.now() + timedelta(hours=1))
    assert attempt() == "locked"
    User.everything.update(locked_until=None)
    Connection.everything.update(tls_required=True)
    assert attempt() == "tls_required"
    Connection.everything.update(tls_required=False, is_enabled=False)
    assert attempt() == "connection_disabled"


def test_a_token_of_another_connection_does_not_fit(internal: Any, shop: Shop) -> None:
    from querykeep_api.dbam.actions.connections import do_create_connection

    other = do_create_connection(
        {
            "name": "other",
            "engine": "postgresql",
            "host": "db",
            "port": 5432,
            "database": "shop",
            "username": "app",
        },
        acting_user=None,
    )
    answer = scram(internal(), other.pk, shop.token.username, shop.password)
    assert code(answer) == "bad_credentials"


def test_only_services_with_their_key(internal: Any, anonymous: Any, shop: Shop) -> None:
    assert anonymous.get("/internal/v1/connections").status_code == 401
    bad = {"Authorization": "Bearer proxy:wrong"}
    assert anonymous.get("/internal/v1/connections", **bad).status_code == 401
    listed = internal()("GET", "connections").json()
    assert [row["name"] for row in listed["connections"]] == ["shop"]
    assert listed["connections"][0]["port"] == 40000
    body = {"cookie": "x", "connection_id": "y", "client": CLIENT, "ep": "p"}
    assert internal("proxy")("POST", "sessions/editor", body).status_code == 403
