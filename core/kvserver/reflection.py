"""grpc.reflection: what is served here, for clients that know none of it, such as grpcurl."""

from collections.abc import Iterable, Mapping

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor

from c101.core.kvserver.context import parse
from c101.core.proto import (
    health_pb2,
    reflection_pb2,
    reflection_v1alpha_pb2,
    rpc_pb2,
    v3election_pb2,
    v3lock_pb2,
)
from c101.core.rpc.server import ServerStream, StreamHandler
from c101.core.rpc.status import Code

_Request = reflection_pb2.ServerReflectionRequest
_Response = reflection_pb2.ServerReflectionResponse

#: The packages it is served as: the messages are the same on the wire.
PACKAGES = (
    reflection_pb2.DESCRIPTOR.package,
    reflection_v1alpha_pb2.DESCRIPTOR.package,
)
#: The modules whose services are described: what is imported is in the pool.
DESCRIBED = (
    health_pb2,
    reflection_pb2,
    reflection_v1alpha_pb2,
    rpc_pb2,
    v3election_pb2,
    v3lock_pb2,
)


class ReflectionService:
    """Describes the services of *paths*, the server's methods, and itself."""

    def __init__(self, paths: Iterable[str]) -> None:
        names = {path.split("/")[1] for path in (*paths, *self.stream_handlers())}
        self._services = sorted(names)
        self._pool = descriptor_pool.Default()

    def stream_handlers(self) -> Mapping[str, StreamHandler]:
        """Return the handlers of streams by path."""
        return {
            f"/{package}.ServerReflection/ServerReflectionInfo": self.info for package in PACKAGES
        }

    async def info(self, stream: ServerStream) -> None:
        """Answer each question of a stream, in order."""
        async for message in stream:
            request = parse(_Request, message)
            response = _Response(valid_host=request.host, original_request=request)
            try:
                self._answer(request, response)
            except KeyError as exc:
                response.error_response.error_code = Code.NOT_FOUND
                response.error_response.error_message = f"not known here: {exc.args[0]}"
            stream.send(response.SerializeToString())
            await stream.drain()

    def _answer(self, request: _Request, response: _Response) -> None:
        """Fill *response* in; raises KeyError for a name that is not known."""
        match request.WhichOneof("message_request"):
            case "list_services":
                for name in self._services:
                    response.list_services_response.service.add(name=name)
            case "file_by_filename":
                _describe(response, self._pool.FindFileByName(request.file_by_filename))
            case "file_containing_symbol":
                _describe(response, self._file_of(request.file_containing_symbol))
            case "file_containing_extension":
                extension = request.file_containing_extension
                raise KeyError(f"{extension.containing_type} {extension.extension_number}")
            case "all_extension_numbers_of_type":
                # No message here has any.
                kind = self._pool.FindMessageTypeByName(request.all_extension_numbers_of_type)
                response.all_extension_numbers_response.base_type_name = kind.full_name
            case _:
                response.error_response.error_code = Code.INVALID_ARGUMENT
                response.error_response.error_message = "nothing is asked"

    def _file_of(self, symbol: str) -> FileDescriptor:
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            # The pool does not know methods by their full names.
            owner, _, method = symbol.rpartition(".")
            service = self._pool.FindServiceByName(owner)
            if method not in service.methods_by_name:
                raise
            return service.file


def _describe(response: _Response, file: FileDescriptor) -> None:
    """Add *file* and all it depends on, each once, to *response*."""
    seen: dict[str, FileDescriptor] = {}
    waiting = [file]
    while waiting:
        one = waiting.pop()
        if one.name not in seen:
            seen[one.name] = one
            waiting.extend(one.dependencies)
    found = response.file_descriptor_response.file_descriptor_proto
    found.extend(one.serialized_pb for one in seen.values())
