"""The agent: one a machine.

The data's way: the registry's mirror and the runtime's changes wake ``agent``; ``reconcile`` (pure)
turns both into a short list of tasks with reasons; the tasks become orders to the ``UnitManager``;
what becomes of them is published under the agent's one lease by ``publish``. ``heart`` holds the
lease, ``kv_pin`` decides whether the KV is still the one this machine belongs to, ``api`` answers
``c101.agent.v1`` on the agent's sockets.
"""
