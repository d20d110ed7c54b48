"""One-off commands on this machine: a terminal or pipes, in a container or outside.

    request ─▶ Command (argv, terminal?) ─▶ launch: beside systemd a transient unit of its own,
    which is outside the agent's sandbox and ends with whoever asked; else a child ─▶ bytes, status

A command is no unit of the cluster: nothing schedules it, nothing starts it again.
"""
