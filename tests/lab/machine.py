"""One machine: a container of systemd-nspawn with a disk, a power switch and an address."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tests.lab.network import Network, run

#: A boot takes half a second; only one that fails takes so long.
BOOT_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 30.0


class Machine:
    """Machine *number* of a lab, off until it is booted.

    ``binds`` are directories of this computer that it sees, read-only, by where it sees them. With
    *engines* it may do what Docker asks of a machine, and has a disk for it that is no overlay.
    """

    def __init__(
        self,
        number: int,
        image: Path,
        directory: Path,
        network: Network,
        binds: Mapping[str, Path],
        *,
        engines: bool = False,
    ) -> None:
        self.number = number
        self.name = f"m{number}"
        self.address = network.address(number)
        self.directory = directory
        self.root = directory / "root"
        self._image = image
        self._network = network
        self._binds = binds
        self._engines = engines
        self._group = f"{network.name}-{self.name}"
        self._process: subprocess.Popen[bytes] | None = None

    # ---- power ----

    def boot(self) -> None:
        """Switch it on; it has the disk it had. ``until_up`` waits for it."""
        assert self._process is None, f"{self.name} is on"
        self._mount()
        namespace = self._network.namespace(self.number)
        binds = [f"--bind-ro={here}:{there}" for there, here in self._binds.items()]
        groups = [root / self._group for root in _cgroup_roots()]
        for group in groups:
            group.mkdir(exist_ok=True)
        # nspawn makes its group below the one it is in: each machine has to begin in its own.
        enter = "".join(f"echo $$ > {group}/cgroup.procs; " for group in groups)
        argv = [
            "systemd-nspawn", "--quiet", "--boot", "--keep-unit", "--register=no",
            f"--machine={self.name}", f"--hostname={self.name}", f"--directory={self.root}",
            f"--network-namespace-path={namespace}", "--console=pipe", "--link-journal=no", *binds,
            *self._allowed(),
        ]  # fmt: skip
        with (self.directory / "console.log").open("ab") as console:
            self._process = subprocess.Popen(
                ["sh", "-c", f'{enter}exec "$@"', "sh", *argv],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                start_new_session=True,
            )

    def _allowed(self) -> list[str]:
        if not self._engines:
            return []
        disk = self.directory / "docker"
        disk.mkdir(exist_ok=True)
        calls = [f"--system-call-filter={name}" for name in ("@keyring", "bpf")]
        return ["--capability=all", *calls, f"--bind={disk}:/var/lib/docker"]

    def until_up(self) -> None:
        """Wait until sshd says its banner, and systemd is done starting."""
        end = time.monotonic() + BOOT_SECONDS_MAX
        while not self._answers():
            assert self.is_on, f"{self.name} died: {self.console()}"
            assert time.monotonic() < end, f"{self.name} does not come up: {self.console()}"
            time.sleep(0.02)
        state = self.run("systemctl", "is-system-running", "--wait", check=False).stdout.strip()
        assert state in ("running", "degraded"), state

    def _answers(self) -> bool:
        # What says it is a banner is one: to connect is not enough where a proxy answers.
        try:
            with socket.create_connection((self.address, 22), timeout=1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    @property
    def is_on(self) -> bool:
        """Whether it has power."""
        return self._process is not None and self._process.poll() is None

    def cut_power(self) -> None:
        """Take its power away. Its disk stays."""
        os.kill(self.leader(), signal.SIGKILL)
        self._until_off()

    def stop(self) -> None:
        """Have it shut down by itself."""
        os.kill(self.leader(), signal.SIGRTMIN + 4)
        self._until_off()

    def _until_off(self) -> None:
        assert self._process is not None
        self._process.wait(STOP_SECONDS_MAX)
        self._process = None

    def freeze(self) -> None:
        """Stop all its processes at once: its connections stay, nothing answers."""
        self._freezer().write_text("1")

    def thaw(self) -> None:
        """Let them go on."""
        self._freezer().write_text("0")

    def _freezer(self) -> Path:
        (unified,) = [root for root in _cgroup_roots() if (root / "cgroup.procs").exists()][-1:]
        return unified / self._group / "payload" / "cgroup.freeze"

    # ---- inside ----

    def leader(self) -> int:
        """Return its process 1, as it is called here."""
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert children, f"{self.name} has no process: {self.console()}"
        return int(children[0])

    def enter(self, *argv: str) -> list[str]:
        """Return the command that runs *argv* inside, as root."""
        flags = ("-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w")
        return ["nsenter", "-t", str(self.leader()), *flags, "--", *argv]

    def run(
        self, *argv: str, check: bool = True, seconds: float = 60
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command inside."""
        done = subprocess.run(
            self.enter(*argv),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=seconds,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
        )
        assert not check or done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done

    def console(self) -> str:
        """Return the end of what it printed on its console."""
        try:
            return (self.directory / "console.log").read_text(errors="replace")[-2_000:]
        except OSError:
            return ""

    # ---- disk ----

    def _mount(self) -> None:
        if os.path.ismount(self.root):
            return
        layers = [self.directory / name for name in ("upper", "work")]
        for folder in (*layers, self.root):
            folder.mkdir(parents=True, exist_ok=True)
        upper, work = layers
        options = f"lowerdir={self._image},upperdir={upper},workdir={work}"
        run("mount", "-t", "overlay", "overlay", "-o", options, str(self.root))

    def remove(self) -> None:
        """Switch it off and remove its disk."""
        if self._process is not None:
            if self.is_on:
                self.cut_power()
            self._process = None
        if os.path.ismount(self.root):
            run("umount", str(self.root))
        for root in _cgroup_roots():
            for group in sorted((root / self._group).glob("**/"), reverse=True):
                group.rmdir()


def _cgroup_roots() -> list[Path]:
    """Return where machines get their groups: in cgroup2, and in systemd's own of version 1."""
    found: list[Path] = []
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, options, *_ = line.split(" ")
        if kind == "cgroup" and "name=systemd" in options.split(","):
            found.insert(0, Path(where))
        elif kind == "cgroup2":
            found.append(Path(where))
    return found
