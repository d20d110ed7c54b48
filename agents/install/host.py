"""One host over SSH: what it is, commands as root there, the agent shipped, the verbs of setup."""

import hashlib
import shlex
from collections.abc import Callable
from dataclasses import replace

import msgspec

from c101.agents.host.setup.spec import Outcome
from c101.agents.install import probe
from c101.agents.install.bundle import Bundle
from c101.agents.install.probe import HostFacts
from c101.agents.ssh.dial import Ran, SshLink
from c101.agents.ssh.printable import printable
from c101.core.errors import C101Error

PROBE_SECONDS_MAX = 30.0
#: A file of 20 MB over a slow link, and its installation on a slow host.
SHIP_SECONDS_MAX = 600.0
#: Units that are slow to stop are waited for.
SETUP_SECONDS_MAX = 180.0
AGENT = "/usr/local/lib/c101/current/bin/c101-agent"


class SetupError(C101Error):
    """A step failed on a host: what it said."""

    code = "setup"


class RemoteHost:
    """A host. ``facts`` are there once it was asked."""

    def __init__(self, link: SshLink) -> None:
        self.link = link
        self.name = link.target.host
        self._facts: HostFacts | None = None

    @property
    def facts(self) -> HostFacts:
        """What it said of itself."""
        assert self._facts is not None, "it was not asked yet"
        return self._facts

    async def ask(self) -> HostFacts:
        """Ask it what it is. Raises LinkError and its kinds, UnfitHostError."""
        ran = await self.link.run(probe.COMMAND, probe.script(), seconds=PROBE_SECONDS_MAX)
        self._facts = probe.read(ran, self.name)
        return self._facts

    async def ship(self, bundle: Bundle, sent: Callable[[int], None]) -> bool:
        """Have the programs of *bundle* installed and in use; say whether they were not.

        Raises LinkError, SetupError.
        """
        if self.facts.installed == bundle.id:
            return False
        digest = hashlib.sha256(bundle.data).hexdigest()
        # Under a name that nobody knows, in a directory that nobody else can write to; what came
        # is compared with what was sent before it is run.
        shell = (
            "set -e; umask 077; d=$(mktemp -d /tmp/c101.XXXXXXXX); trap 'rm -rf \"$d\"' EXIT; "
            'cat > "$d/agent.pyz"; '
            f'echo "{digest}  $d/agent.pyz" | sha256sum --check --status; '
            f'{shlex.quote(self.facts.executable)} -I "$d/agent.pyz"'
        )
        ran = await self._as_root(shell, bundle.data, seconds=SHIP_SECONDS_MAX, sent=sent)
        self._check(ran, "the agent could not be installed")
        self._facts = replace(self.facts, installed=bundle.id)
        return True

    async def setup(
        self, verb: str, spec: object = None, *, seconds: float = SETUP_SECONDS_MAX
    ) -> Outcome:
        """Run a verb of ``c101-agent setup``, told *spec*. Raises LinkError, SetupError."""
        data = b"" if spec is None else msgspec.json.encode(spec)
        shell = f"exec {AGENT} setup {verb}"
        ran = await self._as_root(shell, data, seconds=seconds)
        self._check(ran, f"setup {verb} failed")
        try:
            return msgspec.json.decode(ran.output.strip().splitlines()[-1], type=Outcome)
        except (msgspec.MsgspecError, IndexError) as error:
            raise SetupError(f"{self.name}: setup {verb} answers what is none: {error}") from error

    async def fetch(self, path: str) -> bytes:
        """Return what a file holds. Raises LinkError, SetupError."""
        ran = await self._as_root(f"exec cat {shlex.quote(path)}", seconds=SHIP_SECONDS_MAX)
        self._check(ran, f"{path} could not be read")
        return ran.output

    async def put(self, path: str, data: bytes) -> None:
        """Have a file hold *data*, whole, readable by root. Raises LinkError, SetupError."""
        place, fresh = shlex.quote(path), shlex.quote(f"{path}.new")
        shell = f"set -e; umask 077; cat > {fresh}; mv {fresh} {place}"
        ran = await self._as_root(shell, data, seconds=SHIP_SECONDS_MAX)
        self._check(ran, f"{path} could not be written")

    async def log_of(self, unit: str, lines: int) -> list[str]:
        """Return the last lines that a service wrote. Raises LinkError."""
        shell = f"journalctl --unit={shlex.quote(unit)} --lines={lines} --output=cat --no-pager"
        ran = await self._as_root(shell, seconds=PROBE_SECONDS_MAX)
        return [printable(line) for line in ran.output.decode("utf-8", "replace").splitlines()]

    async def _as_root(
        self,
        shell: str,
        data: bytes = b"",
        *,
        seconds: float,
        sent: Callable[[int], None] = lambda _: None,
    ) -> Ran:
        command = f"sh -c {shlex.quote(shell)}"
        if not self.facts.root:
            command = f"sudo -n {command}"
        return await self.link.run(command, data, seconds=seconds, sent=sent)

    def _check(self, ran: Ran, what: str) -> None:
        if ran.status:
            # Of many lines the last one says it.
            lines = ran.complaint.decode("utf-8", "replace").strip().splitlines()
            said = printable("".join(lines[-1:])) or f"status {ran.status}"
            raise SetupError(f"{self.name}: {what}: {said}")
