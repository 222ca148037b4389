"""`rung inbox` asks the gatekeeper's own queries over a real bus what waits for a human."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, cast

import pytest
from nats.aio.msg import Msg

from libs.cli.checks import CHECKS_MAX
from libs.cli.inbox import SHOWN_MAX, in_order, span
from libs.cli.main import main
from libs.contracts.ladder import Ladder
from libs.contracts.views import RunView
from libs.contracts.words import DecisionKind, Level, Phase, Service
from services.gatekeeper.api import Answer, Queries, _answered
from services.gatekeeper.projection import Projection, RunRow
from services.gatekeeper.readiness.scorecard import Drawn
from services.gatekeeper.readiness.standing import readiness
from tests.cli.views import COMMIT, checkpoint, phase, view, waiting
from tests.support.bus import Bus, running_bus
from tests.support.experience import LAST, card

DAY = 86_400.0
NOTHING_DRAWN: Final[Mapping[str, Drawn]] = {}


@pytest.fixture(autouse=True)
def _own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("RUNG_OPERATOR", raising=False)
    monkeypatch.delenv("RUNG_PERSON_KEY", raising=False)


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    async with running_bus(tmp_path / "data") as bus:
        yield bus


def row(seen: RunView) -> RunRow:
    said = seen.model_dump(include=set(RunRow.__dataclass_fields__))
    return RunRow(**{**said, "is_settled": False, "view": seen, "card": card(seen.run)})


@contextlib.asynccontextmanager
async def gatekeeper(bus: Bus, *views: RunView, drawn: Mapping[str, Drawn] = NOTHING_DRAWN) -> AsyncIterator[None]:
    """The gatekeeper's queries over these runs, of which some are drawn for a check, by id."""
    projection = Projection(f"sqlite:///{bus.data / 'projection.sqlite'}")
    projection.put_runs(map(row, views), position=1)
    for workflow in projection.workflows():
        cards = [card(run, drawn=kind, level=Level.ASE, ended=1) for run, kind in drawn.items()]
        projection.put_readiness(readiness(Ladder(workflow=workflow, sequence=LAST), cards, None), position=LAST)
    queries = Queries(cast("Any", None), projection)

    def answering(question: Answer) -> Callable[[Msg], Awaitable[None]]:
        async def answer(message: Msg) -> None:
            await message.respond(json.dumps(await _answered(question, message.data)).encode())

        return answer

    async with bus.client(Service.GATEKEEPER) as client:
        for name, question in {"runs": queries.runs, "run": queries.run, "audits": queries.audits}.items():
            await client.subscribe(f"query.{name}", cb=answering(question))
        await client.flush()
        yield
    projection.close()


Tell = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def tell(bus: Bus, capsys: pytest.CaptureFixture[str]) -> Tell:
    """Exit code, standard output and standard error of `rung inbox`."""

    async def told(*words: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(main, ["inbox", "--data", str(bus.data), *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return told


def run(name: str, moved_at: float = 0.0, outcome: str = "pass", at: Phase = Phase.PLAN, **more: Any) -> RunView:
    fields = {"checkpoint": checkpoint(at, outcome=outcome), "phases": (phase(at, outcome),), **more}
    return view("waiting", run=f"{name}-000000000", moved_at=moved_at, **fields)


def names(*views: RunView) -> list[str]:
    return [one.view.run.partition("-")[0] for one in in_order(views)]


# -- the order ----------------------------------------------------------------


def test_an_earlier_day_comes_before_any_risk() -> None:
    assert names(run("new", 2 * DAY, "fail"), run("old", DAY, "pass")) == ["old", "new"]


def test_within_a_day_what_did_not_pass_comes_before_a_warning_and_a_warning_before_a_pass() -> None:
    outcomes = ("pass", "warn", "inconclusive", "no_data", "error", "fail", "unheard_of")
    views = [run(outcome, DAY + hour, outcome) for hour, outcome in enumerate(outcomes)]
    assert names(*views) == ["inconclusive", "no_data", "error", "fail", "unheard_of", "warn", "pass"]


def test_among_equal_verdicts_of_a_day_a_merge_comes_first_then_what_waits_longest() -> None:
    views = [run("late", DAY + 2), run("early", DAY + 1), run("merge", DAY + 3, at=Phase.DEPLOY)]
    assert names(*views) == ["merge", "early", "late"]


def test_what_several_persons_must_agree_on_comes_first_within_a_day() -> None:
    guarded = run("guarded", DAY + 9, checkpoint=checkpoint(Phase.DEPLOY, awaits=2))
    agreed = run("agreed", DAY + 8, checkpoint=checkpoint(Phase.DEPLOY, awaits=1, agreed=("ann",)))
    assert names(run("fail", DAY, "fail"), guarded, agreed, run("old", 0)) == ["old", "agreed", "guarded", "fail"]


def test_a_run_without_a_checkpoint_is_nobody_s_to_decide() -> None:
    assert names(run("moving", checkpoint=None), run("waits")) == ["waits"]


@pytest.mark.parametrize(
    ("seconds", "said"), [(-5, "0 s"), (59.9, "59 s"), (60, "1 min"), (7199, "1 h"), (3 * DAY, "3 d")]
)
def test_an_age_is_told_in_its_largest_unit(seconds: float, said: str) -> None:
    assert span(seconds) == said


# -- the command --------------------------------------------------------------


async def test_an_empty_inbox_says_so_and_is_no_failure(bus: Bus, tell: Tell) -> None:
    async with gatekeeper(bus, view("merged"), view("working", run="w")):
        assert await tell() == (0, "", "Nothing waits for a human.\n")
        assert await tell("--json") == (0, "[]\n", "")


async def test_programs_get_all_that_is_needed_to_decide(bus: Bus, tell: Tell) -> None:
    seen = waiting(phase=Phase.DEPLOY, attempt=2, outcome="fail", name="merge", expires_at=99.5).model_copy(
        update={"phases": (phase(Phase.DEPLOY, "fail", reasons=("2 tests failed",)),)}
    )
    async with gatekeeper(bus, seen):
        code, out, _ = await tell("--json")
    [entry] = json.loads(out)
    bound = f"--phase deploy --attempt 2 --reason TEXT --data {bus.data}"
    assert code == 0
    assert entry.pop("commands") == {
        "approve": f"rung decide 1f2e3d4c approve {bound}",
        "reject": f"rung decide 1f2e3d4c reject {bound}",
        "guide": f"rung decide 1f2e3d4c guide {bound.replace('--reason', '--guidance')}",
        "cancel": f"rung decide 1f2e3d4c cancel {bound}",
    }
    assert entry == {
        "run": seen.run,
        "short": "1f2e3d4c",
        "title": "Ten pieces get no discount",
        "repository": "/srv/shop",
        "checkpoint": "merge",
        "phase": "deploy",
        "attempt": 2,
        "since": 3.5,
        "expires_at": 99.5,
        "expires_soon": True,
        "is_reminded": False,
        "awaits": 0,
        "agreed": [],
        "hindrance": None,
        "outcome": "fail",
        "reasons": ["2 tests failed"],
        "why": "a human decides after every phase",
        "commit": COMMIT,
        "level": "assisted",
        "answers": ["approve", "reject", "guide", "cancel"],
    }


async def test_people_get_the_same_with_every_command_on_a_line_of_its_own(bus: Bus, tell: Tell) -> None:
    reasons = tuple(f"reason {number}" for number in range(7))
    seen = run("1f2e3d4c", 3.5, "fail", title="Fix [red]it[/red]\x1b[2J", phases=(phase(reasons=reasons),))
    async with gatekeeper(bus, seen):
        code, out, err = await tell()
    lines = [line.strip() for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert "Fix [red]it[/red]" in lines[0]
    assert "\x1b" not in out
    for said in ("/srv/shop", COMMIT, "1970-01-01 00:00:03 UTC", "reason 4", "2 more", "a human decides after"):
        assert said in out
    assert "reason 5" not in out
    assert f"rung decide 1f2e3d4c approve --phase plan --attempt 1 --reason TEXT --data {bus.data}" in lines


async def test_the_commands_that_are_printed_are_understood(bus: Bus, tell: Tell) -> None:
    answers = tuple(kind for kind in DecisionKind if kind not in (DecisionKind.GRANT, DecisionKind.REVOKE))
    held = checkpoint().model_copy(update={"answers": answers})
    async with gatekeeper(bus, run("1f2e3d4c", checkpoint=held)):
        _, out, _ = await tell("--json")
    for command in json.loads(out)[0]["commands"].values():
        words = command.split()[1:]
        assert await asyncio.to_thread(main, words) == 4  # parsed; nobody answers for the run any more


async def test_old_waiting_runs_are_not_hidden_by_many_newer_ones(bus: Bus, tell: Tell) -> None:
    newer = [view("merged", run=f"m{number}", started_at=50.0) for number in range(SHOWN_MAX)]
    later = [run(f"w{number}", DAY, started_at=50.0) for number in range(SHOWN_MAX)]
    async with gatekeeper(bus, *newer, *later, run("oldest", 1.0)):
        _, out, err = await tell("--json")
    found = json.loads(out)
    assert (len(found), found[0]["short"]) == (SHOWN_MAX, "oldest-0")
    assert "more behind them" in err


async def test_a_state_that_does_not_exist_is_refused_with_a_sentence() -> None:
    queries = Queries(cast("Any", None), cast("Any", None))
    answer = await _answered(queries.runs, b'{"outcome": "wating"}')
    assert answer["code"] == "usage"
    assert "'wating' is no outcome; known are merged" in answer["error"]


def test_without_a_system_the_inbox_says_how_to_start_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inbox", "--data", str(tmp_path)]) == 4
    assert "start one with: rung up" in capsys.readouterr().err


# -- whose inbox --------------------------------------------------------------

OPERATOR = """
people:
  Ann: { role: approver, users: [nobody-ann] }
  bob: { role: approver }
  vic: { role: viewer }
"""


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "operator.yaml"
    file.write_text(OPERATOR)
    monkeypatch.setenv("RUNG_OPERATOR", str(file))
    return file


@pytest.fixture
def views() -> tuple[RunView, ...]:
    agreed = checkpoint(Phase.DEPLOY, awaits=1, agreed=("Ann",))
    return run("opened", 1.0, opened_by="nobody-ann"), run("agreed", 2.0, checkpoint=agreed), run("free", 3.0)


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize(
    ("name", "shown"),
    [("ann", ["free"]), ("bob", ["agreed", "opened", "free"]), ("vic", [])],
)
async def test_a_person_is_shown_what_is_theirs_to_decide(
    name: str, shown: list[str], views: tuple[RunView, ...], bus: Bus, tell: Tell
) -> None:
    async with gatekeeper(bus, *views):
        code, out, err = await tell("--as", name, "--json")
    assert code == 0
    assert [entry["run"].partition("-")[0] for entry in json.loads(out)] == shown
    assert ("rung inbox --all shows all" in err) is (len(shown) < 3)


async def test_all_is_shown_on_demand_and_says_why_it_is_not_theirs(
    views: tuple[RunView, ...], operator: Path, bus: Bus, tell: Tell
) -> None:
    async with gatekeeper(bus, *views):
        _, out, err = await tell("--as", "Ann", "--all")
    assert err == ""
    assert "Ann opened or wrote this issue" in out
    assert "Ann has agreed already" in out
    assert "quorum      1 to agree still; agreed: Ann" in out
    assert out.count("rung decide") == len(views[2].checkpoint.answers if views[2].checkpoint else ())


async def test_by_default_it_is_the_inbox_of_the_user_or_of_the_own_key(
    views: tuple[RunView, ...], operator: Path, bus: Bus, tell: Tell, capsys: pytest.CaptureFixture[str]
) -> None:
    async with gatekeeper(bus, *views):
        _, out, err = await tell()
        assert (out, "whom the operator's file does not name" in err) == ("", True)
        assert await asyncio.to_thread(main, ["person", "key", "me", "--json"]) == 0
        line = json.loads(capsys.readouterr().out)["line"]
        operator.write_text(f"{OPERATOR}  {line}\n")
        assert len(json.loads((await tell("--json"))[1])) == len(views)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(OPERATOR, "names nobody 'bobb'; did you mean bob?"), ("peopel: {}", "did you mean people?")],
)
def test_whose_inbox_it_is_has_to_be_known(
    content: str, sentence: str, operator: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    operator.write_text(content)
    assert main(["inbox", "--as", "bobb"]) == 2
    assert sentence in capsys.readouterr().err


async def test_what_expires_soon_or_was_reminded_of_is_marked(bus: Bus, tell: Tell) -> None:
    soon = checkpoint(expires_at=1.0, is_reminded=True)
    late = checkpoint(expires_at=4e9)
    async with gatekeeper(bus, run("soon", checkpoint=soon), run("late", checkpoint=late)):
        _, out, _ = await tell()
        _, told, _ = await tell("--json")
    expires = [line for line in out.splitlines() if line.startswith("  expires")]
    assert [line.endswith("UTC; soon; reminded") for line in expires] == [False, True]
    assert {entry["run"][:4]: entry["expires_soon"] for entry in json.loads(told)} == {"late": False, "soon": True}


# -- checks by chance ---------------------------------------------------------


def ended(name: str, *phases: tuple[Phase, str], **more: Any) -> RunView:
    return view("merged", run=f"{name}-000000000", phases=tuple(phase(*one) for one in phases), **more)


async def test_checks_stand_behind_what_waits_with_the_gates_in_question(bus: Bus, tell: Tell) -> None:
    passed = ended("passed12", (Phase.TEST, "pass"), (Phase.REVIEW, "warn"), (Phase.MONITOR, "pass"))
    failed = ended("failed12", (Phase.TEST, "pass"), (Phase.REVIEW, "fail"))
    drawn: dict[str, Drawn] = {passed.run: "pass", failed.run: "fail"}
    async with gatekeeper(bus, passed, failed, run("waits123"), drawn=drawn):
        _, told, _ = await tell("--json")
        code, out, err = await tell()
    found = json.loads(told)
    assert [entry["short"] for entry in found] == ["waits123", "passed12", "failed12"]
    assert [entry["checkpoint"] for entry in found] == ["after plan", None, None]
    assert found[1]["gates"] == ["test", "review"]
    assert (found[1]["audit"], found[1]["look"]) == ("pass", f"rung runs show passed12 --diff --data {bus.data}")
    assert found[2]["commands"] == {
        f"review {word}": f"rung label failed12 review {word} --reason TEXT --data {bus.data}"
        for word in ("right", "wrong")
    }
    assert (code, err) == (0, "")
    for entry in found[1:]:
        assert all(command in out for command in (entry["look"], *entry["commands"].values()))


async def test_many_checks_are_counted_and_the_newest_shown(bus: Bus, tell: Tell) -> None:
    views = [ended(f"r{number:07}", (Phase.TEST, "pass")) for number in range(CHECKS_MAX + 3)]
    async with gatekeeper(bus, *views, drawn={one.run: "pass" for one in views}):
        _, out, err = await tell()
    assert out.count("rung runs show") == CHECKS_MAX
    assert "3 more checks wait" in err


async def test_who_opened_an_issue_is_not_asked_to_check_it(operator: Path, bus: Bus, tell: Tell) -> None:
    own = ended("own12345", (Phase.TEST, "pass"), opened_by="nobody-ann")
    async with gatekeeper(bus, own, drawn={own.run: "pass"}):
        shown = [json.loads((await tell("--as", name, "--json"))[1]) for name in ("ann", "bob", "vic")]
    assert [[entry["short"] for entry in found] for found in shown] == [[], ["own12345"], []]
