"""Who replaces whom (``Replaces=``), with circles taken out.

A unit that replaces another one may be put on the machine where that one is, which then has to go
elsewhere; the replaced one may not be put where its replacer is. Two units that replace each other
would chase each other for ever: fleet ignored that pair, here any circle is ignored. A global
unit cannot go elsewhere, so nothing replaces it.
"""

from collections.abc import Iterable, Mapping

from c101.core.units.requirements import Requirements


class Replacements:
    """Both directions of the relation between wanted units."""

    def __init__(self, wanted: Mapping[str, Requirements]) -> None:
        self._by: dict[str, set[str]] = {}
        movable = [name for name, asks in wanted.items() if not asks.is_global]
        edges = {
            name: {other for other in movable if other != name and asks.replaces_unit(other)}
            for name, asks in wanted.items()
            if asks.replaces
        }
        self._of: dict[str, tuple[str, ...]] = {}
        for name, others in edges.items():
            kept = {other for other in others if name not in _reachable(edges, other)}
            self._by[name] = kept
            for other in kept:
                self._of[other] = (*self._of.get(other, ()), name)

    def of(self, unit: str) -> Iterable[str]:
        """Return the units that replace *unit*."""
        return self._of.get(unit, ())

    def by(self, unit: str) -> Iterable[str]:
        """Return the units that *unit* replaces, in order of their names."""
        return sorted(self._by.get(unit, ()))


def _reachable(edges: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for following in edges.get(waiting.pop(), ()):
            if following not in seen:
                seen.add(following)
                waiting.append(following)
    return seen
