"""Some machines on a network of their own."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.lab.image import IMAGES, image
from tests.lab.machine import Machine
from tests.lab.network import Network, run


class Lab:
    """``with Lab(3) as lab``: machines that are up; leaving it leaves nothing.

    *packages* are installed besides those of the image; *binds* and *engines* as in ``Machine``.
    """

    def __init__(
        self,
        machines: int,
        *,
        packages: Sequence[str] = (),
        binds: Mapping[str, Path] | None = None,
        engines: bool = False,
    ) -> None:
        self._image = image(packages)
        self._count = machines
        self._binds = binds or {}
        self._engines = engines

    def __enter__(self) -> Self:
        self.directory = Path(tempfile.mkdtemp(prefix="lab-", dir=IMAGES))
        self.network = Network()
        self.key = self.directory / "id_ed25519"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(self.key))
        self.machines = [self._machine(number) for number in range(1, self._count + 1)]
        try:
            for machine in self.machines:
                self._let_in(machine)
                _name(machine)
                if self._engines:
                    self._tell_docker(machine)
                machine.boot()
            for machine in self.machines:
                machine.until_up()
        except BaseException:
            self.remove()
            raise
        return self

    def _machine(self, number: int) -> Machine:
        directory = self.directory / f"m{number}"
        directory.mkdir()
        return Machine(
            number, self._image, directory, self.network, self._binds, engines=self._engines
        )

    def _let_in(self, machine: Machine) -> None:
        """Let whoever has the lab's key log in as root."""
        folder = machine.directory / "upper" / "root" / ".ssh"
        folder.mkdir(mode=0o700, parents=True)
        folder.parent.chmod(0o700)
        keys = folder / "authorized_keys"
        keys.write_text(self.key.with_suffix(".pub").read_text())
        keys.chmod(0o600)

    def _tell_docker(self, machine: Machine) -> None:
        """Have Docker leave the machine's network alone, which it may not change."""
        folder = machine.directory / "upper" / "etc" / "docker"
        folder.mkdir()
        (folder / "daemon.json").write_text(
            '{"iptables": false, "bridge": "none", "ip-forward": false}'
        )

    def __exit__(self, *_exc: object) -> None:
        self.remove()

    def heal(self) -> None:
        """Undo the network's faults."""
        self.network.heal(range(1, self._count + 1))

    def remove(self) -> None:
        """End every machine, and remove all there was."""
        for machine in self.machines:
            machine.remove()
        self.network.remove()
        shutil.rmtree(self.directory)


def _name(machine: Machine) -> None:
    """Have it know its own name: sudo would ask a name server, for up to twenty seconds."""
    folder = machine.directory / "upper" / "etc"
    folder.mkdir(exist_ok=True)
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {machine.name}\n")
