"""From a sequence that shows a difference to the smallest one that still does.

First operations are left out, many at a time and then one by one; then parts of the requests that
are left. What remains needs everything that it has.
"""

from collections.abc import Callable, Iterator

from google.protobuf.message import Message

from tests.kvserver.operations import Operation

#: Whether a sequence shows the difference.
Differs = Callable[[list[Operation]], bool]


def reduced(sequence: list[Operation], differs: Differs) -> list[Operation]:
    """Return what is left of *sequence*, which differs, when nothing more can be left out."""
    sequence = _fewer(sequence, differs)
    position = 0
    while position < len(sequence):
        simpler = _simpler(sequence, position, differs)
        if simpler is None:
            position += 1
        else:
            sequence = simpler
    # What a part of a request needed may be needed no more.
    return _fewer(sequence, differs)


def _fewer(sequence: list[Operation], differs: Differs) -> list[Operation]:
    size = len(sequence)
    while size:
        first = 0
        while first < len(sequence):
            rest = sequence[:first] + sequence[first + size :]
            if differs(rest):
                sequence = rest
            else:
                first += size
        size //= 2
    return sequence


def _simpler(sequence: list[Operation], position: int, differs: Differs) -> list[Operation] | None:
    operation = sequence[position]
    for request in _without_a_part(operation.request):
        tried = list(sequence)
        tried[position] = Operation(operation.path, request)
        if differs(tried):
            return tried
    return None


def _without_a_part(message: Message) -> Iterator[Message]:
    """Yield copies of *message* that each lack one thing, the large things first."""
    for descriptor, value in message.ListFields():
        name = descriptor.name
        if not descriptor.is_repeated:
            copy = _copy(message)
            copy.ClearField(name)
            yield copy
        for number in range(len(value) if descriptor.is_repeated else 0):
            copy = _copy(message)
            del getattr(copy, name)[number]
            yield copy
        if descriptor.message_type is None:
            continue
        for number, part in enumerate(value if descriptor.is_repeated else (value,)):
            for simpler in _without_a_part(part):
                copy = _copy(message)
                target = getattr(copy, name)
                (target[number] if descriptor.is_repeated else target).CopyFrom(simpler)
                yield copy


def _copy(message: Message) -> Message:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
