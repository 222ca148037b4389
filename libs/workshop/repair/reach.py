"""Puts a repository's own source in reach of its tests, ahead of whatever is installed."""

import os
import sys
from pathlib import Path

ROOT = Path(os.environ.get("RUNG_REPAIR_ROOT", "."))
"""The copy of the repository that this process tests."""


def reach_repository() -> None:
    """The repository's own source wins over whatever is installed, also in processes that tests start."""
    paths = [path for path in os.environ.get("RUNG_REPAIR_PATHS", "").split(os.pathsep) if path]
    sys.path[:0] = [path for path in paths if path not in sys.path]
    present = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join([*paths, *(path for path in present if path and path not in paths)])
