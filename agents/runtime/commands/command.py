"""What is to be run, and the ways to run it on a machine."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

#: How long what was told to end may take before it is killed.
END_SECONDS = 2.0
#: A shell, the better one that there is.
SHELL = ("/bin/sh", "-c", "if command -v bash >/dev/null; then exec bash; else exec sh; fi")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """``argv`` is run as root's in ``/``; with ``terminal`` on one of *rows* and *columns*.

    ``term`` is what the terminal is called in TERM.
    """

    argv: tuple[str, ...]
    terminal: bool = False
    rows: int = 24
    columns: int = 80
    term: str = "dumb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How a command is begun and ended.

    ``argv`` has what is run; its status is the command's. ``environment`` is added to ours.
    ``takes_terminal``: the process itself gets the terminal, with ``argv`` as its session.
    ``end``: what else is to be run where the command is not wanted any more.
    """

    argv: tuple[str, ...]
    takes_terminal: bool = True
    environment: tuple[tuple[str, str], ...] = ()
    end: tuple[str, ...] = ()


class Launcher(Protocol):
    """Says how a command is run; *terminal* is the path of its terminal, "" without one."""

    def __call__(self, command: Command, terminal: str) -> Launch:
        """Return how *command* is begun and ended."""
        ...


def as_child(command: Command, terminal: str) -> Launch:
    """Run it as a child of the agent: where there is no service manager to ask."""
    environment = (("TERM", command.term),) if terminal else ()
    return Launch(argv=command.argv, environment=environment)


def as_unit(command: Command, terminal: str) -> Launch:
    """Run it as a transient unit: by the service manager, outside the agent's own sandbox.

    ``systemd-run`` waits, and has its status.
    """
    name = f"c101-command-{secrets.token_hex(6)}.service"
    stdio: tuple[str, ...] = ("--pipe",)
    if terminal:
        paths = (f"TTYPath={terminal}", "TTYReset=yes", "SendSIGHUP=yes", "IgnoreSIGPIPE=no")
        streams = [f"Standard{name}=tty" for name in ("Input", "Output", "Error")]
        properties = [f"--property={one}" for one in (*paths, *streams)]
        stdio = (*properties, f"--setenv=TERM={command.term}")
    # systemd would put variables in where it finds a dollar (systemd.service: COMMAND LINES).
    program, *arguments = command.argv
    argv = (program, *(one.replace("$", "$$") for one in arguments))
    return Launch(
        argv=(
            *("systemd-run", "--quiet", "--wait", "--collect", "--service-type=exec"),
            *(f"--unit={name}", f"--description={_shown(command.argv)}", *stdio),
            f"--property=TimeoutStopSec={END_SECONDS:g}",
            *("--", *argv),
        ),
        takes_terminal=False,
        end=("systemctl", "--quiet", "stop", "--", name),
    )


def _shown(argv: Sequence[str]) -> str:
    text = " ".join(argv)
    return "c101: " + "".join(one if one.isprintable() else "?" for one in text)[:200]
