"""The garbage collector's passes: short while requests are served, long ones when nobody asks.

What a request makes is reference counted. What is left in cycles is mostly of connections and
streams that ended, and by then old: only a pass over everything finds it. That takes some
milliseconds for every ten thousand watches and leases, and all requests wait for it, so it is
taken while there are none. A server that is never idle has one every ten minutes.
"""

import ctypes
import gc
import sys
from collections.abc import Callable, Sequence

from c101.core.clock import Clock
from c101.core.rpc.server import Server

#: A pass looks at this many new objects: 1 ms. What survives is of kinds that it lets go of.
YOUNG_OBJECTS_MAX = 5_000
#: Passes over the young before one over those that outlived it too, some 15,000 objects in 3 ms;
#: and of those before one over everything: never, that is for ``collect_when_idle`` to decide.
PASSES_BETWEEN = (2, 1 << 30)
#: How often the server looks whether there is something to collect.
INTERVAL_SECONDS = 10.0
#: A server without work is idle when for so long nothing came and nothing was sent.
IDLE_SECONDS = 0.2
#: So many times it is found busy, ten minutes; then all that is garbage has to go nevertheless.
BUSY_TIMES_MAX = 60
#: How long the writer's thread waits for a loop that is busy, each of the few times that a commit
#: needs the interpreter; Python's own 5 ms, several times over, is longer than a put should take.
SWITCH_SECONDS = 0.0001
#: Of glibc's mallopt: how many heaps there are. The writer's thread would get one of its own, and
#: what is free there, 7 MiB after a million puts, nobody else could use.
_M_ARENA_MAX = -8


def tune_interpreter() -> None:
    """Keep collections short, hand-overs between loop and writer quick, and memory in one heap.

    The loaded store is left out of every collection; what comes and goes is reference counted.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS_MAX, *PASSES_BETWEEN)
    sys.setswitchinterval(SWITCH_SECONDS)
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # musl has none, and needs none
        libc.mallopt(_M_ARENA_MAX, 1)


async def collect_when_idle(
    servers: Sequence[Server], clock: Clock, working: Callable[[], bool]
) -> None:
    """Collect everything, when there is something and nobody asks for anything, for ever.

    *working* says whether something that was asked for is not done yet.
    """
    busy_times = 0
    while True:
        await clock.sleep(INTERVAL_SECONDS)
        _, _, middle_passes = gc.get_count()
        if not middle_passes:
            # Since the last time too little was made, and kept, to look for.
            continue
        before = [server.traffic() for server in servers]
        await clock.sleep(IDLE_SECONDS)
        idle = [server.traffic() for server in servers] == before and not working()
        if idle or busy_times == BUSY_TIMES_MAX:
            gc.collect()
            busy_times = 0
        else:
            busy_times += 1
