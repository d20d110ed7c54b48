"""One unit as this runtime holds it: its note on disk, what systemd said of it last."""

import asyncio
from dataclasses import dataclass, field

from c101.agents.runtime.systemd.cgroup import Found
from c101.agents.runtime.systemd.states import NO_GROUP, Properties, describe, load_error
from c101.agents.runtime.systemd.unit_files import Note
from c101.agents.runtime.unit_manager import LoadedUnit

_AT_REST = frozenset({"inactive", "failed"})


@dataclass(slots=True, kw_only=True, eq=False)
class HeldUnit:
    """``lock`` serialises what changes the unit; ``path`` is its D-Bus object, "" before there is.

    ``said``: how the last job of it ended, where the unit itself does not show it. ``jobs``: how
    many are under way.
    """

    name: str
    note: Note
    path: str = ""
    properties: Properties = field(default_factory=dict)
    said: str = ""
    jobs: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def at_rest(self) -> bool:
        """Whether nothing of it runs, as far as is known."""
        return self.properties.get("ActiveState", "inactive") in _AT_REST

    @property
    def invocation(self) -> str:
        """What names its present or last run, over all boots."""
        return bytes(self.properties.get("InvocationID", b"")).hex()

    @property
    def control_group(self) -> str:
        """Its control group; "" without one."""
        return str(self.properties.get("ControlGroup", ""))

    def describe(self, group: Found = NO_GROUP) -> LoadedUnit:
        """Return it in systemd's words."""
        said = load_error(self.properties) or self.said
        return describe(self.name, self.note, self.properties, said, group)


def describe_gone(name: str) -> LoadedUnit:
    """Return what is said once of a unit that was unloaded."""
    return LoadedUnit(name=name, load="not-found", active="inactive", sub="dead", hash="", since=0)
