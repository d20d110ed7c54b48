"""Unit files become specs; what is wrong is refused, what is not honoured is named."""

import pytest

from c101.agents.runtime.process.keeper.spec import Spec
from c101.agents.runtime.process.service_file import compile_service
from c101.core.units.file import UnitFileError
from c101.core.units.name import UnitName
from c101.core.units.specifiers import HostFacts

HOST = HostFacts(machine_id="m" * 32, hostname="box.example")


def spec_of(text: str, name: str = "web@1.service") -> Spec:
    return compile_service(
        text, UnitName.parse(name), HOST, unit_hash="h", environment={"PATH": "/bin"}, passed={}
    )


def service(*lines: str) -> Spec:
    return spec_of("\n".join(["[Service]", "ExecStart=/bin/true", *lines]))


def test_an_ordinary_unit_needs_nothing_but_a_command() -> None:
    spec = service()
    assert spec.commands == {"ExecStart": [("/bin/true", ["/bin/true"], "")]}
    assert (spec.type, spec.restart, spec.kill_mode) == ("simple", "no", "control-group")
    assert (spec.timeout_start, spec.timeout_stop, spec.restart_seconds) == (90, 90, 0.1)
    assert (spec.start_limit_interval, spec.start_limit_burst) == (10, 5)
    assert spec.description == spec.unit == "web@1.service"
    assert spec.ignored == []


def test_a_spec_survives_its_file() -> None:
    spec = service("Environment=A=b", "LimitNOFILE=5:6", "SuccessExitStatus=1 TERM")
    assert vars(Spec.parse(spec.dump())) == vars(spec)


def test_what_is_not_honoured_is_named_once_with_its_line() -> None:
    spec = spec_of(
        "[Unit]\nAfter=a.service\nAfter=b.service\n[Service]\nExecStart=/bin/true\nPrivateTmp=yes\n"
        "X-Mine=1\n[Install]\nWantedBy=x.target\n[X-Fleet]\nGlobal=true\n[Nonsense]\nA=1\n"
    )
    assert spec.ignored == ["Unit.After", "Service.PrivateTmp", "Nonsense.A"]
    assert len(spec.notes) == 3
    assert spec.notes[1].startswith("web@1.service:6: PrivateTmp= in [Service] is ignored")


def test_specifiers_are_expanded_word_by_word() -> None:
    spec = spec_of(
        '[Unit]\nDescription=Web %i on %H\n[Service]\nExecStart=/bin/%p "%i %%" %m\n'
        "Environment=N=%n\nSyslogIdentifier=%p-%i\n"
    )
    assert spec.commands["ExecStart"] == [("/bin/web", ["/bin/web", "1 %", "m" * 32], "")]
    assert spec.environment == [("N", "web@1.service")]
    assert (spec.description, spec.syslog_identifier) == ("Web 1 on box.example", "web-1")


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("-/bin/false", ("/bin/false", ["/bin/false"], "-")),
        ("@/bin/sh name -c x", ("/bin/sh", ["name", "-c", "x"], "")),
        ("-@:/bin/sh name", ("/bin/sh", ["name"], "-:")),
        ("+/bin/true", ("/bin/true", ["/bin/true"], "+")),
        ("!!-/bin/true", ("/bin/true", ["/bin/true"], "-")),
        ("!/bin/true", ("/bin/true", ["/bin/true"], "!")),
        ('"/bin/with space" a', ("/bin/with space", ["/bin/with space", "a"], "")),
    ],
)
def test_prefixes_are_taken_apart(line: str, command: tuple[str, list[str], str]) -> None:
    assert service(f"ExecStartPost={line}").commands["ExecStartPost"] == [command]


def test_an_empty_value_takes_back_what_was_given() -> None:
    spec = service(
        "ExecStart=", "ExecStart=/bin/a", "Environment=A=1", "Environment=", "Restart=always",
        "Restart=", "TimeoutStopSec=5", "TimeoutStopSec=", "LimitNOFILE=5", "LimitNOFILE=",
    )  # fmt: skip
    assert spec.commands["ExecStart"] == [("/bin/a", ["/bin/a"], "")]
    assert (spec.environment, spec.restart, spec.timeout_stop) == ([], "no", 90)
    assert spec.limits == []


@pytest.mark.parametrize(
    ("lines", "attribute", "value"),
    [
        (["Type=idle"], "type", "simple"),
        (["Type=oneshot"], "timeout_start", None),
        (["Type=notify"], "notify_access", "main"),
        (["WatchdogSec=1"], "notify_access", "main"),
        (["TimeoutSec=5"], "timeout_abort", 5),
        (["TimeoutStartSec=0"], "timeout_start", None),
        (["TimeoutStartSec=infinity"], "timeout_start", None),
        (["RestartSec=1min 2s 500ms"], "restart_seconds", 62.5),
        (["StartLimitInterval=3"], "start_limit_interval", 3),
        (["PIDFile=x.pid"], "pid_file", "/run/x.pid"),
        (["StandardError=null"], "stderr", "null"),
        (["StandardOutput=journal+console"], "stdout", "journal"),
        (["KillSignal=2"], "kill_signal", 2),
        (["SuccessExitStatus=TEMPFAIL 250 SIGKILL"], "success", ([75, 250], [9])),
        (["Environment=A=1", "Environment=A=2"], "environment", [("A", "1"), ("A", "2")]),
    ],
)
def test_directives_mean_what_systemd_says(lines: list[str], attribute: str, value: object) -> None:
    assert getattr(service(*lines), attribute) == value


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Type=dbus", "none of simple"),
        ("Restart=sometimes", "none of no"),
        ("RestartSec=5 parsecs", "no time span"),
        ("RestartSec=-1", "no time span"),
        ("UMask=9", "no octal mode"),
        ("KillSignal=SIGNONE", "no signal"),
        ("KillSignal=99", "no signal"),
        ("SuccessExitStatus=256", "no exit status"),
        ("RemainAfterExit=maybe", "neither yes nor no"),
        ("Environment=1A=x", "not an assignment"),
        ("EnvironmentFile=relative", "no absolute path"),
        ("WorkingDirectory=-relative", "no absolute path"),
        ("ExecStartPre=bin/relative", "neither an absolute path"),
        ("ExecStartPre=/bin/", "is a directory"),
        ("ExecStartPre=-", "no program"),
        ("ExecStartPre=+!/bin/true", "exclude one another"),
        ("ExecStartPre=--/bin/true", "stands twice"),
        ("ExecStartPre=@/bin/sh", "needs a second word"),
        ("ExecStartPre=/bin/echo 'open", "not closed"),
        ("ExecStartPre=/bin/date +%x", "unknown specifier"),
        ("StandardOutput=socket", "is not supported"),
        ("StandardInput=tty", "is not supported"),
        ("LimitNOFILE=6:5", "above the hard one"),
        ("LimitNOFILE=many", "no limit"),
        ("Nice=20", "no number from"),
        ("StartLimitBurst=-1", "no number from"),
        ("no assignment", "no '='"),
    ],
)
def test_a_malformed_value_is_refused_with_its_line(line: str, reason: str) -> None:
    with pytest.raises(UnitFileError, match=reason) as refused:
        service("# a comment", line)
    assert (refused.value.file, refused.value.line) == ("web@1.service", 4)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "neither ExecStart= nor ExecStop="),
        ("[Unit]\nDescription=x\n", "neither ExecStart= nor ExecStop="),
        ("[Service]\nExecStart=/bin/a\nExecStart=/bin/b\n", "more than one ExecStart="),
        ("[Service]\nExecStart=/bin/a ; /bin/b\n", "more than one ExecStart="),
        ("[Service]\nExecStop=/bin/a\n", "needs RemainAfterExit=yes"),
        ("[Service]\nType=notify\nRemainAfterExit=1\nExecStop=/bin/a\n", "Type=notify needs"),
        ("[Service]\nType=oneshot\nExecStart=/bin/a\nRestart=always\n", "not allowed with Type="),
    ],
)
def test_directives_that_do_not_go_together_are_refused(text: str, reason: str) -> None:
    with pytest.raises(UnitFileError, match=reason):
        spec_of(text)


@pytest.mark.parametrize("name", ["a.timer", "a.socket", "a.mount", "a.target"])
def test_units_of_other_kinds_are_refused_with_what_to_do(name: str) -> None:
    with pytest.raises(UnitFileError, match="without it") as refused:
        spec_of("[Timer]\nOnBootSec=1\n", name)
    assert refused.value.hint == "only .service units can run here"
