"""Rounds of load on one server, each ended in some way and judged: calls, watches, what is left."""

import asyncio
import random
from collections import Counter

from tests.linearizability.checker import check
from tests.linearizability.historian import Historian
from tests.linearizability.history import Call, Outcome, ReadAll, settle, written_value
from tests.linearizability.load import Load
from tests.linearizability.model import RegisterModel, StoreModel, StoreState, by_key
from tests.linearizability.recorder import RecordingClient, ticks
from tests.linearizability.validators import Recording, violations
from tests.processes import KVProcess

#: How many calls are answered before a round ends.
CALLS_MIN, CALLS_MAX = 200, 800
CHECK_SECONDS_MAX = 60.0
SEED = 101


class Rounds:
    """Rounds of load on one server, each judged when it is over."""

    def __init__(self, server: KVProcess, historian: Historian) -> None:
        self._server = server
        self._historian = historian
        self._random = random.Random(SEED)
        self._ticks = ticks()
        self.state = StoreState()
        self.mix: Counter[str] = Counter()
        #: what was last judged: where it began, and its calls
        self.judged: tuple[StoreState, list[Call]] = (self.state, [])

    async def round(self, *, kill: bool, single: bool) -> None:
        """Let clients work, end it, and judge what they and the watches saw."""
        load = Load(
            self._server.port,
            self._random,
            self._ticks,
            revision=self.state.revision,
            seen=lambda: self._historian.revision,
            single=single,
        )
        await load.open()
        working = asyncio.create_task(load.run())
        calls = self._random.randint(CALLS_MIN, CALLS_MAX)
        await load.done(calls // 2)
        load.read_slow()
        await load.done(calls)
        if kill:
            await asyncio.to_thread(self._server.kill)
            await working
            await asyncio.to_thread(self._server.start)
        else:
            load.stop()
            await working
        audit = await self._audit()
        outcome = audit[-1].outcome
        assert outcome is not None
        assert outcome.revision is not None
        await self._historian.seen(outcome.revision)
        if not kill:
            await load.caught_up(outcome.revision)
        recordings = await load.close()
        self.mix += load.mix
        self.mix["kills"] += kill
        self._judge_watches(recordings)
        self._judge_calls([*load.clients, load.large], audit, single=single)

    async def _audit(self) -> list[Call]:
        client = RecordingClient(-1, self._server.port, self._ticks, 0)
        await client.call(ReadAll())
        await client.close()
        return client.calls

    def _judge_watches(self, recordings: list[Recording]) -> None:
        for recording in recordings:
            self.mix["watches"] += 1
            self.mix["events"] += sum(len(one.events) for one in recording.responses)
            self.mix["bookmarks"] += sum(one.watch_id == -1 for one in recording.responses)
            self.mix["fragments"] += sum(one.fragment for one in recording.responses)
            self.mix["compacted watches"] += any(one.canceled for one in recording.responses)
            wrong = violations(recording, self._historian.replay)
            assert not wrong, f"{recording.request}\n" + "\n".join(wrong[:10])

    def _judge_calls(
        self, clients: list[RecordingClient], audit: list[Call], *, single: bool
    ) -> None:
        recorded = [call for client in clients for call in client.calls]
        revision_of = self._historian.replay.revision_of
        for call in recorded:
            value = written_value(call.request)
            if value is not None and call.outcome is not None and wrote(call.outcome):
                assert revision_of.get(value) == call.outcome.revision, f"lost: {call}"
        self.mix["cut off"] += sum(call.outcome is None for call in recorded)
        calls = settle([*recorded, *audit], revision_of)
        verdict = check(StoreModel(), self.state, calls, seconds_max=CHECK_SECONDS_MAX)
        assert verdict.linearizable, str(verdict)
        self.mix["steps of the checker"] += verdict.steps
        if single:
            parts = by_key(call for call in calls if call not in audit)
            for key, part in parts.items():
                before = self.state.get(key)
                value = before.value if before else ""
                alone = check(RegisterModel(), value, part, seconds_max=CHECK_SECONDS_MAX)
                assert alone.linearizable, str(alone)
        assert verdict.final.revision >= self.state.revision
        self.judged = self.state, calls
        self.state = verdict.final


def wrote(outcome: Outcome) -> bool:
    """Say whether a call with a value to write wrote it."""
    return not (isinstance(outcome.result, tuple) and outcome.result[:1] == (False,)) and (
        outcome.revision is not None
    )
