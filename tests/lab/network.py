"""The machines' network: a bridge, a namespace a machine, and rules that break it."""

import subprocess
from pathlib import Path

_TABLE = """
table bridge {name} {{
  chain forwarded {{ type filter hook forward priority 0; }}
  chain inward {{ type filter hook input priority 0; }}
  chain outward {{ type filter hook output priority 0; }}
}}
"""
_LABS_MAX = 100


def run(*argv: str) -> None:
    """Run a command that has to work."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"


class Network:
    """One lab's. Its bridge is what keeps two labs apart that are made at once."""

    def __init__(self) -> None:
        for number in range(_LABS_MAX):
            self.name = f"c101lab{number}"
            made = subprocess.run(
                ["ip", "link", "add", self.name, "type", "bridge"],
                capture_output=True,
                check=False,
                timeout=30,
            )
            if made.returncode == 0:
                break
        else:
            raise AssertionError("no bridge can be made")
        self._subnet = f"10.{101 + number // 50}.{number % 50}"
        run("ip", "addr", "add", f"{self._subnet}.1/24", "dev", self.name)
        run("ip", "link", "set", self.name, "up")
        subprocess.run(
            ["nft", "-f", "-"], input=_TABLE.format(name=self.name), text=True, check=True
        )

    def address(self, number: int) -> str:
        """Return the address of machine *number*."""
        return f"{self._subnet}.{10 + number}"

    def namespace(self, number: int) -> Path:
        """Return the namespace of machine *number*, made when there is none."""
        name, link = f"{self.name}m{number}", self.link(number)
        path = Path("/run/netns") / name
        if path.exists():
            return path
        run("ip", "netns", "add", name)
        run("ip", "link", "add", link, "type", "veth", "peer", "name", "host0", "netns", name)
        run("ip", "link", "set", link, "master", self.name, "up")
        run("ip", "-n", name, "addr", "add", f"{self.address(number)}/24", "dev", "host0")
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", name, "link", "set", "host0", "up")
        run("ip", "-n", name, "route", "add", "default", "via", f"{self._subnet}.1")
        return path

    def link(self, number: int) -> str:
        """Return the bridge's end of the cable of machine *number*."""
        return f"{self.name}v{number}"

    # ---- faults ----

    def cut(self, one: int, other: int) -> None:
        """Drop all packets between two machines."""
        self.cut_one_way(one, other)
        self.cut_one_way(other, one)

    def cut_one_way(self, sender: int, receiver: int) -> None:
        """Drop the packets of *sender* to *receiver*."""
        self._rule("forwarded", f"iifname {self.link(sender)} oifname {self.link(receiver)} drop")

    def isolate(self, number: int) -> None:
        """Drop all packets of and to a machine: nobody is told."""
        link = self.link(number)
        for chain, rule in (
            ("forwarded", f"iifname {link} drop"),
            ("forwarded", f"oifname {link} drop"),
            ("inward", f"iifname {link} drop"),
            ("outward", f"oifname {link} drop"),
        ):
            self._rule(chain, rule)

    def lose(self, number: int, percent: int) -> None:
        """Lose some of the packets to a machine."""
        for chain in ("forwarded", "outward"):
            rule = f"oifname {self.link(number)} numgen random mod 100 < {percent} drop"
            self._rule(chain, rule)

    def unplug(self, number: int) -> None:
        """Pull the cable."""
        run("ip", "link", "set", self.link(number), "down")

    def heal(self, numbers: range) -> None:
        """Undo every fault."""
        for chain in ("forwarded", "inward", "outward"):
            run("nft", "flush", "chain", "bridge", self.name, chain)
        for number in numbers:
            run("ip", "link", "set", self.link(number), "up")

    def _rule(self, chain: str, rule: str) -> None:
        run("nft", "add", "rule", "bridge", self.name, chain, *rule.split())

    def remove(self) -> None:
        """Remove all of it."""
        for path in Path("/run/netns").glob(f"{self.name}m*"):
            run("ip", "netns", "del", path.name)
        run("nft", "delete", "table", "bridge", self.name)
        run("ip", "link", "del", self.name)
