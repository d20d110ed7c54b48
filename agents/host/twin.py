"""Two machines under one id: what a copied disk image makes of ``/etc/machine-id``.

Both would run everything that is placed on either, and each would report over the other. So the
one that comes second does nothing, and says why, for as long as the first is there. A machine that
was restarted waits for its own former lease to end; an agent that was restarted does not, since
the boot is the same.
"""

from c101.core.model.cluster import ClusterState
from c101.core.model.machine import MachinePresence


def other_holder(cluster: ClusterState, presence: MachinePresence) -> str:
    """Say who else is present under the id of *presence*; "" when nobody is."""
    machine = cluster.machines.get(presence.id)
    if machine is None or machine.presence is None:
        return ""
    held = machine.presence
    if held.boot_id == presence.boot_id:
        return ""
    return (
        f"machine id {presence.id} is held by {held.name}, of another boot ({held.boot_id}): "
        "a copied disk image needs a machine id of its own (systemd-machine-id-setup, --machine-id)"
    )
