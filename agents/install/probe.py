"""What a host is, as far as it matters to who wants to run an agent there."""

import shlex
from dataclasses import dataclass
from importlib import resources

import msgspec

from c101.agents.install.target import PYTHONS, SUPPORTED, Target
from c101.agents.ssh.dial import Ran
from c101.agents.ssh.printable import printable
from c101.agents.ssh.public_key import parse_public_key
from c101.core.errors import C101Error

_MARK = b"c101-probe "
#: The exit status of a host that has no Python that will do.
NO_PYTHON = 97
#: Every version of Python that will do by its own name, should ``python3`` be an older one.
_CANDIDATES = ("python3", *(f"python{version}" for version in PYTHONS))
_SHELL = f"""\
for python in {" ".join(_CANDIDATES)}; do
  if "$python" -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null; then
    exec "$python" -I -
  fi
done
echo "$(uname -m) $(python3 --version 2>&1)" >&2
exit {NO_PYTHON}
"""
#: What is run on a host; the script comes as its input. Whatever the login shell is, sh runs it.
COMMAND = f"exec sh -c {shlex.quote(_SHELL)}"


class UnfitHostError(C101Error):
    """The host cannot run an agent."""

    code = "unfit_host"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What a host says of itself.

    ``address`` and ``port`` are those of its sshd, as this connection reached it. ``sudo``: it may
    become root without a password. ``installed`` is the id of the programs that it has.
    """

    python: str
    implementation: str
    executable: str
    processor: str
    libc: str
    user: str
    root: bool
    sudo: bool
    systemd: bool
    machine_id: str
    hostname: str
    address: str
    port: int
    host_keys: tuple[str, ...]
    installed: str
    has_agent: bool

    @property
    def target(self) -> Target:
        """Which file of the agent it wants."""
        return Target(self.python, self.processor)

    def trusted_keys(self) -> tuple[str, ...]:
        """Return its host keys, as they are pinned; lines that are none are left out."""
        found = []
        for line in self.host_keys:
            try:
                found.append(parse_public_key(line).line)
            except ValueError:
                continue
        return tuple(found)


def script() -> bytes:
    """Return the script that a host is asked by."""
    return resources.files(__package__).joinpath("probe_script.py").read_bytes()


def read(ran: Ran, host: str) -> HostFacts:
    """Read what the script found. Raises UnfitHostError: it did not run, or there is no Python."""
    if ran.status == NO_PYTHON:
        has = ran.complaint.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise UnfitHostError(
            f"{host} has no Python that will do ({printable(''.join(has))})",
            hint=f"an agent wants {SUPPORTED}; docs/install.md shows it in a container",
        )
    for line in ran.output.splitlines():
        if line.startswith(_MARK):
            try:
                return msgspec.json.decode(line[len(_MARK) :], type=HostFacts)
            except msgspec.MsgspecError as error:
                raise UnfitHostError(f"{host} answers what is none: {error}") from error
    said = printable((ran.complaint or ran.output).decode("utf-8", "replace"))
    raise UnfitHostError(f"{host} cannot be asked what it is: {said or f'status {ran.status}'}")


def check(facts: HostFacts, host: str) -> None:
    """Refuse a host that cannot run an agent. Raises UnfitHostError, with what to do."""
    if not facts.target.is_supported or facts.implementation != "CPython":
        raise UnfitHostError(
            f"{host} has {facts.implementation} {facts.python} on {facts.processor}",
            hint=f"an agent wants {SUPPORTED}",
        )
    if facts.libc != "glibc":
        raise UnfitHostError(
            f"{host} has {facts.libc or 'another C library'}", hint=f"an agent wants {SUPPORTED}"
        )
    if not facts.systemd:
        raise UnfitHostError(f"{host} does not run systemd", hint="an agent is one of its services")
    if not (facts.root or facts.sudo):
        raise UnfitHostError(
            f"{facts.user} may not become root on {host}",
            hint="log in as root, or as who may use sudo without a password",
        )
    if not facts.machine_id:
        raise UnfitHostError(
            f"{host} has no /etc/machine-id", hint="systemd-machine-id-setup makes one there"
        )
