"""Every directive that this runtime honours: how its value is read and where it goes in a Spec.

A directive is honoured when it is in ``DIRECTIVES``; to honour one more, add a line. All others are
named in the unit's journal and in ``LoadedUnit.ignored``, but for what is meant for somebody else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from c101.agents.runtime.process import values
from c101.agents.runtime.process.exec_line import parse_commands
from c101.agents.runtime.process.keeper.spec import Spec
from c101.core.units.words import split_assignments, split_words

#: Not directives of a service: [Install] is systemctl's, [X-...] the cluster's (and anybody's).
FOREIGN_SECTIONS = ("Install",)
FOREIGN_PREFIX = "X-"


@dataclass(slots=True)
class Draft:
    """A Spec in the making; ``expand`` replaces specifiers, ``given`` are directives that were set.

    ``pass_environment`` are names; the values come from the agent's own environment.
    """

    spec: Spec
    expand: Callable[[str], str]
    runtime_directory: str = "/run"
    given: set[str] = field(default_factory=set)
    pass_environment: list[str] = field(default_factory=list)


#: Puts a value into a draft. Raises ValueError or C101Error.
Directive = Callable[[Draft, str], None]


def _value(attribute: str, read: Callable[[str], object]) -> Directive:
    """Return a directive with one value; an empty one gives the default back."""

    def put(draft: Draft, value: str) -> None:
        default = getattr(Spec, attribute)
        setattr(draft.spec, attribute, read(draft.expand(value)) if value else default)

    return put


def _text(attribute: str) -> Directive:
    return _value(attribute, str)


def _statuses(attribute: str) -> Directive:
    """Return a directive whose exit statuses and signals add up."""

    def put(draft: Draft, value: str) -> None:
        statuses, signals = getattr(draft.spec, attribute) if value else ([], [])
        more_statuses, more_signals = values.exit_statuses(value)
        setattr(draft.spec, attribute, (statuses + more_statuses, signals + more_signals))

    return put


def _commands(key: str) -> Directive:
    def put(draft: Draft, value: str) -> None:
        if value:
            commands = parse_commands(value, draft.expand)
            draft.spec.commands.setdefault(key, []).extend(commands)
        else:
            draft.spec.commands.pop(key, None)

    return put


def _words(attribute: str) -> Directive:
    """Return a directive whose words add up; an empty value clears them."""

    def put(draft: Draft, value: str) -> None:
        found: list[str] = getattr(draft.spec, attribute)
        if value:
            found += [draft.expand(word) for word in split_words(value)]
        else:
            found.clear()

    return put


def _limit(name: str, read: Callable[[str], tuple[int, int]] = values.limit) -> Directive:
    def put(draft: Draft, value: str) -> None:
        limits = [limit for limit in draft.spec.limits if limit[0] != name]
        draft.spec.limits = [*limits, (name, *read(value))] if value else limits

    return put


def _environment(draft: Draft, value: str) -> None:
    if not value:
        draft.spec.environment.clear()
    pairs = split_assignments(value)
    draft.spec.environment += [(name, draft.expand(text)) for name, text in pairs]


def _environment_file(draft: Draft, value: str) -> None:
    if not value:
        draft.spec.environment_files.clear()
        return
    path = draft.expand(value.removeprefix("-"))
    _check_absolute(path)
    draft.spec.environment_files.append((path, value.startswith("-")))


def _pass_environment(draft: Draft, value: str) -> None:
    if value:
        draft.pass_environment += split_words(value)
    else:
        draft.pass_environment.clear()


def _working_directory(draft: Draft, value: str) -> None:
    path = draft.expand(value.removeprefix("-"))
    if path and path != "~":
        _check_absolute(path)
    draft.spec.working_directory = path
    draft.spec.working_directory_optional = value.startswith("-")


def _pid_file(draft: Draft, value: str) -> None:
    path = draft.expand(value)
    relative = path and not path.startswith("/")
    draft.spec.pid_file = f"{draft.runtime_directory}/{path}" if relative else path


def _timeout_sec(draft: Draft, value: str) -> None:
    draft.spec.timeout_start = draft.spec.timeout_stop = values.timeout(value)
    draft.given |= {"TimeoutStartSec", "TimeoutStopSec"}


def _output(attribute: str) -> Directive:
    def put(draft: Draft, value: str) -> None:
        setattr(draft.spec, attribute, _target(draft.expand(value), attribute, draft.spec))

    return put


def _target(value: str, attribute: str, spec: Spec) -> str:
    kind, colon, path = value.partition(":")
    if colon and kind in {"file", "append", "truncate"}:
        _check_absolute(path)
        return value
    if value in {"", "journal", "syslog", "kmsg"}:
        return "journal" if value or attribute == "stdout" else "inherit"
    if value == "null":
        return value
    if value == "inherit":
        # Standard output inherits standard input, which is /dev/null or a file to be read.
        return "inherit" if attribute == "stderr" else "null"
    if value in {"journal+console", "syslog+console", "kmsg+console"}:
        spec.notes.append(f"there is no console here: the output of {value} goes to the journal")
        return "journal"
    raise ValueError(f"{value!r} is not supported; write journal, null, append:PATH or file:PATH")


def _standard_input(draft: Draft, value: str) -> None:
    target = draft.expand(value)
    if target.startswith("file:"):
        _check_absolute(target.removeprefix("file:"))
    elif target not in {"", "null"}:
        raise ValueError(f"{target!r} is not supported; write null or file:PATH")
    draft.spec.stdin = target or "null"


def _syslog_level(value: str) -> int:
    names = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
    if value.isdecimal() and int(value) < len(names):
        return int(value)
    return names.index(values.one_of(*names)(value))


def _no_effect(_draft: Draft, _value: str) -> None:
    """Take a directive that only people read."""


def _check_absolute(path: str) -> None:
    if not path.startswith("/"):
        raise ValueError(f"{path!r} is no absolute path")


_RESTARTS = (
    "no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always",
)  # fmt: skip
_EXEC_DIRECTIVES = (
    "ExecStartPre", "ExecStart", "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPost",
)  # fmt: skip
_BURST = values.integer(0, 2**31 - 1)

_UNIT: Mapping[str, Directive] = {
    "Description": _text("description"),
    "Documentation": _no_effect,
    "StartLimitIntervalSec": _value("start_limit_interval", values.time_span),
    "StartLimitInterval": _value("start_limit_interval", values.time_span),
    "StartLimitBurst": _value("start_limit_burst", _BURST),
}

_SERVICE: Mapping[str, Directive] = {
    # "idle" waits for a console to fall silent; without a console it is "simple".
    "Type": _value("type", values.one_of("simple", "exec", "forking", "oneshot", "notify", "idle")),
    **{key: _commands(key) for key in _EXEC_DIRECTIVES},
    "Environment": _environment,
    "EnvironmentFile": _environment_file,
    "PassEnvironment": _pass_environment,
    "UnsetEnvironment": _words("unset_environment"),
    "WorkingDirectory": _working_directory,
    "User": _text("user"),
    "Group": _text("group"),
    "SupplementaryGroups": _words("supplementary_groups"),
    "UMask": _value("umask", values.file_mode),
    "Nice": _value("nice", values.integer(-20, 19)),
    "OOMScoreAdjust": _value("oom_score_adjust", values.integer(-1000, 1000)),
    "IgnoreSIGPIPE": _value("ignore_sigpipe", values.boolean),
    "StandardInput": _standard_input,
    "StandardOutput": _output("stdout"),
    "StandardError": _output("stderr"),
    "SyslogIdentifier": _text("syslog_identifier"),
    "SyslogLevel": _value("syslog_level", _syslog_level),
    "SyslogLevelPrefix": _value("syslog_level_prefix", values.boolean),
    "Restart": _value("restart", values.one_of(*_RESTARTS)),
    "RestartSec": _value("restart_seconds", values.time_span),
    "RestartPreventExitStatus": _statuses("restart_prevent"),
    "RestartForceExitStatus": _statuses("restart_force"),
    "SuccessExitStatus": _statuses("success"),
    "StartLimitInterval": _value("start_limit_interval", values.time_span),
    "StartLimitBurst": _value("start_limit_burst", _BURST),
    "TimeoutStartSec": _value("timeout_start", values.timeout),
    "TimeoutStopSec": _value("timeout_stop", values.timeout),
    "TimeoutAbortSec": _value("timeout_abort", values.timeout),
    "TimeoutSec": _timeout_sec,
    "RuntimeMaxSec": _value("runtime_max", values.timeout),
    "WatchdogSec": _value("watchdog", values.timeout),
    "WatchdogSignal": _value("watchdog_signal", values.signal_number),
    "KillMode": _value("kill_mode", values.one_of("control-group", "mixed", "process", "none")),
    "KillSignal": _value("kill_signal", values.signal_number),
    "RestartKillSignal": _value("restart_kill_signal", values.signal_number),
    "FinalKillSignal": _value("final_kill_signal", values.signal_number),
    "SendSIGKILL": _value("send_sigkill", values.boolean),
    "SendSIGHUP": _value("send_sighup", values.boolean),
    "RemainAfterExit": _value("remain_after_exit", values.boolean),
    "PIDFile": _pid_file,
    "GuessMainPID": _value("guess_main_pid", values.boolean),
    "NotifyAccess": _value("notify_access", values.one_of("none", "main", "exec", "all")),
    "LimitCPU": _limit("RLIMIT_CPU", values.time_limit),
    **{
        f"Limit{name}": _limit(f"RLIMIT_{name}")
        for name in ("FSIZE", "DATA", "STACK", "CORE", "RSS", "NOFILE", "AS", "NPROC", "MEMLOCK")
    },
}

#: By section and name.
DIRECTIVES: Mapping[tuple[str, str], Directive] = {
    **{("Unit", name): directive for name, directive in _UNIT.items()},
    **{("Service", name): directive for name, directive in _SERVICE.items()},
}
