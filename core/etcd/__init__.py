"""The etcd client: async, python-etcd3's verbs, several endpoints, watches that resume.

::

    from c101.core.etcd import connect

    async with connect("http://127.0.0.1:2379") as client:
        await client.put("/greeting", "hello")

``client`` holds the verbs, with those on keys in ``kv`` and on leases in ``lease_verbs``.
``endpoints`` decides where a request goes, ``attempts`` and ``retry`` whether it may be sent again,
``tokens`` who we say we are. ``watch``, ``lease``, ``lock`` and ``election`` are what lives longer
than one request; ``scan``, ``mirror``, ``stm`` and ``namespace`` are made of the verbs; ``auth``,
``cluster`` and ``maintenance`` are for those who look after the KV. It speaks to any etcd 3.4+ and
to our own KV, over whatever byte stream a ``Dialer`` gives.
"""

from typing import TYPE_CHECKING

# What a program begins with is had from here; each is loaded when it is asked for.
if TYPE_CHECKING:
    from c101.core.etcd.client import Client
    from c101.core.etcd.connecting import connect

__all__ = ["Client", "connect"]

_PLACES = {"Client": "c101.core.etcd.client", "connect": "c101.core.etcd.connecting"}


def __getattr__(name: str) -> object:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415

    return getattr(importlib.import_module(place), name)
