"""The merger takes a merged change back: by real git, with its tests in a real sandbox, once, and only that change."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Final, cast

import pytest

from libs.contracts.facts import ChangeMerged, ChangeRefused, ChangeReverted, RollbackOrdered
from libs.contracts.wire import Recorded
from libs.contracts.workflow.reading import read_workflow
from libs.runtime.shell import Shell
from libs.workshop.sandbox import Sandbox
from services.merger.decider import Rollback
from services.merger.reverting import take_back
from tests.spec.story import RUN, started
from tests.support.repositories import commit, content, git, head, is_clean, log, repository

FILES: Final = {
    "area.sh": "echo $(($1 + $2))\n",
    "check.sh": """\
        echo checking
        test "$(sh area.sh 3 4)" = 12 || failure='<failure message="wrong"/>'
        if test -f later.sh; then sh later.sh || broken='<failure message="wrong"/>'; fi
        area="<testcase name='area'>$failure</testcase>"
        echo "<testsuite>$area<testcase name='later'>$broken</testcase></testsuite>" > report.xml
        test -z "$failure$broken"
        """,
}
POLICY: Final = read_workflow("commands: { test: sh check.sh }\nreports: { junit: [report.xml] }\n")[0]
CHANGE: Final = {"area.sh": "echo $(($1 * $2))\n", "unit.sh": "echo square metres\n"}
ORDER: Final = RollbackOrdered(run=RUN, reason="orders fail", by="ann", why="business", decision="r1")


@dataclass
class World:
    """A repository whose last commit is the merged change, and a merger that was told to take it back."""

    path: Path
    directory: Path
    merged: ChangeMerged
    heard: list[Callable[[], object]] = field(default_factory=list)

    async def take_back(self) -> ChangeReverted | ChangeRefused:
        begun = started(policy=POLICY).model_copy(update={"repository": str(self.path)})
        recorded = Recorded(ORDER, "o", "c", "gatekeeper", 9, 1_000.0)
        return await take_back(self.shell, Sandbox(), Rollback(begun, self.merged, ORDER, recorded))

    @property
    def shell(self) -> Shell:
        settings = SimpleNamespace(
            repository=lambda _workflow: self.directory / "own.git",
            scratch=self.directory / "scratch",
            state=self.directory / "state",
        )
        return cast("Shell", SimpleNamespace(settings=settings, teller=lambda _run, _phase: self.hear))

    def hear(self, _said: bytes) -> None:
        """What happens elsewhere the first time that the tests say something."""
        if self.heard:
            self.heard.pop()()

    async def reverted(self) -> ChangeReverted:
        answer = await self.take_back()
        assert isinstance(answer, ChangeReverted), answer
        return answer

    async def refused(self, code: str) -> ChangeRefused:
        """Nothing moved, and it is said why."""
        before = head(self.path)
        answer = await self.take_back()
        assert isinstance(answer, ChangeRefused), answer
        assert (answer.code, head(self.path)) == (code, before), answer.message
        return answer


@pytest.fixture
def world(tmp_path: Path) -> World:
    path = repository(tmp_path / "repository", FILES)
    base = head(path)
    tip = commit(path, "fix: the area is wrong", CHANGE)
    tree = git(path, "rev-parse", "HEAD^{tree}")
    return World(path, tmp_path, ChangeMerged(run=RUN, base=base, tip=tip, tree=tree, target="main", method="squash"))


async def test_the_change_is_off_the_branch_by_one_commit_that_says_why(world: World) -> None:
    answer = await world.reverted()
    assert (answer.tip, answer.reverts, answer.why) == (head(world.path), world.merged.tip, "business")
    assert git(world.path, "diff", "--name-only", world.merged.base, "HEAD") == ""
    assert is_clean(world.path)
    assert log(world.path) == ["revert: fix: the area is wrong", "fix: the area is wrong", "feat: first version"]
    message = git(world.path, "log", "-1", "--format=%B")
    assert f"This reverts commit {world.merged.tip}." in message
    assert "Why (business, by ann): orders fail" in message
    assert f"Rung-Run: {RUN}" in message


async def test_what_came_on_top_stays_and_failures_from_before_the_merge_are_no_obstacle(world: World) -> None:
    commit(world.path, "feat: later", {"later.sh": "true\n"})
    await world.reverted()
    assert content(world.path, "area.sh") == FILES["area.sh"].rstrip("\n")
    assert content(world.path, "later.sh") == "true"
    assert git(world.path, "ls-files", "unit.sh") == ""


async def test_what_later_changes_build_on_by_their_tests_is_not_taken_from_them(world: World) -> None:
    commit(world.path, "feat: later", {"later.sh": "test -f unit.sh\n"})
    answer = await world.refused("refused")
    assert answer.message.endswith("fail neither before it nor now: later")
    assert (answer.commit, answer.base) == (world.merged.tip, world.merged.base)


async def test_a_conflict_with_later_changes_names_the_files(world: World) -> None:
    commit(world.path, "feat: later", {"area.sh": "echo $(($1 * $2)) m2\n"})
    answer = await world.refused("conflict")
    assert "area.sh" in answer.message


async def test_a_working_copy_with_changes_is_left_alone_until_it_is_clean(world: World) -> None:
    (world.path / "area.sh").write_text("echo mine\n")
    await world.refused("dirty")
    git(world.path, "checkout", "--quiet", "--", "area.sh")
    await world.reverted()


async def test_a_branch_that_moves_while_the_revert_is_tested_is_reverted_where_it_is_then(world: World) -> None:
    commit(world.path, "feat: later", {"later.sh": "true\n"})
    world.heard.append(lambda: commit(world.path, "feat: meanwhile", {"meanwhile.txt": "x\n"}))
    answer = await world.reverted()
    assert log(world.path)[:2] == ["revert: fix: the area is wrong", "feat: meanwhile"]
    assert answer.tip == head(world.path)


async def test_who_died_after_the_landing_finds_it_landed_though_the_branch_went_on(world: World) -> None:
    first = await world.reverted()
    after = commit(world.path, "feat: later", {"later.sh": "true\n"})
    assert await world.take_back() == first
    assert head(world.path) == after


async def test_what_somebody_took_back_by_hand_is_not_taken_back_again(world: World) -> None:
    git(world.path, "revert", "--no-edit", "HEAD")
    by_hand = head(world.path)
    assert (await world.reverted()).tip == head(world.path) == by_hand


async def test_a_repository_that_is_gone_is_a_reason_and_no_crash(world: World) -> None:
    world.path.rename(world.path.with_name("elsewhere"))
    answer = await world.take_back()
    assert isinstance(answer, ChangeRefused)
    assert answer.code == "gone"
    assert "does not exist" in answer.message
