"""`rung person`: a key of one's own, by which the gatekeeper knows who decides."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import nkeys
import typer
import yaml

from libs.cli import options as o
from libs.cli.ending import Ended, ExitCode, Misused
from libs.cli.screen import Screen
from libs.contracts.requests import one_line
from libs.contracts.signing import Signable, sign
from libs.runtime.keys import KeyFileError, public
from libs.runtime.settings import config_directory

EXAMPLE: Final = "Example: rung person key ann"
KEY_FILE: Final = "RUNG_PERSON_KEY"
NAME_MAX: Final = 200

app = typer.Typer(help="Who you are to the system.", rich_markup_mode=None)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Your name in the operator's file.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the key that is there; the old one is lost.")]


@app.callback()
def _group() -> None:
    """Who you are to the system."""


@app.command("key", epilog=EXAMPLE)
def key(name: Name, *, force: Force = False, as_json: o.AsJson = False) -> None:
    """Make a key of your own, and print the line by which the operator's file knows you.

    The secret half goes into the file that RUNG_PERSON_KEY names, by default
    $XDG_CONFIG_HOME/rung/person.nk, readable by you alone; decisions are signed with it from then on.

    Exit code: 0 made, 2 wrong usage, 3 there is a key already.
    """
    said = _name(name)
    file, seed = key_file(), nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_USER)
    if file is None:
        raise Misused(f"{KEY_FILE} is set to nothing, so there is no file for a key.")
    _store(file, seed, is_forced=force)
    made = public(seed.decode())
    _tell(Screen(is_json=as_json), said, made, file)


def _name(name: str) -> str:
    said = name.strip()
    if not said or one_line(said, NAME_MAX) != said:
        raise Misused("NAME is to be one line of text.")
    return said


def _tell(screen: Screen, name: str, made: str, file: Path) -> None:
    line = yaml.safe_dump(
        {name: {"role": "approver", "key": made}},
        default_flow_style=None,
        sort_keys=False,
        allow_unicode=True,
        width=1000,
    ).strip()
    if screen.is_json:
        return screen.answer({"name": name, "key": made, "file": str(file), "line": line})
    screen.line(made)
    screen.progress(f"The secret half is in {file}; whoever can read it decides as you.")
    screen.progress("The operator's file knows you by this line under people:")
    screen.line(f"  {line}")
    return None


def _store(file: Path, seed: bytes, *, is_forced: bool) -> None:
    """Whole or not at all, and over another key only if that is wanted."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _draft(draft, seed):
            _place(draft, file, is_forced=is_forced)
    except OSError as error:
        raise Misused(f"The key cannot be written to {file}: {error.strerror or error}.") from error


def _place(draft: Path, file: Path, *, is_forced: bool) -> None:
    if is_forced:
        draft.replace(file)
        return
    try:
        os.link(draft, file)
    except FileExistsError:
        raise Ended(f"There is a key in {file} already; --force replaces it.", ExitCode.WAITING) from None


@contextlib.contextmanager
def _draft(path: Path, content: bytes) -> Iterator[None]:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content + b"\n")
        yield
    finally:
        path.unlink(missing_ok=True)


def signed(request: Signable) -> Signable:
    """The request with the signature of whoever has a key of their own, else as it is."""
    return request if (seed := _seed()) is None else sign(request, seed)


def own_key() -> str | None:
    """The public half of one's own key; `None` without one."""
    return None if (seed := _seed()) is None else public(seed)


def key_file() -> Path | None:
    """Where one's own key lies or would; `None` where the environment says to use none."""
    named = os.environ.get(KEY_FILE)
    if named is None:
        return config_directory(os.environ) / "person.nk"
    return Path(named).expanduser() if named else None


def _seed() -> str | None:
    """One's own secret key; `None` where there is none and none was named.

    Raises:  Misused for a file that was named and is not there, or that holds no key.
    """
    if (file := key_file()) is None or (KEY_FILE not in os.environ and not file.exists()):
        return None
    try:
        seed = file.read_text(encoding="ascii").strip()
        public(seed, str(file))
    except UnicodeDecodeError:
        raise Misused(f"Your key {file} does not hold an nkey seed.") from None
    except OSError as error:
        raise Misused(f"Your key {file} cannot be read: {error.strerror or error}.") from error
    except KeyFileError as error:
        raise Misused(f"Your key cannot be used: {error}") from error
    return seed
