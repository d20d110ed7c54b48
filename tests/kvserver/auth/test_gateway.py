"""Users through the JSON gateway, and the Lock and Election services: as through etcd's."""

import json
from base64 import b64encode

import pytest

from tests.kvserver.http_client import Answer, ask
from tests.kvserver.processes import HAVE_ETCD, Etcd, Ours

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not HAVE_ETCD, reason="no etcd here"),
]

ROOT = {"name": "root", "password": "pw"}


def text(value: str) -> str:
    """Return *value* as JSON has bytes."""
    return b64encode(value.encode()).decode()


def post(port: int, path: str, body: object, token: str = "") -> Answer:
    fields = {"Authorization": token} if token else {}
    return ask(port, path, json.dumps(body), fields=fields)


def token_of(answer: Answer) -> str:
    body = answer.json()
    assert isinstance(body, dict)
    return str(body["token"])


@pytest.mark.usefixtures("pair")
def test_a_token_in_authorization_says_who_asks(ours: Ours, etcd: Etcd) -> None:
    perm = {"permType": "READWRITE", "key": text("a")}
    ports = ours.port, etcd.port

    def both(path: str, body: object, tokens: tuple[str, str] = ("", "")) -> Answer:
        found, wanted = (
            post(port, path, body, token) for port, token in zip(ports, tokens, strict=True)
        )
        assert found == wanted, (path, body)
        return found

    for path, body in (
        ("/v3/auth/user/add", ROOT),
        ("/v3/auth/role/add", {"name": "root"}),
        ("/v3/auth/user/grant", {"user": "root", "role": "root"}),
        ("/v3/auth/user/add", {"name": "u", "password": "q"}),
        ("/v3/auth/role/add", {"name": "a"}),
        ("/v3/auth/role/grant", {"name": "a", "perm": perm}),
        ("/v3/auth/user/grant", {"user": "u", "role": "a"}),
        ("/v3/auth/enable", {}),
    ):
        both(path, body)
    root, user = (
        tuple(token_of(post(port, "/v3/auth/authenticate", who)) for port in ports)
        for who in (ROOT, {"name": "u", "password": "q"})
    )
    put, other = ({"key": text(key), "value": text("1")} for key in "ab")
    assert both("/v3/kv/put", put).status == 400
    assert both("/v3/kv/put", put, ("none.1", "none.1")).status == 401
    assert both("/v3/kv/put", put, (user[0], user[1])).status == 200
    assert both("/v3/kv/put", other, (user[0], user[1])).status == 403
    assert both("/v3/lock/lock", {"name": text("b")}, (user[0], user[1])).status != 200
    assert both("/v3/kv/range", {"key": text("a")}, (root[0], root[1])).status == 200
    assert both("/v3/auth/disable", {}, (user[0], user[1])).status == 403
    assert both("/v3/auth/disable", {}, (root[0], root[1])).status == 200


def test_a_lock_and_an_election_are_held_and_let_go(ours: Ours, etcd: Etcd) -> None:
    for server in (ours, etcd):
        lease = post(server.port, "/v3/lease/grant", {"TTL": 60, "ID": 7})
        assert lease.status == 200, lease
        held = post(server.port, "/v3/lock/lock", {"name": text("m"), "lease": 7}).json()
        assert isinstance(held, dict)
        assert held["key"] == text("m/7")
        again = post(server.port, "/v3/lock/lock", {"name": text("m"), "lease": 7})
        assert again.status == 200, again
        assert post(server.port, "/v3/lock/unlock", {"key": held["key"]}).status == 200
        won = post(
            server.port, "/v3/election/campaign", {"name": text("e"), "lease": 7, "value": "dg=="}
        ).json()
        assert isinstance(won, dict)
        leader = post(server.port, "/v3/election/leader", {"name": text("e")}).json()
        assert isinstance(leader, dict)
        assert leader["kv"]["value"] == "dg=="
        assert post(server.port, "/v3/election/resign", {"leader": won["leader"]}).status == 200
        assert post(server.port, "/v3/lease/revoke", {"ID": 7}).status == 200
