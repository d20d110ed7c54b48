"""The client: python-etcd3's verbs, async, and what clientv3 has beside them.

::

    async with connect("http://127.0.0.1:2379") as client:
        await client.put("/services/db", "10.0.0.7")
        async with client.watch_prefix("/services/") as watch:
            async for batch in watch:
                ...

Keys and values are bytes, or text that is sent as UTF-8; answers hold bytes. Every request ends
within ``timeout_seconds``. Reads are asked again, of another endpoint if there is one, until that
time is up; a write is asked again only when it is known that it was not carried out (``retry`` says
when that is), so a write that fails with ``LinkLostError``, ``DeadlineExceededError`` or
``UnavailableError`` may have been carried out: read to find out, or make it a transaction that can
be repeated.

Raised by every verb: ``LinkError`` (no endpoint answers; the three above say more),
``InvalidRequestError``, ``PermissionDeniedError``, ``AuthenticationError``, ``NoSpaceError``,
``KVError``. What else a verb raises is said there.
"""

import copy
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

from c101.core.clock import Clock
from c101.core.etcd.caller import Caller
from c101.core.etcd.endpoints import Endpoints
from c101.core.etcd.keys import Bytes, as_bytes, prefix_end, prefix_start
from c101.core.etcd.kv import KeyVerbs
from c101.core.etcd.lease_verbs import LeaseVerbs
from c101.core.rpc.channel import Dialer

_M = TypeVar("_M", bound="Message")

# Imported by the verbs that need them: a command that reads one key should not load the rest.
if TYPE_CHECKING:
    from google.protobuf.message import Message

    from c101.core.etcd.auth import Auth
    from c101.core.etcd.cluster import Cluster
    from c101.core.etcd.election import Election
    from c101.core.etcd.events import WatchEvent
    from c101.core.etcd.lease import HeldLease
    from c101.core.etcd.lock import Lock
    from c101.core.etcd.maintenance import Maintenance
    from c101.core.etcd.members import Member, Status
    from c101.core.etcd.mirror import Mirror
    from c101.core.etcd.tokens import Tokens
    from c101.core.etcd.watch import Watch, WatchOptions
    from c101.core.etcd.watch_group import WatchGroup


class Client(KeyVerbs, LeaseVerbs):
    """A KV, by one or more endpoints.

    Endpoints fail over in the order given. Nothing is connected before the first request. One
    client may be used by any number of tasks at once. With *fails_fast*, for commands, a request
    fails once each endpoint was tried, as long as none was ever reached; without, for what lives
    long, it waits within its time for a KV that is down to come up. *tokens* say who we are.

    ``connect`` makes one from URLs.
    """

    def __init__(
        self,
        dialers: Sequence[Dialer],
        *,
        clock: Clock,
        timeout_seconds: float = 5.0,
        fails_fast: bool = False,
        tokens: "Tokens | None" = None,
    ) -> None:
        endpoints = Endpoints(dialers, clock=clock, fails_fast=fails_fast, tokens=tokens)
        super().__init__(Caller(endpoints, timeout_seconds=timeout_seconds))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every link. A watch that still runs ends with LinkError. A view closes nothing.

        Example::

            from c101.core.etcd import connect

            another = connect(url)
            await another.get("/k")
            await another.close()
        """
        if not self._caller.is_view:
            await self._caller.endpoints.close()

    # Views

    def namespace(self, prefix: Bytes) -> Self:
        """Return a view in which *prefix* goes before every key, unseen.

        All verbs work in it: transactions, watches, locks, the keys under a lease. Views share
        this client's links and end with it.

        Example::

            app = client.namespace("/app/")
            await app.put("db", "10.0.0.7")
            assert (await client.get("/app/db")).value == b"10.0.0.7"
            assert [kv.key for kv in (await app.get_prefix("")).kvs] == [b"db"]
        """
        return self._view(self._caller.inside(as_bytes(prefix)))

    def within(self, timeout_seconds: float) -> Self:
        """Return a view whose requests each end within *timeout_seconds*.

        Example::

            quick = client.within(0.5)
            await quick.put("/k", "v")
        """
        return self._view(self._caller.within(timeout_seconds))

    def _view(self, caller: Caller) -> Self:
        view = copy.copy(self)
        vars(view).update(_caller=caller)
        return view

    # Watches

    def watch(
        self, key: Bytes, *, range_end: Bytes = b"", **options: Unpack["WatchOptions"]
    ) -> "Watch":
        """Watch *key*, or the keys from it up to *range_end*. See :class:`Watch`.

        Example::

            async with client.watch("/door", prev_kv=True) as watch:
                await client.put("/door", "open")
                async for batch in watch:
                    event = batch.events[0]
                    assert (event.kind, event.kv.value) == ("put", b"open")
                    break
        """
        from c101.core.etcd.watch import Watch  # noqa: PLC0415

        return Watch(self._caller, as_bytes(key), as_bytes(range_end), options)

    def watch_prefix(self, prefix: Bytes, **options: Unpack["WatchOptions"]) -> "Watch":
        """Watch the keys that begin with *prefix*; an empty one means all.

        Example::

            async with client.watch_prefix("/rooms/") as watch:
                await client.put("/rooms/hall", "lit")
                batch = await anext(watch)
            assert batch.events[0].kv.key == b"/rooms/hall"
        """
        start = as_bytes(prefix)
        return self.watch(prefix_start(start), range_end=prefix_end(start), **options)

    async def watch_once(
        self, key: Bytes, *, range_end: Bytes = b"", **options: Unpack["WatchOptions"]
    ) -> "WatchEvent":
        """Return the next change of *key*, or of the range; ``asyncio.timeout`` bounds the wait.

        Raises as :class:`Watch` does.

        Example::

            written = await client.put("/bell", "ring")
            event = await client.watch_once("/bell", start_revision=written.revision)
            assert event.kv.value == b"ring"
        """
        async with self.watch(key, range_end=range_end, **options) as watch:
            while True:
                batch = await anext(watch)
                if batch.events:
                    return batch.events[0]

    def watch_group(self) -> "WatchGroup":
        """Watch many keys and ranges over one stream. See :class:`WatchGroup`.

        Example::

            async with client.watch_group() as group:
                doors = await group.add_prefix("/doors/")
                await group.add("/bell")
                await client.put("/doors/1", "open")
                async for watched, batch in group:
                    assert watched is doors
                    break
        """
        from c101.core.etcd.watch_group import WatchGroup  # noqa: PLC0415

        return WatchGroup(self._caller)

    def mirror(self, prefix: Bytes) -> "Mirror":
        """Keep the keys that begin with *prefix* in memory. See :class:`Mirror`.

        Example::

            await client.put("/conf/a", "1")
            async with client.mirror("/conf/") as mirror:
                assert mirror.kvs[b"/conf/a"].value == b"1"
        """
        from c101.core.etcd.mirror import Mirror  # noqa: PLC0415

        return Mirror(self, as_bytes(prefix))

    # Locks and elections (leases: LeaseVerbs)

    def lock(
        self,
        name: Bytes,
        ttl_seconds: float = 10.0,
        *,
        wait: bool = True,
        lease: "HeldLease | None" = None,
    ) -> "Lock":
        """Hold a lock while a block runs. See :class:`Lock`.

        Example::

            async with client.lock("/locks/reboot", 10) as lock:
                assert lock.revision > 0
        """
        from c101.core.etcd.lock import Lock  # noqa: PLC0415

        return Lock(self, as_bytes(name), ttl_seconds, wait=wait, lease=lease)

    def election(self, name: Bytes) -> "Election":
        """Take part in an election, or look on. See :class:`Election`.

        Example::

            election = client.election("/elections/backup")
            assert await election.leader() is None
        """
        from c101.core.etcd.election import Election  # noqa: PLC0415

        return Election(self, as_bytes(name))

    # The KV itself

    @property
    def auth(self) -> "Auth":
        """Users, roles and their permissions. See :class:`Auth`.

        Example::

            assert "nobody" not in await client.auth.users()
        """
        from c101.core.etcd.auth import Auth  # noqa: PLC0415

        return Auth(self._caller)

    @property
    def cluster(self) -> "Cluster":
        """Members, and the endpoints this client uses. See :class:`Cluster`.

        Example::

            assert [health.healthy for health in await client.cluster.health()] == [True]
        """
        from c101.core.etcd.cluster import Cluster  # noqa: PLC0415

        return Cluster(self._caller)

    @property
    def maintenance(self) -> "Maintenance":
        """Alarms, hashes, defragmentation, snapshots. See :class:`Maintenance`.

        Example::

            assert await client.maintenance.alarms() == []
        """
        from c101.core.etcd.maintenance import Maintenance  # noqa: PLC0415

        return Maintenance(self._caller)

    async def call(self, path: str, request: "Message", answer: type[_M]) -> _M:
        """Call the unary method at *path*, which may be called twice: for what no verb asks.

        Keys in it are those of the whole KV, also in a namespace. Raises what every verb raises.

        Example::

            from c101.core.proto import rpc_pb2

            request, answer = rpc_pb2.AlarmRequest(), rpc_pb2.AlarmResponse
            found = await client.call("/etcdserverpb.Maintenance/Alarm", request, answer)
            assert not found.alarms
        """
        return await self._caller.ask(path, request, answer, endpoint=None)

    async def status(self) -> "Status":
        """Return how the member in use is.

        Example::

            status = await client.status()
            assert status.leader == status.member_id
        """
        return await self.maintenance.status()

    async def members(self) -> list["Member"]:
        """Return the members of the KV's cluster.

        Example::

            assert len(await client.members()) == 1
        """
        return await self.cluster.members()
