"""``.container`` files: the service that comes of each key, and what is refused."""

import pytest

from c101.core.units.file import UnitFile, UnitFileError
from c101.core.units.quadlet import service_name, to_service
from c101.core.units.words import split_words

HEAD = "[Unit]\nDescription=Web\n# a comment\n[Container]\nImage=docker.io/library/web:1\n"


def service(more: str = "", head: str = HEAD) -> UnitFile:
    return UnitFile.parse(to_service(head + more, "web.container"))


def command(more: str = "", head: str = HEAD) -> list[str]:
    line = service(more, head).last("Service", "ExecStart")
    assert line is not None
    return split_words(line)


def options(more: str) -> list[str]:
    """Return what *more* adds to the plain command."""
    plain = command()
    return [word for word in command(more) if word not in plain]


def test_the_plain_one_is_a_service_that_podman_runs() -> None:
    assert command() == [
        "/usr/bin/podman", "run", "--name=systemd-%N", "--cidfile=%t/%N.cid", "--replace", "--rm",
        "--cgroups=split", "--sdnotify=conmon", "-d", "docker.io/library/web:1",
    ]  # fmt: skip
    unit = service()
    assert unit.last("Service", "Type") == "notify"
    assert unit.last("Service", "Delegate") == "yes"
    assert unit.last("Service", "KillMode") == "mixed"
    assert unit.last("Unit", "Description") == "Web"
    assert unit.last("X-Container", "Image") == "docker.io/library/web:1"
    assert "Container" not in unit.sections()
    assert "# a comment" in unit.text
    assert service_name("web@.container") == "web@.service"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("PublishPort=8080:80\nPublishPort=9090:90", ["--publish=8080:80", "--publish=9090:90"]),
        ("Volume=/srv:/data:ro", ["--volume=/srv:/data:ro"]),
        ("Volume=/a:/a\nVolume=\nVolume=/b:/b", ["--volume=/b:/b"]),
        ("Environment=A=1 'B=two words'", ["--env=A=1", "--env=B=two words"]),
        ("EnvironmentFile=/etc/web.env", ["--env-file=/etc/web.env"]),
        ("User=7\nGroup=8", ["--user=7:8"]),
        ("Group=8", ["--user=0:8"]),
        ("ReadOnly=yes", ["--read-only"]),
        ("ReadOnly=no", []),
        ("NoNewPrivileges=true", ["--security-opt=no-new-privileges"]),
        ("AddCapability=CAP_NET_RAW CAP_CHOWN", ["--cap-add=CAP_NET_RAW", "--cap-add=CAP_CHOWN"]),
        ("HealthCmd=curl -f http://localhost/", ["--health-cmd=curl -f http://localhost/"]),
        ("Label=a=1\nLabel=b=2", ["--label=a=1", "--label=b=2"]),
        ("Exec=serve --port 80 'a b'", ["serve", "--port", "80", "a b"]),
        ("PodmanArgs=--cpus 2", ["--cpus", "2"]),
        ("ContainerName=web", ["--name=web"]),
        ("Notify=yes", ["--sdnotify=container"]),
        ("Notify=healthy", ["--sdnotify=healthy"]),
        ("Pull=never\nTimezone=UTC", ["--tz=UTC", "--pull=never"]),
    ],
)
def test_each_key_is_an_argument(lines: str, expected: list[str]) -> None:
    assert options(lines + "\n") == expected


def test_the_command_comes_after_the_image_and_options_before_it() -> None:
    words = command("Exec=serve\nPublishPort=1:1\nGlobalArgs=--log-level=warn\n")
    assert words[1] == "--log-level=warn"
    assert words[-2:] == ["docker.io/library/web:1", "serve"]


def test_a_root_file_system_takes_the_place_of_an_image() -> None:
    head = "[Container]\nRootfs=/srv/root\n"
    assert command("Exec=/bin/sh\n", head)[-3:] == ["--rootfs", "/srv/root", "/bin/sh"]


def test_what_the_service_section_says_holds() -> None:
    unit = service("[Service]\nType=oneshot\nKillMode=control-group\nRestart=on-failure\n")
    assert unit.get("Service", "Type") == ["oneshot"]
    assert unit.get("Service", "KillMode") == ["control-group"]
    assert "-d" not in split_words(unit.last("Service", "ExecStart") or "")


def test_fleets_options_are_left_to_the_scheduler() -> None:
    unit = service("[X-Fleet]\nConflicts=web@*.service\n")
    assert unit.get("X-Fleet", "Conflicts") == ["web@*.service"]


@pytest.mark.parametrize(
    ("lines", "line", "said"),
    [
        ("Imag=x\n", 6, "Imag= of a container is not known here"),
        ("Volume=data.volume:/data\n", 6, "data.volume"),
        ("Network=app.network\n", 6, "app.network"),
        ("Pod=web.pod\n", 6, "Pod="),
        ("ReadOnly=perhaps\n", 6, "neither yes nor no"),
        ("Environment='A=1\n", 6, "Environment"),
        ("[Service]\nExecStart=/bin/true\n", 7, "Exec="),
        ("Rootfs=/x\n", 0, "one of Image= and Rootfs="),
        ("ServiceName=other\n", 6, "named by its file"),
        ("nonsense\n", 6, "nonsense"),
        ("Notify=perhaps\n", 6, "neither yes nor no"),
    ],
)
def test_what_cannot_be_honoured_is_refused(lines: str, line: int, said: str) -> None:
    with pytest.raises(UnitFileError, match=said) as caught:
        service(lines)
    assert caught.value.line == line
    assert caught.value.file == "web.container"


def test_without_an_image_it_is_none() -> None:
    with pytest.raises(UnitFileError, match="one of Image="):
        service(head="[Container]\nExec=x\n")
    with pytest.raises(UnitFileError, match="one of Image="):
        service(head="[Service]\nRestart=no\n")
