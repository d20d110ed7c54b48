"""What a keeper has to know of a unit: its file, read and expanded by the agent, ready to run.

The agent writes it (``service_file.py`` makes it from a unit file), the keeper reads it at every
start that was ordered. It is a marshalled dict of plain values, so that the keeper needs no parser.
Not a dataclass: that module alone would cost the keeper a megabyte.
"""

from __future__ import annotations

import marshal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

#: Names of the files in a unit's directory.
SPEC_FILE = "spec"
STATE_FILE = "state"
LOCK_FILE = "lock"
SOCKET_FILE = "socket"
UNIT_FILE = "unit"
ERROR_FILE = "keeper.err"
#: All of them, those that are being written too.
UNIT_FILES = (
    *(SPEC_FILE, STATE_FILE, LOCK_FILE, SOCKET_FILE, UNIT_FILE, ERROR_FILE),
    *(SPEC_FILE + ".new", STATE_FILE + ".new", UNIT_FILE + ".new"),
)

#: marshal's version 4: what every Python from 3.4 on reads.
_MARSHAL_VERSION = 4

#: (path, argv, flags): flags is a string of "-" ":" "+" "!".
Command = tuple[str, list[str], str]


class SpecError(Exception):
    """The file is no spec."""


class Spec:
    """One unit. Times are seconds; ``None`` is for ever. Exit codes and signals are numbers."""

    unit = ""
    description = ""
    hash = ""
    machine_id = ""
    type = "simple"
    commands: dict[str, list[Command]]
    notes: list[str]  # warnings about the file, said in the journal when it is loaded
    ignored: list[str]

    search_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    manager_environment: list[tuple[str, str]]
    environment: list[tuple[str, str]]
    environment_files: list[tuple[str, bool]]  # path, may be missing
    unset_environment: list[str]
    working_directory = ""
    working_directory_optional = False
    user = ""
    group = ""
    supplementary_groups: list[str]
    umask = 0o022
    nice: int | None = None
    oom_score_adjust: int | None = None
    limits: list[tuple[str, int, int]]  # RLIMIT_ name, soft, hard; -1 is infinity
    ignore_sigpipe = True
    stdout = "journal"
    stderr = "inherit"
    stdin = "null"
    syslog_identifier = ""
    syslog_level = 6
    syslog_level_prefix = True

    restart = "no"
    restart_seconds: float | None = 0.1
    start_limit_interval: float | None = 10.0
    start_limit_burst = 5
    restart_prevent: tuple[list[int], list[int]] = ([], [])
    restart_force: tuple[list[int], list[int]] = ([], [])
    success: tuple[list[int], list[int]] = ([], [])
    timeout_start: float | None = 90.0
    timeout_stop: float | None = 90.0
    timeout_abort: float | None = 90.0
    runtime_max: float | None = None
    watchdog: float | None = None
    kill_mode = "control-group"
    kill_signal = 15
    restart_kill_signal = 0  # 0: as kill_signal
    final_kill_signal = 9
    watchdog_signal = 6
    send_sigkill = True
    send_sighup = False
    remain_after_exit = False
    pid_file = ""
    guess_main_pid = True
    notify_access = "none"

    def __init__(self) -> None:
        self.commands = {}
        self.notes = []
        self.ignored = []
        self.manager_environment = []
        self.environment = []
        self.environment_files = []
        self.unset_environment = []
        self.supplementary_groups = []
        self.limits = []

    def dump(self) -> bytes:
        """Return the spec as the bytes of its file."""
        return marshal.dumps(vars(self), _MARSHAL_VERSION)

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read what :meth:`dump` wrote. Raises SpecError."""
        try:
            fields = marshal.loads(raw)  # noqa: S302 - our own file in a directory of mode 0700
        except (ValueError, EOFError, TypeError) as exc:
            raise SpecError("damaged spec") from exc
        if not isinstance(fields, dict) or "unit" not in fields:
            raise SpecError("no spec")
        spec = cls()
        vars(spec).update(fields)
        return spec
