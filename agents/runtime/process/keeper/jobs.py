"""What is said of a start or a stop when it is done: systemd's lines for jobs."""

from __future__ import annotations

ERROR, INFO = 3, 6


def outcome(job: str, state: str, *, oneshot: bool) -> tuple[int, str] | None:
    """Return (priority, words before the unit's title) when *state* ends *job*, else ``None``.

    A oneshot unit is finished where others have started, and may be at rest by then.
    """
    at_rest = state in {"dead", "failed"}
    if job == "stop":
        return (INFO, "Stopped") if at_rest else None
    if job == "start":
        if state in {"running", "exited"} or (oneshot and state == "dead"):
            return INFO, "Finished" if oneshot else "Started"
        if at_rest or state == "auto-restart":
            return ERROR, "Failed to start"
    return None
