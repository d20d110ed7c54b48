"""The containers of this machine: what their engines say of them, and whose units they are.

    engines (docker, podman: `inspect`) ─┐
    processes of units (nspawn, lxc)     ├─▶ Container, with the unit in whose control group it is,
    units with a root of their own       ┘    or whose client waits for it

Engines are asked when somebody asks, never by the clock.
"""
