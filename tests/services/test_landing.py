"""The merger lands exactly what was authorised, on exactly its base, once; by real git."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from libs.contracts.facts import ChangeMerged, ChangeRefused, MergeAuthorised, RunStarted
from libs.contracts.words import Level
from libs.workshop.git import Quarantine, Squashed, inspect
from services.merger.decider import Stop
from services.merger.effects import commit_message, land
from tests.spec.story import RUN, started
from tests.support.repositories import commit, flat_layout, git, head


@dataclass
class Ready:
    """A change that is ready to land in a user's repository."""

    path: Path
    repository: Path
    started: RunStarted
    authorised: MergeAuthorised

    async def land(self, **changed: str) -> ChangeMerged | ChangeRefused:
        fact = await land(self.repository, self.started, self.authorised.model_copy(update=changed))
        assert isinstance(fact, ChangeMerged | ChangeRefused)
        return fact


@pytest.fixture
async def ready(tmp_path: Path) -> Ready:
    path = flat_layout(tmp_path / "repository").path
    git(path, "checkout", "--quiet", "-b", "work")
    candidate = commit(path, "work", {"new.py": "NEW = 1\n"})
    git(path, "checkout", "--quiet", "main")
    run = started().model_copy(update={"repository": str(path)})
    source = await inspect(path)
    quarantine = await Quarantine.open(tmp_path / "own.git")
    await quarantine.fetch(source, source.tip)
    await quarantine.fetch(source, candidate)
    made = await quarantine.squash(
        tip=source.tip, base=source.tip, candidate=candidate, message=commit_message(run), date=0
    )
    assert isinstance(made, Squashed)
    authorised = MergeAuthorised(
        run=RUN,
        attempt=1,
        base=source.tip,
        commit=made.commit,
        tree=made.tree,
        branch="main",
        by="ann",
        level_in_force=Level.ASSISTED,
        ladder_sequence=0,
    )
    return Ready(path, tmp_path / "own.git", run, authorised)


async def test_the_authorised_commit_lands_and_a_repeat_finds_it_landed(ready: Ready) -> None:
    first = await ready.land()
    assert isinstance(first, ChangeMerged)
    assert head(ready.path) == ready.authorised.commit == first.tip
    assert await ready.land() == first


async def test_a_stop_keeps_the_branch_where_it_is(ready: Ready) -> None:
    before = head(ready.path)
    fact = await land(ready.repository, ready.started, ready.authorised, Stop("frozen", "release week"))
    assert isinstance(fact, ChangeRefused)
    assert (fact.code, head(ready.path)) == ("frozen", before)


async def test_a_stop_after_the_landing_does_not_deny_what_has_landed(ready: Ready) -> None:
    merged = await ready.land()
    commit(ready.path, "somebody else", {"other.txt": "x\n"})
    assert await land(ready.repository, ready.started, ready.authorised, Stop("frozen", "too late")) == merged


async def test_a_lost_quarantine_is_a_reason_and_no_crash(ready: Ready) -> None:
    refused = await ready.land(commit="1" * 40)
    assert isinstance(refused, ChangeRefused)
    assert refused.code == "gone"


async def test_another_tree_than_the_authorised_one_never_lands(ready: Ready) -> None:
    before = head(ready.path)
    refused = await ready.land(tree="0" * 40)
    assert isinstance(refused, ChangeRefused)
    assert (refused.code, head(ready.path)) == ("mismatch", before)


async def test_another_base_than_the_authorised_one_never_lands(ready: Ready) -> None:
    moved = commit(ready.path, "somebody else", {"other.txt": "x\n"})
    refused = await ready.land()
    assert isinstance(refused, ChangeRefused)
    assert (refused.code, head(ready.path)) == ("moved", moved)
    refused = await ready.land(base=moved)
    assert isinstance(refused, ChangeRefused)
    assert (refused.code, head(ready.path)) == ("mismatch", moved)


async def test_a_repository_that_is_gone_is_a_reason_and_no_crash(ready: Ready) -> None:
    ready.path.rename(ready.path.with_name("elsewhere"))
    refused = await ready.land()
    assert isinstance(refused, ChangeRefused)
    assert refused.code == "gone"
    assert "does not exist" in refused.message


def test_the_message_is_conventional_and_names_run_and_issue() -> None:
    run = started()
    assert commit_message(run) == (
        f"fix: The total is wrong\n\nRung-Run: {run.run}\nRung-Issue: {run.issue} revision {run.revision}\n"
    )
    long = commit_message(run.model_copy(update={"title": "word " * 40, "issue_type": "feature"}))
    subject, _, body = long.partition("\n\n")
    assert subject.startswith("feat: word word")
    assert len(subject) <= 72
    assert body.startswith("word " * 39)


async def test_a_commit_that_somebody_put_on_the_change_s_branch_was_judged_by_nobody(ready: Ready) -> None:
    before = head(ready.path)
    git(ready.path, "checkout", "--quiet", "-b", f"rung/{RUN}")
    commit(ready.path, "amended by hand", {"amended.txt": "x\n"})
    git(ready.path, "checkout", "--quiet", "main")
    refused = await ready.land()
    assert isinstance(refused, ChangeRefused)
    assert (refused.code, head(ready.path)) == ("mismatch", before)
    assert "nobody judged" in refused.message
    git(ready.path, "branch", "--quiet", "-D", f"rung/{RUN}")
    assert isinstance(await ready.land(), ChangeMerged)
