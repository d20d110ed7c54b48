"""Finds the containers of this machine."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import NamedTuple

import psutil

from c101.agents.runtime.containers.arguments import (
    CLIENTS,
    ENGINE_PROGRAMS,
    named_by_client,
    option,
    program,
)
from c101.agents.runtime.containers.inspect import containers_of
from c101.agents.runtime.systemd import cgroup
from c101.agents.runtime.unit_manager import LoadedUnit
from c101.core.clock import Clock
from c101.core.errors import C101Error
from c101.core.model.host import Container

#: What was found holds for so long: whoever asks of many units asks once.
FRESH_SECONDS = 2.0
_INSPECT = 'ids=$({0} ps --all --quiet --no-trunc) || exit; [ -z "$ids" ] || exec {0} inspect $ids'

#: Runs a command outside the agent's sandbox; returns its status, output and error.
Run = Callable[[Sequence[str]], Awaitable[tuple[int, bytes, bytes]]]


class Found(NamedTuple):
    """The containers, and what an engine that did not answer said."""

    containers: list[Container]
    problems: list[str]


class _Process(NamedTuple):
    """A process of a unit."""

    unit: str
    pid: int
    argv: list[str]


class ContainerFinder:
    """Finds containers. *units* returns the units with their processes; *run* asks engines."""

    def __init__(
        self,
        units: Callable[[], Awaitable[Sequence[LoadedUnit]]],
        run: Run,
        clock: Clock,
        machine_id: str,
    ) -> None:
        self._units = units
        self._run = run
        self._clock = clock
        self._machine_id = machine_id
        self._looking = asyncio.Lock()
        self._found = Found([], [])
        self._found_at = -FRESH_SECONDS

    async def find(self) -> Found:
        """Return what there is, not older than ``FRESH_SECONDS``."""
        async with self._looking:
            if self._clock.monotonic() - self._found_at >= FRESH_SECONDS:
                self._found = await self._look()
                self._found_at = self._clock.monotonic()
            return self._found

    async def of_unit(self, unit: LoadedUnit) -> list[Container]:
        """Return the containers of *unit*; engines are asked only where one of theirs is in it."""
        programs = await asyncio.to_thread(lambda: {program(_command_line(p)) for p in unit.pids})
        if programs & ENGINE_PROGRAMS:
            return [one for one in (await self.find()).containers if one.unit == unit.name]
        return await asyncio.to_thread(self._tied, [], [unit])

    async def _look(self) -> Found:
        units = await self._units()
        problems: list[str] = []
        told: list[Container] = []
        engines = [engine for engine in sorted(CLIENTS) if shutil.which(engine)]
        answers = await asyncio.gather(*map(self._ask, engines))
        for answer in answers:
            told += answer.containers
            problems += answer.problems
        containers = await asyncio.to_thread(self._tied, told, units)
        return Found(sorted(containers, key=lambda one: (one.name, one.engine)), problems)

    async def _ask(self, engine: str) -> Found:
        try:
            status, output, error = await self._run(("/bin/sh", "-c", _INSPECT.format(engine)))
            if not status:
                return Found(list(containers_of(engine, output)), [])
            said = error.decode("utf-8", "replace").strip() or f"status {status}"
        except C101Error as failure:
            said = str(failure)
        return Found([], [f"{engine}: {said}"])

    def _tied(self, told: Sequence[Container], units: Sequence[LoadedUnit]) -> list[Container]:
        """Return all containers, each with its unit and what it uses."""
        processes = [
            _Process(unit.name, pid, argv)
            for unit in units
            for pid in unit.pids
            if (argv := _command_line(pid))
        ]
        holders = {process.pid: process.unit for process in processes}
        clients = {
            name: process.unit
            for process in processes
            if program(process.argv) in CLIENTS
            for name in named_by_client(process.argv)
        }
        found = [
            replace(one, unit=holders.get(one.pid or 0) or clients.get(one.name, ""))
            for one in told
        ]
        found += _of_processes(processes)
        known = {one.unit for one in found if one.unit}
        found += _with_a_root(unit for unit in units if unit.name not in known)
        root = cgroup.hierarchy_here()
        used = [cgroup.read(root, cgroup.group_of(one.pid or 0)).resources for one in found]
        return [
            replace(one, machine_id=self._machine_id, resources=resources)
            for one, resources in zip(found, used, strict=True)
        ]


def _of_processes(processes: Sequence[_Process]) -> Iterator[Container]:
    """Yield the containers whose engines are processes of units: systemd-nspawn and LXC."""
    for process in processes:
        argv = process.argv
        if program(argv) == "systemd-nspawn":
            root = option(argv, "--directory", "-D", "--image", "-i")
            name = option(argv, "--machine", "-M") or PurePath(root).name
            engine, image = "nspawn", root
        elif program(argv) == "lxc-start":
            name = option(argv, "--name", "-n") or argv[-1]
            engine, image = "lxc", ""
        else:
            continue
        first = _first_child(process.pid)
        yield Container(
            engine=engine,
            id=name,
            name=name,
            image=image,
            state="running" if first else "starting",
            unit=process.unit,
            pid=first,
        )


def _with_a_root(units: Iterator[LoadedUnit]) -> Iterator[Container]:
    for unit in units:
        if unit.root:
            yield Container(
                engine="rootdir",
                id=unit.name,
                name=unit.name,
                image=unit.root,
                state="running" if unit.main_pid else "exited",
                unit=unit.name,
                pid=unit.main_pid,
            )


def _command_line(pid: int) -> list[str]:
    try:
        return psutil.Process(pid).cmdline()
    except psutil.Error:
        return []


def _first_child(pid: int) -> int | None:
    try:
        return min((child.pid for child in psutil.Process(pid).children()), default=None)
    except psutil.Error:
        return None
