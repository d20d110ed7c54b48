"""A place that a machine's apt has packages from: those of this computer's mirror, as files."""

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.lab.machine import Machine

#: Where a machine sees it.
PLACE = "/packages-of-debian"
#: One that is not trusted is not read by apt's own user; a list of its own, nothing else is asked.
_SOURCE = f"deb [trusted=yes] file:{PLACE} ./\n"


def fetch(folder: Path, names: Sequence[str]) -> None:
    """Have *folder* hold packages, with an index of them."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    subprocess.run(
        ["apt-get", "download", *names], cwd=folder, check=True, capture_output=True, timeout=300
    )
    entries = []
    for path in sorted(folder.glob("*.deb")):
        control = subprocess.run(
            ["dpkg-deb", "--field", path], check=True, capture_output=True, text=True, timeout=30
        ).stdout
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        entries.append(
            f"{control}Filename: ./{path.name}\nSize: {path.stat().st_size}\nSHA256: {digest}\n"
        )
        path.chmod(0o644)
    (folder / "Packages").write_text("\n".join(entries))


def use(machine: Machine) -> None:
    """Have the machine's apt know these packages and no others."""
    lists = machine.root / "etc/apt"
    for path in lists.glob("sources.list.d/*"):
        path.unlink()
    (lists / "sources.list").write_text(_SOURCE)
