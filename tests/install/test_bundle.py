"""The agent's one file: what is in it, and what it does on a host, which is a directory here."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from c101.agents.install import bundle as made
from c101.agents.install.bundle import Bundle, assemble, bundle_for, installed_files, locked
from c101.agents.install.target import PROCESSORS, PYTHONS, Target, here
from c101.core.errors import ConfigError

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return assemble(here(), installed_files())


@pytest.fixture(scope="module")
def archive(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "agent.pyz"
    path.write_bytes(bundle.data)
    return path


def run(archive: Path, root: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-I", str(archive), "--root", str(root)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd="/",
    )


def test_a_host_needs_no_console(bundle: Bundle) -> None:
    assert not {"textual", "rich", "pytest"} & set(made.needed())
    assert {"asyncssh", "protobuf", "dbus-fast", "cryptography", "cffi"} <= set(made.needed())


def test_the_same_content_is_the_same_file(bundle: Bundle) -> None:
    again = assemble(here(), installed_files())
    assert again.data == bundle.data
    assert again.id == bundle.id
    other = assemble(here(), [*installed_files(), ("more.py", Path(__file__))])
    assert other.id != bundle.id


def test_it_installs_programs_that_run_alone(archive: Path, bundle: Bundle, tmp_path: Path) -> None:
    done = run(archive, tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"id": bundle.id, "changed": True}
    python = tmp_path / "usr/local/lib/c101/current/bin/python3"
    for program in ("c101-agent", "c101-core", "c101ctl"):
        place = tmp_path / "usr/local/bin" / program
        script = place.resolve()
        assert bundle.id in script.parts
        shown = subprocess.run(
            [place, "--help"], capture_output=True, text=True, check=True, timeout=30, cwd="/"
        )
        assert program in shown.stdout
    code = "import c101, sys; print(c101.__file__, 'textual' in sys.modules)"
    where = subprocess.run(
        [python, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert where.stdout.startswith(str(tmp_path / "usr/local/lib/c101/current/lib/"))
    assert where.stdout.endswith("__init__.py False\n")
    compiled = tmp_path / "usr/local/lib/c101/current/lib"
    assert list(compiled.rglob("c101/agents/host/__pycache__/main.*.pyc"))


def test_it_is_installed_once_and_replaces_what_was_before(
    archive: Path, bundle: Bundle, tmp_path: Path
) -> None:
    home = tmp_path / "usr/local/lib/c101"
    for older in ("0.0.1-aaaaaaaaaaaa", "0.0.2-bbbbbbbbbbbb"):
        (home / older).mkdir(parents=True)
    (home / "current").symlink_to("0.0.2-bbbbbbbbbbbb")
    (home / f".{bundle.id}.new").mkdir()  # of a run that was cut off
    assert json.loads(run(archive, tmp_path).stdout)["changed"]
    # What runs may still load from the version before; older ones are gone.
    found = sorted(path.name for path in home.iterdir() if path.is_dir())
    assert found == sorted({bundle.id, "0.0.2-bbbbbbbbbbbb", "current"})
    assert not json.loads(run(archive, tmp_path).stdout)["changed"]


def test_a_file_for_another_python_says_so(bundle: Bundle, tmp_path: Path) -> None:
    other = Target("3.99", here().processor)
    path = tmp_path / "other.pyz"
    path.write_bytes(assemble(other, []).data)
    done = run(path, tmp_path / "root")
    assert done.returncode == 1
    assert "Python 3.99" in done.stderr
    assert not (tmp_path / "root").exists()


def test_a_file_that_was_cut_short_installs_nothing(archive: Path, tmp_path: Path) -> None:
    path = tmp_path / "short.pyz"
    path.write_bytes(archive.read_bytes()[:-100_000])
    assert run(path, tmp_path / "root").returncode != 0
    assert not (tmp_path / "root").exists()


def test_a_file_of_the_folder_goes_before_what_runs_here(tmp_path: Path) -> None:
    path = tmp_path / made.file_name(here())
    path.write_bytes(assemble(here(), []).data)
    found = bundle_for(here(), tmp_path)
    assert found.data == path.read_bytes()
    path.write_bytes(b"nonsense")
    with pytest.raises(ConfigError, match="is no agent"):
        bundle_for(here(), tmp_path)


def test_what_there_is_no_file_for_says_how_to_make_it(tmp_path: Path) -> None:
    processor = next(one for one in PROCESSORS if one != here().processor)
    with pytest.raises(ConfigError, match=processor) as caught:
        bundle_for(Target(PYTHONS[0], processor), tmp_path)
    assert "make agent" in (caught.value.hint or "")


def test_nothing_of_it_lies_outside(bundle: Bundle, archive: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
    assert {"__main__.py", "about.json", "site/c101/agents/host/main.py"} <= set(names)
    assert not [name for name in names if name.startswith("/") or ".." in name.split("/")]
    assert not [name for name in names if "__pycache__" in name]


def test_of_a_lock_file_what_is_wanted_is_taken() -> None:
    hashes = " \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
    lock = f"# head\na==1{hashes}    # via b\nb==2 ; x{hashes}"
    assert locked(lock, ["a"]) == f"a==1{hashes}"
    assert locked(lock, ["b"]) == f"b==2 ; x{hashes}"
