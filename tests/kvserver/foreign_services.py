"""Ask a server with the clients that gRPC itself ships for Health and Reflection; print JSON.

A program of its own: those packages and ours describe the same messages, and one process takes
them from one of the two only.
"""

import json
import sys

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

SECONDS = 10


def ask_health(channel: grpc.Channel) -> dict[str, object]:
    stub = health_pb2_grpc.HealthStub(channel)
    found: dict[str, object] = {}
    for name in ("", "etcdserverpb.KV", "nobody"):
        request = health_pb2.HealthCheckRequest(service=name)
        try:
            found[f"check {name}"] = stub.Check(request, timeout=SECONDS).status
        except grpc.RpcError as error:
            found[f"check {name}"] = [error.code().name, error.details()]
        watch = stub.Watch(request, timeout=SECONDS)
        found[f"watch {name}"] = next(iter(watch)).status
        watch.cancel()
    return found


def ask_reflection(channel: grpc.Channel) -> dict[str, object]:
    database = ProtoReflectionDescriptorDatabase(channel)
    pool = descriptor_pool.DescriptorPool(database)
    services = sorted(database.get_services())
    methods = {
        name: [method.name for method in pool.FindServiceByName(name).methods] for name in services
    }
    # What was learned from the server alone is enough to call it.
    put = pool.FindServiceByName("etcdserverpb.KV").FindMethodByName("Put")
    request = message_factory.GetMessageClass(put.input_type)(key=b"reflected", value=b"1")
    response = channel.unary_unary(
        "/etcdserverpb.KV/Put",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=message_factory.GetMessageClass(put.output_type).FromString,
    )(request, timeout=SECONDS)
    return {"methods": methods, "revision": response.header.revision}


def ask_each(channel: grpc.Channel, package: str) -> list[object]:
    requests = [
        reflection_pb2.ServerReflectionRequest(host="h", list_services="*"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="v3lockpb.Lock.Unlock"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="mvccpb.KeyValue.lease"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="no.Such"),
        reflection_pb2.ServerReflectionRequest(file_by_filename="no/such.proto"),
        reflection_pb2.ServerReflectionRequest(all_extension_numbers_of_type="mvccpb.Event"),
        reflection_pb2.ServerReflectionRequest(all_extension_numbers_of_type="no.Such"),
        reflection_pb2.ServerReflectionRequest(
            file_containing_extension=reflection_pb2.ExtensionRequest(
                containing_type="mvccpb.Event", extension_number=100
            )
        ),
        reflection_pb2.ServerReflectionRequest(),
    ]
    call = channel.stream_stream(
        f"/{package}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    answers: list[object] = []
    for request, response in zip(requests, call(iter(requests), timeout=SECONDS), strict=True):
        if response.original_request != request or response.valid_host != request.host:
            raise AssertionError(f"the answer to {response.original_request}, not to {request}")
        kind = response.WhichOneof("message_response")
        if kind == "error_response":
            answers.append(response.error_response.error_code)
        elif kind == "file_descriptor_response":
            answers.append(len(response.file_descriptor_response.file_descriptor_proto))
        else:
            answers.append(kind)
    return answers


def main() -> None:
    with grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}") as channel:
        found = ask_health(channel)
        if "--reflection" in sys.argv:
            found |= ask_reflection(channel)
            for package in ("grpc.reflection.v1", "grpc.reflection.v1alpha"):
                found[package] = ask_each(channel, package)
        print(json.dumps(found))


if __name__ == "__main__":
    main()
