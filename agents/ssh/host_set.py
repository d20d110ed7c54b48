"""Links to many hosts, kept up: what a console shows of how it stands with each."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from c101.agents.ssh.dial import SshLink, SshTarget
from c101.core.clock import Clock
from c101.core.errors import C101Error, HostKeyError, NotFoundError
from c101.core.model.host import LinkPhase, LinkState

#: Handshakes under way at once: one costs 4 to 6 ms of processor time at this end.
HANDSHAKES_MAX = 32
#: Waits between attempts: full jitter, up to a second at first, twice as much each time.
BACKOFF_FIRST_SECONDS = 1.0
BACKOFF_MAX_SECONDS = 30.0
#: How often the round trip of a link is told anew.
RTT_PERIOD_SECONDS = 5.0
#: A change smaller than this, of the last one told, is not told.
RTT_CHANGE_TOLD = 0.25


class HostSet:
    """Hosts by a key of the caller's (a machine id), each with a link that is kept up.

    *backoff_max_seconds* is 1 in a local cluster, where a host comes back within a second or so.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        backoff_max_seconds: float = BACKOFF_MAX_SECONDS,
        handshakes_max: int = HANDSHAKES_MAX,
        jitter: random.Random | None = None,
    ) -> None:
        self._clock = clock
        self._backoff_max_seconds = backoff_max_seconds
        self._gate = asyncio.Semaphore(handshakes_max)
        self._jitter = jitter or random.Random()  # noqa: S311 - spreads load, hides nothing
        self._hosts: dict[str, _Host] = {}
        self._states: dict[str, LinkState] = {}
        self._readers: set[_Changes] = set()
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def states(self) -> Mapping[str, LinkState]:
        """How it stands with each host now."""
        return self._states

    def link(self, host: str) -> SshLink:
        """Return the link of *host*, to dial over. Raises NotFoundError."""
        try:
            return self._hosts[host].link
        except KeyError:
            raise NotFoundError(f"no link to {host}") from None

    def set_hosts(self, targets: Mapping[str, SshTarget]) -> None:
        """Keep up links to exactly these; one whose target is another now is made anew."""
        for host, kept in list(self._hosts.items()):
            if targets.get(host) != kept.link.target:
                self._remove(host)
        for host, target in targets.items():
            if host not in self._hosts:
                self._add(host, target)

    @asynccontextmanager
    async def changes(self) -> "AsyncIterator[AsyncIterator[Mapping[str, LinkState | None]]]":
        """Iterate over what changed: all at first, then the latest of each; None is removed.

        A reader that is slow gets fewer and larger changes.
        """
        reader = _Changes(self._states)
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)

    async def close(self) -> None:
        """End every link."""
        for host in list(self._hosts):
            self._remove(host)
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _add(self, host: str, target: SshTarget) -> None:
        link = SshLink(target, self._clock, gate=self._gate)
        self._enter(host, link, LinkPhase.CONNECTING)
        task = asyncio.create_task(self._keep_up(host, link), name=f"link to {host}")
        self._hosts[host] = _Host(link, task)

    def _remove(self, host: str) -> None:
        kept = self._hosts.pop(host)
        task = asyncio.create_task(kept.end(), name=f"end of link to {host}")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        self._states.pop(host, None)
        self._tell(host, None)

    async def _keep_up(self, host: str, link: SshLink) -> None:
        failures = 0
        while True:
            # What was wrong stays to be seen until it is known to be right again.
            try:
                await link.connect()
            except C101Error as error:
                self._enter(host, link, LinkPhase.DOWN, reason=str(error), hint=error.hint or "")
                failures += 1
                await self._clock.sleep(self._pause(failures, error))
                continue
            failures = 0
            self._enter(host, link, LinkPhase.UP)
            reason = await self._watch(host, link)
            self._enter(host, link, LinkPhase.DOWN, reason=reason)
            failures += 1
            await self._clock.sleep(self._pause(failures, None))

    def _pause(self, failures: int, error: C101Error | None) -> float:
        if isinstance(error, HostKeyError):
            return self._backoff_max_seconds  # nothing but a person changes that
        ceiling = min(self._backoff_max_seconds, BACKOFF_FIRST_SECONDS * 2.0 ** min(failures, 16))
        return self._jitter.uniform(0, ceiling)

    async def _watch(self, host: str, link: SshLink) -> str:
        """Tell the round trip while the link stands; return why it was lost."""
        lost = asyncio.create_task(link.wait_lost(), name=f"loss of {host}")
        try:
            while True:
                self._tell_rtt(host, link)
                pause = asyncio.create_task(self._clock.sleep(RTT_PERIOD_SECONDS))
                try:
                    await asyncio.wait({lost, pause}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    pause.cancel()
                if lost.done():
                    return lost.result()
        finally:
            lost.cancel()

    def _tell_rtt(self, host: str, link: SshLink) -> None:
        state, rtt = self._states[host], link.rtt_seconds
        before = state.rtt_seconds
        if rtt is None or (before and abs(rtt - before) < RTT_CHANGE_TOLD * before):
            return
        self._set(
            host, LinkState(host=state.host, phase=state.phase, since=state.since, rtt_seconds=rtt)
        )

    def _enter(
        self, host: str, link: SshLink, phase: LinkPhase, *, reason: str = "", hint: str = ""
    ) -> None:
        before = self._states.get(host)
        same = before is not None and before.phase is phase
        since = before.since if before is not None and same else self._clock.time()
        self._set(
            host,
            LinkState(host=link.target.host, phase=phase, since=since, reason=reason, hint=hint),
        )

    def _set(self, host: str, state: LinkState) -> None:
        if self._states.get(host) != state:
            self._states[host] = state
            self._tell(host, state)

    def _tell(self, host: str, state: LinkState | None) -> None:
        for reader in self._readers:
            reader.put(host, state)


class _Host:
    """A link and the task that keeps it up."""

    def __init__(self, link: SshLink, task: "asyncio.Task[None]") -> None:
        self.link = link
        self._task = task

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.link.close()


class _Changes(AsyncIterator[Mapping[str, LinkState | None]]):
    """What one reader has not seen yet: at most one state a host."""

    def __init__(self, states: Mapping[str, LinkState]) -> None:
        self._pending: dict[str, LinkState | None] = dict(states)
        self._arrived = asyncio.Event()
        if self._pending:
            self._arrived.set()

    def put(self, host: str, state: LinkState | None) -> None:
        self._pending[host] = state
        self._arrived.set()

    async def __anext__(self) -> Mapping[str, LinkState | None]:
        await self._arrived.wait()
        self._arrived.clear()
        taken, self._pending = self._pending, {}
        return taken
