"""Links to many hosts: kept up, told of, bounded."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest

from c101.agents.ssh.gateway import Gateway
from c101.agents.ssh.host_set import HostSet
from c101.agents.ssh.keys import ensure_key
from c101.core.clock import SystemClock
from c101.core.errors import NotFoundError
from c101.core.model.host import LinkPhase, LinkState
from tests.ssh.conftest import COMMAND, Collector, EchoService, Place

pytestmark = pytest.mark.integration

StartGateway = Callable[..., Awaitable[Gateway]]


class Watcher:
    """Follows a host set until something is so."""

    def __init__(self, hosts: HostSet) -> None:
        self.hosts = hosts

    async def until(self, wanted: Callable[[Mapping[str, LinkState]], bool]) -> None:
        async with asyncio.timeout(20), self.hosts.changes() as changes:
            if wanted(self.hosts.states):
                return
            async for _ in changes:
                if wanted(self.hosts.states):
                    return


async def test_hosts_come_up_go_down_and_come_back(
    start_gateway: StartGateway, place: Place, echo: EchoService
) -> None:
    gateway = await start_gateway({COMMAND: echo.path})
    hosts = HostSet(SystemClock(), backoff_max_seconds=0.2)
    watcher = Watcher(hosts)
    try:
        hosts.set_hosts({"m1": place.target(gateway.port), "m2": place.target(1)})
        await watcher.until(
            lambda states: (
                states["m1"].phase is LinkPhase.UP
                and states["m1"].rtt_seconds is not None
                and states["m2"].phase is LinkPhase.DOWN
            )
        )
        assert "onnect" in hosts.states["m2"].reason
        protocol = Collector()
        await hosts.link("m1").dialer(COMMAND).dial(protocol)
        port = gateway.port
        await gateway.close()
        await watcher.until(lambda states: states["m1"].phase is LinkPhase.DOWN)
        assert protocol.ended.is_set()
        assert hosts.states["m1"].reason
        await start_gateway({COMMAND: echo.path}, port=port)
        await watcher.until(lambda states: states["m1"].phase is LinkPhase.UP)
    finally:
        await hosts.close()


async def test_a_host_that_is_taken_out_is_told_as_none_and_has_no_link(
    gateway: Gateway, place: Place
) -> None:
    hosts = HostSet(SystemClock())
    try:
        hosts.set_hosts({"m1": place.target(gateway.port)})
        await Watcher(hosts).until(lambda states: states["m1"].phase is LinkPhase.UP)
        async with hosts.changes() as changes:
            assert (await anext(changes))["m1"] is not None
            hosts.set_hosts({})
            assert await anext(changes) == {"m1": None}
        with pytest.raises(NotFoundError):
            hosts.link("m1")
    finally:
        await hosts.close()


async def test_a_pinned_key_that_is_not_the_hosts_keeps_it_down_with_the_reason(
    gateway: Gateway, place: Place
) -> None:
    other = ensure_key(place.root / "other")
    hosts = HostSet(SystemClock())
    try:
        hosts.set_hosts({"m1": place.target(gateway.port, host_keys=(other.line,))})
        await Watcher(hosts).until(lambda states: states["m1"].phase is LinkPhase.DOWN)
        assert "CHANGED" in hosts.states["m1"].reason
        assert hosts.states["m1"].hint
    finally:
        await hosts.close()


async def test_a_hundred_hosts_come_up_a_few_handshakes_at_a_time(
    gateway: Gateway, place: Place
) -> None:
    hosts = HostSet(SystemClock(), handshakes_max=4)
    try:
        hosts.set_hosts({f"m{number}": place.target(gateway.port) for number in range(100)})
        await Watcher(hosts).until(
            lambda states: all(state.phase is LinkPhase.UP for state in states.values())
        )
        assert len(hosts.states) == 100
    finally:
        await hosts.close()
