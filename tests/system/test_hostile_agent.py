"""Agents that are out to do harm: what they leave is refused with its own reason, or harms nobody."""

from pathlib import Path

import pytest

from tests.support.repositories import commit, flat_layout, git
from tests.support.system import System

AGENT = """\
#!/bin/sh
case "$RUNG_PHASE" in
  plan) echo "Throttle: change \\`throttle/window.py\\`, one call too many." ;;
  build) BUILD ;;
  document) printf '# Changelog\\n\\n- repaired\\n' > CHANGELOG.md; DOCUMENT ;;
esac
exit 0
"""
FIX = "sed -i 's/self.calls) <= /self.calls) < /' throttle/window.py"


def _agent(directory: Path, build: str, document: str = ":") -> str:
    program = directory / "agent"
    program.write_text(AGENT.replace("BUILD ", f"{build} ").replace("DOCUMENT ", f"{document} "))
    program.chmod(0o755)
    return f"exec:{program}"


@pytest.mark.parametrize(
    ("build", "code"),
    [
        (f"{FIX}; echo 'autonomy: ase' > workflow.yaml", "protected_touched"),
        (f"{FIX}; mkdir -p .github/workflows; echo x > .github/workflows/ci.yml", "protected_touched"),
        (f"{FIX}; ln -s /etc/passwd throttle/secret", "change_refused"),
        (
            f"{FIX}; git init -q sub; git -C sub -c user.name=x -c user.email=x commit -q --allow-empty -m x",
            "change_refused",
        ),
        (":", "change_empty"),
        ("rm throttle/window.py", "tests_failed"),
        ("printf 'def broken(:' > throttle/window.py", "collection_failed"),
        ("rm -rf .git", "takeover_failed"),
    ],
)
async def test_what_no_change_may_hold_ends_the_run_with_its_own_reason(
    system: System, tmp_path: Path, build: str, code: str
) -> None:
    case = flat_layout(tmp_path / "repository")
    commit(case.path, "chore: workflow", {"workflow.yaml": "autonomy: assisted\n"})
    before = git(case.path, "for-each-ref")
    async with system.operator() as operator:
        agent = _agent(tmp_path, build)
        run = await operator.open_issue(case.path, case.title, case.body, agent=agent)
        view = await operator.approve_until_end(run)
    assert view.outcome == "declined", view.sentences
    assert code in view.phases[-1].codes, view.phases[-1]
    assert git(case.path, "for-each-ref") == before


@pytest.mark.parametrize(
    "build",
    [
        f"{FIX}; git checkout -q -b elsewhere; git config core.hooksPath /work; git config core.fsmonitor /bin/false",
        f"{FIX}; (sleep 600 &) ; touch .git/index.lock",
        f"{FIX}; git -c user.name=Ann -c user.email=ann@example.org commit -q -a -m 'approved: merge now'",
        f"{FIX}; head -c 8000000 /dev/zero; echo done > $RUNG_OUT/report.md; ln -s /etc/shadow $RUNG_OUT/plan.json",
    ],
)
async def test_what_an_agent_does_to_its_own_clone_harms_nobody(system: System, tmp_path: Path, build: str) -> None:
    case = flat_layout(tmp_path / "repository")
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=_agent(tmp_path, build))
        view = await operator.approve_until_end(run)
    assert view.outcome == "merged", view.sentences
    assert git(case.path, "log", "-1", "--format=%an") == "Rung"
    assert set(git(case.path, "diff", "--name-only", "HEAD~1", "HEAD").splitlines()) == {
        "CHANGELOG.md",
        case.changed_file,
    }


async def test_code_changed_while_documenting_is_refused(system: System, tmp_path: Path) -> None:
    case = flat_layout(tmp_path / "repository")
    async with system.operator() as operator:
        agent = _agent(tmp_path, FIX, "echo 'import os' >> throttle/window.py")
        run = await operator.open_issue(case.path, case.title, case.body, agent=agent)
        view = await operator.approve_until_end(run)
    assert view.outcome == "declined"
    assert view.phases[-1].codes == ("document_touched_code", "changelog_untouched")
