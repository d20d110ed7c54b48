"""``c101-agent``: the composition root of one machine's agent, and its ``--stdio`` relay."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from c101 import __version__
from c101.core.errors import C101Error
from c101.core.kv_tls import KV_TLS

DEFAULT_LEASE_TTL_SECONDS = 6
#: Where the sockets of a machine are.
SYSTEM_SOCKETS = Path("/run/c101")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``c101-agent``; ends the process with its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words[:1] == ["setup"]:
            from c101.agents.host.setup.main import main as setup

            sys.exit(setup(words[1:]))
        options = _parser().parse_args(words)
        sys.exit(_relay(options) if options.stdio else _serve(options))
    except C101Error as error:
        print(f"c101-agent: {error}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        sys.exit(error.exit_status)


def _relay(options: argparse.Namespace) -> int:
    # Imported here: a relay is started for every link and should cost next to nothing.
    from c101.agents.ssh.relay import relay

    name = f"agent-{options.stdio}.sock"
    own = _socket_dir(options) / name
    # A machine's agent is root's; one without systemd may be a user's.
    system = SYSTEM_SOCKETS / name
    return relay(own if options.socket_dir or own.exists() else system)


def _serve(options: argparse.Namespace) -> int:
    from c101.agents.host.service import serve

    return serve(options, socket_dir=_socket_dir(options))


def _socket_dir(options: argparse.Namespace) -> Path:
    if options.socket_dir is not None:
        return Path(options.socket_dir)
    if os.geteuid() == 0:
        return SYSTEM_SOCKETS
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}") / "c101"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="c101-agent",
        description="Run what the cluster's schedule says on this machine, and report.",
    )
    add = parser.add_argument
    add("--version", action="version", version=f"c101-agent {__version__}")
    add("--stdio", metavar="ROLE", help="relay standard input and output to the socket of ROLE")
    add("--kv", metavar="URL", help="endpoints of the KV, comma-separated")
    for name, (flag, variable, what) in KV_TLS.items():
        default = os.environ.get(variable, "")
        add(flag, dest=name, metavar="FILE", default=default, help=f"{what} [env: {variable}]")
    add("--kv-identity", metavar="FILE", default="", help="SSH key for a KV at ssh://")
    known = "known_hosts with the keys of a KV at ssh://, beside the usual ones"
    add("--kv-known-hosts", metavar="FILE", default="", help=known)
    add("--kv-socket", metavar="FILE", help="serve the KV there to this machine's programs")
    add("--kv-port", type=int, default=0, metavar="PORT", help="and there, on 127.0.0.1")
    add("--address", default="127.0.0.1", help="where others reach what runs on this machine")
    add("--name", help="what people call this machine (default: its host name)")
    add("--machine-id", metavar="ID", help="default: /etc/machine-id, or one kept in --data-dir")
    add("--metadata", metavar="K=V,...", default="", help="what units may ask of this machine")
    runtime = "what runs the units (default: systemd where it is process 1 and we are root)"
    add("--runtime", choices=["systemd", "process"], default=None, help=runtime)
    add("--socket-dir", metavar="DIR", help="where the agent's sockets are made")
    add("--data-dir", metavar="DIR", help="what outlives the agent (default: /var/lib/c101)")
    add("--prefix", default="/c101/", help="prefix of the cluster's keys (default: /c101/)")
    add("--lease-ttl", type=int, metavar="SECONDS", default=DEFAULT_LEASE_TTL_SECONDS)
    add("--gateway", metavar="ADDR:PORT", help="serve the relays over SSH, where there is no sshd")
    add("--gateway-host-key", metavar="FILE", help="default: DATA_DIR/ssh_host_ed25519_key")
    add("--gateway-authorized-keys", metavar="FILE", help="default: DATA_DIR/authorized_keys")
    add("--log", choices=["text", "json"], default="text")
    return parser


if __name__ == "__main__":
    main()
