"""The verbs on keys."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, Unpack

from c101.core.etcd import results
from c101.core.etcd.caller import Verbs
from c101.core.etcd.keys import FROM_KEY, Bytes, as_bytes, prefix_end, prefix_start
from c101.core.etcd.ranges import RangeOptions, range_request
from c101.core.etcd.results import PutResult, RangeResult, TxnResult
from c101.core.model.key_value import KeyValue
from c101.core.proto import rpc_pb2

# Imported by the verbs that need them: a command that reads one key should not load the rest.
if TYPE_CHECKING:
    from c101.core.etcd.scan import Scan
    from c101.core.etcd.stm import Isolation, Stm
    from c101.core.etcd.transactions import Transactions
    from c101.core.etcd.txn import Compare, Op

_T = TypeVar("_T")

RANGE = "/etcdserverpb.KV/Range"
PUT = "/etcdserverpb.KV/Put"
DELETE_RANGE = "/etcdserverpb.KV/DeleteRange"
TXN = "/etcdserverpb.KV/Txn"
COMPACT = "/etcdserverpb.KV/Compact"


class KeyVerbs(Verbs):
    """Reading and writing keys; part of ``Client``."""

    async def get(self, key: Bytes, **options: Unpack[RangeOptions]) -> KeyValue | None:
        """Return *key*; ``None`` when it does not exist.

        Raises CompactedError, FutureRevisionError: with ``revision``, one that cannot be read.

        Example::

            await client.put("/greeting", "hello")
            found = await client.get("/greeting")
            assert found is not None and found.value == b"hello"
            assert await client.get("/nothing") is None
        """
        answer = await self._range(as_bytes(key), b"", options)
        return results.key_value(answer.kvs[0]) if answer.kvs else None

    async def get_range(
        self, key: Bytes, range_end: Bytes, **options: Unpack[RangeOptions]
    ) -> RangeResult:
        """Return the keys from *key* up to, and without, *range_end*. Raises as ``get``.

        The answer comes whole: for more than some thousand keys there is ``scan``.

        Example::

            await client.put("/range/a", "1")
            await client.put("/range/b", "2")
            found = await client.get_range("/range/a", "/range/b")
            assert [kv.key for kv in found.kvs] == [b"/range/a"]
        """
        answer = await self._range(as_bytes(key), as_bytes(range_end), options)
        return results.range_result(answer)

    def _range(
        self, key: bytes, range_end: bytes, options: RangeOptions
    ) -> Awaitable[rpc_pb2.RangeResponse]:
        request = range_request(key, range_end, options)
        return self._caller.read(
            RANGE,
            request,
            rpc_pb2.RangeResponse,
            revision=options.get("revision", 0),
            needs_leader=not options.get("serializable", False),
        )

    async def get_prefix(self, prefix: Bytes, **options: Unpack[RangeOptions]) -> RangeResult:
        """Return the keys that begin with *prefix*; an empty one means all. Raises as ``get``.

        Example::

            await client.put("/fruit/apple", "1")
            await client.put("/fruit/pear", "2")
            found = await client.get_prefix("/fruit/", keys_only=True)
            assert (found.count, found.more) == (2, False)
        """
        start = as_bytes(prefix)
        return await self.get_range(prefix_start(start), prefix_end(start), **options)

    async def get_all(self, **options: Unpack[RangeOptions]) -> RangeResult:
        """Return every key. Raises as ``get``.

        Example::

            everything = await client.get_all(count_only=True)
            assert everything.kvs == [] and everything.count >= 0
        """
        return await self.get_range(FROM_KEY, FROM_KEY, **options)

    def scan(
        self, key: Bytes, range_end: Bytes, *, page_keys: int = 1_000, revision: int = 0
    ) -> "Scan":
        """Read a range of any size, page by page, as it was at one moment. See :class:`Scan`.

        Example::

            async for kv in client.scan("/a", "/b", page_keys=100):
                print(kv.key, kv.value)
        """
        from c101.core.etcd.scan import Scan  # noqa: PLC0415

        return Scan(
            self, as_bytes(key), as_bytes(range_end), page_keys=page_keys, revision=revision
        )

    def scan_prefix(self, prefix: Bytes, *, page_keys: int = 1_000, revision: int = 0) -> "Scan":
        """Read the keys that begin with *prefix*, page by page. See :class:`Scan`.

        Example::

            for number in range(5):
                await client.put(f"/many/{number}", "x")
            scan = client.scan_prefix("/many/", page_keys=2)
            assert len([kv async for kv in scan]) == 5
            assert scan.revision > 0
        """
        start = as_bytes(prefix)
        return self.scan(
            prefix_start(start), prefix_end(start), page_keys=page_keys, revision=revision
        )

    async def put(
        self,
        key: Bytes,
        value: Bytes,
        *,
        lease: int = 0,
        prev_kv: bool = False,
        ignore_value: bool = False,
        ignore_lease: bool = False,
    ) -> PutResult:
        """Write *key*. Without a lease, one that it had is detached.

        With ``prev_kv`` the answer brings what was there. With ``ignore_value``, *value* must be
        empty and the key keeps its own; with ``ignore_lease`` it keeps its lease: both want a key
        that exists, else InvalidRequestError. Raises LeaseNotFoundError.

        Example::

            lease = await client.lease(30)
            first = await client.put("/name", "a", lease=lease.id)
            second = await client.put("/name", "b", prev_kv=True, ignore_lease=True)
            assert second.revision == first.revision + 1
            assert second.prev is not None and second.prev.value == b"a"
        """
        request = rpc_pb2.PutRequest(
            key=as_bytes(key), value=as_bytes(value), lease=lease, prev_kv=prev_kv
        )
        if ignore_value or ignore_lease:
            request.ignore_value = ignore_value
            request.ignore_lease = ignore_lease
        answer = await self._caller.write(PUT, request, rpc_pb2.PutResponse)
        return results.put_result(answer)

    async def put_if_not_exists(self, key: Bytes, value: Bytes, *, lease: int = 0) -> bool:
        """Create *key*; return whether that was done. Raises LeaseNotFoundError.

        Example::

            assert await client.put_if_not_exists("/once", "a")
            assert not await client.put_if_not_exists("/once", "b")
        """
        from c101.core.etcd import txn  # noqa: PLC0415

        result = await self.transaction(
            compare=[txn.create_revision(key).equals(0)], success=[txn.Put(key, value, lease)]
        )
        return result.succeeded

    async def replace(self, key: Bytes, initial_value: Bytes, new_value: Bytes) -> bool:
        """Write *key* if its value is *initial_value*; return whether that was done.

        The lease it may have had is detached.

        Example::

            await client.put("/state", "idle")
            assert await client.replace("/state", "idle", "busy")
            assert not await client.replace("/state", "idle", "gone")
        """
        from c101.core.etcd import txn  # noqa: PLC0415

        result = await self.transaction(
            compare=[txn.value(key).equals(initial_value)], success=[txn.Put(key, new_value)]
        )
        return result.succeeded

    async def delete(self, key: Bytes) -> bool:
        """Delete *key*; return whether it existed.

        Example::

            await client.put("/old", "x")
            assert await client.delete("/old")
            assert not await client.delete("/old")
        """
        return await self.delete_range(key, b"") > 0

    async def pop(self, key: Bytes) -> KeyValue | None:
        """Delete *key* and return what it was; ``None`` when it did not exist.

        Example::

            await client.put("/job", "paint")
            job = await client.pop("/job")
            assert job is not None and job.value == b"paint"
            assert await client.pop("/job") is None
        """
        request = rpc_pb2.DeleteRangeRequest(key=as_bytes(key), prev_kv=True)
        answer = await self._caller.write(DELETE_RANGE, request, rpc_pb2.DeleteRangeResponse)
        return results.key_value(answer.prev_kvs[0]) if answer.prev_kvs else None

    async def delete_range(self, key: Bytes, range_end: Bytes) -> int:
        """Delete the keys from *key* up to *range_end*; return how many there were.

        Example::

            await client.put("/log/1", "x")
            await client.put("/log/2", "x")
            assert await client.delete_range("/log/1", "/log/2") == 1
        """
        request = rpc_pb2.DeleteRangeRequest(key=as_bytes(key), range_end=as_bytes(range_end))
        answer = await self._caller.write(DELETE_RANGE, request, rpc_pb2.DeleteRangeResponse)
        return answer.deleted

    async def delete_prefix(self, prefix: Bytes) -> int:
        """Delete the keys that begin with *prefix*; return how many there were.

        Example::

            await client.put("/cache/a", "x")
            await client.put("/cache/b", "x")
            assert await client.delete_prefix("/cache/") == 2
        """
        start = as_bytes(prefix)
        return await self.delete_range(prefix_start(start), prefix_end(start))

    @property
    def transactions(self) -> "Transactions":
        """The parts of a transaction, by python-etcd3's names. See :class:`Transactions`.

        Example::

            part = client.transactions
            done = await client.transaction(
                compare=[part.version("/door") == 0],
                success=[part.put("/door", "open")],
                failure=[part.get("/door")],
            )
            assert done.succeeded
        """
        from c101.core.etcd.transactions import Transactions  # noqa: PLC0415

        return Transactions()

    async def transaction(
        self,
        *,
        compare: Sequence["Compare"],
        success: Sequence["Op"],
        failure: Sequence["Op"] = (),
        repeatable: bool = False,
    ) -> TxnResult:
        """Do *success* if every comparison holds, else *failure*, as one change or none.

        With *repeatable* it is made again like a read, although a first attempt may have been
        carried out: for one that does no harm, and answers well enough, when it is done twice.
        Raises LeaseNotFoundError, CompactedError, FutureRevisionError: nothing was done.

        Example::

            from c101.core.etcd.txn import Get, Put, mod_revision

            written = await client.put("/counter", "1")
            result = await client.transaction(
                compare=[mod_revision("/counter").equals(written.revision)],
                success=[Put("/counter", "2"), Get("/counter")],
            )
            assert result.succeeded
            assert result.responses[1].kvs[0].value == b"2"
        """
        from c101.core.etcd import txn  # noqa: PLC0415

        request = txn.txn_request(txn.Txn(compare, success, failure))
        send = self._caller.read if repeatable else self._caller.write
        return results.txn_result(await send(TXN, request, rpc_pb2.TxnResponse))

    async def stm(
        self,
        change: Callable[["Stm"], Awaitable[_T]],
        *,
        isolation: "Isolation | None" = None,
    ) -> _T:
        """Run *change* until what it read still holds as it is written. See :class:`Stm`.

        *change* is run again after each conflict, so it must do nothing but read and write through
        what it is given. Returns what its last run returned.

        Example::

            await client.put("/account/a", "10")
            await client.put("/account/b", "0")

            async def move(stm):
                a, b = int(await stm.get("/account/a")), int(await stm.get("/account/b"))
                stm.put("/account/a", str(a - 3))
                stm.put("/account/b", str(b + 3))
                return a + b

            assert await client.stm(move) == 10
        """
        from c101.core.etcd.stm import run  # noqa: PLC0415

        return await run(self, change, isolation)

    async def compact(self, revision: int, *, physical: bool = False) -> None:
        """Forget what was before *revision*; with *physical*, return when the space is free.

        Raises CompactedError, FutureRevisionError.

        Example::

            written = await client.put("/history", "1")
            await client.compact(written.revision)
        """
        request = rpc_pb2.CompactionRequest(revision=revision, physical=physical)
        await self._caller.write(COMPACT, request, rpc_pb2.CompactionResponse, revision=revision)
