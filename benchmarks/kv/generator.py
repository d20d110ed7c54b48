"""The load generator: compiled from ``loadgen/``, run for one load at a time."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

SOURCES = Path(__file__).with_name("loadgen")
#: Of HPACK's codes, those of bytes: the last one is the end mark.
_BYTES = 256


class LoadError(Exception):
    """A load that did not come through: what the generator said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What came of one run, as ``loadgen/main.c`` describes it."""

    requests: int
    all_requests: int
    seconds: float
    cpu: float
    events: int
    all_events: int
    p50_ms: float
    p99_ms: float
    event_p50_ms: float
    event_p99_ms: float

    @classmethod
    def parse(cls, shown: str) -> "Load":
        """Read what the generator printed."""
        return cls(**json.loads(shown))

    @property
    def rate(self) -> float:
        """Answered requests a second."""
        return self.requests / self.seconds

    @property
    def event_rate(self) -> float:
        """Events that arrived, a second."""
        return self.events / self.seconds


@dataclass(frozen=True, slots=True)
class Generator:
    """The compiled program."""

    program: Path

    def run(self, port: int, arguments: Sequence[str]) -> Load:
        """Drive the server on *port*; LoadError where a request failed or an event is lost."""
        done = subprocess.run(
            self.command(port, arguments), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise LoadError(f"{' '.join(arguments)}: {done.stderr.strip()}")
        return Load.parse(done.stdout)

    def start(self, port: int, arguments: Sequence[str]) -> "subprocess.Popen[str]":
        """Begin a load beside others; SIGTERM ends its measured time."""
        command = self.command(port, arguments)
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def command(self, port: int, arguments: Sequence[str]) -> list[str]:
        """Return the command of one load."""
        return [str(self.program), "-p", str(port), *arguments]


def build(directory: Path) -> Generator:
    """Compile the generator in *directory*."""
    codes = ",".join(map(str, REQUEST_CODES[:_BYTES]))
    bits = ",".join(map(str, REQUEST_CODES_LENGTH[:_BYTES]))
    (directory / "huffman_codes.h").write_text(
        f"static const uint32_t HUFFMAN_CODES[{_BYTES}] = {{{codes}}};\n"
        f"static const uint8_t HUFFMAN_BITS[{_BYTES}] = {{{bits}}};\n"
    )
    program = directory / "loadgen"
    sources = sorted(map(str, SOURCES.glob("*.c")))
    options = ["-O2", "-Wall", "-Wextra", "-Werror", f"-I{directory}"]
    subprocess.run(["gcc", *options, "-o", str(program), *sources], check=True)
    return Generator(program)
