"""`python -m examples.ladder`: a repository earns its levels while you look on, with real gates, merges and a real log.

A copy of the example repository gets small issues one after another. An agent delivers patches that were prepared
for them: good, bad, cheating, or bad at first. A scripted person decides by hidden reference tests, production is
a file of measurements. Nothing is relaxed: the levels are earned by the numbers of the documentation.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from examples.ladder import agent
from examples.ladder.person import NAME, Person
from examples.ladder.production import Production
from examples.ladder.stream import Stream
from examples.ladder.tasks import FAMILIES, Kind, Task, task
from examples.ladder.truth import Truth, truth_of
from libs.cli.connection import Connection, connected_to
from libs.cli.ending import Ended
from libs.cli.launcher import launched
from libs.cli.options import os_user
from libs.cli.requesting import Errand
from libs.contracts.readiness import Readiness
from libs.contracts.requests import IssueRequest
from libs.contracts.views import RunView
from libs.contracts.words import Level

PROJECT: Final = Path(__file__).resolve().parents[1] / "huddle"
LITTER: Final = shutil.ignore_patterns("__pycache__", ".*cache", ".coverage*")
IN_FLIGHT: Final = {Level.ASSISTED: 10, Level.SUPERVISED: 8, Level.AUTONOMOUS: 6, Level.ASE: 1}
LOOK_S: Final = 0.5
TOLD_S: Final = 10.0
WORKFLOW: Final = """
# -- what the ladder adds --
metrics: { error_rate: { file: FILE } }
watch: { duration: 4s, min_points: 5 }
auto_merge: { enabled: true, delay: 1s }
"""
OPERATOR: Final = "people: {{ {name}: {{ role: operator, users: [{user}] }} }}\n"


class Climb:
    """One climb in one place; everything but what is prepared for the agent is in the log."""

    def __init__(self, place: Path, *, is_full: bool) -> None:
        self.place = place
        self.repository = place / PROJECT.name
        self.stream = Stream(is_full=is_full)
        self.kinds: dict[int, Kind] = {}
        self.truths: dict[tuple[int, bool], Truth] = {}
        self.labelled: set[str] = set()
        self.began = time.monotonic()

    @property
    def state(self) -> Path:
        return self.place / "state"

    def prepare(self) -> None:
        """The repository with its first commit, the operator's file, and what an earlier climb here has left."""
        if not self.repository.exists():
            _make_repository(self.repository, self.place / "error_rate.csv")
        user = json.dumps(os_user())
        (self.place / "operator.yaml").write_text(OPERATOR.format(name=NAME, user=user), encoding="utf-8")
        os.environ |= {"RUNG_OPERATOR": str(self.place / "operator.yaml"), "RUNG_PERSON_KEY": ""}
        with contextlib.suppress(FileNotFoundError):
            kept = json.loads((self.place / "kinds.json").read_text(encoding="utf-8"))
            self.kinds = {int(number): Kind(kind) for number, kind in kept.items()}
        self._write_patches()

    async def run(self) -> bool:
        """Open issues and decide until the climb is over; whether it came there."""
        async with launched(self.state, say) as launcher, connected_to(launcher.endpoint, self.state) as connection:
            await _ready(connection)
            measuring = asyncio.create_task(Production(self.repository, self.place / "error_rate.csv").run())
            try:
                await self._climb(connection, Person(connection, self._known))
                await self._settled(connection)
            finally:
                measuring.cancel()
            await asyncio.to_thread(_prove, self.place, self.repository)
        return True

    async def _climb(self, connection: Connection, person: Person) -> None:
        told, found = 0.0, await self._readiness(connection)
        while not self.stream.is_over(found):
            waiting = await connection.views(200, outcome="waiting", oldest_first=True)
            working = await connection.views(200, outcome="working")
            await person.decide(waiting, working)
            await self._open_next(connection, found, len(waiting) + len(working))
            found = await self._look(connection, person, found)
            if time.monotonic() - told > TOLD_S:
                told = time.monotonic()
                self._tell(found, len(waiting), len(working))
            await asyncio.sleep(LOOK_S)
        self._tell(found, 0, 0)

    async def _settled(self, connection: Connection) -> None:
        """Wait until nothing is worked on or watched any more; what waits for a person goes on waiting."""
        while await connection.views(1, outcome="working") or await self._watching(connection):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)

    async def _open_next(self, connection: Connection, found: Readiness, open_count: int) -> None:
        """As many issues as fit beside those that are open, several at once, since they share what their base costs.

        At the top they come one after another.
        """
        if open_count > IN_FLIGHT[found.level.granted] // 2:
            return
        watching = await self._watching(connection) if found.level.granted is Level.ASE else 0
        for more in range(IN_FLIGHT[found.level.granted] - open_count):
            number = len(self.kinds) + 1
            kind = self.stream.next_kind(found, number, open_count + more + watching, self.kinds)
            if kind is None:
                return
            await self._open(connection, number, kind)

    async def _watching(self, connection: Connection) -> int:
        """Merged runs that are still watched, or whose rollback is under way."""
        latest = await connection.views(20, outcome="merged")
        return sum(view.stage != "ended" for view in latest)

    async def _open(self, connection: Connection, number: int, kind: Kind) -> None:
        self.kinds[number] = kind
        self._write_patches()
        wanted = task(number)
        await asyncio.to_thread(self._find_truth, number)
        request = IssueRequest(
            repository=str(self.repository),
            key=f"ladder-{number}",
            title=wanted.title,
            body=wanted.body,
            type=wanted.type,
            opened_by="tracker",
            level=Level.ASE,
            agent=f"exec:python3 {agent.__file__} {self.place / 'patches.json'}",
        )
        await Errand(request, f"ladder-{self.place.name}-{number}").send(connection)

    async def _look(self, connection: Connection, person: Person, before: Readiness) -> Readiness:
        """How ready the workflow is now; grants, checks and drills where it is time for them."""
        found = await self._readiness(connection)
        for move in found.moves[len(before.moves) :]:
            say(f"  {_arrow(move.origin, move.to)} {move.to} by {move.by}: {move.why}")
        if found.level.granted.rank >= Level.AUTONOMOUS.rank:
            latest = await connection.views(60)
            views = {view.run: view for view in latest}
            await person.check(found, views)
            await self._condemn(person, latest)
            await self._drill(latest)
        with contextlib.suppress(Ended):  # what was earned a moment ago may be lost again
            await person.climb(found)
        return found

    async def _condemn(self, person: Person, latest: list[RunView]) -> None:
        """Changes that merged and are wrong by the reference are found out in the end."""
        for view in latest:
            if view.outcome != "merged" or view.run in self.labelled or view.stage != "ended":
                continue
            kind, truth = self._known(view)
            if kind is Kind.SUBTLE and not truth.is_good:
                self.labelled.add(view.run)
                await person.condemn(view)

    async def _drill(self, latest: list[RunView]) -> None:
        """Take one merged change back to try it, since the last rung asks for that."""
        done = self.place / "drilled"
        merged = [view for view in latest if view.outcome == "merged" and view.stage == "ended"]
        if done.exists() or not self.stream.is_full or not merged:
            return
        done.touch()
        command = [_rung(), "rollback", merged[0].run, "--why", "drill", "--reason", "try it", "--data", self.state]
        await asyncio.to_thread(subprocess.run, [*map(str, command)], check=False, stdout=sys.stderr)

    async def _readiness(self, connection: Connection) -> Readiness:
        return Readiness.model_validate(await connection.ask("readiness", repository=str(self.repository)))

    def _known(self, view: RunView) -> tuple[Kind, Truth]:
        number = int(re.findall(r"\(#(\d+)\)", view.title)[-1])
        is_sent_back = any(phase.phase == "build" and phase.attempts > 1 for phase in view.phases)
        return self.kinds[number], self.truths.get((number, is_sent_back)) or self._find_truth(number, is_sent_back)

    def _find_truth(self, number: int, is_sent_back: bool = False) -> Truth:  # noqa: FBT001, FBT002 - a key's half
        found = truth_of(task(number), self.kinds[number], self.repository, is_sent_back=is_sent_back)
        self.truths[number, is_sent_back] = found
        return found

    def _write_patches(self) -> None:
        """What the agent may read, and what this climb has to know of itself; each replaced whole."""
        patches = {number: _prepared(task(number), kind) for number, kind in self.kinds.items()}
        for name, content in (("patches.json", patches), ("kinds.json", self.kinds)):
            draft = self.place / f"{name}.new"
            draft.write_text(json.dumps(content), encoding="utf-8")
            draft.replace(self.place / name)

    def _tell(self, found: Readiness, waiting: int, working: int) -> None:
        rung = next((rung for rung in found.rungs if rung.origin is found.level.granted), None)
        lines = [f"{line.name} {line.value}/{line.limit}" for line in rung.criteria] if rung else []
        if rung and rung.proof and rung.catch_rate:
            lines += [f"proof {rung.proof.value}", f"caught {rung.catch_rate.caught}/{rung.catch_rate.bad}"]
        kinds = Counter(self.kinds.values())
        spent = time.monotonic() - self.began
        say(
            f"{spent:6.0f} s  {found.level.granted:<10} {len(self.kinds)} issues"
            f" ({kinds[Kind.GOOD]} good), {working} worked on, {waiting} wait, labels {found.labels.right} right"
            f" {found.labels.wrong} wrong | {', '.join(lines)}"
        )


def _prepared(wanted: Task, kind: Kind) -> dict[str, Any]:
    sent_back = wanted.files(kind, is_sent_back=True) if kind is Kind.AMENDED else None
    return {
        "plan": {
            "text": f"{wanted.title}. {wanted.body}\nIt stands in a module of its own, like `src/huddle/slot.py`.\n"
        },
        "build": wanted.files(kind),
        "sent_back": sent_back,
        "changelog": {"heading": wanted.heading, "line": f"\n- `{wanted.function}`: {wanted.family.sentence}\n"},
    }


def _make_repository(repository: Path, metrics: Path) -> None:
    """The example with its known defect mended, room for what comes, and the workflow told what is measured."""
    draft = repository.with_suffix(".new")
    shutil.copytree(PROJECT, draft, ignore=LITTER)
    _edit(draft / "src/huddle/finder.py", "free.duration > duration", "free.duration >= duration")
    (draft / "src/huddle/extras").mkdir()
    (draft / "src/huddle/extras/__init__.py").write_text('"""Small functions about times and rooms."""\n')
    headings = "\n".join(f"{task(number).heading}\n- (what comes)\n" for number in range(len(FAMILIES)))
    _edit(draft / "CHANGELOG.md", "## [Unreleased]\n", f"## [Unreleased]\n\n{headings}")
    _edit(draft / "workflow.yaml", "autonomy: assisted", "autonomy: ase")
    _edit(draft / "workflow.yaml", "watch: 2s", WORKFLOW.replace("FILE", str(metrics)))
    git(draft, "init", "--quiet", "--initial-branch=main")
    git(draft, "add", "--all")
    author = ("-c", "user.name=Rung ladder", "-c", "user.email=ladder@example.org")
    git(draft, *author, "commit", "--quiet", "--message=feat: huddle 0.3.0")
    draft.rename(repository)


def _edit(file: Path, before: str, after: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert before in text, f"{file.name} does not hold {before!r}"
    file.write_text(text.replace(before, after, 1), encoding="utf-8")


def git(repository: Path, *arguments: str) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "--no-pager", *arguments], cwd=repository, env={**own, **alone}, check=True)


async def _ready(connection: Connection) -> None:
    while await connection.deaf():  # noqa: ASYNC110 - it is another process that gets ready
        await asyncio.sleep(LOOK_S)


def _prove(place: Path, repository: Path) -> None:
    """The log verified, and its export replayed where there is nothing else, to the same figures."""
    export, state = place / "export.jsonl", place / "state"
    for words in (
        ("audit", "verify", "--data", state),
        ("audit", "export", "--output", export, "--data", state),
        ("replay", "--from", export),
        ("readiness", "--repo", repository, "--data", state),
    ):
        command = [*map(str, (_rung(), *words))]
        say(f"\n$ {' '.join(command)}")
        if subprocess.run(command, check=False).returncode:
            raise SystemExit(f"{words[0]} {words[1]} failed")
    live = _json("readiness", "--repo", repository, "--data", state)
    elsewhere = _json("readiness", "--from", export)
    if live != elsewhere:
        raise SystemExit("the export gives other figures than the system")
    say(f"\nThe export gives the same figures elsewhere, to the byte, as of fact {json.loads(live)['as_of']}.")


def _json(*words: object) -> bytes:
    return subprocess.run([*map(str, (_rung(), *words, "--json"))], check=True, capture_output=True).stdout


def _rung() -> Path:
    return Path(sys.executable).parent / "rung"


def _arrow(origin: Level, to: Level) -> str:
    return "^" if to.rank > origin.rank else "v"


def say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.ladder", description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="go on to the last rung, a rollback, a drift, and back")
    parser.add_argument("--place", type=Path, help="where to work; the same place again goes on from there")
    chosen = parser.parse_args()
    place = (chosen.place or Path(tempfile.mkdtemp(prefix="rung-ladder-"))).absolute()
    place.mkdir(parents=True, exist_ok=True)
    climb = Climb(place, is_full=chosen.full)
    climb.prepare()
    say(f"Everything is kept in {place}; --place {place} goes on from there.")
    try:
        asyncio.run(climb.run())
    except KeyboardInterrupt:
        say(f"Interrupted; go on with --place {place}")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
