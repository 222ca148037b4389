"""Takes the example issue to a merged change, through the public command line alone.

A copy of `examples/huddle` becomes a git repository in a temporary directory; the issue is the one in
`examples/huddle-issue.md`. The repository and what the system stored are kept to look at.
"""  # noqa: INP001 - a script, no package

import getpass
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

EXAMPLES: Final = Path(__file__).resolve().parent
PROJECT: Final = EXAMPLES / "huddle"
ISSUE: Final = EXAMPLES / "huddle-issue.md"
LITTER: Final = shutil.ignore_patterns("__pycache__", ".*cache", ".coverage*")


def main() -> int:
    rung = Path(sys.executable).parent / "rung"
    if not rung.exists() or shutil.which("git") is None:
        say(f"The demo needs git and {rung}; `make demo` sets everything up.")
        return 2
    place = Path(tempfile.mkdtemp(prefix="rung-demo-"))
    repository, state = place / PROJECT.name, place / "state"
    make_repository(repository)
    code = run(rung, repository, state)
    if code == 0:
        show_commit(repository)
    say_more(rung, repository, state)
    return code


def make_repository(repository: Path) -> None:
    """A repository with the example in its first commit, whatever git is set up to do here."""
    shutil.copytree(PROJECT, repository, ignore=LITTER)
    git(repository, "init", "--quiet", "--initial-branch=main")
    git(repository, "add", "--all")
    author = ("-c", "user.name=Rung demo", "-c", "user.email=demo@example.org")
    git(repository, *author, "commit", "--quiet", "--message=feat: huddle 0.3.0")


def git(repository: Path, *arguments: str) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "--no-pager", *arguments], cwd=repository, env={**own, **alone}, check=True)


def run(rung: Path, repository: Path, state: Path) -> int:
    """Open the issue and follow its run; an interrupt reaches the command too, which then ends by itself."""
    title = ISSUE.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    command = [
        str(rung),
        "run",
        *("--data", str(state)),
        *("--repo", str(repository)),
        *("--title", title),
        *("--body-file", str(ISSUE)),
        *("--approve-as", user()),
    ]
    say(f"$ {shlex.join(command)}\n")
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            say("Interrupted; waiting for the run to end.")


def user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "demo"


def show_commit(repository: Path) -> None:
    say("\nThe merged commit:\n")
    git(repository, "show", "--no-ext-diff", "--stat", "HEAD")


def say_more(rung: Path, repository: Path, state: Path) -> None:
    """Where things are, and what to try next."""
    command = shlex.quote(str(rung.relative_to(Path.cwd()) if rung.is_relative_to(Path.cwd()) else rung))
    tips = {
        f"git -C {shlex.quote(str(repository))} log --stat": "look at the repository",
        f"{command} up --data {shlex.quote(str(state))}": "start the system again; in another terminal:",
        f"{command} runs --data {shlex.quote(str(state))}": "the run of this demo",
        f"{command} log RUN --data {shlex.quote(str(state))}": "its facts in order, and why each came about",
        f'{command} run --repo PATH --title "…"': "the same for your own repository, asking you at each checkpoint",
    }
    say(f"\nThe repository is kept: {repository}")
    say(f"What the system stored is kept: {state}")
    say("\nWhat to try next:")
    for tip, meaning in tips.items():
        say(f"  {tip}\n      {meaning}")
    say(f"\nTo remove everything: rm -r {shlex.quote(str(repository.parent))}")


def say(text: str) -> None:
    """Print at once, so that the order holds when the output goes to a file that other programs write too."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
