r"""A part of the KV seen as if it were all of it.

Requests get the prefix on their way out, answers lose it on their way in, so every verb works
inside as it does outside, and nothing inside can reach a key that does not begin with the prefix::

    inside "/app/"                   outside
    get("db")                        get("/app/db")
    get_range("a", "c")              from "/app/a" to "/app/c"
    get_range("a", FROM_KEY)         from "/app/a" to "/app0", the end of all that "/app/" begins
    every key, "\0" to FROM_KEY      from "/app/\0" to "/app0"

The one key of which nothing is left inside, the prefix itself, is not seen there. Leases belong to
the whole KV; of the keys under one, those outside are left out.
"""

from google.protobuf.message import Message

from c101.core.etcd.keys import FROM_KEY, prefix_end
from c101.core.proto import kv_pb2, rpc_pb2


class Namespace:
    """The keys that begin with *prefix*."""

    def __init__(self, prefix: bytes) -> None:
        self.prefix = prefix
        self._end = prefix_end(prefix)
        self._skip = len(prefix)

    def outward(self, request: Message) -> None:
        """Put the prefix before every key that *request* names, in place."""
        match request:
            case rpc_pb2.RangeRequest() | rpc_pb2.DeleteRangeRequest() | rpc_pb2.Compare():
                self._range_outward(request)
            case rpc_pb2.WatchCreateRequest():
                # Unlike others, a watch without a key is not refused: it means the first.
                request.key = request.key or FROM_KEY
                self._range_outward(request)
            case rpc_pb2.PutRequest():
                # An empty key stays one: the KV is to refuse it.
                request.key = request.key and self.prefix + request.key
            case rpc_pb2.TxnRequest():
                self._txn_outward(request)
            case _:
                pass  # It names no key.

    def inward(self, answer: Message) -> None:
        """Take the prefix off every key that *answer* names, in place."""
        match answer:
            case rpc_pb2.RangeResponse():
                self._kvs_inward(*answer.kvs)
            case rpc_pb2.PutResponse():
                self._previous_inward(answer)
            case rpc_pb2.DeleteRangeResponse():
                self._kvs_inward(*answer.prev_kvs)
            case rpc_pb2.TxnResponse():
                for response in answer.responses:
                    kind = response.WhichOneof("response")
                    if kind is not None:
                        self.inward(getattr(response, kind))
            case rpc_pb2.LeaseTimeToLiveResponse():
                inside = [key[self._skip :] for key in answer.keys if key.startswith(self.prefix)]
                del answer.keys[:]
                answer.keys.extend(inside)
            case rpc_pb2.WatchResponse():
                for event in answer.events:
                    self._kvs_inward(event.kv)
                    self._previous_inward(event)
            case _:
                pass  # It names no key.

    def _range_outward(
        self,
        request: rpc_pb2.RangeRequest
        | rpc_pb2.DeleteRangeRequest
        | rpc_pb2.WatchCreateRequest
        | rpc_pb2.Compare,
    ) -> None:
        if not request.key:
            return
        request.key = self.prefix + request.key
        if request.range_end == FROM_KEY:
            request.range_end = self._end
        elif request.range_end:
            request.range_end = self.prefix + request.range_end

    def _txn_outward(self, request: rpc_pb2.TxnRequest) -> None:
        for compare in request.compare:
            self._range_outward(compare)
        for operation in (*request.success, *request.failure):
            kind = operation.WhichOneof("request")
            if kind is not None:
                self.outward(getattr(operation, kind))

    def _kvs_inward(self, *kvs: kv_pb2.KeyValue) -> None:
        for kv in kvs:
            kv.key = kv.key[self._skip :]

    def _previous_inward(self, message: rpc_pb2.PutResponse | kv_pb2.Event) -> None:
        if message.HasField("prev_kv"):
            self._kvs_inward(message.prev_kv)
