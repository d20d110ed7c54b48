"""Which group may open a socket: the role is the socket, and its group is who has the role."""

import grp
import os
from pathlib import Path

#: Who may open the KV's sockets for agents: as it the host's sshd runs their relays.
AGENTS_GROUP = "c101"
#: The role that is root to a service.
ADMIN = "admin"


def role_group(role: str) -> str:
    """Return the group of those who have *role*, as ``c101-viewer``."""
    return f"c101-{role}"


def give_to_group(path: Path, group: str) -> None:
    """Let the members of *group* open the socket *path*; where there is no such group, nobody."""
    try:
        number = grp.getgrnam(group).gr_gid
    except KeyError:
        return
    try:
        os.chown(path, -1, number)
    except PermissionError:
        return  # not root: the sockets are this user's alone
    path.chmod(0o660)
