"""A unit as the cluster knows it: what is wanted of it, and its state as machines report it."""

from dataclasses import dataclass
from enum import StrEnum


class TargetState(StrEnum):
    """What the cluster wants of a unit (fleet: states.md)."""

    INACTIVE = "inactive"  # known, placed nowhere
    LOADED = "loaded"  # placed and loaded, not started
    LAUNCHED = "launched"  # placed, loaded and started


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where the scheduler put a unit, and why. ``since`` is seconds since 1970."""

    machine_id: str
    reason: str
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What the registry holds of one unit.

    ``hash`` is the SHA-1 (hex) of the serialised unit file. ``restart`` names the latest restart
    asked for: an agent that
    runs the unit with another one restarts it once. A global unit has no placement: every fitting
    machine runs it.
    """

    name: str
    text: str
    hash: str
    target: TargetState
    placement: Placement | None = None
    restart: str = ""
    target_revision: int = 0  # revision of the target key, for compare-and-swap
    placement_revision: int = 0  # 0 when there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitState:
    """A unit on one machine, in systemd's own words, as its agent last reported it.

    ``since`` is when the unit entered ``active``, seconds since 1970. ``result`` is systemd's
    (``success``, ``exit-code``, ``signal``, ``timeout``, ``start-limit-hit`` ...),
    ``exit_status`` that of the main process.
    """

    unit: str
    machine_id: str
    load: str
    active: str
    sub: str
    hash: str = ""
    since: float = 0.0
    result: str = "success"
    exit_status: int | None = None
    main_pid: int | None = None
    restarts: int = 0
    restart: str = ""  # the restart (see Unit.restart) that this run answers
    message: str = ""  # what the agent has to say of it: why it could not be loaded
