"""The keeper: one small process for each unit that runs, so that units outlive the agent.

It holds the unit's processes, their output and their exit statuses, and takes every decision about
the unit (``service.py``): an agent only gives orders and is told states. It is started by
``launcher.py`` and lives until the unit is unloaded, or has been at rest for a while with nothing
left running.

At most 10 MiB resident, measured by a test. So: no asyncio, json, dataclasses, typing, enum, os or
logging, only modules of the interpreter itself and few small extensions; what a child needs
between fork and exec is imported in the child.

What becomes of it, and of the unit:

* The agent dies: nothing changes; the next one connects and finds everything as it is.
* SIGTERM to the keeper: the unit is stopped as by an order, then the keeper ends.
* End of the lifeline (``lifeline.py``): the unit's processes are killed at once, the keeper ends.
* SIGKILL of the keeper: its unit's processes run on without it, until the agent, which sees the
  connection end, or the next agent kills them by the marker in their environment and starts the
  unit anew where its Restart= says so. A death signal (PR_SET_PDEATHSIG) would reach only the
  first process of each command, not what that forked, so it is not relied upon.
"""
