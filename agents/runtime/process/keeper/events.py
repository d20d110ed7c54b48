"""What an exit, a timeout, a notification or an empty group means in each state of a service."""

from __future__ import annotations

import posix

from c101.agents.runtime.process.keeper import policy, processes
from c101.agents.runtime.process.keeper.notify import may_speak
from c101.agents.runtime.process.keeper.output import NOTICE, WARNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from c101.agents.runtime.process.keeper.service import Service
    from c101.agents.runtime.process.keeper.spawn import Report

#: How often a PID file that is not there yet is looked for.
_PID_FILE_SECONDS = 0.05
_PID_FILE_BYTES = 64
_STATUS_CHARACTERS_MAX = 1024


# Exits.


def on_exit(service: Service, pid: int, wait_status: int) -> None:
    """A child has ended; only the main and the control process mean something."""
    service.spawner.settle(pid)
    if pid == service.status.main_pid:
        service.output.drain()
        _on_main_exit(service, pid, policy.Exit(wait_status))
    elif pid == service.control_pid:
        service.output.drain()
        _on_control_exit(service, pid, policy.Exit(wait_status))


def _on_main_exit(service: Service, pid: int, ended: policy.Exit) -> None:
    if service.spec.pid_file and service.spec.type == "forking" and load_pid_file(service):
        return  # The daemon moved on and said so before its former process ended.
    status = service.status
    result = _result(service, pid, ended, daemon=service.spec.type != "oneshot")
    if "-" in service.main_command[2]:
        result = "success"
    _say_exit(service, "Main process", ended, result)
    status.main_pid, status.exit_code, status.exit_status = 0, ended.code, ended.status
    service.changed = True
    service.fail(result)
    if service.main_left and result == "success" and status.state == "start":
        service.next_main()
        service.arm(service.spec.timeout_start)
        return
    after_main = _AFTER_MAIN.get(status.state)
    if after_main is not None:
        after_main(service, result)


def _result(service: Service, pid: int, ended: policy.Exit, *, daemon: bool) -> str:
    if pid in service.resource_failures:
        service.resource_failures.discard(pid)
        return "resources"
    return ended.result(service.spec, daemon=daemon)


def _say_exit(service: Service, kind: str, ended: policy.Exit, result: str) -> None:
    if result != "success":
        level = NOTICE if ended.code == policy.EXITED else WARNING
        service.say(level, f"{kind} exited, {ended.describe()}")


def _main_ended_in_start(service: Service, result: str) -> None:
    spec = service.spec
    if spec.type == "oneshot":
        if result == "success":
            service.enter_start_post()
        else:
            service.enter_signal("stop-sigterm", result)
    elif spec.type == "notify":
        if result != "success":
            service.enter_signal("stop-sigterm", result)
        elif not spec.remain_after_exit or spec.notify_access == "main":
            service.enter_signal("stop-sigterm", "protocol")
    else:
        service.enter_running(result)


def _unless_control(enter: Callable[[Service, str], None]) -> Callable[[Service, str], None]:
    """Wait for the control process first, if there is one."""

    def after_main(service: Service, result: str) -> None:
        if not service.control_pid:
            enter(service, result)

    return after_main


_STOP_POST = _unless_control(lambda service, result: service.enter_stop_post(result))
_FINAL = _unless_control(lambda service, result: service.enter_signal("final-sigterm", result))
_DEAD = _unless_control(lambda service, result: service.enter_dead(result))

#: States that are not here wait for their control process.
_AFTER_MAIN: dict[str, Callable[[Service, str], None]] = {
    "start": _main_ended_in_start,
    "running": lambda service, result: service.enter_running(result),
    "stop-watchdog": _STOP_POST,
    "stop-sigterm": _STOP_POST,
    "stop-sigkill": _STOP_POST,
    "stop-post": _FINAL,
    "final-sigterm": _DEAD,
    "final-sigkill": _DEAD,
}


def _on_control_exit(service: Service, pid: int, ended: policy.Exit) -> None:
    service.control_pid = 0
    service.changed = True
    result = _result(service, pid, ended, daemon=False)
    if "-" in service.control_command[2]:
        result = "success"
    _say_exit(service, "Control process", ended, result)
    if result != "success":
        on_control_failed(service, result)
    elif service.control_left:
        stopping = service.status.active == "deactivating"
        service.next_control(service.spec.timeout_stop if stopping else service.spec.timeout_start)
    else:
        _AFTER_CONTROL[service.status.state](service)


def on_control_failed(service: Service, result: str) -> None:
    """A control command failed, or could not even be forked."""
    state = service.status.state
    if state == "reload":
        # A failed reload leaves the unit as it is.
        service.reloading = False
        service.say(WARNING, f"Reload failed with result '{result}'.")
        service.enter_running("success")
    elif state in {"start-pre", "start", "start-post", "stop"}:
        service.enter_signal("stop-sigterm", result)
    else:
        service.fail(result)
        service.control_left = []
        _AFTER_CONTROL[state](service)


def _started_by_fork(service: Service) -> None:
    """The first process of a forking unit ended well: find the one that stays."""
    if not service.spec.pid_file:
        guess_main_pid(service)
        service.enter_start_post()
    elif load_pid_file(service) or service.spec.commands.get("ExecStartPost"):
        service.enter_start_post()
    else:
        _await_pid_file(service, service.enter_start_post)


def _after_start_post(service: Service) -> None:
    if service.spec.type == "forking" and service.spec.pid_file and not load_pid_file(service):
        _await_pid_file(service, lambda: service.enter_running("success"))
    else:
        service.enter_running("success")


def _after_reload(service: Service) -> None:
    if service.spec.pid_file:
        load_pid_file(service)
    service.enter_running("success")


def _unless_main(enter: Callable[[Service], None]) -> Callable[[Service], None]:
    """Wait for the main process first, if there is one."""

    def after_control(service: Service) -> None:
        if not service.status.main_pid:
            enter(service)

    return after_control


_STOP_POST_TOO = _unless_main(lambda service: service.enter_stop_post("success"))
_DEAD_TOO = _unless_main(lambda service: service.enter_dead("success"))
_AFTER_CONTROL: dict[str, Callable[[Service], None]] = {
    "start-pre": lambda service: service.enter_start(),
    "start": _started_by_fork,
    "start-post": _after_start_post,
    "reload": _after_reload,
    "stop": lambda service: service.enter_signal("stop-sigterm", "success"),
    "stop-watchdog": _STOP_POST_TOO,
    "stop-sigterm": _STOP_POST_TOO,
    "stop-sigkill": _STOP_POST_TOO,
    "stop-post": lambda service: service.enter_signal("final-sigterm", "success"),
    "final-sigterm": _DEAD_TOO,
    "final-sigkill": _DEAD_TOO,
}


def on_group_empty(service: Service) -> None:
    """No process of the unit is left."""
    # The last words of a process that was not the main one stand before what is said of the unit.
    service.output.drain()
    state = service.status.state
    if service.status.main_pid or service.control_pid:
        return
    if state in {"start", "start-post"}:
        if service.loop.has_timer("pid-file"):
            service.say(WARNING, "Daemon never wrote its PID file. Failing.")
            service.enter_stop_post("protocol")
        elif service.spec.type == "notify" and state == "start":
            service.enter_stop_post("protocol")
    elif state == "running":
        service.enter_running("success")
    elif state in {"stop-watchdog", "stop-sigterm", "stop-sigkill"}:
        service.enter_stop_post("success")
    elif state in {"final-sigterm", "final-sigkill"}:
        service.enter_dead("success")


# The main process of a forking unit.


def load_pid_file(service: Service) -> bool:
    """Take the main process from PIDFile=; False when it names no process of the unit."""
    try:
        fd = posix.open(service.spec.pid_file, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return False
    try:
        text = posix.read(fd, _PID_FILE_BYTES).strip()
    finally:
        posix.close(fd)
    pid = int(text) if text.isdigit() else 0
    if pid in {0, service.status.main_pid} or pid not in processes.descendants(posix.getpid()):
        return False
    set_main_pid(service, pid)
    return True


def _await_pid_file(service: Service, then: Callable[[], None]) -> None:
    def look() -> None:
        if load_pid_file(service):
            then()
        else:
            service.loop.after(_PID_FILE_SECONDS, "pid-file", look)

    look()


def guess_main_pid(service: Service) -> None:
    """Take the only process that is left for the main one, if there is only one."""
    if not service.spec.guess_main_pid:
        return
    left = processes.children()
    if len(left) == 1:
        set_main_pid(service, left[0])


def set_main_pid(service: Service, pid: int) -> None:
    """Supervise *pid*; where it is no child of the keeper its end is seen, not its status."""
    service.status.main_pid = pid
    service.main_known = True
    service.changed = True
    if pid in processes.children():
        return
    try:
        handle = posix.pidfd_open(pid)
    except OSError:
        service.status.main_pid = 0
        return

    def ended() -> None:
        service.loop.unwatch(handle)
        posix.close(handle)
        if service.status.main_pid == pid and pid not in processes.children():
            on_exit(service, pid, 0)

    service.loop.watch(handle, ended)


# Reports, notifications, time.


def on_report(service: Service, report: Report) -> None:
    """A command was executed, or could not be."""
    if report.step == "RESOURCES":
        service.resource_failures.add(report.pid)
    waiting = service.spec.type == "exec" and service.status.state == "start"
    if waiting and report.executed and report.pid == service.status.main_pid:
        service.enter_start_post()


def on_notify(service: Service) -> None:
    """Messages have come on the notification socket."""
    socket, spec = service.notify, service.spec
    if socket is None:
        return
    for pid, uid, message in socket.messages():
        if may_speak(spec.notify_access, (pid, uid), service.status.main_pid, service.control_pid):
            _on_message(service, message)
        else:
            service.say(
                WARNING,
                f"Got notification message from PID {pid}, "
                f"but reception only permitted for {spec.notify_access}",
            )


def _on_message(service: Service, message: dict[str, str]) -> None:
    state = service.status.state
    main_pid = message.get("MAINPID", "")
    if main_pid.isdigit() and state in {"start", "start-post", "running", "reload"}:
        pid = int(main_pid)
        if pid != service.status.main_pid and pid in processes.descendants(posix.getpid()):
            set_main_pid(service, pid)
    if "STATUS" in message:
        service.status.status_text = message["STATUS"][:_STATUS_CHARACTERS_MAX]
        service.changed = True
    if message.get("EXTEND_TIMEOUT_USEC", "").isdigit() and service.loop.has_timer("state"):
        service.arm(int(message["EXTEND_TIMEOUT_USEC"]) / 1_000_000)
    _on_progress(service, message)


def _on_progress(service: Service, message: dict[str, str]) -> None:
    state = service.status.state
    ready = message.get("READY") == "1"
    if ready and state == "start" and service.spec.type == "notify":
        service.enter_start_post()
    elif ready and state == "reload" and not service.control_pid:
        service.enter_running("success")
    elif message.get("RELOADING") == "1" and state == "running":
        service.set_state("reload")
        service.arm(service.spec.timeout_start)
    elif message.get("STOPPING") == "1" and state == "running":
        service.set_state("stop-sigterm")
        service.arm(service.spec.timeout_stop)
    if message.get("WATCHDOG") == "1":
        service.feed_watchdog()
    elif message.get("WATCHDOG") == "trigger":
        on_watchdog(service)


def on_watchdog(service: Service) -> None:
    """The unit missed its WatchdogSec=."""
    if service.status.state in {"start-post", "running", "reload"}:
        seconds = f"{service.spec.watchdog or 0:g}s"
        service.say(WARNING, f"Watchdog timeout (limit {seconds})!")
        service.enter_signal("stop-watchdog", "watchdog")


def on_timeout(service: Service) -> None:
    """The present state took too long; in auto-restart: the wait is over."""
    state = service.status.state
    if state == "auto-restart":
        service.enter_restart()
    elif state in {"start-pre", "start", "start-post"}:
        service.say(WARNING, f"{state} operation timed out. Terminating.")
        service.enter_signal("stop-sigterm", "timeout")
    elif state == "running":
        service.say(WARNING, "Service reached runtime time limit. Stopping.")
        service.enter_stop("timeout")
    elif state == "reload":
        _reload_timed_out(service)
    elif state == "stop":
        service.say(WARNING, "Stopping timed out. Terminating.")
        service.enter_signal("stop-sigterm", "timeout")
    else:
        _kill_timed_out(service, state)


def _reload_timed_out(service: Service) -> None:
    service.say(WARNING, "Reload operation timed out. Killing reload process.")
    if service.control_pid:
        processes.send(service.control_pid, 9)
    service.reloading = False
    service.enter_running("success")


def _kill_timed_out(service: Service, state: str) -> None:
    if state == "stop-post":
        service.say(WARNING, f"State '{state}' timed out. Terminating.")
        service.enter_signal("final-sigterm", "timeout")
        return
    stage, _, kind = state.partition("-")
    if kind == "sigkill":
        service.say(WARNING, "Processes still around after SIGKILL. Ignoring.")
    elif service.spec.send_sigkill:
        service.say(WARNING, f"State '{state}' timed out. Killing.")
        service.enter_signal(f"{stage}-sigkill", "timeout")
        return
    else:
        service.say(WARNING, f"State '{state}' timed out. Skipping SIGKILL.")
    if stage == "stop":
        service.enter_stop_post("timeout")
    else:
        service.enter_dead("timeout")
