"""Run every benchmark and write docs/performance.md from what they print.

One section alone, with ``--only``, takes the place of that section in the page.
"""

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
PLOTS = "docs/performance"
CONSOLE = str(Path(sys.executable).with_name("c101-console"))
DEMO = ("--live", "9/10 units", "--", CONSOLE, "demo")
BESIDE = ("--work", "data,interference,h2load,check", "--rounds", "3", "--seconds", "5")
GROWTH = ("--work", "growth", "--rounds", "3", "--seconds", "5", "--plots", PLOTS)
#: Title, module, arguments; and the arguments with --quick, None where it is left out then.
SECTIONS: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...] | None], ...] = (
    ("The KV beside a real etcd", "benchmarks.kv", ("--work", "table"), ("--quick",)),
    ("The KV with much data, and others beside it", "benchmarks.kv", BESIDE, None),
    ("How the KV grows", "benchmarks.kv", GROWTH, None),
    ("How long one request holds the KV's loop", "benchmarks.loop", (), ("--rounds", "1")),
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
    ("The agent on real machines", "benchmarks.hosts", (), ("--rounds", "11")),
    ("Fifty machines by their gateways", "benchmarks.gateways", (), None),
    ("Twenty real machines", "benchmarks.many_hosts", (), None),
    ("One command on twenty real machines", "benchmarks.fan_out", (), None),
    ("The console's widgets", "benchmarks.widgets", (), None),
    ("The etcd client beside aetcd", "benchmarks.client", (), None),
    ("The RPC alone", "benchmarks.rpc", (), None),
)


def main() -> None:
    """Measure, print as it goes, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", metavar="MODULE", help="measure and replace its sections")
    parser.add_argument("--title", metavar="TEXT", help="of these, the one whose title has TEXT")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, fewer sections")
    parser.add_argument("more", nargs="*", help="after --: more arguments for --only's module")
    options = parser.parse_args()
    parts = [_head()] if options.only is None else PAGE.read_text().split("\n## ")
    for title, module, arguments, quick in SECTIONS:
        chosen = quick if options.quick else arguments
        if chosen is None or options.only not in {None, module}:
            continue
        if options.title is not None and options.title not in title:
            continue
        section = _section(title, module, (*chosen, *options.more))
        places = [at for at, part in enumerate(parts) if part.startswith(f"{title}\n")]
        parts[slice(places[0], places[0] + 1) if places else slice(len(parts), None)] = [section]
    PAGE.write_text("\n## ".join(parts))
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
    # What a benchmark says of its progress is on standard error, and seen as it comes.
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{module} failed:\n{done.stdout}")
    print(done.stdout, flush=True)
    output = done.stdout.lstrip()
    body = output if output.startswith(("|", "#")) else f"```\n{output}```\n"
    # A program's place says nothing to a reader.
    words = [Path(word).name if word.startswith("/") else word for word in arguments]
    return f"{title}\n\n`{' '.join(('python', '-m', module, *words))}`\n\n{body}"


if __name__ == "__main__":
    main()
