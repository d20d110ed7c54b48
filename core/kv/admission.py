"""Which writes are taken: a disk may have failed, an alarm be raised, the quota be reached."""

import asyncio
import logging
import sys

from c101.core.kv import refusal
from c101.core.kv.alarms import BUCKET, Alarms
from c101.core.kv.quota import Quota
from c101.core.kv.refusal import Refusal, refuse
from c101.core.kv.storage import Storage
from c101.core.kv.writer import Batch
from c101.core.proto import rpc_pb2

logger = logging.getLogger(__name__)


class Admission:
    """What a store refuses. Anything may be asked at any time; it costs an attribute."""

    def __init__(
        self, storage: Storage, quota_bytes: int | None, write_bytes_max: int | None
    ) -> None:
        self._member_id = storage.member_id
        self._write_bytes_max = sys.maxsize if write_bytes_max is None else write_bytes_max
        self._quota = Quota(storage, quota_bytes, self._write_bytes_max)
        self._raising = False
        self.alarms = Alarms(storage.load_bucket(BUCKET))
        #: why nothing can be written at all, and for who waits for that
        self.failure: Refusal | None = None
        self.failed = asyncio.Event()
        #: why clients change nothing
        self.refusal: Refusal | None = None
        #: a request that puts and is larger than this is refused; negative: every one is
        self.put_bytes_max = 0
        self._reckon()

    def check_working(self) -> None:
        """Raise RpcError when nothing can be written."""
        if self.failure is not None:
            raise refuse(self.failure)

    def fail(self, why: Refusal) -> None:
        """Take no more writes, for good."""
        self.failure = why
        self.failed.set()
        self._reckon()

    def no_room(self) -> rpc_pb2.AlarmMember | None:
        """Return the alarm to be raised by a request that ``put_bytes_max`` forbids.

        ``None`` while that alarm is on its way. Raises RpcError when something else forbids it, or
        the alarm is raised.
        """
        if self.refusal is not None:
            raise refuse(self.refusal)
        if self.alarms.no_space:
            raise refuse(refusal.NO_SPACE)
        if self._raising:
            return None
        self._raising = True
        logger.error("the database has reached its quota; NOSPACE is raised")
        return rpc_pb2.AlarmMember(memberID=self._member_id, alarm=rpc_pb2.AlarmType.NOSPACE)

    def committed(self, batch: Batch) -> None:
        """Follow a commit."""
        measured = self._quota.wrote(len(batch.changes))
        if not (measured or batch.alarms or batch.vacuum):
            return
        for alarm, raised in batch.alarms:
            self.alarms.set(alarm, raised=raised)
            self._raising = False
        if batch.vacuum:
            self._quota.measure()
        self._reckon()

    def dropped(self) -> None:
        """Note that everything staged was dropped, an alarm perhaps with it."""
        self._raising = False

    def _reckon(self) -> None:
        corrupt = self.alarms.corrupt
        self.refusal = self.failure or (refusal.CORRUPT if corrupt else None)
        if corrupt or self.alarms.no_space:
            self.put_bytes_max = -1
        else:
            self.put_bytes_max = min(self._write_bytes_max, self._quota.room_bytes)
