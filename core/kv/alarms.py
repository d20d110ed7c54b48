"""Alarms: what was found that only an operator can put right, kept until it is disarmed.

They lie in etcd's bucket ``alarm``, under the encoded AlarmMember, with no value. While NOSPACE is
raised nothing may grow; while CORRUPT is raised nothing may change. Which member raised an alarm
makes no difference to that.
"""

from collections.abc import Iterable

from c101.core.proto import rpc_pb2

BUCKET = "alarm"
_Kind = rpc_pb2.AlarmType


class Alarms:
    """The alarms that are raised, by kind and member id; kinds unknown here are kept, too."""

    def __init__(self, encoded: Iterable[bytes]) -> None:
        self._raised: set[tuple[int, int]] = set()
        for key in encoded:
            member = rpc_pb2.AlarmMember.FromString(key)
            self._raised.add((member.alarm, member.memberID))

    @property
    def no_space(self) -> bool:
        """Whether NOSPACE is raised."""
        return self._has(_Kind.NOSPACE)

    @property
    def corrupt(self) -> bool:
        """Whether CORRUPT is raised."""
        return self._has(_Kind.CORRUPT)

    def _has(self, wanted: int) -> bool:
        return any(kind == wanted for kind, _ in self._raised)

    def raised(self, wanted: int = _Kind.NONE) -> list[rpc_pb2.AlarmMember]:
        """Return the alarms of a kind, or with NONE all."""
        return [
            rpc_pb2.AlarmMember(alarm=kind, memberID=member)  # type: ignore[arg-type]
            for kind, member in sorted(self._raised)
            if wanted in (_Kind.NONE, kind)
        ]

    def includes(self, alarm: rpc_pb2.AlarmMember) -> bool:
        """Say whether exactly *alarm* is raised."""
        return (alarm.alarm, alarm.memberID) in self._raised

    def set(self, alarm: rpc_pb2.AlarmMember, *, raised: bool) -> None:
        """Note that *alarm* was raised, or disarmed."""
        if raised:
            self._raised.add((alarm.alarm, alarm.memberID))
        else:
            self._raised.discard((alarm.alarm, alarm.memberID))


def describe(alarm: rpc_pb2.AlarmMember) -> str:
    """Return *alarm* as etcd prints it, with the space at its end: clients compare texts."""
    kinds = {_Kind.NONE: "NONE", _Kind.NOSPACE: "NOSPACE", _Kind.CORRUPT: "CORRUPT"}
    member = f"memberID:{alarm.memberID} " if alarm.memberID else ""
    return f"{member}alarm:{kinds.get(alarm.alarm, str(alarm.alarm))} "
