"""Somebody at a computer of their own, who makes a cluster of a lab's machines as the docs say."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.ctl.site import Site
from tests.lab.lab import Lab
from tests.lab.machine import Machine

PAGE = Path(__file__).parents[2] / "docs" / "install.md"
REPOSITORY = PAGE.parents[1]
COMMAND_SECONDS_MAX = 120


def commands(section: str) -> list[str]:
    """Return the commands of a section of the page."""
    text = PAGE.read_text().partition(f"## {section}")[2].partition("\n## ")[0]
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


class Person:
    """Somebody at a computer of their own: a home with a key, and names for the machines."""

    def __init__(self, home: Path, lab: Lab) -> None:
        self.home = home
        self.lab = lab
        folder = home / ".ssh"
        folder.mkdir(mode=0o700)
        (folder / "config").write_text(
            "".join(
                f"Host {one.name}\n  HostName {one.address}\n  IdentityFile {lab.key}\n\n"
                for one in lab.machines
            )
        )
        programs = Path(sys.executable).parent
        self.environment = {
            "HOME": str(home),
            "PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
        }
        self.site = Site("", self.environment, REPOSITORY)

    def types(self, command: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            shlex.split(command),
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )
        assert not check or done.returncode == 0, (command, done.stdout, done.stderr)
        return done

    def machine(self, name: str) -> Machine:
        return next(one for one in self.lab.machines if one.name == name)

    def holder(self, unit: str) -> Machine:
        return self.machine(str(self.site.unit(unit)["machine"]))

    def states(self) -> dict[str, str]:
        return {row["name"]: row["state"] for row in self.site.json("list-machines")}

    def makes_a_cluster(self) -> None:
        """Do what the page says up to where all three are machines."""
        for section in ("1.", "2."):
            for command in commands(section):
                self.types(command)

    def starts(self, name: str, text: str) -> Machine:
        """Start a unit; return where it runs."""
        path = self.home / name
        path.write_text(text)
        self.types(f"c101ctl start {path}")
        return self.holder(name)

    def page(self, machine: Machine) -> str:
        (command,) = (one for one in commands("3.") if "curl" in one)
        return self.types(command.replace("LB", machine.address), check=False).stdout
