"""How far a cluster on this computer has come up."""

import asyncio
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Stages:
    """``answering``: the KV does, and knows the machines; ``joined``: each of them has, too."""

    answering: asyncio.Event = field(default_factory=asyncio.Event)
    joined: asyncio.Event = field(default_factory=asyncio.Event)
