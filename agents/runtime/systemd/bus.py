"""The service manager over D-Bus: calls, jobs that are waited for, signals of units of ours.

Signals are subscribed to a unit at a time: of a machine with a thousand units of others nothing
is heard, however often they are reloaded.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dbus_fast import BusType, DBusFastError, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from c101.core.errors import C101Error, LinkError

logger = logging.getLogger(__name__)

_SYSTEMD = "org.freedesktop.systemd1"
_PATH = "/org/freedesktop/systemd1"
_MANAGER = f"{_SYSTEMD}.Manager"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_DAEMON = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")

#: Jobs that ended before anybody asked how: the signal may be here before the answer that names
#: the job is.
_UNCLAIMED_MAX = 256
#: A call that is not answered for so long will not be: PID 1 reloads in a tenth of a second.
CALL_SECONDS_MAX = 25.0


class ManagerError(C101Error):
    """The service manager refused; ``name`` is the D-Bus name of the error."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """Who hears what. ``unit``: the properties of a unit changed, by object path.

    ``reloaded``: the manager has read all unit files anew. ``lost``: the connection is gone.
    """

    unit: Callable[[str], None]
    reloaded: Callable[[], None]
    lost: Callable[[], None]


class ManagerBus:
    """A connection to one service manager. ``user``: the calling user's own."""

    def __init__(self, *, user: bool = False) -> None:
        self._user = user
        self._signals = Signals(unit=_nothing, reloaded=_nothing, lost=_nothing)
        self._bus: MessageBus | None = None
        self._jobs: dict[str, asyncio.Future[str]] = {}
        self._ended: dict[str, str] = {}
        self._watched: set[str] = set()  # paths whose signals come
        self._kept: set[str] = set()  # names of units held in memory
        self._closing = False
        self._waiting_for_end: asyncio.Task[None] | None = None

    async def connect(self, signals: Signals) -> None:
        """Connect, and tell *signals* of what happens from here on. Raises LinkError."""
        self._signals = signals
        kind = BusType.SESSION if self._user else BusType.SYSTEM
        address = None
        if self._user and "DBUS_SESSION_BUS_ADDRESS" not in os.environ:
            address = f"unix:path=/run/user/{os.getuid()}/bus"
        self._watched.clear()
        self._kept.clear()
        try:
            bus = await MessageBus(bus_address=address, bus_type=kind).connect()
        except (OSError, EOFError, DBusFastError) as exc:
            raise LinkError(
                f"no service manager: {exc}", hint="--runtime process needs none"
            ) from exc
        bus.add_message_handler(self._on_message)
        self._bus = bus
        try:
            # Heard first, then asked to speak: the other way round something is missed.
            for member in ("JobRemoved", "Reloading"):
                await self._match("AddMatch", _rule(_MANAGER, member, _PATH))
            await self.manager("Subscribe")
        except C101Error as exc:
            # The bus is there, and systemd not on it yet.
            self._bus = None
            bus.disconnect()
            raise LinkError(f"no service manager: {exc}") from exc
        self._waiting_for_end = asyncio.create_task(self._until_lost(bus), name="systemd bus")

    async def close(self) -> None:
        """Disconnect. What systemd was told goes on."""
        self._closing = True
        if self._bus is not None:
            self._bus.disconnect()
        if self._waiting_for_end is not None:
            await self._waiting_for_end

    # ---- calls ----

    async def manager(self, member: str, signature: str = "", *arguments: Any) -> list[Any]:
        """Call a method of the manager, and return what it answers.

        Raises ManagerError: it refuses. LinkError: it is not reached.
        """
        return await self._call((_SYSTEMD, _PATH, _MANAGER), member, signature, *arguments)

    async def properties(self, path: str) -> Mapping[str, Any]:
        """Return all properties of a unit, of all its interfaces at one moment, unpacked.

        Raises ManagerError, LinkError.
        """
        (found,) = await self._call((_SYSTEMD, path, _PROPERTIES), "GetAll", "s", "")
        return {name: _unpacked(value) for name, value in found.items()}

    async def begin(self, member: str, *arguments: str) -> "asyncio.Future[str]":
        """Begin a job; return what will be how it ended, in systemd's word. Raises as ``manager``.

        *member* is one of the manager's methods that return a job. The future fails with LinkError
        if the connection ends before.
        """
        (path,) = await self.manager(member, "s" * len(arguments), *arguments)
        # Asked for what it is at already, systemd names the job that it has.
        if (known := self._jobs.get(path)) is not None:
            return known
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        if path in self._ended:
            future.set_result(self._ended.pop(path))
        else:
            self._jobs[path] = future
        return future

    async def watch(self, name: str) -> str:
        """Hear of changes of unit *name*; return its object path. Raises as ``manager``."""
        (path,) = await self.manager("LoadUnit", "s", name)
        if path not in self._watched:
            self._watched.add(path)
            await self._match("AddMatch", _rule(_PROPERTIES, "PropertiesChanged", path))
        await self.hold(name)
        return str(path)

    async def hold(self, name: str) -> None:
        """Have systemd keep unit *name* in memory as long as this connection lasts.

        How a unit ended would be forgotten as it ends. A unit whose file systemd does not take
        cannot be held, and has nothing to forget. Raises LinkError.
        """
        if name not in self._kept:
            with suppress(ManagerError):
                await self.manager("RefUnit", "s", name)
                self._kept.add(name)

    async def unwatch(self, name: str, path: str) -> None:
        """Hear of it no more; nothing happens where the connection is gone."""
        if path in self._watched:
            self._watched.discard(path)
            with suppress(C101Error):
                await self._match("RemoveMatch", _rule(_PROPERTIES, "PropertiesChanged", path))
            if name in self._kept:
                self._kept.discard(name)
                with suppress(C101Error):
                    await self.manager("UnrefUnit", "s", name)

    async def _match(self, member: str, rule: str) -> None:
        await self._call(_DAEMON, member, "s", rule)

    async def _call(
        self, whom: tuple[str, str, str], member: str, signature: str, *arguments: Any
    ) -> list[Any]:
        bus = self._bus
        if bus is None or not bus.connected:
            raise LinkError("the service manager is not reached")
        destination, path, interface = whom
        message = Message(
            destination=destination,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(arguments),
        )
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                reply = await bus.call(message)
        except TimeoutError as exc:
            raise LinkError(f"{member} was not answered in {CALL_SECONDS_MAX:g} s") from exc
        except (OSError, EOFError, DBusFastError) as exc:
            raise LinkError(f"the service manager was lost: {exc}") from exc
        if reply.message_type is MessageType.ERROR:
            text = str(reply.body[0]) if reply.body else str(reply.error_name)
            raise ManagerError(str(reply.error_name), text)
        return list(reply.body)

    # ---- signals ----

    def _on_message(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL:
            return
        match message.member:
            case "PropertiesChanged":
                self._signals.unit(str(message.path))
            case "JobRemoved":
                _, job, _, result = message.body
                self._job_removed(job, result)
            case "Reloading":
                if not message.body[0]:
                    self._signals.reloaded()
            case _:
                return

    def _job_removed(self, job: str, result: str) -> None:
        future = self._jobs.pop(job, None)
        if future is None:
            self._ended[job] = result
            if len(self._ended) > _UNCLAIMED_MAX:
                del self._ended[next(iter(self._ended))]
        elif not future.done():
            future.set_result(result)

    async def _until_lost(self, bus: MessageBus) -> None:
        with suppress(OSError, EOFError, DBusFastError):
            await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        jobs, self._jobs = self._jobs, {}
        for future in jobs.values():
            if not future.done():
                future.set_exception(LinkError("the service manager was lost"))
                future.exception()  # whoever waits hears of it; nobody has to
        if not self._closing:
            self._signals.lost()


def _nothing(*_heard: str) -> None:
    """Hear of what nobody wants to know yet."""


def _rule(interface: str, member: str, path: str) -> str:
    head = f"type='signal',sender='{_SYSTEMD}'"
    return f"{head},interface='{interface}',member='{member}',path='{path}'"


def _unpacked(value: Any) -> Any:
    return value.value if isinstance(value, Variant) else value
