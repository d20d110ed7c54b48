"""Unit names: fleet's rules, tightened where a leading ``-`` or ``.`` would be a trap."""

import re
from dataclasses import dataclass
from typing import Self

from c101.core.errors import InvalidNameError

#: systemd's own limit (UNIT_NAME_MAX); fleet allowed one more, which systemd then refused.
NAME_BYTES_MAX = 255

SUFFIXES = frozenset(
    {
        "automount", "busname", "device", "mount", "path", "scope", "service",
        "slice", "snapshot", "socket", "swap", "target", "timer",
    }
)  # fmt: skip
#: The kinds of unit that may be templates or instances.
TEMPLATE_SUFFIXES = frozenset({"path", "service", "socket", "target", "timer"})

_FOREIGN = re.compile(r"[^A-Za-z0-9:_.\\@-]")


@dataclass(frozen=True, slots=True)
class UnitName:
    r"""A valid unit name in its parts.

    Split at the last ``.`` into stem and suffix, the stem at the first ``@`` into prefix and
    instance (fleet: unit.NewUnitNameInfo)::

        full              prefix  instance  suffix
        web.service       web     None      service
        web@.service      web     ""        service    a template
        web@1.service     web     "1"       service    an instance of web@.service
        a@b@c.timer       a       "b@c"     timer
    """

    full: str
    prefix: str
    instance: str | None
    suffix: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return *text* in its parts.

        Raises InvalidNameError: the reason says which rule it breaks.
        """
        reason = _refuse(text)
        if reason is not None:
            raise InvalidNameError(f"invalid unit name {text[:NAME_BYTES_MAX]!r}: {reason}")
        stem, _, suffix = text.rpartition(".")
        prefix, at, instance = stem.partition("@")
        return cls(text, prefix, instance if at else None, suffix)

    @staticmethod
    def complete(text: str) -> str:
        """Return *text* with ``.service`` added unless it ends in a known suffix.

        It is not checked otherwise: ``web.v2`` becomes ``web.v2.service``, as in fleetctl.
        """
        _, dot, suffix = text.rpartition(".")
        return text if dot and suffix in SUFFIXES else text + ".service"

    @property
    def stem(self) -> str:
        """The name without its suffix (``%N``)."""
        return self.full[: -len(self.suffix) - 1]

    @property
    def is_template(self) -> bool:
        """Whether it has an ``@`` and nothing after it: it cannot run by itself."""
        return self.instance == ""

    @property
    def is_instance(self) -> bool:
        """Whether it is one instance of a template."""
        return bool(self.instance)

    @property
    def template(self) -> str | None:
        """Name of the template that this is an instance of; ``None`` when it is none."""
        return f"{self.prefix}@.{self.suffix}" if self.is_instance else None

    def __str__(self) -> str:
        return self.full


def _refuse(text: str) -> str | None:
    """Say which rule *text* breaks; ``None`` when it is a valid unit name."""
    if not text:
        return "it is empty"
    if len(text.encode(errors="surrogatepass")) > NAME_BYTES_MAX:
        return f"it is longer than {NAME_BYTES_MAX} bytes"
    if text[0] in "@-.":
        return f"it begins with {text[0]!r}"
    stem, dot, suffix = text.rpartition(".")
    foreign = _FOREIGN.search(stem)
    if foreign is not None:
        return f"it has the character {foreign[0]!r}; letters, digits and : _ . \\ @ - are allowed"
    return _refuse_suffix(stem, suffix) if dot else "it has no suffix such as .service"


def _refuse_suffix(stem: str, suffix: str) -> str | None:
    if not suffix:
        return "it ends in '.'"
    if suffix not in SUFFIXES:
        return f"{suffix!r} is no kind of unit; known are {', '.join(sorted(SUFFIXES))}"
    if "@" in stem and suffix not in TEMPLATE_SUFFIXES:
        allowed = ", ".join(sorted(TEMPLATE_SUFFIXES))
        return f"a {suffix} cannot be a template or an instance; only {allowed} can"
    return None
