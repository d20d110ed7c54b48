"""Quadlet: a ``.container`` file turned into the service that runs it by podman.

The file stays as it is, comments and all, its ``[Container]`` section renamed to ``[X-Container]``,
which systemd passes over; what follows from it comes after it::

    [Container]                        [X-Container] …
    Image=docker.io/library/web:1      [Service]
    PublishPort=8080:80                ExecStart=/usr/bin/podman run --name=systemd-%N … web:1
                                       Type=notify  Delegate=yes  KillMode=mixed …

The keys are those of podman-systemd.unit(5). The container's processes are in the service's own
control group (``--cgroups=split``), so that what systemd counts, kills and restarts is what runs.
podman's own generator does the same on the machine; this one does it where the unit is submitted,
so that every machine runs the same text. A key that is not known here is refused: a container that
runs without what was asked of it is not the one that was asked for.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from c101.core.units.file import Option, UnitFile, UnitFileError
from c101.core.units.words import WordsError, quote_word, split_words

SUFFIX = ".container"
_SECTION = "Container"
_PODMAN = "/usr/bin/podman"
_TRUE = frozenset({"1", "yes", "true", "on", "y", "t"})
_FALSE = frozenset({"0", "no", "false", "off", "n", "f"})
_HEALTHY = "healthy"
#: Who tells systemd that the container is ready: podman's monitor, or the container itself.
_NOTIFIERS = ("conmon", "container")
_CID = "--cidfile=%t/%N.cid"

#: Gives the arguments that the values of a key make.
_Arguments = Callable[[list[str]], Iterator[str]]


def _last(flag: str) -> _Arguments:
    return lambda values: iter([f"{flag}={values[-1]}"])


def _each(flag: str) -> _Arguments:
    return lambda values: (f"{flag}={value}" for value in values)


def _words(flag: str) -> _Arguments:
    return lambda values: (f"{flag}={word}" for value in values for word in split_words(value))


def _switch(flag: str) -> _Arguments:
    def given(values: list[str]) -> Iterator[str]:
        if _is_true(values[-1]):
            yield flag

    return given


def _boolean(flag: str) -> _Arguments:
    return lambda values: iter([f"{flag}={str(_is_true(values[-1])).lower()}"])


def _raw(values: list[str]) -> Iterator[str]:
    return (word for value in values for word in split_words(value))


#: podman run's arguments by key, in this order.
_KEYS: Mapping[str, _Arguments] = MappingProxyType(
    {
        "Entrypoint": _last("--entrypoint"),
        "HostName": _last("--hostname"),
        "Network": _each("--network"),
        "NetworkAlias": _each("--network-alias"),
        "IP": _last("--ip"),
        "IP6": _last("--ip6"),
        "AddHost": _each("--add-host"),
        "DNS": _each("--dns"),
        "DNSOption": _each("--dns-option"),
        "DNSSearch": _each("--dns-search"),
        "PublishPort": _each("--publish"),
        "ExposeHostPort": _each("--expose"),
        "Volume": _each("--volume"),
        "Mount": _each("--mount"),
        "Tmpfs": _each("--tmpfs"),
        "Environment": _words("--env"),
        "EnvironmentFile": _each("--env-file"),
        "EnvironmentHost": _switch("--env-host"),
        "Secret": _each("--secret"),
        "UserNS": _last("--userns"),
        "WorkingDir": _last("--workdir"),
        "ReadOnly": _switch("--read-only"),
        "ReadOnlyTmpfs": _boolean("--read-only-tmpfs"),
        "NoNewPrivileges": _switch("--security-opt=no-new-privileges"),
        "SecurityLabelDisable": _switch("--security-opt=label=disable"),
        "SeccompProfile": _last("--security-opt=seccomp"),
        "AddCapability": _words("--cap-add"),
        "DropCapability": _words("--cap-drop"),
        "AddDevice": _each("--device"),
        "Sysctl": _words("--sysctl"),
        "Ulimit": _each("--ulimit"),
        "ShmSize": _last("--shm-size"),
        "PidsLimit": _last("--pids-limit"),
        "Memory": _last("--memory"),
        "RunInit": _switch("--init"),
        "StopSignal": _last("--stop-signal"),
        "StopTimeout": _last("--stop-timeout"),
        "Timezone": _last("--tz"),
        "Label": _words("--label"),
        "Annotation": _words("--annotation"),
        "LogDriver": _last("--log-driver"),
        "LogOpt": _each("--log-opt"),
        "Pull": _last("--pull"),
        "HealthCmd": _last("--health-cmd"),
        "HealthInterval": _last("--health-interval"),
        "HealthRetries": _last("--health-retries"),
        "HealthStartPeriod": _last("--health-start-period"),
        "HealthTimeout": _last("--health-timeout"),
        "HealthOnFailure": _last("--health-on-failure"),
    }
)
#: What is looked at by name below.
_OWN = frozenset(
    {"Image", "Rootfs", "ContainerName", "Exec", "User", "Group", "Notify", "PodmanArgs",
     "GlobalArgs", "ServiceName"}
)  # fmt: skip


def service_name(name: str) -> str:
    """Return the service that ``web.container`` or ``web@.container`` becomes."""
    return f"{name.removesuffix(SUFFIX)}.service"


def to_service(text: str, name: str) -> str:
    """Return the service's text; *name* is the file, for messages.

    Raises UnitFileError: a syntax error, an unknown key, a value that is none, no image.
    """
    file = UnitFile.parse(text, name)
    container = _Container(file, name)
    return "\n".join([_renamed(text), *container.lines(), ""])


class _Container:
    """One ``[Container]`` section."""

    def __init__(self, file: UnitFile, name: str) -> None:
        self._file = file
        self._name = name
        for option in file.options:
            self._check(option)
        sources = [key for key in ("Image", "Rootfs") if self._values(key)]
        if len(sources) != 1:
            raise UnitFileError(name, 0, "a container has one of Image= and Rootfs=")

    def lines(self) -> Iterator[str]:
        """Give the sections that follow from it."""
        yield "[Unit]"
        yield "RequiresMountsFor=%t/containers"
        yield "[Service]"
        yield "Environment=PODMAN_SYSTEMD_UNIT=%n"
        oneshot = self._file.last("Service", "Type") == "oneshot"
        defaults = {"Delegate": "yes", "KillMode": "mixed", "SyslogIdentifier": "%N"}
        if not oneshot:
            defaults |= {"Type": "notify", "NotifyAccess": "all"}
        for key, value in defaults.items():
            if self._file.last("Service", key) is None:
                yield f"{key}={value}"
        remove = f"{_PODMAN} rm -v -f -i {_CID}"
        yield f"ExecStop={remove}"
        yield f"ExecStopPost=-{remove}"
        yield f"ExecStart={' '.join(map(quote_word, self._command(oneshot=oneshot)))}"

    def _command(self, *, oneshot: bool) -> Iterator[str]:
        yield _PODMAN
        yield from _raw(self._values("GlobalArgs"))
        yield "run"
        yield f"--name={self._last('ContainerName') or 'systemd-%N'}"
        yield from (_CID, "--replace", "--rm", "--cgroups=split")
        if not oneshot:
            notify = self._last("Notify") or "no"
            kind = _HEALTHY if notify == _HEALTHY else _NOTIFIERS[_is_true(notify)]
            yield f"--sdnotify={kind}"
            yield "-d"
        yield from self._user()
        for key, arguments in _KEYS.items():
            if values := self._values(key):
                yield from arguments(values)
        yield from _raw(self._values("PodmanArgs"))
        rootfs = self._last("Rootfs")
        yield from ("--rootfs", rootfs) if rootfs else (str(self._last("Image")),)
        yield from _raw(self._values("Exec")[-1:])

    def _user(self) -> Iterator[str]:
        user, group = self._last("User"), self._last("Group")
        if user or group:
            yield f"--user={user or '0'}{f':{group}' if group else ''}"

    def _check(self, option: Option) -> None:
        """Raise UnitFileError for what cannot be honoured."""
        place = (self._name, option.line)
        if option.section == "Service" and option.name == "ExecStart":
            raise UnitFileError(*place, "a container's command is Exec= of [Container]")
        if option.section != _SECTION:
            return
        if option.name not in _KEYS and option.name not in _OWN:
            raise UnitFileError(*place, f"{option.name}= of a container is not known here")
        if option.name == "ServiceName":
            raise UnitFileError(*place, "a unit is named by its file")
        source = option.value.partition(":")[0]
        if option.name in {"Volume", "Network", "Image", "Mount"} and source.endswith(
            (".volume", ".network", ".image", ".build", ".pod", SUFFIX)
        ):
            raise UnitFileError(*place, f"{source}: other quadlet files are not known here")
        if not option.value:
            return
        try:
            for _ in _KEYS.get(option.name, _raw)([option.value]):
                pass
            if option.name == "Notify" and option.value != _HEALTHY:
                _is_true(option.value)
        except (WordsError, ValueError) as error:
            raise UnitFileError(*place, f"{option.name}={option.value}: {error}") from error

    def _values(self, key: str) -> list[str]:
        return self._file.get(_SECTION, key)

    def _last(self, key: str) -> str | None:
        return self._file.last(_SECTION, key)


def _is_true(value: str) -> bool:
    word = value.lower()
    if word not in _TRUE | _FALSE:
        raise ValueError("neither yes nor no")
    return word in _TRUE


def _renamed(text: str) -> str:
    lines = text.split("\n")
    return "\n".join(
        f"[X-{_SECTION}]" if line.strip() == f"[{_SECTION}]" else line for line in lines
    )
