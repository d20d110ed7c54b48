"""The image that all machines are booted from: Debian with systemd, D-Bus, sshd and Python."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

#: Kept between runs: it takes half a minute and 260 MB.
IMAGES = Path("/var/tmp/c101-lab")
PACKAGES = (
    "systemd", "systemd-sysv", "libpam-systemd", "dbus", "openssh-server", "python3", "iproute2",
    "procps",
)  # fmt: skip
SUITE = "bookworm"

#: What a machine in a container has no use for.
_MASKED = (
    "apt-daily-upgrade.timer", "apt-daily.timer", "console-getty.service", "dpkg-db-backup.timer",
    "e2scrub_all.timer", "fstrim.timer", "getty.target", "systemd-networkd.service",
    "systemd-resolved.service", "systemd-timesyncd.service", "systemd-udevd.service",
)  # fmt: skip
_HOST_KEY_UNIT = """\
[Unit]
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key
[Install]
WantedBy=multi-user.target
"""
_SSHD = (
    "UseDNS no\nHostKey /etc/ssh/ssh_host_ed25519_key\nMaxStartups 200:30:400\nMaxSessions 100\n"
)


def missing() -> str:
    """Return why no machine can be booted here, or an empty string."""
    if os.geteuid() != 0:
        return "needs root"
    wanted = ("systemd-nspawn", "nft", "ip", "nsenter", "mmdebstrap", "ssh-keygen")
    if tools := [tool for tool in wanted if shutil.which(tool) is None]:
        return f"needs {', '.join(tools)}"
    bridge = f"c101p{os.getpid()}"
    for what, argv in (
        ("to mount", ("unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt")),
        ("to make a bridge", ("ip", "link", "add", bridge, "type", "bridge")),
        ("to remove a bridge", ("ip", "link", "del", bridge)),
    ):
        if subprocess.run(argv, capture_output=True, check=False, timeout=30).returncode:
            return f"needs to be allowed {what}"
    return ""


def image(more: Sequence[str] = ()) -> Path:
    """Return the image's root, with *more* packages in it; made when there is none."""
    packages = (*PACKAGES, *more)
    recipe = repr((packages, SUITE, _MASKED, _HOST_KEY_UNIT, _SSHD))
    root = IMAGES / f"image-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    IMAGES.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (IMAGES / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / ".made").exists():
            shutil.rmtree(root, ignore_errors=True)
            _make(root, packages)
            (root / ".made").touch()
    return root


def _make(root: Path, packages: Sequence[str]) -> None:
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=apt", f"--include={','.join(packages)}", SUITE,
         str(root), _mirror()],
        check=True,
        stdin=subprocess.DEVNULL,
        timeout=600,
    )  # fmt: skip
    for name in ("etc/hostname", "var/lib/dbus/machine-id"):
        (root / name).unlink(missing_ok=True)
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (root / "etc/machine-id").write_text("")
    units = root / "etc/systemd/system"
    for unit in _MASKED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    (units / "lab-hostkey.service").write_text(_HOST_KEY_UNIT)
    wants = units / "multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "lab-hostkey.service").symlink_to("/etc/systemd/system/lab-hostkey.service")
    (root / "etc/ssh/sshd_config.d/lab.conf").write_text(_SSHD)
    (root / "var/log/journal").mkdir(exist_ok=True)
    (root / "etc/default/locale").write_text("")
    # What a package installed just now is newer than the machine's clock says at boot: no matter.
    now = time.time()
    os.utime(root / "usr", (now, now))


def _mirror() -> str:
    """Return where this computer has its Debian packages from."""
    lists = Path("/etc/apt")
    for source in sorted(lists.glob("sources.list.d/*.sources")):
        for line in source.read_text().splitlines():
            if (found := re.match(r"URIs:\s*(\S*debian\S*)", line)) and "security" not in found[1]:
                return found[1]
    for source in (lists / "sources.list", *sorted(lists.glob("sources.list.d/*.list"))):
        if source.exists() and (
            found := re.search(
                r"^deb (?:\[[^]]*\] )?(\S*debian\S*)", source.read_text(), re.MULTILINE
            )
        ):
            return found[1]
    return "http://deb.debian.org/debian"
