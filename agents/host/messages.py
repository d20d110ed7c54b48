"""What several of the agent's services say alike, as protobuf."""

from c101.core.model.host import UnitResources
from c101.core.proto import agent_pb2 as pb


def resources(used: UnitResources | None) -> pb.UnitResources | None:
    """Return what a unit or a container uses; what the machine does not count is not set."""
    if used is None:
        return None
    return pb.UnitResources(
        memory_bytes=used.memory_bytes,
        cpu_seconds=used.cpu_seconds,
        tasks=used.tasks,
        read_bytes=used.read_bytes,
        written_bytes=used.written_bytes,
        pressure=used.pressure,
    )
