"""One service, as systemd runs it: its states, and what leads from one to the next.

The states, their order and their words are those of systemd 252 (``src/core/service.c`` is their
source; the manual's part is systemd.service(5))::

    dead -> start-pre -> start -> start-post -> running -> stop -> stop-sigterm -> stop-sigkill
         -> stop-post -> final-sigterm -> final-sigkill -> dead | failed | auto-restart -> start-pre

``exited`` stands in for ``running`` under RemainAfterExit=; ``reload`` is beside ``running``. What
an exit, a timeout or an empty group means in each state is in ``events.py``.
"""

from __future__ import annotations

import posix
import time

from c101.agents.runtime.process.keeper import events, jobs, killing, policy, processes
from c101.agents.runtime.process.keeper.notify import NotifySocket
from c101.agents.runtime.process.keeper.output import ERROR, INFO, WARNING
from c101.agents.runtime.process.keeper.spawn import Report, Spawner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from c101.agents.runtime.process.keeper.loop import Loop
    from c101.agents.runtime.process.keeper.output import Output
    from c101.agents.runtime.process.keeper.spec import Command, Spec
    from c101.agents.runtime.process.keeper.status import Status

#: While a unit is being killed for good, what it forked meanwhile is killed this often.
_KILL_AGAIN_SECONDS = 0.1


class Service:
    """The unit's processes and what is to become of them."""

    def __init__(
        self, loop: Loop, output: Output, status: Status, load_spec: Callable[[], Spec]
    ) -> None:
        self.loop = loop
        self.output = output
        self.status = status
        self.spec = load_spec()
        self.changed = True
        self.job = ""  # "start" or "stop" while one is to be reported as done
        self.start_waiting = False  # a start is to follow the stop under way
        self.forbid_restart = False
        self.control_pid = 0
        self.control_command: Command = ("", [], "")
        self.control_left: list[Command] = []
        self.main_command: Command = ("", [], "")
        self.main_left: list[Command] = []
        self.main_known = False
        self.reloading = False
        self.resource_failures: set[int] = set()
        self.notify: NotifySocket | None = None
        self._invocation = ""
        self._load_spec = load_spec
        self.spawner = Spawner(loop, output, self._reported)

    # Orders.

    def start(self, restart_id: str = "") -> None:
        """Start unless it is active or on its way; after the stop when one is under way."""
        self.status.restart, self.changed = restart_id or self.status.restart, True
        if self.status.active == "deactivating":
            self.start_waiting = True
        elif self.status.at_rest:
            self._start_anew()

    def stop(self) -> None:
        """Stop unless it is at rest."""
        self.start_waiting = False
        state = self.status.state
        if self.status.at_rest:
            return
        self.forbid_restart = True
        self.job = "stop"
        if state == "auto-restart":
            self.set_state("dead")
        elif self.status.active != "deactivating":
            self.say(INFO, f"Stopping {self.title}...", prefix=False)
            if state in {"running", "exited"}:
                self.enter_stop("success")
            else:
                self.enter_signal("stop-sigterm", "success")

    def restart(self, restart_id: str = "") -> None:
        """Stop, then start."""
        self.stop()
        self.start(restart_id)

    def reload(self) -> bool:
        """Run ExecReload=; False when the unit is not active or has none."""
        if self.status.state == "reload":
            return True
        if self.status.active != "active" or not self.spec.commands.get("ExecReload"):
            return False
        self.say(INFO, f"Reloading {self.title}...", prefix=False)
        self.reloading = True
        return self.run_control("ExecReload", "reload", self.spec.timeout_start)

    def reset(self) -> None:
        """Forget a failure and the count of starts."""
        self.status.limit_count = 0
        if self.status.state == "failed":
            self.status.result = "success"
            self.set_state("dead")
        self.changed = True

    # States.

    @property
    def title(self) -> str:
        """The unit's name with its description."""
        described = self.spec.description not in {"", self.spec.unit}
        return f"{self.spec.unit} - {self.spec.description}" if described else self.spec.unit

    def say(self, priority: int, text: str, *, prefix: bool = True) -> None:
        """Write a line about the unit into its journal."""
        self.output.say(priority, f"{self.spec.unit}: {text}" if prefix else text)

    def set_state(self, state: str) -> None:
        """Enter *state*; its timer is the caller's to set, after this."""
        active = self.status.active
        self.loop.cancel("state")
        self.loop.cancel("pid-file")
        self.status.state = state
        self.changed = True
        if self.status.active != active:
            self.status.since = time.time()
        self._finish_job()

    def arm(self, seconds: float | None) -> None:
        """Let the present state time out in *seconds*; ``None`` is never."""
        if seconds is not None:
            self.loop.after(seconds, "state", lambda: events.on_timeout(self))

    def fail(self, result: str) -> None:
        """Note what went wrong; the first failure is the one that is kept."""
        if self.status.result == "success":
            self.status.result = result

    def _finish_job(self) -> None:
        done = jobs.outcome(self.job, self.status.state, oneshot=self.spec.type == "oneshot")
        if done is not None:
            self.job, (priority, words) = "", done
            self.say(priority, f"{words} {self.title}.", prefix=False)

    # Starting.

    def _start_anew(self) -> None:
        self.spec = self._load_spec()
        self.status.restarts = 0
        self.start_now()

    def start_now(self) -> None:
        """Begin to start, if the limit on starts allows it."""
        status = self.status
        if not policy.admit_start(self.spec, status, time.monotonic()):
            self.say(WARNING, "Start request repeated too quickly.")
            self.job = "start"
            self.enter_dead("start-limit-hit", allow_restart=False)
            return
        status.result, status.status_text, status.hash = "success", "", self.spec.hash
        status.main_pid = status.exit_code = status.exit_status = 0
        self.main_known = self.forbid_restart = self.reloading = False
        self.control_pid, self.control_left, self.main_left = 0, [], []
        self._invocation = posix.urandom(16).hex()
        self._open_notify()
        self.job = "start"
        if not self.run_control("ExecStartPre", "start-pre", self.spec.timeout_start):
            self.enter_start()
        if status.active == "activating":
            self.say(INFO, f"Starting {self.title}...", prefix=False)

    def _open_notify(self) -> None:
        if self.spec.notify_access != "none" and self.notify is None:
            self.notify = NotifySocket()
            self.loop.watch(self.notify.fileno(), lambda: events.on_notify(self))

    def enter_start(self) -> None:
        """Run ExecStart=."""
        spec = self.spec
        commands = spec.commands.get("ExecStart", [])
        if not commands:
            self.enter_start_post()
        elif spec.type == "forking":
            self.run_control("ExecStart", "start", spec.timeout_start)
        else:
            self.main_left = list(commands)
            if spec.type != "simple":
                self.set_state("start")
                self.arm(spec.timeout_start)
            if self.next_main() and spec.type == "simple":
                self.enter_start_post()

    def next_main(self) -> bool:
        """Start the next command of ExecStart=; False when it could not be forked."""
        self.main_command = self.main_left.pop(0)
        given = {}
        if self.spec.watchdog:
            given["WATCHDOG_USEC"] = str(int(self.spec.watchdog * 1_000_000))
        pid = self._spawn(self.main_command, given)
        if not pid:
            self.enter_signal("stop-sigterm", "resources")
            return False
        self.status.main_pid = pid
        self.main_known = True
        self.changed = True
        return True

    def enter_start_post(self) -> None:
        """Run ExecStartPost=."""
        if not self.run_control("ExecStartPost", "start-post", self.spec.timeout_start):
            self.enter_running("success")

    def enter_running(self, result: str) -> None:
        """Be active, if there is something that is; else go on to stop."""
        self.fail(result)
        self.drop_control()
        if self.status.result != "success":
            self.enter_signal("stop-sigterm", result)
        elif self.is_good():
            self.set_state("running")
            self.arm(self.spec.runtime_max)
            self.feed_watchdog()
        elif self.spec.remain_after_exit:
            self.set_state("exited")
        else:
            self.enter_stop("success")
        if self.reloading and self.status.state != "reload":
            self.reloading = False
            if self.status.active == "active":
                self.say(INFO, f"Reloaded {self.title}.", prefix=False)

    def is_good(self) -> bool:
        """Whether the main process lives; where none is known, whether any process does."""
        return self.status.main_pid > 0 if self.main_known else processes.has_children()

    def feed_watchdog(self) -> None:
        """Give the unit another WatchdogSec=."""
        if self.spec.watchdog:
            self.loop.after(self.spec.watchdog, "watchdog", lambda: events.on_watchdog(self))

    # Stopping.

    def enter_stop(self, result: str) -> None:
        """Run ExecStop=."""
        self.fail(result)
        self.drop_control()
        if not self.run_control("ExecStop", "stop", self.spec.timeout_stop):
            self.enter_signal("stop-sigterm", "success")

    def enter_signal(self, state: str, result: str) -> None:
        """Send the signal that belongs to *state* and wait for the processes to go."""
        self.fail(result)
        self.control_left, self.main_left = [], []
        final = state in {"stop-sigkill", "final-sigkill"}
        known = [pid for pid in (self.status.main_pid, self.control_pid) if pid]
        number = self._signal_of(state)
        if killing.kill_unit(self.spec, number, known, self.output, final=final):
            self.set_state(state)
            abort = state == "stop-watchdog"
            self.arm(self.spec.timeout_abort if abort else self.spec.timeout_stop)
            if final:
                self._kill_again(number)
        elif not final and self.spec.send_sigkill:
            self.enter_signal(state.partition("-")[0] + "-sigkill", "success")
        elif state.startswith("stop-"):
            self.enter_stop_post("success")
        else:
            self.enter_dead("success")

    def _signal_of(self, state: str) -> int:
        spec = self.spec
        if state.endswith("-sigkill"):
            return spec.final_kill_signal
        if state == "stop-watchdog":
            return spec.watchdog_signal
        return (self.start_waiting and spec.restart_kill_signal) or spec.kill_signal

    def _kill_again(self, number: int) -> None:
        """Kill once more what was forked while the rest was being killed."""

        def again() -> None:
            if self.status.state.endswith("-sigkill"):
                known = [pid for pid in (self.status.main_pid, self.control_pid) if pid]
                killing.kill_unit(self.spec, number, known, self.output, final=True)
                self._kill_again(number)

        self.loop.after(_KILL_AGAIN_SECONDS, "kill", again)

    def enter_stop_post(self, result: str) -> None:
        """Run ExecStopPost=."""
        self.fail(result)
        if not self.run_control("ExecStopPost", "stop-post", self.spec.timeout_stop):
            self.enter_signal("final-sigterm", "success")

    def enter_dead(self, result: str, *, allow_restart: bool = True) -> None:
        """Be at rest, or wait for the next start where Restart= says so."""
        limit_hit = result == "start-limit-hit"
        self.fail(result)
        self._clean_up()
        if self.status.result != "success":
            self.say(WARNING, f"Failed with result '{self.status.result}'.")
        elif not limit_hit:
            self.say(INFO, "Deactivated successfully.")
        # A start that was ordered meanwhile does not wait for RestartSec=.
        allowed = allow_restart and not self.forbid_restart and not self.start_waiting
        if allowed and policy.shall_restart(self.spec, self.status):
            self.set_state("auto-restart")
            self.arm(self.spec.restart_seconds)
            return
        self.set_state("dead" if self.status.result == "success" else "failed")
        if self.start_waiting:
            self.start_waiting = False
            self._start_anew()

    def enter_restart(self) -> None:
        """Start again after a wait in auto-restart."""
        self.status.restarts += 1
        self.say(INFO, f"Scheduled restart job, restart counter is at {self.status.restarts}.")
        self.say(INFO, f"Stopped {self.title}.", prefix=False)
        self.start_now()

    def _clean_up(self) -> None:
        for timer in ("watchdog", "kill"):
            self.loop.cancel(timer)
        self.status.main_pid = 0
        self.drop_control()
        for pid in processes.children():
            name = processes.name_of(pid)
            self.say(INFO, f"Unit process {pid} ({name}) remains running after unit stopped.")
        if self.notify is not None:
            self.loop.unwatch(self.notify.fileno())
            self.notify.close()
            self.notify = None
        if self.spec.pid_file:
            _remove(self.spec.pid_file)

    # Commands.

    def run_control(self, key: str, state: str, timeout: float | None) -> bool:
        """Enter *state* and run the commands of *key*; False when there are none."""
        commands = self.spec.commands.get(key)
        if not commands:
            return False
        self.control_left = list(commands)
        self.set_state(state)
        self.next_control(timeout)
        return True

    def next_control(self, timeout: float | None) -> None:
        """Start the next command of the present state."""
        self.control_command = self.control_left.pop(0)
        self.arm(timeout)
        given = {}
        if self.status.main_pid:
            given["MAINPID"] = str(self.status.main_pid)
        if self.status.state in {"stop", "stop-post"}:
            given |= policy.exit_variables(self.status)
        self.control_pid = self._spawn(self.control_command, given)
        if not self.control_pid:
            events.on_control_failed(self, "resources")

    def drop_control(self) -> None:
        """Forget the control process; what is left of it belongs to the group."""
        self.control_pid, self.control_left = 0, []

    def _spawn(self, command: Command, given: dict[str, str]) -> int:
        given["INVOCATION_ID"] = self._invocation
        if self.notify is not None:
            given["NOTIFY_SOCKET"] = self.notify.address
        try:
            return self.spawner.spawn(self.spec, command, given)
        except OSError as exc:
            self.say(ERROR, f"Failed to fork off {command[0]}: {exc.strerror}")
            return 0

    def _reported(self, report: Report) -> None:
        """A command runs, or could not be run."""
        if not report.executed:
            if report.step == "EXEC" and report.status == 0:
                self.say(WARNING, f"Executable {report.path} missing, skipping.")
            elif report.step == "RESOURCES":
                self.say(ERROR, report.reason)
            else:
                step = f"Failed at step {report.step} spawning {report.path}"
                self.say(ERROR, f"{step}: {report.reason}")
        events.on_report(self, report)


def _remove(path: str) -> None:
    try:
        posix.unlink(path)
    except OSError:
        return
