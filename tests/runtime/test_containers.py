"""What container engines say, and what is made of it where they say something odd."""

import json
from typing import Any

import pytest

from c101.agents.runtime.containers.arguments import named_by_client, option
from c101.agents.runtime.containers.entering import entering
from c101.agents.runtime.containers.inspect import containers_of
from c101.core.errors import C101Error
from c101.core.model.host import Container

WEB: dict[str, Any] = {
    "Id": "f" * 64,
    "Name": "/web",
    "State": {"Status": "running", "Pid": 42, "Health": {"Status": "unhealthy"}},
    "Config": {"Image": "web:1"},
    "NetworkSettings": {
        "Ports": {
            "80/tcp": [
                {"HostIp": "0.0.0.0", "HostPort": "8080"},
                {"HostIp": "::", "HostPort": "8080"},
            ],
            "443/tcp": None,
        }
    },
}


def one(engine: str = "docker", **changes: Any) -> Container:
    (found,) = containers_of(engine, json.dumps([{**WEB, **changes}]).encode())
    return found


def test_a_container_is_what_its_engine_says() -> None:
    assert one() == Container(
        engine="docker",
        id="f" * 64,
        name="web",
        state="running",
        image="web:1",
        health="unhealthy",
        ports=("443/tcp", "0.0.0.0:8080->80/tcp", "[::]:8080->80/tcp"),
        pid=42,
    )


def test_podmans_older_names_are_known() -> None:
    state = {"Status": "running", "Pid": 7, "Healthcheck": {"Status": "healthy"}}
    found = one("podman", Name="web", State=state, Config={}, ImageName="localhost/web")
    assert (found.health, found.image, found.pid) == ("healthy", "localhost/web", 7)


@pytest.mark.parametrize(
    "odd",
    [
        {"State": None},
        {"State": {"Status": 3, "Pid": "x", "Health": []}},
        {"NetworkSettings": {"Ports": [1]}},
        {"NetworkSettings": {"Ports": {"80/tcp": ["x"]}}},
        {"Config": "x", "Name": None},
    ],
)
def test_what_is_not_as_it_should_be_counts_as_not_said(odd: dict[str, Any]) -> None:
    assert one(**odd).id == WEB["Id"]


def test_one_without_an_id_is_none_and_what_is_no_list_is_refused() -> None:
    assert not list(containers_of("docker", b'[{"Id": 3}, 4, {}]'))
    assert not list(containers_of("docker", b""))
    for text in (b"{}", b"[", b"\xff", b"Cannot connect"):
        with pytest.raises(C101Error, match="it printed no"):
            list(containers_of("docker", text))


def test_command_lines_name_containers() -> None:
    argv = ["/usr/bin/docker", "run", "--rm", "--name", "web", "-p", "80:80", "--name=b", "img"]
    assert {"web", "b", "img"} <= set(named_by_client(argv))
    assert option(["systemd-nspawn", "-Mone", "--directory=/d"], "--machine", "-M") == "one"
    assert option(["systemd-nspawn", "-M", "two"], "--machine", "-M") == "two"
    assert option(["systemd-nspawn", "--machine=three"], "--machine", "-M") == "three"
    assert option(["systemd-nspawn", "--machinex=3", "x"], "--machine", "-M") == ""
    assert option(["systemd-nspawn", "--machine"], "--machine", "-M") == ""


@pytest.mark.parametrize(
    ("engine", "terminal", "expected"),
    [
        ("docker", True, "docker exec --interactive --tty ID sh -c x"),
        ("podman", False, "podman exec --interactive ID sh -c x"),
        ("lxc", True, "lxc-attach --name ID -- sh -c x"),
        (
            "nspawn",
            True,
            "nsenter --target=9 --mount --uts --ipc --net --pid --root --wd -- sh -c x",
        ),
    ],
)
def test_each_engine_has_a_way_in(engine: str, terminal: bool, expected: str) -> None:
    there = Container(engine=engine, id="ID", name="n", state="running", pid=9)
    assert " ".join(entering(there, ("sh", "-c", "x"), terminal=terminal)) == expected


def test_nobody_gets_into_what_does_not_run() -> None:
    gone = Container(engine="docker", id="ID", name="web", state="exited", unit="web.service")
    with pytest.raises(C101Error, match="web does not run: it is exited") as refused:
        entering(gone, ("sh",), terminal=False)
    assert refused.value.hint == "c101ctl status web.service"
