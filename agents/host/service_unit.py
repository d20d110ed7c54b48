"""``c101-agent.service``: the agent as systemd runs it, with what it needs and no more.

Units are services of their own: the agent may be stopped, killed or replaced, they run on. It is
root, since the service manager does what root asks; of root's powers it keeps the two that it uses:
to read every unit's files and to hand its sockets to their groups.
"""

from collections.abc import Sequence

from c101.agents.runtime.systemd.quote import quoted, quoted_argument

NAME = "c101-agent.service"

_TEXT = """\
[Unit]
Description=c101 agent
Wants=network-online.target
After=network-online.target dbus.service systemd-journald.service
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
Restart=always
RestartSec=1
WatchdogSec=30
TimeoutStopSec=20
StateDirectory=c101
StateDirectoryMode=0700
RuntimeDirectory=c101
RuntimeDirectoryMode=0755
RuntimeDirectoryPreserve=yes
LimitNOFILE=65536
OOMScoreAdjust=-900
UMask=0077
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_READ_SEARCH
LockPersonality=yes
NoNewPrivileges=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
{environment}
[Install]
WantedBy=multi-user.target
"""


def agent_unit(argv: Sequence[str], environment: Sequence[tuple[str, str]] = ()) -> str:
    """Return the unit that runs *argv* with *environment* added."""
    lines = [f"Environment={quoted(f'{name}={value}')}\n" for name, value in environment]
    command = " ".join(map(quoted_argument, argv))
    return _TEXT.format(command=command, environment="".join(lines))
