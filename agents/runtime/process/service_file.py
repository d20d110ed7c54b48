"""From a unit file to what a keeper runs: a Spec, with every specifier and default filled in."""

import sys
from collections.abc import Mapping
from pathlib import Path

from c101.agents.runtime.process.directives import (
    DIRECTIVES,
    FOREIGN_PREFIX,
    FOREIGN_SECTIONS,
    Draft,
)
from c101.agents.runtime.process.keeper.spec import Spec
from c101.core.errors import C101Error
from c101.core.units.file import Option, UnitFile, UnitFileError
from c101.core.units.name import UnitName
from c101.core.units.specifiers import HostFacts, expand

_KINDS = ("service",)


def default_environment() -> dict[str, str]:
    """Return what every unit finds in its environment: systemd's PATH, and this program's before.

    So a unit file can say ``/usr/bin/env c101ctl`` wherever c101 is installed.
    """
    return {"PATH": f"{Path(sys.executable).parent}:{Spec.search_path}"}


def compile_service(
    text: str,
    name: UnitName,
    host: HostFacts,
    *,
    unit_hash: str,
    environment: Mapping[str, str],
    passed: Mapping[str, str],
) -> Spec:
    """Return the Spec of the unit file *text*.

    *environment* is what every unit gets; of *passed*, the runtime's own environment, a unit gets
    what its PassEnvironment= names.

    Raises UnitFileError: the file has an error, lacks what its type needs, or is of a kind that
    this runtime cannot run.
    """
    if name.suffix not in _KINDS:
        reason = f"this machine has no systemd, and without it a .{name.suffix} unit cannot run"
        raise UnitFileError(name.full, 0, reason, hint="only .service units can run here")
    spec = Spec()
    spec.unit, spec.hash, spec.machine_id = name.full, unit_hash, host.machine_id
    draft = Draft(spec, lambda value: expand(value, name, host=host), host.runtime_directory)
    for option in UnitFile.parse(text, name.full).options:
        _apply(draft, option)
    spec.manager_environment = sorted(environment.items())
    spec.search_path = environment.get("PATH") or Spec.search_path
    spec.environment = [
        *(
            (variable, passed[variable])
            for variable in draft.pass_environment
            if variable in passed
        ),
        *spec.environment,
    ]
    _fill_in(draft)
    _check(spec)
    return spec


def _apply(draft: Draft, option: Option) -> None:
    spec = draft.spec
    directive = DIRECTIVES.get((option.section, option.name))
    if directive is None:
        foreign = option.section in FOREIGN_SECTIONS or option.section.startswith(FOREIGN_PREFIX)
        if not foreign and not option.name.startswith(FOREIGN_PREFIX):
            _ignore(spec, option)
        return
    try:
        directive(draft, option.value)
    except (ValueError, C101Error) as exc:
        hint = exc.hint if isinstance(exc, C101Error) else None
        reason = f"{option.name}=: {exc}"
        raise UnitFileError(spec.unit, option.line, reason, hint=hint) from exc
    draft.given.add(option.name)


def _ignore(spec: Spec, option: Option) -> None:
    directive = f"{option.section}.{option.name}"
    if directive not in spec.ignored:
        spec.ignored.append(directive)
        spec.notes.append(
            f"{spec.unit}:{option.line}: {option.name}= in [{option.section}] is ignored: "
            "it is not honoured on a machine without systemd."
        )


def _fill_in(draft: Draft) -> None:
    """Set the defaults that depend on other directives."""
    spec, given = draft.spec, draft.given
    if "Type" not in given and "ExecStart" not in spec.commands:
        spec.type = "oneshot"
    if spec.type == "idle":
        spec.type = "simple"
    if spec.type == "oneshot" and "TimeoutStartSec" not in given:
        spec.timeout_start = None
    if "TimeoutAbortSec" not in given:
        spec.timeout_abort = spec.timeout_stop
    if spec.notify_access == "none" and (spec.type == "notify" or spec.watchdog):
        spec.notify_access = "main"
    spec.description = spec.description or spec.unit


def _check(spec: Spec) -> None:
    """Raise UnitFileError where directives do not go together (systemd: service_verify)."""
    commands = spec.commands.get("ExecStart", [])
    reason = ""
    if len(commands) > 1 and spec.type != "oneshot":
        reason = "more than one ExecStart= is only allowed with Type=oneshot"
    elif not commands and not spec.commands.get("ExecStop"):
        reason = "it has neither ExecStart= nor ExecStop="
    elif not commands and not spec.remain_after_exit:
        reason = "without ExecStart= it needs RemainAfterExit=yes"
    elif not commands and spec.type != "oneshot":
        reason = f"Type={spec.type} needs ExecStart="
    elif spec.type == "oneshot" and spec.restart in {"always", "on-success"}:
        reason = f"Restart={spec.restart} is not allowed with Type=oneshot"
    if reason:
        raise UnitFileError(spec.unit, 0, reason)
