"""The services of a host as systemd runs them, each with what it needs and no more.

Units are services of their own: the agent may be stopped, killed or replaced, they run on. It is
root, since the service manager does what root asks; of root's powers it keeps the two that it uses:
to read every unit's files and to hand its sockets to their groups. The KV keeps the second, the
engine none.
"""

from collections.abc import Sequence

from c101.agents.runtime.systemd.quote import quoted, quoted_argument

NAME = "c101-agent.service"
KV_NAME = "c101-kv.service"
ENGINE_NAME = "c101-engine.service"
ETCD_NAME = "c101-etcd.service"

_SERVICE = """\
NotifyAccess=main
ExecStart={command}
Restart=always
RestartSec=1
TimeoutStopSec=20
RuntimeDirectory=c101
RuntimeDirectoryMode=0755
RuntimeDirectoryPreserve=yes
LimitNOFILE=65536
OOMScoreAdjust=-900
UMask=0077
CapabilityBoundingSet={capabilities}
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
_AGENT = """\
[Unit]
Description=c101 agent
Wants=network-online.target
After=network-online.target dbus.service systemd-journald.service c101-kv.service
StartLimitIntervalSec=0

[Service]
Type=notify
WatchdogSec=30
StateDirectory=c101
StateDirectoryMode=0700
"""
_KV = """\
[Unit]
Description=c101 KV
After=network.target
StartLimitIntervalSec=0

[Service]
Type=notify
StateDirectory=c101-kv
StateDirectoryMode=0700
"""
_FRONT = """\
[Unit]
Description=c101 front of etcd
Wants=c101-etcd.service
After=network.target c101-etcd.service
StartLimitIntervalSec=0

[Service]
Type=notify
"""
#: As Debian's own, which is not used: that one listens without certificates.
_ETCD = """\
[Unit]
Description=etcd, the KV of c101
Documentation=man:etcd
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
User=etcd
StateDirectory=c101-etcd
StateDirectoryMode=0700
ExecStart={command}
Restart=always
RestartSec=1
TimeoutStartSec=120
LimitNOFILE=65536
OOMScoreAdjust=-900
CapabilityBoundingSet=
NoNewPrivileges=yes
PrivateTmp=yes
ProtectHome=yes
ProtectSystem=strict

[Install]
WantedBy=multi-user.target
"""
_ENGINE = """\
[Unit]
Description=c101 engine
After=c101-kv.service
StartLimitIntervalSec=0

[Service]
Type=notify
"""


def agent_unit(argv: Sequence[str], environment: Sequence[tuple[str, str]] = ()) -> str:
    """Return the unit that runs the agent by *argv*, with *environment* added."""
    return _unit(_AGENT, argv, environment, "CAP_CHOWN CAP_DAC_READ_SEARCH")


def kv_unit(argv: Sequence[str]) -> str:
    """Return the unit that runs the KV by *argv*; its data is in ``/var/lib/c101-kv``."""
    return _unit(_KV, argv, (), "CAP_CHOWN")


def front_unit(argv: Sequence[str]) -> str:
    """Return the unit that runs by *argv* what serves the KV's sockets for an etcd."""
    return _unit(_FRONT, argv, (), "CAP_CHOWN")


def etcd_unit(argv: Sequence[str]) -> str:
    """Return the unit that runs etcd by *argv*; its data is in ``/var/lib/c101-etcd``."""
    return _ETCD.format(command=" ".join(map(quoted_argument, argv)))


def engine_unit(argv: Sequence[str]) -> str:
    """Return the unit that runs the engine by *argv*."""
    return _unit(_ENGINE, argv, (), "")


def _unit(
    head: str, argv: Sequence[str], environment: Sequence[tuple[str, str]], capabilities: str
) -> str:
    lines = [f"Environment={quoted(f'{name}={value}')}\n" for name, value in environment]
    return head + _SERVICE.format(
        command=" ".join(map(quoted_argument, argv)),
        capabilities=capabilities,
        environment="".join(lines),
    )
