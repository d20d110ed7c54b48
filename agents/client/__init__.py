"""``c101.agent.v1`` as console, ctl and tests call it: model objects in and out."""
