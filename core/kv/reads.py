"""Reads of the committed store: at which revision, and that it stays until they are done."""

import asyncio
from collections.abc import Callable, Generator
from typing import TypeVar

from c101.core.clock import Clock
from c101.core.kv import refusal
from c101.core.kv.patience import Patience
from c101.core.kv.range_read import RangeReader, Snapshot, check_range
from c101.core.kv.refusal import refuse
from c101.core.kv.stepper import Finished, Stepper, Steps
from c101.core.kv.store import Store
from c101.core.proto import rpc_pb2
from c101.core.rpc.status import RpcError

_T = TypeVar("_T")


class Reads:
    """Ranges on a store, without holding up the loop."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.reader = RangeReader(store.index, clock)
        self.patience = Patience(asyncio.get_running_loop(), store)
        self._stepper = Stepper(self.patience.put_off)

    def range(
        self, request: rpc_pb2.RangeRequest, finished: Finished, cancelled: Callable[[], bool]
    ) -> None:
        """Read *request*; *finished* gets the body of the answer, at once when it is short.

        Raises RpcError for what is refused right away.
        """
        span = check_range(request)
        store = self.store
        revision = request.revision if request.revision > 0 else store.revision
        if revision > store.revision:
            raise refuse(refusal.FUTURE_REVISION)
        if revision < store.compact_revision:
            raise refuse(refusal.COMPACTED)
        snapshot = Snapshot.at(revision)
        steps = self.reader.read(request, span, snapshot)
        self.run(self.keeping(steps, revision), finished, cancelled)

    def run(
        self,
        steps: Generator[None, None, _T],
        finished: Callable[[_T | RpcError], None],
        cancelled: Callable[[], bool],
    ) -> None:
        """Run *steps* in turns with everything else; *finished* gets what they return or raise.

        Raises RpcError when too many are running.
        """
        self._stepper.run(steps, finished, cancelled)

    @property
    def running(self) -> bool:
        """Whether a long read is going on."""
        return self._stepper.running

    def keeping(self, steps: Steps, revision: int) -> Steps:
        """Return *steps*, with what a read at *revision* needs kept until they are done."""
        self.store.pin(revision)
        try:
            return (yield from steps)
        finally:
            self.store.unpin(revision)

    def close(self) -> None:
        """Give up the reads that are going on."""
        self._stepper.close()
