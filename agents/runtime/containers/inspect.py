"""What ``docker inspect`` and ``podman inspect`` print, as containers. Pure.

The two agree but for some names, which changed with podman's versions; what is missing, or is not
what it should be, counts as not said: an engine's answer ends no listing.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from c101.core.errors import C101Error
from c101.core.model.host import Container

_NOBODY_CHECKS = frozenset({"", "none"})


def containers_of(engine: str, text: bytes) -> Iterator[Container]:
    """Yield the containers in what *engine* printed. Raises C101Error: that is no list."""
    try:
        found = msgspec.json.decode(text or b"[]")
    except msgspec.DecodeError as error:
        raise C101Error(f"it printed no JSON: {error}") from error
    if not isinstance(found, list):
        raise C101Error("it printed no list")
    for one in found:
        if isinstance(one, dict) and isinstance(one.get("Id"), str):
            yield _container(engine, one)


def _container(engine: str, found: Mapping[str, Any]) -> Container:
    state = _part(found, "State")
    check = _part(state, "Health") or _part(state, "Healthcheck")
    health = _text(check, "Status")
    pid = state.get("Pid")
    return Container(
        engine=engine,
        id=found["Id"],
        name=_text(found, "Name").lstrip("/"),
        state=_text(state, "Status"),
        image=_text(_part(found, "Config"), "Image") or _text(found, "ImageName"),
        health="" if health in _NOBODY_CHECKS else health,
        ports=tuple(_ports(_part(_part(found, "NetworkSettings"), "Ports"))),
        pid=pid if isinstance(pid, int) and pid > 0 else None,
    )


def _ports(published: Mapping[str, Any]) -> Iterator[str]:
    for inside in sorted(published):
        outside = published[inside]
        if not isinstance(outside, list) or not outside:
            yield inside
            continue
        for one in outside:
            if isinstance(one, dict):
                address = _text(one, "HostIp") or "0.0.0.0"  # noqa: S104 shown, not listened on
                shown = f"[{address}]" if ":" in address else address
                yield f"{shown}:{_text(one, 'HostPort')}->{inside}"


def _part(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = found.get(name)
    return part if isinstance(part, dict) else {}


def _text(found: Mapping[str, Any], name: str) -> str:
    text = found.get(name)
    return text if isinstance(text, str) else ""
