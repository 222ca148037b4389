"""Real repositories for tests: made, committed to and looked at with plain git, away from any configuration."""

import atexit
import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

Content = str | bytes | None

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_AUTHOR_DATE": "1700000000 +0000",
    "GIT_COMMITTER_DATE": "1700000000 +0000",
}


def git(place: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", *arguments],
        cwd=place,
        env={**ENVIRONMENT, **(env or {})},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout.decode(errors="surrogateescape").strip()


def write(place: Path, files: Mapping[str, Content]) -> None:
    """Write files; None removes one."""
    for name, content in files.items():
        path = place / name
        if content is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)


def commit(place: Path, files: Mapping[str, Content], message: str = "change") -> str:
    write(place, files)
    git(place, "add", "-A")
    git(place, "commit", "-q", "--allow-empty", "-m", message)
    return git(place, "rev-parse", "HEAD")


def repository(place: Path, files: Mapping[str, Content] | None = None) -> Path:
    """A repository with one commit on `main`; the usual one is made once and copied."""
    if files is not None:
        return _made(place, files)
    shutil.copytree(_usual(), place)
    return place


@cache
def _usual() -> Path:
    place = Path(mkdtemp(prefix="rung-tests-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    lines = "one\ntwo\nthree\nfour\nfive\nsix\nseven\n"
    return _made(place / "usual", {"app.py": lines, "README.md": "# app\n"})


def _made(place: Path, files: Mapping[str, Content]) -> Path:
    place.mkdir(parents=True)
    git(place, "init", "-q", "-b", "main", "--template=")
    commit(place, files, "first")
    return place


def bare(place: Path, of: Path) -> Path:
    git(of, "clone", "-q", "--bare", str(of), str(place))
    return place


def snapshot(place: Path) -> tuple[str, str, dict[str, bytes]]:
    """Reference, state and files of a checkout: equal if and only if nothing moved."""
    files = {
        str(path.relative_to(place)): path.read_bytes()
        for path in sorted(place.rglob("*"))
        if path.is_file() and ".git" not in path.parts
    }
    return git(place, "rev-parse", "HEAD"), git(place, "status", "--porcelain"), files
