"""A person at the terminal is asked, and only clear answers count."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.cli.answers import Choice, Person
from libs.cli.connection import Connection, connected_to
from libs.cli.options import os_user
from libs.cli.screen import Screen
from libs.contracts.words import DecisionKind
from tests.cli.views import COMMIT, waiting
from tests.support.bus import running_bus


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The end of a terminal at which a person types."""
    typed, read = os.openpty()
    with open(read) as stdin:  # noqa: PTH123 - a descriptor, not a path
        monkeypatch.setattr("sys.stdin", stdin)
        yield typed
    os.close(typed)


async def _asked(connection: Connection | None = None, **artifacts: str) -> Choice | None:
    shown = waiting().model_copy(update={"artifacts": artifacts})
    assert shown.checkpoint is not None
    return await Person(Screen(), connection).answer(shown, shown.checkpoint)  # type: ignore[arg-type]


async def test_a_word_or_its_beginning_is_a_decision_bound_to_what_was_seen(terminal: int) -> None:
    os.write(terminal, b"app\n")
    choice = await _asked()
    assert choice is not None
    assert (choice.kind, choice.by) == (DecisionKind.APPROVE, os_user())
    assert choice.fields == {"phase": "plan", "attempt": 1, "commit": COMMIT, "reason": ""}


async def test_unclear_words_are_asked_again(terminal: int, capsys: pytest.CaptureFixture[str]) -> None:
    os.write(terminal, b"\nyes\nCANCEL\n")
    choice = await _asked()
    assert choice is not None
    assert choice.kind is DecisionKind.CANCEL
    assert "“yes” is none of these" in capsys.readouterr().err


async def test_a_rejection_needs_a_reason(terminal: int) -> None:
    os.write(terminal, b"reject\n\n  \nit breaks the API\n")
    choice = await _asked()
    assert choice is not None
    assert choice.fields["reason"] == "it breaks the API"


async def test_guidance_goes_to_the_next_attempt(terminal: int) -> None:
    os.write(terminal, b"guide\nlook at throttle.py\n")
    choice = await _asked()
    assert choice is not None
    assert choice.fields["guidance"] == "look at throttle.py"


@pytest.mark.parametrize("typed", [b"wait\n", b"\x04"])
async def test_a_run_may_be_left_waiting(terminal: int, typed: bytes) -> None:
    os.write(terminal, typed)
    assert await _asked() is None


async def test_the_plan_is_shown_on_request(terminal: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with running_bus(tmp_path) as bus, connected_to(bus.endpoint) as connection:
        digest = await connection.artifacts.put(b"# Plan \x1b[2J\nchange one line\n")
        os.write(terminal, b"plan\nwait\n")
        assert await _asked(connection, **{"plan.md": digest}) is None
    said = capsys.readouterr().err
    assert "change one line" in said
    assert "\x1b[2J" not in said
