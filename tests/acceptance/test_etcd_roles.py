"""``kv roles``: what the cluster's roles may do on a real etcd, by the certificates they show."""

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from c101.core.clock import SystemClock
from c101.core.etcd.client import Client
from c101.core.etcd.errors import KVError, PermissionDeniedError
from c101.core.kv_tls import KvTls
from c101.core.registry.keyspace import Keyspace
from c101.core.rpc.dial import TlsOptions, dialer_for
from tests.acceptance.cluster import run_ctl, until
from tests.acceptance.conftest import private_environment
from tests.acceptance.on_etcd import Fleet, machine_id, running_fleet
from tests.etcd.certificates import Certificate
from tests.etcd.tls_etcd import TlsEtcd
from tests.processes import running

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

MACHINES = ("m1", "m2")
KEYS = Keyspace()
UNIT = "old.service"

Deed = Callable[[Client], Awaitable[object]]

M1, M2 = map(machine_id, MACHINES)
#: What is tried: by its name, the deed, and which of viewer, operator and m1's agent may do it.
DEEDS: dict[str, tuple[Deed, str]] = {
    "read a unit": (lambda c: c.get(KEYS.unit_file(UNIT)), "voa"),
    "read all units": (lambda c: c.get_prefix(KEYS.units), "voa"),
    "read what an application keeps": (lambda c: c.get_prefix("/services/"), "voa"),
    "read a secret": (lambda c: c.get(KEYS.secret("word")), ""),
    "read everything": (lambda c: c.get_range(b"\0", b"\0"), ""),
    "write what an application keeps": (lambda c: c.put("/services/a/1", "x"), "oa"),
    "delete what applications keep": (lambda c: c.delete_prefix("/services/a/"), "oa"),
    "write a secret": (lambda c: c.put(KEYS.secret("word"), "x"), ""),
    "write a unit's file": (lambda c: c.put(KEYS.unit_file(UNIT), "x"), ""),
    "write a unit's placement": (lambda c: c.put(KEYS.unit_placement(UNIT), "x"), ""),
    "write a unit's target": (lambda c: c.put(KEYS.unit_target(UNIT), "launched"), "o"),
    "have a unit restarted": (lambda c: c.put(KEYS.unit_restart(UNIT), "1"), "o"),
    "cordon a machine": (lambda c: c.put(KEYS.machine_intent(M1), "{}"), "o"),
    "delete all units": (lambda c: c.delete_prefix(KEYS.units), ""),
    "be its machine": (lambda c: c.put(KEYS.machine_presence(M1), "x"), "a"),
    "be another machine": (lambda c: c.put(KEYS.machine_presence(M2), "x"), ""),
    "tell a unit's state": (lambda c: c.put(KEYS.unit_state("none.service", M1), "x"), "a"),
    "write the guard": (lambda c: c.put(KEYS.engine_guard, "accept"), ""),
    "add a user": (lambda c: c.auth.add_user("more", "x"), ""),
}


def files(server: TlsEtcd, own: Certificate) -> dict[str, str]:
    """Return the files that *own* is shown by, as flags and variables name them."""
    return {"cacert": str(server.authority.ca), "cert": str(own.cert), "key": str(own.key)}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TlsEtcd]:
    with running(TlsEtcd, tmp_path / "kv") as one:
        assert isinstance(one, TlsEtcd)
        yield one


@pytest.fixture
def fleet(tmp_path: Path, server: TlsEtcd) -> Iterator[Fleet]:
    """A cluster all of which is root, with a unit and a secret."""
    root = files(server, server.authority.sign("root"))
    variables = {f"C101_KV_{name.upper()}": value for name, value in root.items()}
    environment = private_environment(tmp_path / "home") | variables
    flags = [f"--kv-{name}={value}" for name, value in root.items()]
    with running_fleet(
        tmp_path / "f", server.url, environment, machines=MACHINES, flags=flags
    ) as one:
        one.run(UNIT)
        yield one


def roles(fleet: Fleet, *flags: str) -> list[dict[str, str]]:
    """Run ``kv roles``; return the changes."""
    done = fleet.cluster.ok("-o", "json", "kv", "roles", *flags)
    changes: list[dict[str, str]] = json.loads(done)["changes"]
    return changes


async def may(server: TlsEtcd, own: Certificate, deed: Deed) -> bool:
    """Say whether who shows *own* may do *deed*."""
    shown = files(server, own)
    tls = KvTls(ca_file=shown["cacert"], cert_file=shown["cert"], key_file=shown["key"])
    dialer = dialer_for(server.url, TlsOptions.of(tls))
    async with Client([dialer], clock=SystemClock(), fails_fast=True) as client:
        try:
            await deed(client)
        except PermissionDeniedError:
            return False
        except KVError as exc:
            # etcd's words to one that it does not know, where only root may ask.
            assert str(exc) == "user name not found"  # noqa: PT017
            return False
        return True


def test_each_role_may_do_on_an_etcd_what_ranges_can_say(fleet: Fleet, server: TlsEtcd) -> None:
    planned = roles(fleet, "--dry-run")
    assert planned == roles(fleet, "--dry-run")
    assert roles(fleet, "--enable") == planned
    # Done again it has nothing to do, and is let in.
    assert roles(fleet) == []
    certificates = {
        "v": server.authority.sign("c101-viewer"),
        "o": server.authority.sign("c101-operator"),
        "a": server.authority.sign(f"c101-agent-{M1}"),
    }
    stranger = server.authority.sign("stranger")

    async def try_all() -> dict[str, tuple[str, bool]]:
        found = {}
        for name, (deed, _) in DEEDS.items():
            allowed = [r for r, own in certificates.items() if await may(server, own, deed)]
            found[name] = ("".join(allowed), await may(server, stranger, deed))
        return found

    found = asyncio.run(try_all())
    assert found == {name: (allowed, False) for name, (_, allowed) in DEEDS.items()}


def test_agents_go_on_as_themselves_and_a_later_unit_is_an_operators_when_it_is_done_again(
    fleet: Fleet, server: TlsEtcd
) -> None:
    pids = fleet.pids([UNIT])
    roles(fleet, "--enable")
    for name, agent in fleet.agents.items():
        own = files(server, server.authority.sign(f"c101-agent-{machine_id(name)}"))
        agent.send(signal.SIGKILL)
        agent.arguments = [*agent.arguments, *(f"--kv-{key}={file}" for key, file in own.items())]
        agent.start()
    later = fleet.run("later.service")
    until(
        lambda: fleet.states() == dict.fromkeys(MACHINES, "ready"),
        seconds=60,
        what="the machines are back",
    )
    assert fleet.pids([UNIT]) == pids
    operator = server.authority.sign("c101-operator")
    stop: Deed = lambda c: c.put(KEYS.unit_target("later.service"), "inactive")  # noqa: E731
    assert not asyncio.run(may(server, operator, stop))
    assert {change["key"] for change in roles(fleet)} == {
        KEYS.unit_target("later.service"),
        KEYS.unit_restart("later.service"),
    }
    assert asyncio.run(may(server, operator, stop))
    until(
        lambda: fleet.cluster.unit("later.service")["active"] != "active",
        seconds=60,
        what=f"{later} has stopped",
    )


def test_a_machine_that_is_gone_has_no_role_any_more(fleet: Fleet) -> None:
    roles(fleet)
    fleet.agents["m2"].send(signal.SIGTERM)
    until(lambda: fleet.states()["m2"] != "ready", seconds=30, what="the machine is not there")
    fleet.cluster.ok("rm", "--raw", "--force", KEYS.machine_record(M2))
    role = f"c101-agent-{M2}"
    gone = [(change["change"], change["role"]) for change in roles(fleet)]
    assert ("delete user", role) in gone
    assert ("delete role", role) in gone


@pytest.mark.parametrize("name", ["somebody", None])
def test_names_are_not_asked_for_by_who_is_not_root(
    fleet: Fleet, server: TlsEtcd, name: str | None
) -> None:
    environment = {k: v for k, v in fleet.cluster.environment.items() if "C101_KV" not in k}
    if name is not None:
        own = files(server, server.authority.sign(name))
        environment |= {f"C101_KV_{key.upper()}": value for key, value in own.items()}
    done = run_ctl("--kv", server.url, "kv", "roles", "--enable", env=environment)
    assert done.returncode == 2
    assert "root" in done.stderr
    plain = run_ctl("--kv", "http://127.0.0.1:1", "kv", "roles", "--enable", env=environment)
    assert plain.returncode == 2
    assert "the name root" in plain.stderr
