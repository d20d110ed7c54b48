"""Drop-ins beside a unit's file: read with it, in order, and wrong ones named by their own file."""

from pathlib import Path

import pytest

from c101.core.errors import C101Error
from c101.core.units.file import UnitFile, UnitFileError
from c101.tui.ctl.names import read_unit, read_unit_or_template

UNIT = "[Service]\nExecStart=/bin/one\nEnvironment=A=1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "web.service").write_text(UNIT)
    (tmp_path / "web@.service").write_text(UNIT)
    return tmp_path


def drop_in(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def assigned(text: str | None, name: str) -> list[str]:
    assert text is not None
    return UnitFile.parse(text).get("Service", name)


def test_without_any_the_text_is_the_files_own(folder: Path) -> None:
    assert read_unit(folder / "web.service").text == UNIT
    (folder / "web.service.d").mkdir()
    assert read_unit(folder / "web.service").text == UNIT


def test_they_come_after_the_file_in_the_order_of_their_names(folder: Path) -> None:
    drop_in(folder, "web.service.d/20-b.conf", "[Service]\nEnvironment=B=2\n")
    drop_in(folder, "web.service.d/10-a.conf", "[Service]\nExecStart=\nExecStart=/bin/two\nNice=1")
    drop_in(folder, "web.service.d/README", "no drop-in")
    text = read_unit(folder / "web.service").text
    assert assigned(text, "ExecStart") == ["/bin/two"]
    assert assigned(text, "Environment") == ["A=1", "B=2"]
    assert text is not None
    assert text.startswith(UNIT)
    assert "# web.service.d/10-a.conf\n" in text


def test_an_instance_has_those_of_its_template_too(folder: Path) -> None:
    drop_in(folder, "web@.service.d/10.conf", "[Service]\nEnvironment=T=1\n")
    drop_in(folder, "web@1.service.d/20.conf", "[Service]\nEnvironment=I=1\n")
    found = read_unit_or_template(folder / "web@1.service")
    assert found.name == "web@1.service"
    assert assigned(found.text, "Environment") == ["A=1", "T=1", "I=1"]
    other = read_unit_or_template(folder / "web@2.service")
    assert assigned(other.text, "Environment") == ["A=1", "T=1"]


def test_one_that_is_wrong_is_named_with_its_own_line(folder: Path) -> None:
    drop_in(folder, "web.service.d/10.conf", "[Service]\nnonsense\n")
    with pytest.raises(UnitFileError, match=r"web\.service\.d/10\.conf:2"):
        read_unit(folder / "web.service")
    (folder / "web.service.d/10.conf").write_bytes(b"\xff")
    with pytest.raises(C101Error, match=r"10\.conf"):
        read_unit(folder / "web.service")


def test_a_quadlet_file_is_the_service_that_runs_it(folder: Path) -> None:
    (folder / "app.container").write_text("[Container]\nImage=app:1\n")
    drop_in(folder, "app.container.d/10.conf", "[Container]\nPublishPort=80:80\n")
    found = read_unit(folder / "app.container")
    assert found.name == "app.service"
    (line,) = assigned(found.text, "ExecStart")
    assert "--publish=80:80" in line
    (folder / "app@.container").write_text("[Container]\nImage=app:%i\n")
    instance = read_unit_or_template(folder / "app@7.container")
    assert instance.name == "app@7.service"
    (line,) = assigned(instance.text, "ExecStart")
    assert line.endswith("app:%i")
    drop_in(folder, "app.container.d/20.conf", "[Container]\nPort=1\n")
    with pytest.raises(UnitFileError, match="Port= of a container"):
        read_unit(folder / "app.container")
