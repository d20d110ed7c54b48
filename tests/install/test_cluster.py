"""Whose name and id a host may have: decided before anything is changed on it."""

from pathlib import Path
from typing import cast

import pytest

from c101.agents.install.cluster import Cluster, Wanted
from c101.agents.install.cores import Cores
from c101.agents.install.host import RemoteHost
from c101.agents.install.probe import HostFacts
from c101.agents.ssh.dial import SshLink, SshTarget
from c101.agents.ssh.keys import ensure_key
from c101.core.clock import SystemClock
from c101.core.errors import ConfigError, ConflictError, LinkError
from c101.core.model.cluster import ClusterState
from c101.core.model.machine import Machine, MachineRecord
from c101.core.registry.mirror import Mirror
from c101.core.registry.registry import Registry
from tests.install.test_probe import FIT


class Known:
    """What is known of the cluster: all that is looked at of a mirror before a host is changed."""

    def __init__(self, *records: MachineRecord) -> None:
        machines = {record.id: Machine(id=record.id, record=record) for record in records}
        self.state = ClusterState(machines=machines)


def cluster(*records: MachineRecord, core: RemoteHost | None = None) -> Cluster:
    return Cluster(
        cast("Registry", None),
        cast("Mirror", Known(*records)),
        SystemClock(),
        cores=Cores([core] if core is not None else []),
        tell=lambda _host, _text: None,
    )


def host(name: str, **changes: object) -> RemoteHost:
    facts = {one: getattr(FIT, one) for one in FIT.__slots__} | {"hostname": name} | changes
    remote = RemoteHost(SshLink(SshTarget(host=name, config=()), SystemClock()))
    remote._facts = HostFacts(**facts)
    return remote


@pytest.fixture
def key(tmp_path: Path) -> str:
    return ensure_key(tmp_path / "key").line


def test_a_host_is_called_and_reached_as_it_says_or_as_is_wanted(key: str) -> None:
    one = host("web.example.org", host_keys=(key, "nonsense"), port=2222)
    record = cluster()._record(one, Wanted())
    assert (record.name, record.addresses, record.ssh_port) == ("web", ("10.0.0.1",), 2222)
    assert record.host_keys == (key,)
    wanted = Wanted(name="w1", address="web.example.org", metadata={"disk": "ssd"})
    record = cluster()._record(one, wanted)
    assert (record.name, record.addresses) == ("w1", ("web.example.org",))
    assert record.metadata == {"disk": "ssd"}


def test_what_it_was_called_and_can_do_stays(key: str) -> None:
    old = MachineRecord(id="a1", name="old", host_keys=(key,), metadata={"a": "b"}, added=7.0)
    record = cluster(old)._record(host("new", host_keys=(key,)), Wanted())
    assert (record.name, record.metadata, record.added) == ("old", {"a": "b"}, 7.0)


def test_a_copy_of_a_machine_is_not_taken_for_it(key: str, tmp_path: Path) -> None:
    other = ensure_key(tmp_path / "other").line
    old = MachineRecord(id="a1", name="m1", host_keys=(other,))
    with pytest.raises(ConflictError, match="machine id of m1") as caught:
        cluster(old)._record(host("m2", host_keys=(key,)), Wanted())
    assert "machine-id-setup" in (caught.value.hint or "")


def test_two_hosts_of_one_name_or_id_are_not_both_added() -> None:
    known = cluster(MachineRecord(id="b2", name="m2"))
    with pytest.raises(ConflictError, match="called m2"):
        known._record(host("m2", machine_id="c3"), Wanted())
    known._record(host("m4", machine_id="d4"), Wanted())
    with pytest.raises(ConflictError, match="m5 and m4 are both d4"):
        known._record(host("m5", machine_id="d4"), Wanted())
    known._record(host("debian", machine_id="e5", address="10.0.0.5"), Wanted(name="x"))
    with pytest.raises(ConflictError, match="both x"):
        known._record(host("debian2", machine_id="f6"), Wanted(name="x"))


def test_the_kv_is_reached_where_others_can(key: str) -> None:
    core = host("core", machine_id="k1", host_keys=(key,), address="10.0.0.9", port=2200)
    url, lines = cluster(core=core)._access(host("m1"), Wanted())
    assert url == "ssh://c101@10.0.0.9:2200/kv-agent-a1"
    assert lines == (f"[10.0.0.9]:2200 {key}",)
    url, lines = cluster(core=core)._access(core, Wanted())
    assert url == "unix:///run/c101/kv-agent-k1.sock"
    assert lines == ()
    url, _ = cluster(core=core)._access(host("m1"), Wanted(kv_address="fd00::1"))
    assert url == "ssh://c101@[fd00::1]:2200/kv-agent-a1"
    assert cluster()._access(host("m1"), Wanted(kv="http://a:2379")) == ("http://a:2379", ())


def test_each_host_of_an_etcd_is_a_way_to_it_a_machines_own_the_first(key: str) -> None:
    hosts = [
        host(f"m{number}", machine_id=f"k{number}", host_keys=(key,), address=f"10.0.0.{number}")
        for number in (1, 2, 3)
    ]
    cores = Cores(hosts)
    own, lines = cores.access("k2", lambda _: "")
    first, *others = own.split(",")
    assert first == "unix:///run/c101/kv-agent-k2.sock"
    assert {url.partition(":22/")[0] for url in others} == {
        "ssh://c101@10.0.0.1",
        "ssh://c101@10.0.0.3",
    }
    assert len(lines) == 2
    firsts = {cores.access(f"a{number}", lambda _: "")[0].split(",")[0] for number in range(9)}
    assert len(firsts) == 9
    assert len({url.partition("/kv")[0] for url in firsts}) == 3
    assert [one.name for one in cores.others("k1")] == ["m2", "m3"]


async def test_an_agent_is_not_let_in_at_some_hosts_only() -> None:
    cores = Cores([host("m1", machine_id="k1")], missing=["m2"])
    with pytest.raises(LinkError, match="m2 cannot be reached"):
        await cores.let_in("a1", "key")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", ""])
def test_a_kv_that_others_cannot_reach_is_refused(address: str) -> None:
    core = host("core", machine_id="k1", address=address)
    with pytest.raises(ConfigError, match="others cannot reach") as caught:
        cluster(core=core)._access(host("m1"), Wanted())
    assert "--kv-address" in (caught.value.hint or "")
    with pytest.raises(ConfigError, match="host of the KV is not known"):
        cluster()._access(host("m1"), Wanted())
