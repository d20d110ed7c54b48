"""What the scheduler's pure functions say of units, for the store.

They are loaded when the first unit is seen: the scheduler is no part of what stands before the
first paint.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from c101.core.errors import C101Error
from c101.core.model.cluster import ClusterState
from c101.core.model.unit import Unit


def reasons(cluster: ClusterState) -> Mapping[str, str]:
    """Return why each unit that should be on a machine is on none, or on a lost one."""
    from c101.core.scheduler import explain  # noqa: PLC0415 - see above

    return explain.reasons(cluster)


def why(cluster: ClusterState, unit: str) -> Sequence[str]:
    """Return the explanation of one unit, line by line."""
    from c101.core.scheduler import explain  # noqa: PLC0415 - see above

    try:
        return explain.why(cluster, unit).lines()
    except C101Error as exc:
        return [str(exc)]


def is_global(unit: Unit) -> bool:
    """Say whether a unit runs on every machine that fits."""
    return _is_global(unit.name, unit.text)


@lru_cache(maxsize=16_384)
def _is_global(name: str, text: str) -> bool:
    from c101.core.units.file import UnitFile  # noqa: PLC0415 - see above
    from c101.core.units.name import UnitName  # noqa: PLC0415
    from c101.core.units.requirements import Requirements  # noqa: PLC0415

    if "Global" not in text:
        return False
    try:
        return Requirements.of(UnitName.parse(name), UnitFile.parse(text, name)).is_global
    except C101Error:
        return False  # a file that is not understood is placed nowhere; its reason says so
