"""The unit runtime for machines with systemd, over D-Bus and ``journalctl``.

How the data goes::

    load    text ─ checked ─ DATA/units/NAME ─ linked at run time ─ one Reload for all that came
    start   StartUnit ─ job ─ JobRemoved ─┐
            PropertiesChanged ────────────┴─ the unit is stale ─ 50 ms ─ re-read once ─ ``changes``
    journal ``journalctl -o export`` ─ parsed as it comes ─ read no faster than its reader

What is on disk is the truth after a crash: ``UnitFiles`` keeps, beside each text, what the cluster
calls it (its hash) and which wish of the cluster it answered last. systemd knows the rest, and is
asked. So an agent that is killed at any step finds again what it had, and restarts nothing.

Only units of ours are ever touched: a name that the machine has from elsewhere is refused.
"""
