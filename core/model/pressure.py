"""What the kernel says of waiting (PSI: Documentation/accounting/psi.rst)."""

import re
from collections.abc import Mapping

#: What is waited for.
KINDS = ("cpu", "memory", "io")

#: By kind: the share of the last ten seconds, 0 to 100, in which something waited for it.
Pressure = Mapping[str, float]

_SOME = re.compile(r"^some avg10=(\d+(?:\.\d+)?)", re.MULTILINE)


def share_waiting(text: str) -> float | None:
    """Return the share that the text of a pressure file tells; ``None`` where it tells none."""
    found = _SOME.search(text)
    return float(found[1]) if found is not None else None
