"""Where commands look for the clusters of this computer (see ``c101.core.config``)."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from c101.core.config import clusters_dir


def register(document: Mapping[str, Any], *, environ: Mapping[str, str], now: float) -> Path:
    """Write a cluster's document down; return where. Raises OSError.

    It is called by its directory's name, with a mark where another cluster is called so already.
    The file's time is *now*: the cluster started last is the one that is meant where none is named.
    """
    folder = clusters_dir(environ)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{document['name']}.json"
    if _directory_of(path) not in {None, document["dir"]}:
        mark = hashlib.sha256(str(document["dir"]).encode()).hexdigest()[:6]
        path = folder / f"{document['name']}-{mark}.json"
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(document))
    os.utime(fresh, (now, now))
    fresh.replace(path)
    return path


def forget(directory: Path, *, environ: Mapping[str, str]) -> None:
    """Remove what stands there of the cluster in *directory*: it has ended, however that came."""
    for path in clusters_dir(environ).glob("*.json"):
        if _directory_of(path) == str(directory):
            path.unlink(missing_ok=True)


def _directory_of(path: Path) -> str | None:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return str(document.get("dir")) if isinstance(document, dict) else None
