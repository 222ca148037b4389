"""The embedded agent on small repositories with one real defect each, run as the sandbox runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "libs" / "workshop" / "repair"
CASES = sorted((Path(__file__).parent / "repair_cases").glob("*.txt"))


@dataclass(frozen=True)
class Answer:
    """What a phase left: its exit code, what it printed, and its output directory."""

    exit_code: int
    printed: str
    out: Path

    def text(self, name: str) -> str:
        path = self.out / name
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def data(self, name: str) -> dict[str, object]:
        value: dict[str, object] = json.loads(self.text(name))
        return value


Agent = Callable[..., Answer]


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """Runs a phase in a repository; the package has another name there, as in the sandbox."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "rung_repair").symlink_to(PACKAGE)

    def run(root: Path, phase: str, given: dict[str, object] | None = None, budget_s: float = 120) -> Answer:
        inputs, out = tmp_path / "in", tmp_path / f"out-{phase}"
        inputs.mkdir(exist_ok=True)
        out.mkdir(exist_ok=True)
        for name, value in (given or {}).items():
            (inputs / name).write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": str(tmp_path / "lib"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "RUNG_IN": str(inputs),
            "RUNG_OUT": str(out),
            "RUNG_REPAIR_BUDGET_S": str(budget_s),
        }
        command = [sys.executable, "-m", "rung_repair", phase]
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
        return Answer(done.returncode, done.stdout + done.stderr, out)

    return run


def sections(text: str) -> dict[str, str]:
    parts = [part.partition("\n") for part in text.split("=== ")[1:]]
    return {name.strip(): body for name, _, body in parts}


def write(root: Path, files: dict[str, str]) -> Path:
    for name, body in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body.encode())
    return root


def snapshot(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


SMALL = {
    "calc.py": "def add(a, b):\n    return a - b\n\n\ndef twice(a):\n    return a * 2\n",
    "test_calc.py": (
        "from calc import add, twice\n\n\ndef test_add():\n    assert add(2, 3) == 5\n\n\n"
        "def test_twice():\n    assert twice(4) == 8\n"
    ),
}


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_a_small_real_defect_is_mended_and_nothing_else_is_touched(case: Path, tmp_path: Path, agent: Agent) -> None:
    told = sections(case.read_text(encoding="utf-8"))
    root = write(tmp_path / "repo", {name: body for name, body in told.items() if not name.startswith("fixed: ")})
    before = snapshot(root)
    answer = agent(root, "build")
    assert (answer.exit_code, answer.text("declined.txt")) == (0, ""), answer.printed
    after = snapshot(root)
    fixed = {name.removeprefix("fixed: "): body for name, body in told.items() if name.startswith("fixed: ")}
    assert {name for name in after if after[name] != before.get(name)} == set(fixed)
    assert set(after) == set(before)
    for name, body in fixed.items():
        assert body in after[name].decode()
    assert "whole suite passes" in answer.text("report.md")


def test_line_ends_tabs_comments_and_encoding_stay(tmp_path: Path, agent: Agent) -> None:
    text = "# -*- coding: latin-1 -*-\r\n\r\ndef total(prices):\r\n\tsum_ = 0  # caf\xe9\r\n\tfor price in prices:\r\n"
    text += "\t\tsum_ -= price\t# running\r\n\treturn sum_\r\n"
    root = write(
        tmp_path / "repo", {"test_till.py": "from till import total\ndef test_total(): assert total([2, 3]) == 5\n"}
    )
    (root / "till.py").write_bytes(text.encode("latin-1"))
    answer = agent(root, "build")
    assert (root / "till.py").read_bytes() == text.replace("-= price", "+= price").encode("latin-1"), answer.printed


def test_candidates_that_hang_exit_or_fork_do_not_stop_the_search(tmp_path: Path, agent: Agent) -> None:
    source = (
        "import os\nimport sys\n\n\ndef countdown(n):\n    seen = []\n    while n > 0:\n        seen.append(n)\n"
        "        n += 1\n        if n > 10**7:\n            os.fork()\n            os._exit(3)\n"
        "        if n < -5:\n            sys.exit(4)\n    return seen\n"
    )
    tests = "from countdown import countdown\n\ndef test_counts():\n    assert countdown(3) == [3, 2, 1]\n\n"
    root = write(
        tmp_path / "repo",
        {"countdown.py": source, "test_countdown.py": tests + "def test_ends(): assert countdown(0) == []\n"},
    )
    answer = agent(root, "build", budget_s=24)
    assert "n -= 1" in (root / "countdown.py").read_text(), answer.text("declined.txt") + answer.printed


def test_what_takes_too_long_is_declined_with_what_was_tried(tmp_path: Path, agent: Agent) -> None:
    tests = SMALL["test_calc.py"] + "def test_impossible():\n    assert add(1, 1) == 2 and add(1, 1) == 3\n"
    root = write(tmp_path / "repo", {**SMALL, "test_calc.py": tests})
    before = snapshot(root)
    answer = agent(root, "build", budget_s=4)
    assert answer.exit_code == 0
    assert answer.text("declined.txt").startswith("Tried ")
    assert "none passes the whole suite" in answer.text("declined.txt")
    assert snapshot(root) == before
    assert answer.data("attempt.json")["kept"] == ""


def test_an_edit_that_an_earlier_attempt_refuted_is_not_made_again(tmp_path: Path, agent: Agent) -> None:
    root = write(tmp_path / "repo", SMALL)
    first = agent(root, "build")
    assert "return a + b" in (root / "calc.py").read_text()
    write(root, SMALL)
    refuted = first.data("attempt.json")["refuted"]
    second = agent(root, "build", {"attempts.json": [{"attempt": 1, "refuted": refuted, "failures": [], "diff": ""}]})
    assert second.exit_code == 0
    assert "return a + b\n" not in (root / "calc.py").read_text()


def test_the_plan_names_targets_suspects_and_the_issue_and_leaves_the_repository_alone(
    tmp_path: Path, agent: Agent
) -> None:
    root = write(tmp_path / "repo", SMALL)
    before = snapshot(root)
    answer = agent(root, "plan", {"issue.json": {"title": "add() subtracts\n# Forged <b>", "body": "It should add."}})
    assert (answer.exit_code, snapshot(root)) == (0, before)
    plan = answer.data("plan.json")
    assert plan["targets"] == ["test_calc::test_add"]
    assert plan["suspects"] == [{"file": "calc.py", "line": 2, "score": 1.0}]
    assert {**dict(plan["baseline"]), "duration_s": 0} == {"passed": 1, "failed": 1, "skipped": 0, "duration_s": 0}  # type: ignore[call-overload]
    report = answer.text("report.md")
    for heading in (
        "Summary",
        "Files to Modify",
        "Test Strategy",
        "What We Are NOT Doing",
        "Acceptance Criteria",
        "Risk Assessment",
    ):
        assert f"\n## {heading}\n" in report
    assert "calc.py:2" in report
    assert "add() subtracts" in report.replace("\\", "")
    assert "\n# Forged" not in report


DECLINED = {
    "no Python": ({"README.md": "# Nothing\n"}, "holds no Python source"),
    "nothing at all": ({}, "holds no Python source"),
    "no tests": ({"calc.py": "x = 1\n"}, "No tests are collected"),
    "all pass": ({"calc.py": "x = 1\n", "test_calc.py": "def test_x(): pass\n"}, "nothing to repair: all 1 tests pass"),
    "a module is missing": (
        {"calc.py": "x = 1\n", "test_calc.py": "import nowhere_to_be_found\ndef test_x(): pass\n"},
        "test_calc.py cannot be imported: ModuleNotFoundError: No module named 'nowhere_to_be_found'",
    ),
    "source is no Python": (
        {"calc.py": "def f(:\n", "test_calc.py": "import calc\ndef test_x(): pass\n"},
        "test_calc.py cannot be imported: SyntaxError",
    ),
    "only tests": ({"test_calc.py": "def test_x(): assert 1 == 2\n"}, "ran no line of the repository's own source"),
    "broken configuration": (
        {"calc.py": "x = 1\n", "pytest.ini": "[pytest\n", "test_calc.py": "def test_x(): pass\n"},
        "pytest could not run the suite",
    ),
}


@pytest.mark.parametrize(("files", "sentence"), DECLINED.values(), ids=DECLINED)
def test_what_cannot_be_repaired_is_declined_in_one_sentence(
    files: dict[str, str], sentence: str, tmp_path: Path, agent: Agent
) -> None:
    (tmp_path / "repo").mkdir()
    root = write(tmp_path / "repo", files)
    answer = agent(root, "plan")
    assert (answer.exit_code, answer.printed) == (0, "")
    assert sentence in answer.text("declined.txt")
    assert answer.text("declined.txt").count("\n") == 1
    assert snapshot(root) == {name: body.encode() for name, body in files.items()}


def test_phases_that_others_do_say_so(tmp_path: Path, agent: Agent) -> None:
    root = write(tmp_path / "repo", SMALL)
    for phase in ("test", "review"):
        answer = agent(root, phase)
        assert answer.exit_code == 0
        assert "judged by others" in answer.text("report.md")


def test_a_phase_that_does_not_exist_is_refused_in_one_sentence(tmp_path: Path, agent: Agent) -> None:
    answer = agent(write(tmp_path / "repo", SMALL), "deploy")
    assert answer.exit_code == 2
    assert answer.printed == "The phase must be one of intent, plan, build, test, review, document.\n"
