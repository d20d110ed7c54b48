"""One command on many real machines: ``c101ctl run``, and beside it parallel-ssh and Ansible.

Boots machines (tests/lab), makes them a cluster, and has each tool run ``true`` on all of them, in
turn. All of them log in over SSH with the same key, 32 at once; Ansible by its ``raw`` module,
which needs nothing on the machine, as the others. Prints a Markdown table. Wants root and
systemd-nspawn; a tool that is not installed is left out.
"""

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.lab.lab import Lab
from tests.systemd.cluster import missing
from tests.systemd.person import Person

AT_ONCE = "32"
#: Somebody who has typed yes before.
_KNOWN = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machines", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    if reason := missing():
        print(f"Not measured: no machine can be booted here, {reason}.")
        return
    with tempfile.TemporaryDirectory(prefix="c101f") as home, Lab(options.machines) as lab:
        person = Person(Path(home), lab)
        names = [machine.name for machine in lab.machines]
        person.types("c101ctl init --accept-new --cluster prod root@m1")
        person.types(
            "c101ctl machines add --accept-new " + " ".join(f"root@{name}" for name in names[1:])
        )
        tools = _tools(person.home, names)
        found: dict[str, list[float]] = {tool: [] for tool in tools}
        for _ in range(options.rounds):
            for tool, command in tools.items():
                found[tool].append(_timed(person, command))
    ours = statistics.median(found["c101ctl run --all"])
    print(f"| `true` on {options.machines} machines | median | least | most | to ours |")
    print("|---|---|---|---|---|")
    for tool, seconds in found.items():
        median = statistics.median(seconds)
        print(
            f"| {tool} | {median:.2f} s | {min(seconds):.2f} s | {max(seconds):.2f} s "
            f"| {median / ours:.1f} |"
        )
    print(
        "\nOurs goes through the agent of each machine, as a unit of its own that is logged; the "
        "others have sshd run it. Ansible keeps its connections for a minute: its first round is "
        "its slowest."
    )


def _tools(home: Path, names: Sequence[str]) -> dict[str, list[str]]:
    """Return the commands by the tool's name."""
    hosts = home / "hosts"
    hosts.write_text("".join(f"{name}\n" for name in names))
    # ssh itself looks for its configuration where the user's entry says, not below $HOME.
    ssh = " ".join([f"-F {home}/.ssh/config", *(f"-o {one}" for one in _KNOWN)])
    tools = {"c101ctl run --all": ["c101ctl", "run", "--all", "true"]}
    if program := shutil.which("parallel-ssh"):
        tools["parallel-ssh"] = [program, "-h", str(hosts), "-l", "root", "-p", AT_ONCE]
        tools["parallel-ssh"] += ["-x", ssh, "true"]
    if program := shutil.which("ansible"):
        tools["ansible -m raw"] = [program, "all", "-i", str(hosts), "-u", "root", "-f", AT_ONCE]
        tools["ansible -m raw"] += ["--ssh-common-args", ssh, "-m", "raw", "-a", "true"]
    return tools


def _timed(person: Person, command: Sequence[str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        command,
        env=person.environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=300,
    )
    took = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stdout[-500:]}{done.stderr[-500:]}")
    return took


if __name__ == "__main__":
    main()
