"""Run every benchmark and write docs/performance.md from what they print."""

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
CONSOLE = str(Path(sys.executable).with_name("c101-console"))
DEMO = ("--live", "9/10 units", "--", CONSOLE, "demo")
#: Title, module, arguments; and the arguments with --quick, None where it is left out then.
SECTIONS: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...] | None], ...] = (
    ("The KV beside a real etcd", "benchmarks.kv", (), ("--work", "put")),
    ("How long a person waits", "benchmarks.start", (), ("--rounds", "9")),
    (
        "The demo: first picture, and every unit running",
        "benchmarks.first_paint",
        ("--rounds", "5", *DEMO),
        ("--rounds", "3", *DEMO),
    ),
    (
        "How soon a change is on the screen, and what idling costs",
        "benchmarks.repaint",
        (),
        ("--rounds", "11"),
    ),
    ("The console's widgets", "benchmarks.widgets", (), None),
    ("The etcd client beside aetcd", "benchmarks.client", (), None),
    ("The RPC alone", "benchmarks.rpc", (), None),
)


def main() -> None:
    """Measure, print as it goes, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="the module of one section; the page is not written then")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, fewer sections")
    options = parser.parse_args()
    parts = [_head()]
    for title, module, arguments, quick in SECTIONS:
        chosen = quick if options.quick else arguments
        if chosen is not None and options.only in {None, module}:
            parts.append(_section(title, module, chosen))
    if options.only is None:
        PAGE.write_text("\n".join(parts))
        print(f"wrote {PAGE.relative_to(ROOT)}")


def _head() -> str:
    return (
        "# Performance\n\nWritten by `make bench`; do not edit. Medians; where two things are "
        "compared, both ran in turn in the same run, and the ratio is what counts.\n\n"
        f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} at the start. "
        "The machine is shared: absolute times vary.\n"
    )


def _section(title: str, module: str, arguments: tuple[str, ...]) -> str:
    print(f"== {title}", flush=True)
    command = (sys.executable, "-m", module, *arguments)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{module} failed:\n{done.stdout}{done.stderr}")
    print(done.stdout, flush=True)
    table = done.stdout.startswith("|")
    body = done.stdout if table else f"```\n{done.stdout}```\n"
    shown = " ".join(Path(word).name for word in arguments)
    return f"## {title}\n\n`python -m {module} {shown}`\n\n{body}"


if __name__ == "__main__":
    main()
