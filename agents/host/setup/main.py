"""``c101-agent setup VERB``: one JSON document in, one out (see the package's head)."""

import sys
from collections.abc import Callable, Sequence

import msgspec

from c101.agents.host.setup.host import Host
from c101.agents.host.setup.places import Places
from c101.agents.host.setup.spec import (
    Admission,
    AgentSpec,
    CoreSpec,
    EtcdSite,
    EtcdSpec,
    Hold,
    KvMove,
    Outcome,
    Trusted,
)
from c101.agents.host.setup.verbs import Setup
from c101.core.errors import ConfigError


def main(arguments: Sequence[str]) -> int:
    """Run one verb; return the exit status. Raises C101Error."""
    setup = Setup(Places(), Host())
    told: dict[str, tuple[type, Callable[..., Outcome]]] = {
        "core": (CoreSpec, setup.core),
        "agent": (AgentSpec, setup.agent),
        "admit": (Admission, setup.admit),
        "moved": (KvMove, setup.moved),
        "trust": (Trusted, setup.trust),
        "etcd-check": (EtcdSite, setup.etcd_check),
        "etcd": (EtcdSpec, setup.etcd),
        "etcd-start": (EtcdSpec, setup.etcd_start),
        "hold": (Hold, setup.hold),
    }
    untold = {
        "key": setup.key,
        "new-key": setup.new_key,
        "use-key": setup.use_key,
        "etcd-status": setup.etcd_status,
        "etcd-drop": setup.etcd_drop,
        "settle": setup.settle,
        "release": setup.release,
        "new-host-keys": setup.new_host_keys,
        "use-host-keys": setup.use_host_keys,
        "upgrade": setup.upgrade,
        "remove": setup.remove,
    }
    match list(arguments):
        case [verb] if verb in untold:
            outcome = untold[verb]()
        case [verb] if verb in told:
            kind, act = told[verb]
            outcome = act(_read(kind))
        case _:
            verbs = ", ".join((*told, *untold))
            raise ConfigError("setup takes one verb", hint=f"one of {verbs}")
    print(msgspec.json.encode(outcome).decode())
    return 0


def _read(kind: type) -> object:
    try:
        return msgspec.json.decode(sys.stdin.buffer.read(), type=kind)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"setup: {error}") from error
