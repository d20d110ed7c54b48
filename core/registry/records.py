"""Values in the KV and the model objects that they are.

Objects are JSON with the model's field names, the rest is plain text: a unit file, the word of a
target state, an id, a time. Decoding is strict (a number written as text is refused) but for
fields that are not known here, so that an older program reads what a later one wrote.
"""

import math
from typing import TypeVar

import msgspec

from c101.core.errors import C101Error
from c101.core.model.machine import MachineIntent, MachinePresence, MachineRecord
from c101.core.model.unit import Placement, TargetState, UnitState
from c101.core.units.file import UnitFile, UnitFileError

#: A restart id or the name of an engine is never longer.
WORD_BYTES_MAX = 256

_T = TypeVar("_T")


class RecordError(C101Error):
    """A value in the KV is not what its key promises.

    ``key`` is the path under the registry's prefix, ``path`` the place in the value (``$.cpus``).
    """

    code = "damaged_record"

    def __init__(self, key: str, path: str, reason: str) -> None:
        super().__init__(f"{key}: {path}: {reason}")
        self.key = key
        self.path = path
        self.reason = reason


_placement = msgspec.json.Decoder(Placement)
_state = msgspec.json.Decoder(UnitState)
_record = msgspec.json.Decoder(MachineRecord)
_presence = msgspec.json.Decoder(MachinePresence)
_intent = msgspec.json.Decoder(MachineIntent)

Record = Placement | UnitState | MachineRecord | MachinePresence | MachineIntent


def encode(record: Record) -> bytes:
    """Return *record* as it is stored: JSON, fields in the model's order."""
    return msgspec.json.encode(record)


def encode_time(seconds: float) -> bytes:
    """Return a time, seconds since 1970, as it is stored."""
    return repr(float(seconds)).encode()


def placement(key: str, value: bytes) -> Placement:
    """Read a placement. Raises RecordError."""
    return _decode(_placement, key, value)


def unit_state(key: str, value: bytes, unit: str, machine_id: str) -> UnitState:
    """Read a state, which must be the one of *unit* on *machine_id*. Raises RecordError."""
    state = _decode(_state, key, value)
    _same(key, "$.unit", state.unit, unit)
    _same(key, "$.machine_id", state.machine_id, machine_id)
    return state


def machine_record(key: str, value: bytes, machine_id: str) -> MachineRecord:
    """Read the record of *machine_id*. Raises RecordError."""
    record = _decode(_record, key, value)
    _same(key, "$.id", record.id, machine_id)
    return record


def machine_presence(key: str, value: bytes, machine_id: str) -> MachinePresence:
    """Read the presence of *machine_id*. Raises RecordError."""
    presence = _decode(_presence, key, value)
    _same(key, "$.id", presence.id, machine_id)
    return presence


def machine_intent(key: str, value: bytes, machine_id: str) -> MachineIntent:
    """Read the intent for *machine_id*. Raises RecordError."""
    intent = _decode(_intent, key, value)
    _same(key, "$.id", intent.id, machine_id)
    return intent


def unit_file(key: str, value: bytes, name: str) -> UnitFile:
    """Read the file of unit *name*. Raises RecordError, with the line as the path."""
    try:
        return UnitFile.decode(value, name)
    except UnitFileError as exc:
        raise RecordError(key, f"line {exc.line}" if exc.line else "$", exc.reason) from exc


def target(key: str, value: bytes) -> TargetState:
    """Read a target state. Raises RecordError."""
    text = word(key, value)
    try:
        return TargetState(text)
    except ValueError as exc:
        words = ", ".join(state.value for state in TargetState)
        raise RecordError(key, "$", f"Expected one of {words}, got {text!r}") from exc


def word(key: str, value: bytes) -> str:
    """Read a short text, such as the id of a restart. Raises RecordError."""
    if len(value) > WORD_BYTES_MAX:
        raise RecordError(key, "$", f"longer than {WORD_BYTES_MAX} bytes")
    try:
        return value.decode()
    except UnicodeDecodeError as exc:
        raise RecordError(key, "$", "not UTF-8 text") from exc


def time(key: str, value: bytes) -> float:
    """Read a time, seconds since 1970. Raises RecordError."""
    text = word(key, value)
    try:
        seconds = float(text)
    except ValueError as exc:
        raise RecordError(key, "$", f"Expected seconds since 1970, got {text!r}") from exc
    if not math.isfinite(seconds):
        raise RecordError(key, "$", f"Expected seconds since 1970, got {text!r}")
    return seconds


def _decode(decoder: msgspec.json.Decoder[_T], key: str, value: bytes) -> _T:
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as exc:
        # msgspec ends its text with the place: "Expected `int`, got `str` - at `$.cpus`".
        reason, _, path = str(exc).replace("`", "").partition(" - at ")
        raise RecordError(key, path or "$", reason) from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise RecordError(key, "$", str(exc)) from exc


def _same(key: str, path: str, found: str, expected: str) -> None:
    if found != expected:
        raise RecordError(key, path, f"Expected {expected!r} as in the key, got {found!r}")
