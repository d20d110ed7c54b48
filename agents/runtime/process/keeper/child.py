"""What a process of the unit does between fork and exec.

Imported only in the forked child: nothing here, nor what it imports, is resident in the keeper. The
order of steps, and the exit status where one fails, are systemd's (systemd.exec(5)).
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found,unused-ignore]  # signal itself loads enum
import errno
import posix
import pwd

from c101.agents.runtime.process.keeper import expansion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from c101.agents.runtime.process.keeper.spec import Command, Spec

#: Not an exit status of systemd: what it finds missing before it forks ("resources").
RESOURCES = 1
#: systemd's exit statuses for steps that fail before exec.
STEPS = {
    RESOURCES: "RESOURCES",
    200: "CHDIR",
    201: "NICE",
    203: "EXEC",
    205: "LIMITS",
    206: "OOM_ADJUST",
    208: "STDIN",
    209: "STDOUT",
    216: "GROUP",
    217: "USER",
    222: "STDERR",
}
CHDIR, NICE, EXEC, LIMITS, OOM_ADJUST = 200, 201, 203, 205, 206
STDIN, STDOUT, GROUP, USER, STDERR = 208, 209, 216, 217, 222

_ENVIRONMENT_FILE_BYTES_MAX = 1024 * 1024
_READ_BYTES = 64 * 1024
_NO_SHELLS = ("", "/bin/false", "/usr/bin/false", "/sbin/nologin", "/usr/sbin/nologin")


class StepError(Exception):
    """A step failed: the process ends with *status*."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Child:
    """One process to be.

    *given* are the variables of this run (MAINPID, INVOCATION_ID, …); *stream* is the pipe that
    leads to the journal.
    """

    def __init__(self, spec: Spec, command: Command, given: dict[str, str], stream: int) -> None:
        self._spec = spec
        self._path, self._argv, self._flags = command
        self._given = given
        self._stream = stream
        self._account: pwd.struct_passwd | None = None

    def run(self, report: int) -> NoReturn:
        """Become the command.

        What hinders it is written to *report*, a pipe that exec closes: ``status``, ``step``,
        ``path`` and ``reason``, separated by tabs.
        """
        status, reason = EXEC, ""
        try:
            self._prepare()
        except StepError as exc:
            status, reason = exc.status, exc.reason
        except OSError as exc:
            reason = exc.strerror or str(exc)
            if "-" in self._flags and exc.errno == errno.ENOENT:
                status = 0
        line = f"{status}\t{STEPS.get(status, 'EXEC')}\t{self._path}\t{reason}"
        posix.write(report, line.encode(errors="replace"))
        posix._exit(status)  # noqa: SLF001 - the child must not run the keeper's clean-up

    def _prepare(self) -> None:
        posix.setsid()
        _reset_signals(self._spec)
        self._find_account()
        environment = self._environment()
        self._redirect()
        _limit(self._spec)
        posix.umask(self._spec.umask)
        if not set(self._flags) & {"+", "!"}:
            self._become_user()
        self._change_directory()
        argv = self._argv
        if ":" not in self._flags:
            argv = argv[:1] + expansion.expand_words(argv[1:], environment)
        self._execute(argv, environment)

    def _execute(self, argv: list[str], environment: dict[str, str]) -> None:
        if "/" in self._path:
            posix.execve(self._path, argv, environment)
        missing = FileNotFoundError(errno.ENOENT, "No such file or directory")
        for directory in self._spec.search_path.split(":"):
            try:
                posix.execve(f"{directory}/{self._path}", argv, environment)
            except FileNotFoundError:
                continue
        raise missing

    def _environment(self) -> dict[str, str]:
        spec = self._spec
        environment = dict(spec.manager_environment)
        if self._account is not None:
            environment |= {"USER": self._account.pw_name, "LOGNAME": self._account.pw_name}
            environment["HOME"] = self._account.pw_dir
            if self._account.pw_shell not in _NO_SHELLS:
                environment["SHELL"] = self._account.pw_shell
        environment |= self._given
        environment |= dict(spec.environment)
        for path, optional in spec.environment_files:
            environment |= _read_environment_files(path, optional=optional)
        for unwanted in spec.unset_environment:
            name, equals, value = unwanted.partition("=")
            if not equals or environment.get(name) == value:
                environment.pop(name, None)
        # Last, and not to be unset: a power cut finds the processes of a machine by them.
        environment["C101_MACHINE"] = spec.machine_id
        environment["C101_UNIT"] = spec.unit
        environment["SYSTEMD_EXEC_PID"] = str(posix.getpid())
        if "WATCHDOG_USEC" in environment:
            environment["WATCHDOG_PID"] = str(posix.getpid())
        return environment

    def _redirect(self) -> None:
        with_stream = self._stream
        stdin = self._spec.stdin
        path = stdin.removeprefix("file:") if stdin.startswith("file:") else "/dev/null"
        _place(STDIN, 0, path, posix.O_RDONLY, with_stream)
        for step, fd, target in ((STDOUT, 1, self._spec.stdout), (STDERR, 2, self._spec.stderr)):
            kind, _, path = target.partition(":")
            if kind == "inherit":
                posix.dup2(1, fd)
            elif kind == "journal":
                posix.dup2(with_stream, fd)
            else:
                flags = posix.O_WRONLY | posix.O_CREAT
                flags |= {"append": posix.O_APPEND, "truncate": posix.O_TRUNC}.get(kind, 0)
                _place(step, fd, path if kind != "null" else "/dev/null", flags, with_stream)

    def _find_account(self) -> None:
        user = self._spec.user
        if not user:
            return
        try:
            by_number = user.isdigit()
            self._account = pwd.getpwuid(int(user)) if by_number else pwd.getpwnam(user)
        except KeyError as exc:
            raise StepError(USER, "No such process") from exc

    def _become_user(self) -> None:
        spec, account = self._spec, self._account
        if account is None and not spec.group and not spec.supplementary_groups:
            return
        gid = account.pw_gid if account is not None else posix.getgid()
        try:
            if spec.group:
                gid = _group_number(spec.group)
            self._set_groups(gid)
            posix.setresgid(gid, gid, gid)
        except OSError as exc:
            raise StepError(GROUP, exc.strerror or str(exc)) from exc
        if account is not None:
            try:
                posix.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
            except OSError as exc:
                raise StepError(USER, exc.strerror or str(exc)) from exc

    def _set_groups(self, gid: int) -> None:
        account = self._account
        groups = posix.getgrouplist(account.pw_name, gid) if account is not None else [gid]
        groups += [_group_number(group) for group in self._spec.supplementary_groups]
        # Without privileges the groups that are there already can still be asked for.
        if posix.geteuid() == 0 or set(groups) - {*posix.getgroups(), posix.getegid()}:
            posix.setgroups(groups)

    def _change_directory(self) -> None:
        wanted = self._spec.working_directory
        if wanted == "~":
            account = self._account or pwd.getpwuid(posix.getuid())
            wanted = account.pw_dir
        try:
            posix.chdir(wanted or "/")
        except OSError as exc:
            if not self._spec.working_directory_optional:
                raise StepError(CHDIR, exc.strerror or str(exc)) from exc
            posix.chdir("/")


def _reset_signals(spec: Spec) -> None:
    """Be as a fresh process is, and only then take the signals that came since the fork."""
    _signal.set_wakeup_fd(-1)
    # All of them: whoever started the agent may have had some ignored (a shell's "&", nohup).
    for number in _signal.valid_signals() - {_signal.SIGKILL, _signal.SIGSTOP}:
        _signal.signal(number, _signal.SIG_DFL)
    handler = _signal.SIG_IGN if spec.ignore_sigpipe else _signal.SIG_DFL
    _signal.signal(_signal.SIGPIPE, handler)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def _limit(spec: Spec) -> None:
    if spec.oom_score_adjust is not None:
        fd = posix.open("/proc/self/oom_score_adj", posix.O_WRONLY)
        try:
            posix.write(fd, str(spec.oom_score_adjust).encode())
        except OSError as exc:
            raise StepError(OOM_ADJUST, exc.strerror or str(exc)) from exc
        finally:
            posix.close(fd)
    if spec.nice is not None:
        try:
            posix.setpriority(posix.PRIO_PROCESS, 0, spec.nice)
        except OSError as exc:
            raise StepError(NICE, exc.strerror or str(exc)) from exc
    if spec.limits:
        _set_limits(spec.limits)


def _set_limits(limits: list[tuple[str, int, int]]) -> None:
    import resource  # noqa: PLC0415 - few units have limits

    for name, soft, hard in limits:
        try:
            resource.setrlimit(getattr(resource, name), (soft, hard))
        except (OSError, ValueError) as exc:
            raise StepError(LIMITS, f"{name}: {exc}") from exc


def _group_number(group: str) -> int:
    if group.isdigit():
        return int(group)
    import grp  # noqa: PLC0415 - few units have groups

    try:
        return grp.getgrnam(group).gr_gid
    except KeyError as exc:
        raise StepError(GROUP, "No such process") from exc


def _place(step: int, fd: int, path: str, flags: int, keep: int) -> None:
    """Open *path* as descriptor *fd*; *keep* is one that must not be taken for it."""
    assert keep > 2
    try:
        opened = posix.open(path, flags | posix.O_NOCTTY, 0o666)
    except OSError as exc:
        raise StepError(step, f"{path}: {exc.strerror}") from exc
    if opened == fd:
        posix.set_inheritable(fd, True)  # noqa: FBT003 - it takes no keyword
        return
    posix.dup2(opened, fd)
    posix.close(opened)


def _read_environment_files(pattern: str, *, optional: bool) -> dict[str, str]:
    paths = [pattern]
    if any(character in pattern for character in "*?["):
        import glob  # noqa: PLC0415 - rare, and it loads re

        paths = sorted(glob.glob(pattern))  # noqa: PTH207 - pathlib is far too much here
    if not paths and not optional:
        raise StepError(RESOURCES, f"Failed to load environment files: {pattern}: no match")
    pairs: dict[str, str] = {}
    for path in paths:
        try:
            raw = _read(path)
        except OSError as exc:
            if optional:
                continue
            reason = f"Failed to load environment files: {path}: {exc.strerror}"
            raise StepError(RESOURCES, reason) from exc
        text = raw.decode(errors="surrogateescape").replace("\0", "")
        pairs |= dict(expansion.parse_environment_file(text))
    return pairs


def _read(path: str) -> bytes:
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    raw = b""
    try:
        while len(raw) < _ENVIRONMENT_FILE_BYTES_MAX:
            piece = posix.read(fd, _READ_BYTES)
            if not piece:
                break
            raw += piece
    finally:
        posix.close(fd)
    return raw
