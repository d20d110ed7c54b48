"""From the KV on one machine to an etcd on three: the order of steps, and the way back.

::

    wrong      is anything in the way? nothing is changed by asking
    prepare    etcd installed on each host, with certificates; not started     all goes on
    switch     the engine and the KV stopped, the KV written down (hold)       nothing is decided
               shipped to each host, restored with its revisions, started
               a front at each host's sockets
               the KV before is left stopped (settle)
    move       each agent is let in everywhere, and told of the other KV
    decide     the engines start

Units run on all the time: an agent without a KV leaves them as they are. Up to ``settle`` whatever
fails goes back to the KV that was, and should nobody be there to do so, the service manager of its
host does. After it the same command goes on where it stood: each agent is moved once.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from c101.agents.host.service_unit import NAME
from c101.agents.host.setup.places import Places
from c101.agents.host.setup.spec import (
    CoreSpec,
    EtcdSite,
    EtcdSpec,
    EtcdStatus,
    Hold,
    KvMove,
)
from c101.agents.install.cluster import Tell
from c101.agents.install.cores import Cores
from c101.agents.install.host import RemoteHost, SetupError
from c101.agents.install.probe import UnfitHostError
from c101.core.clock import Clock
from c101.core.errors import C101Error, DeadlineExceededError, LinkError

_T = TypeVar("_T")

#: A KV that is held starts again by itself after this.
HELD_SECONDS = 300
#: Packages, from a mirror that is far away.
_PREPARE_SECONDS_MAX = 900.0
#: From the start of the members until they have a leader.
_DECIDES_SECONDS_MAX = 60.0
_LOOK_SECONDS = 0.3
_MOVING = str(Places().moving)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """From which cluster id the data came to which, and the last revision there."""

    before: int
    after: int
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A host that is to run a member: what that is called, and where it is reached."""

    name: str
    address: str
    host: RemoteHost

    @property
    def admin(self) -> str:
        """Who becomes an admin there besides root."""
        return "" if self.host.facts.root else self.host.facts.user


class HighAvailability:
    """An etcd on *seats*."""

    def __init__(self, seats: Sequence[Seat], tell: Tell, clock: Clock) -> None:
        self.seats = tuple(seats)
        self.cores = Cores([seat.host for seat in seats])
        self._members = {seat.name: seat.address for seat in seats}
        self._specs: dict[str, EtcdSpec] = {}
        self._tell = tell
        self._clock = clock

    async def wrong(self, kv_bytes: int) -> list[str]:
        """Return what is in the way, in words; *kv_bytes* is what the KV takes on disk."""

        async def at(seat: Seat) -> list[str]:
            site = EtcdSite(address=seat.address, members=self._members, bytes=kv_bytes)
            outcome = await seat.host.setup("etcd-check", site, seconds=_PREPARE_SECONDS_MAX)
            return [f"{seat.name}: {one}" for one in outcome.wrong]

        found = await _all(at(seat) for seat in self.seats)
        return [one for some in found for one in some]

    async def prepare(self, cluster: str) -> None:
        """Have all that the members need on their hosts. Raises C101Error."""
        self._specs = await asyncio.to_thread(self._signed, cluster)

        async def at(seat: Seat) -> None:
            self._tell(seat.name, "installing etcd")
            spec = self._specs[seat.name]
            await seat.host.setup("etcd", spec, seconds=_PREPARE_SECONDS_MAX)

        await _all(at(seat) for seat in self.seats)

    async def switch(
        self, core: RemoteHost, cluster_id: int, record: Callable[[Moved], Awaitable[None]]
    ) -> Moved:
        """Move the data of the KV *cluster_id* on *core*; *record* writes that into the etcd.

        Raises C101Error: all is as it was.
        """
        self._tell(core.name, "stopping the KV; units run on")
        try:
            held = await core.setup("hold", Hold(seconds=HELD_SECONDS))
            await self._ship(core)
            status = await self._begin(held.revision)
            moved = Moved(before=cluster_id, after=status.cluster_id, revision=held.revision)
            await record(moved)
            await core.setup("settle")
        except BaseException:
            await self._go_back(core)
            raise
        return moved

    async def move(
        self, machines: Mapping[str, RemoteHost], moved: Moved, addresses: Mapping[str, str]
    ) -> dict[str, bool | C101Error]:
        """Have each agent use the etcd; say of each if it was started anew, or why it was not told.

        *machines* are hosts by the machine's name, *addresses* those of machines by their id.
        """
        done: dict[str, bool | C101Error] = {}

        async def one(name: str, host: RemoteHost) -> None:
            machine_id = host.facts.machine_id
            try:
                key = (await host.setup("key")).key
                await self.cores.let_in(machine_id, key)
                kv, known_hosts = self.cores.access(
                    machine_id, lambda other: addresses.get(other, "")
                )
                move = KvMove(
                    kv=kv,
                    known_hosts=known_hosts,
                    before=moved.before,
                    after=moved.after,
                    revision=moved.revision,
                )
                outcome = await host.setup("moved", move)
                done[name] = f"started {NAME}" in outcome.changed
                self._tell(name, "its agent uses the etcd")
            except C101Error as error:
                done[name] = error

        await _all(one(name, host) for name, host in machines.items())
        return done

    async def decide(self) -> None:
        """Have engines run, one of which leads. Raises C101Error."""
        await self._run_cores(engine=True)

    # ---- parts ----

    def _signed(self, cluster: str) -> dict[str, EtcdSpec]:
        from c101.agents.install.certificates import Authority  # noqa: PLC0415 - it takes a while

        authority = Authority(f"c101 etcd of {cluster}", self._clock.time())
        root = authority.client("root")
        token = f"c101-{secrets.token_hex(8)}"
        specs = {}
        for seat in self.seats:
            own = authority.member(f"c101-etcd-{seat.name}", seat.address)
            specs[seat.name] = EtcdSpec(
                name=seat.name,
                address=seat.address,
                members=self._members,
                token=token,
                ca=authority.own.certificate,
                ca_key=authority.own.key,
                certificate=own.certificate,
                key=own.key,
                client_certificate=root.certificate,
                client_key=root.key,
            )
        return specs

    async def _ship(self, core: RemoteHost) -> None:
        data = await core.fetch(_MOVING)
        self._tell(core.name, f"moving the KV, {len(data) / 1e6:.1f} MB compressed")
        others = self.cores.others(core.facts.machine_id)
        await _all(host.put(_MOVING, data) for host in others)

    async def _begin(self, revision: int) -> EtcdStatus:
        """Start members and fronts; return what the etcd says once it decides."""
        self._tell(", ".join(self._members), "starting etcd")
        await _all(seat.host.setup("etcd-start", self._specs[seat.name]) for seat in self.seats)
        status = await self._decides()
        if status.revision < revision:
            raise SetupError(f"the etcd is at revision {status.revision}, the KV was at {revision}")
        await self._run_cores(engine=False)
        return status

    async def _decides(self) -> EtcdStatus:
        last: C101Error | None = None
        try:
            async with asyncio.timeout(_DECIDES_SECONDS_MAX):
                while True:
                    try:
                        found = await _all(self._fares(seat) for seat in self.seats)
                    except SetupError as error:  # one does not answer yet
                        last = error
                    else:
                        if all(one.leader and one.members == len(found) for one in found):
                            return found[0]
                    await self._clock.sleep(_LOOK_SECONDS)
        except TimeoutError:
            reason = f": {last}" if last else ""
            raise DeadlineExceededError(
                f"the etcd has no leader within {_DECIDES_SECONDS_MAX:g} s{reason}",
                hint=f"journalctl -u c101-etcd.service on {self.seats[0].name} says more",
            ) from None

    async def _fares(self, seat: Seat) -> EtcdStatus:
        """Return the etcd as a member sees it. Raises SetupError: it does not answer yet."""
        outcome = await seat.host.setup("etcd-status")
        if outcome.wrong:
            raise UnfitHostError(f"{seat.name}: {outcome.wrong[0]}")
        assert outcome.etcd is not None
        return outcome.etcd

    async def _run_cores(self, *, engine: bool) -> None:
        await _all(
            seat.host.setup("core", CoreSpec(etcd=True, engine=engine, admin=seat.admin))
            for seat in self.seats
        )

    async def _go_back(self, core: RemoteHost) -> None:
        """Have the KV run again as it did, and no etcd, as far as hosts are reached."""
        self._tell(core.name, "going back to the KV as it was")
        others = self.cores.others(core.facts.machine_id)
        undone = await asyncio.gather(
            *(host.setup("etcd-drop") for host in others),
            core.setup("release"),
            return_exceptions=True,
        )
        if isinstance(undone[-1], LinkError):
            self._tell(core.name, f"not reached; its KV starts again within {HELD_SECONDS} s")


async def _all(work: Iterable[Awaitable[_T]]) -> list[_T]:
    """Wait until all of *work* has ended; raise a failure that there was, one for good first."""
    done = await asyncio.gather(*work, return_exceptions=True)
    failed = [one for one in done if isinstance(one, BaseException)]
    if failed:
        raise min(failed, key=lambda one: isinstance(one, SetupError))
    return [one for one in done if not isinstance(one, BaseException)]
