"""The effects of setup on a host, each one done only where it is not done yet."""

import grp
import os
import pwd
import shutil
import subprocess
from pathlib import Path

from c101.core.errors import C101Error, ConfigError

#: A service that stops its units takes as long as they do.
COMMAND_SECONDS_MAX = 120.0


class Host:
    """This host. ``changed`` is what was changed so far, in words."""

    def __init__(self) -> None:
        self.changed: list[str] = []

    def write(self, path: Path, text: str, *, mode: int = 0o644) -> bool:
        """Have *path* hold *text*; say whether it did not. Raises ConfigError."""
        try:
            if path.exists() and path.read_text() == text:
                return False
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_name(f".{path.name}.new")
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            fresh.chmod(mode)
            fresh.replace(path)
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
        self.changed.append(f"wrote {path}")
        return True

    def remove(self, path: Path) -> None:
        """Have nothing at *path*. Raises ConfigError."""
        try:
            if path.is_symlink() or path.is_file():
                path.unlink()
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                return
        except OSError as error:
            raise ConfigError(f"{path} cannot be removed: {error.strerror}") from error
        self.changed.append(f"removed {path}")

    def ensure_group(self, name: str) -> None:
        """Have a system group. Raises C101Error."""
        try:
            grp.getgrnam(name)
        except KeyError:
            self.run("groupadd", "--system", name)
            self.changed.append(f"made group {name}")

    def ensure_user(self, name: str, home: Path) -> None:
        """Have a system user with a group of its name, a home, a shell and no password."""
        try:
            pwd.getpwnam(name)
        except KeyError:
            self.run(
                "useradd", "--system", "--gid", name, "--home-dir", str(home), "--create-home",
                "--shell", "/bin/sh", name,
            )  # fmt: skip
            self.changed.append(f"made user {name}")

    def ensure_member(self, group: str, user: str) -> None:
        """Have *user* in *group*. Raises C101Error."""
        if user not in grp.getgrnam(group).gr_mem:
            self.run("usermod", "--append", "--groups", group, user)
            self.changed.append(f"put {user} into {group}")

    def remove_account(self, kind: str, name: str) -> None:
        """Have no user or group of that name; *kind* is ``user`` or ``group``."""
        try:
            pwd.getpwnam(name) if kind == "user" else grp.getgrnam(name)
        except KeyError:
            return
        self.run(f"{kind}del", name)
        self.changed.append(f"removed {kind} {name}")

    def serve(self, unit: str, *, changed: bool) -> None:
        """Have a service enabled and running what is installed now."""
        was = self.run("systemctl", "is-active", unit, check=False)
        if changed or was != "active":
            self.run("systemctl", "enable", "--quiet", unit)
            self.run("systemctl", "restart", unit)
            self.changed.append(f"started {unit}")

    def stop(self, unit: str) -> None:
        """Have a service stopped and not enabled; one that there is not is neither."""
        if self.run("systemctl", "show", "--property=LoadState", "--value", unit) != "not-found":
            self.run("systemctl", "disable", "--now", "--quiet", unit)
            self.changed.append(f"stopped {unit}")

    @staticmethod
    def run(*argv: str, check: bool = True, seconds: float = COMMAND_SECONDS_MAX) -> str:
        """Run a command; return what it printed. Raises C101Error when it fails, if *check*."""
        try:
            done = subprocess.run(
                argv,
                capture_output=True,
                text=True,
                check=False,
                stdin=subprocess.DEVNULL,
                timeout=seconds,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise C101Error(f"{' '.join(argv)}: {error}") from error
        if check and done.returncode:
            said = done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}"
            raise C101Error(f"{' '.join(argv)}: {said}")
        return done.stdout.strip()
