"""The agent as one file: what a host runs, with all it needs, for one Python and one processor.

It is a zip that Python runs (``unpack`` is its ``__main__``): c101 itself and the packages that it
needs there, which is all but the console's. For the Python and processor of this program they are
taken as they are installed here, without a network; ``make agent`` has them for others from the
package index, by the hashes of the lock file. Two files with the same content are the same, byte
for byte, and ``id`` is the hash of that.
"""

import hashlib
import importlib.metadata
import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import c101
from c101.agents.install import unpack
from c101.agents.install.target import Target, here
from c101.core.errors import ConfigError

#: Of what c101 needs, what only the console does.
CONSOLE_ONLY = frozenset({"textual"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SKIPPED = {"__pycache__"}
#: Which wheels a host with glibc takes, newest first (PEP 600).
_GLIBC = ("2_28", "2_17")
_PIP_SECONDS_MAX = 600


@dataclass(frozen=True, slots=True)
class Bundle:
    """A file, and what it says of itself."""

    id: str
    target: Target
    data: bytes


def file_name(target: Target) -> str:
    """Return what ``make agent`` calls the file for *target*."""
    return f"c101-agent-{c101.__version__}-{target.word}.pyz"


def bundle_for(target: Target, folder: Path | None) -> Bundle:
    """Return the file for *target*: of *folder* where it is there, else made of what runs here.

    Raises ConfigError: neither can be.
    """
    if folder is not None and (path := folder / file_name(target)).is_file():
        return read(path)
    if target == here():
        return assemble(target, installed_files())
    raise ConfigError(
        f"there is no agent for {target}",
        hint=f"`make agent` makes {file_name(target)}; --agent-dir DIR says where it is",
    )


def read(path: Path) -> Bundle:
    """Read a file that ``make agent`` made. Raises ConfigError for one that is none."""
    try:
        data = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            about = json.loads(archive.read(unpack.ABOUT))
        return Bundle(about["id"], Target(about["python"], about["processor"]), data)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} is no agent: {error}") from error


def assemble(target: Target, files: Iterable[tuple[str, Path]]) -> Bundle:
    """Make the file of *files*, by their places on Python's path."""
    digest = hashlib.sha256()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        _add(archive, "__main__.py", Path(unpack.__file__).read_bytes(), digest)
        for name, path in sorted(files):
            _add(archive, unpack.SITE + name, path.read_bytes(), digest)
        about = {
            "id": f"{c101.__version__}-{digest.hexdigest()[:12]}",
            "python": target.python,
            "processor": target.processor,
        }
        _add(archive, unpack.ABOUT, json.dumps(about).encode(), digest)
    return Bundle(about["id"], target, out.getvalue())


def _add(archive: zipfile.ZipFile, name: str, data: bytes, digest: "hashlib._Hash") -> None:
    digest.update(f"{name}\0{len(data)}\0".encode() + data)
    member = zipfile.ZipInfo(name)  # of no time: the same content is the same file
    member.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(member, data)


# ---- what goes in ----


def installed_files() -> Iterator[tuple[str, Path]]:
    """Give c101 and the packages it needs on a host, as they are installed here."""
    yield from own_files()
    for name in needed():
        distribution = importlib.metadata.distribution(name)
        for file in distribution.files or ():
            path = Path(str(distribution.locate_file(file)))
            # Scripts lie outside, and what is compiled is compiled anew.
            if ".." not in file.parts and not _SKIPPED & set(file.parts) and path.is_file():
                yield file.as_posix(), path


def own_files() -> Iterator[tuple[str, Path]]:
    """Give c101's own modules."""
    package = Path(c101.__file__).parent
    for path in sorted(_walk(package)):
        yield f"c101/{path.relative_to(package).as_posix()}", path


def _walk(folder: Path) -> Iterator[Path]:
    # The packages of a checkout are links: they are followed, which Path.rglob does not.
    for path in folder.iterdir():
        if path.is_dir() and path.name not in _SKIPPED:
            yield from _walk(path)
        elif path.is_file():
            yield path


def needed() -> list[str]:
    """Return the packages that c101 needs on a host, with what they need themselves."""
    found: set[str] = set()
    waiting = [name for name in _requirements("c101-console") if name not in CONSOLE_ONLY]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        waiting += _requirements(name)
    return sorted(found)


def _requirements(name: str) -> Iterator[str]:
    """Give what *name* needs, of what is installed here: the rest is for other systems."""
    for line in importlib.metadata.requires(name) or ():
        requirement, _, marker = line.partition(";")
        match = _NAME.match(requirement)
        if match is None or "extra ==" in marker:
            continue
        wanted = re.sub(r"[-_.]+", "-", match.group()).lower()
        try:
            importlib.metadata.distribution(wanted)
        except importlib.metadata.PackageNotFoundError:
            continue
        yield wanted


def downloaded_files(target: Target, lock: Path, scratch: Path) -> Iterator[tuple[str, Path]]:
    """Give the same for *target*, its packages by the hashes of *lock*. Raises ConfigError."""
    yield from own_files()
    wanted = scratch / "requirements.txt"
    wanted.write_text(locked(lock.read_text(), needed()))
    site = scratch / "site"
    platforms = [f"--platform=manylinux_{one}_{target.processor}" for one in _GLIBC]
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--no-deps", "--no-compile", "--require-hashes", "--only-binary=:all:",
        f"--target={site}", f"--python-version={target.python}", "--implementation=cp",
        *platforms, f"--platform=manylinux2014_{target.processor}", f"--requirement={wanted}",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=_PIP_SECONDS_MAX
    )
    if done.returncode:
        raise ConfigError(f"the packages for {target} cannot be had: {done.stderr.strip()}")
    for path in sorted(_walk(site)):
        name = path.relative_to(site).as_posix()
        if not name.startswith("bin/"):
            yield name, path


def locked(lock: str, names: Iterable[str]) -> str:
    """Return of a lock file's text what it says of *names*."""
    wanted = set(names)
    found: list[str] = []
    taking = False
    for line in lock.splitlines():
        if not line.startswith((" ", "#")):
            taking = line.partition("==")[0].strip().lower() in wanted
        if taking and not line.lstrip().startswith("#"):
            found.append(line)
    return "\n".join(found) + "\n"
