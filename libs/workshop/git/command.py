"""Runs git for the trusted side: no hooks, no monitor, no foreign configuration, no prompts, no other protocol.

Options on the command line win over every configuration file, so what must hold is said there;
git drops them for the `upload-pack` and `receive-pack` that it starts in another repository, so
those are spelt out with options of their own (`serving`).
"""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TIMEOUT_S: Final = 600.0
OUTPUT_MAX: Final = 256 * 2**20
CHUNK: Final = 2**16

SETTINGS: Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.bigFileThreshold=32m",
    "core.quotePath=false",
    "safe.directory=*",
    "protocol.version=2",
    "protocol.allow=never",
    "protocol.file.allow=always",
    "gc.auto=0",
    "maintenance.auto=false",
    "receive.autogc=false",
    "commit.gpgSign=false",
    "submodule.recurse=false",
    "advice.detachedHead=false",
)

ENVIRONMENT: Final = {
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "file",
    "GIT_AUTHOR_NAME": "Rung",
    "GIT_AUTHOR_EMAIL": "rung@localhost",
    "GIT_COMMITTER_NAME": "Rung",
    "GIT_COMMITTER_EMAIL": "rung@localhost",
}


class GitError(Exception):
    """Git could not do what was asked; the message is one sentence for a person."""


class NotARepository(GitError):
    """The path is not the root of a git repository."""


class EmptyRepository(GitError):
    """The repository has no commit yet."""


class TooLarge(GitError):
    """Git said more than can be judged."""


@dataclass(frozen=True)
class Output:
    code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output without its line end, as the file system spells names."""
        return os.fsdecode(self.stdout).rstrip("\n")

    @property
    def complaint(self) -> str:
        """The first complaint of git, without its prefix."""
        lines = [line.strip() for line in self.stderr.decode(errors="replace").splitlines() if line.strip()]
        chosen = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[0] if lines else "")
        return chosen.removeprefix("fatal:").removeprefix("error:").strip().rstrip(".") or "it gave no reason"


def serving(program: str, *settings: str) -> str:
    """The shell command that serves another repository of this machine, hardened as all else."""
    options = " ".join(f"-c '{setting}'" for setting in (*SETTINGS, *settings))
    return f"git {options} {program}"


async def run_git(
    arguments: Sequence[str | Path],
    *,
    git_dir: Path | None = None,
    cwd: Path | None = None,
    stdin: bytes | int = b"",
    env: Mapping[str, str] | None = None,
    output_max: int = OUTPUT_MAX,
    timeout_s: float = TIMEOUT_S,
) -> Output:
    """Run git and return what it said, whatever its exit code; `stdin` is content or an open descriptor.

    With `git_dir` the repository is that and no other; without it git looks for one from `cwd`.
    """
    options = [option for setting in SETTINGS for option in ("-c", setting)]
    if git_dir is not None:
        options += ["-c", "safe.bareRepository=explicit", f"--git-dir={git_dir}"]
    process = await _spawn(["git", *options, *map(str, arguments)], cwd or git_dir or Path("/"), stdin, env or {})
    try:
        async with asyncio.timeout(timeout_s):
            return await _collect(process, b"" if isinstance(stdin, int) else stdin, output_max)
    except TimeoutError as error:
        raise GitError(f"git {arguments[0]} took longer than {timeout_s:.0f} s and was stopped.") from error
    finally:
        await _end(process)


async def ask_git(arguments: Sequence[str | Path], *, git_dir: Path, stdin: bytes = b"") -> Output:
    """Run git where anything but success is an error."""
    output = await run_git(arguments, git_dir=git_dir, stdin=stdin)
    if output.code != 0:
        raise GitError(f"git {arguments[0]} failed: {output.complaint}.")
    return output


async def _spawn(
    argv: Sequence[str], cwd: Path, stdin: bytes | int, env: Mapping[str, str]
) -> asyncio.subprocess.Process:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=stdin if isinstance(stdin, int) else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=cwd,
            env={**kept, **ENVIRONMENT, **env},
            start_new_session=True,
        )
    except OSError as error:
        raise _not_started(cwd, error) from error


def _not_started(cwd: Path, error: OSError) -> GitError:
    if cwd.is_dir() and isinstance(error, FileNotFoundError):
        return GitError("git is not installed here, or not on the PATH.")
    return NotARepository(f"{cwd} cannot be entered ({error.strerror}).")


async def _collect(process: asyncio.subprocess.Process, stdin: bytes, output_max: int) -> Output:
    stdout, stderr, _ = await asyncio.gather(
        _read(process.stdout, output_max), _read(process.stderr, output_max), _feed(process.stdin, stdin)
    )
    return Output(await process.wait(), stdout, stderr)


async def _read(stream: asyncio.StreamReader | None, output_max: int) -> bytes:
    said = bytearray()
    while stream is not None and (chunk := await stream.read(CHUNK)):
        said += chunk
        if len(said) > output_max:
            raise TooLarge(f"git said more than {output_max // 2**20} MiB, which is too much to be judged.")
    return bytes(said)


async def _feed(stdin: asyncio.StreamWriter | None, content: bytes) -> None:
    if stdin is None:
        return
    with suppress(BrokenPipeError, ConnectionResetError):  # git need not read to the end
        stdin.write(content)
        await stdin.drain()
        stdin.close()
        await stdin.wait_closed()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
