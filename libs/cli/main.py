"""The command `rung`: its parts, and how every error becomes one sentence and an exit code."""

import contextlib
import json
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import typer
from nats.errors import Error as NatsError

from libs.cli import (
    audit,
    backtest,
    calibrate,
    debt,
    decide,
    doctor,
    freeze,
    gate,
    history,
    inbox,
    issue,
    label,
    level,
    log,
    person,
    readiness,
    replay,
    rollback,
    run,
    runs,
    up,
    workflow,
)
from libs.cli.connection import default_data
from libs.cli.ending import Ended, ExitCode
from libs.cli.screen import speak_safely
from libs.contracts.requests import one_line
from libs.runtime.artifacts import ArtifactDamaged, ArtifactMissing
from libs.runtime.keys import KeyFileError
from libs.runtime.log import LogUnavailable
from libs.runtime.provision import ProvisionError
from libs.runtime.server import DataDirectoryBusy, ServerError

KNOWN: Final[tuple[tuple[type[Exception], ExitCode], ...]] = (
    (DataDirectoryBusy, ExitCode.WAITING),
    (ServerError, ExitCode.FAILED),
    (ProvisionError, ExitCode.FAILED),
    (KeyFileError, ExitCode.UNREACHABLE),
    (LogUnavailable, ExitCode.UNREACHABLE),
    (NatsError, ExitCode.UNREACHABLE),
    (ArtifactMissing, ExitCode.FAILED),
    (ArtifactDamaged, ExitCode.FAILED),
)
"""Trouble whose message is a sentence for people; the first that fits counts."""
ERRORS_SHOWN_WHOLE: Final = 4000

app = typer.Typer(
    name="rung",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("up", short_help="Start the system and keep it running.", epilog=up.EXAMPLE)(up.up)
app.command("run", short_help="Open an issue and follow its run.", epilog=run.EXAMPLE)(run.run)
app.add_typer(issue.app, name="issue")
app.add_typer(runs.app, name="runs")
app.command("inbox", short_help="What waits for a human.", epilog=inbox.EXAMPLE)(inbox.inbox)
app.command("decide", short_help="Decide on a run.", epilog=decide.EXAMPLE)(decide.decide)
app.command("rollback", short_help="Take a merged change back.", epilog=rollback.EXAMPLE)(rollback.rollback)
app.command("readiness", short_help="What of the next rung is earned.", epilog=readiness.EXAMPLE)(readiness.readiness)
app.add_typer(level.app, name="level")
app.command("label", short_help="Say whether a gate was right.", epilog=label.EXAMPLE)(label.label)
app.add_typer(freeze.app, name="freeze")
app.add_typer(history.app, name="history")
app.add_typer(person.app, name="person")
app.command("log", short_help="The facts of a run, in order.", epilog=log.EXAMPLE)(log.log)
app.command("debt", short_help="What reviews found and nobody has mended.", epilog=debt.EXAMPLE)(debt.debt)
app.command("replay", short_help="Make the projection anew from the log.", epilog=replay.EXAMPLE)(replay.replay)
app.add_typer(audit.app, name="audit")
app.add_typer(workflow.app, name="workflow")
app.add_typer(gate.app, name="gate")
app.command("calibrate", short_help="How good the gates are, tried on the past.", epilog=calibrate.EXAMPLE)(
    calibrate.calibrate
)
app.command("backtest", short_help="What another policy would have done.", epilog=backtest.EXAMPLE)(backtest.backtest)
app.command("doctor", short_help="What works here, and what does not.", epilog=doctor.EXAMPLE)(doctor.doctor)


@app.callback(epilog="Exit codes: 0 ok, 1 failed or declined, 2 usage, 3 refused or waiting, 4 not reachable.")
def _rung() -> None:
    """Take an issue to production with as much autonomy as its quality gates have earned."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    speak_safely()
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        return int(app(words, prog_name="rung", standalone_mode=False) or ExitCode.OK)
    except BrokenPipeError:
        _silence_output()
        return ExitCode.FAILED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the outermost frame: whatever it was becomes one sentence
        return _end(error, is_json="--json" in words)


def _end(error: Exception, *, is_json: bool) -> int:
    sentence, code = _told(error)
    if is_json:
        details = error.details if isinstance(error, Ended) else {}
        sys.stdout.write(json.dumps({**details, "error": sentence, "exit_code": int(code)}) + "\n")
    sys.stderr.write(f"{sentence}\n")
    if os.environ.get("RUNG_DEBUG") == "1":
        traceback.print_exception(error)
    return code


def _told(error: Exception) -> tuple[str, int]:
    """The sentence for an error, and the exit code."""
    if isinstance(error, Ended):
        return one_line(str(error), ERRORS_SHOWN_WHOLE), error.code
    if isinstance(error, typer.TyperException):
        said = one_line(error.format_message(), ERRORS_SHOWN_WHOLE).rstrip(".")
        return f"{said}. See rung --help.", error.exit_code
    for known, code in KNOWN:
        if isinstance(error, known):
            return _whole_sentence(str(error)), code
    if isinstance(error, typer.Abort):
        return "Interrupted.", ExitCode.INTERRUPTED
    return _bug(error), ExitCode.FAILED


def _whole_sentence(said: str) -> str:
    """Libraries speak in halves: `nats: connection closed`."""
    said = said.removeprefix("nats: ")
    return f"{said[:1].upper()}{said[1:]}" + ("" if said.endswith((".", "\n")) else ".")


def _bug(error: Exception) -> str:
    """A sentence for what nobody expected; the traceback goes into a log."""
    log = default_data() / "logs" / "cli.log"
    said = one_line(f"{type(error).__name__}: {error}", 500)
    try:
        for directory in (log.parent.parent, log.parent):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _private(log) as file:
            file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}\n{_trace(error)}\n")
    except OSError:
        return f"This should not have happened: {said}; RUNG_DEBUG=1 shows more."
    return f"This should not have happened: {said}; more stands in {log}, and RUNG_DEBUG=1 shows it."


def _private(path: Path) -> Any:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8")


def _trace(error: Exception) -> str:
    return "".join(traceback.format_exception(error))


def _silence_output() -> None:
    """Whoever read the output has gone; nothing more is to be flushed there."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
