"""Documents made from code are checked in and say what the code says."""

import subprocess
import sys
from pathlib import Path

import yaml

from libs.contracts.facts import FACTS
from libs.contracts.wire import kind_of
from services.gatekeeper.transitions import TRANSITIONS

ROOT = Path(__file__).parents[2]


def _generate(*arguments: str, docs: Path = ROOT / "docs") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(docs / "generate.py"), *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )


def test_the_documents_that_are_checked_in_are_current() -> None:
    done = _generate("--check")
    assert done.returncode == 0, done.stderr


def test_a_stale_document_is_named_and_written_anew(tmp_path: Path) -> None:
    made = ("run.md", "dispositions.md", "criteria.md", "asyncapi.yaml", "workflow.schema.json")
    for name in ("generate.py", *made):
        (tmp_path / name).write_bytes((ROOT / "docs" / name).read_bytes())
    (tmp_path / "run.md").write_text("stale")
    checked = _generate("--check", docs=tmp_path)
    assert (checked.returncode, checked.stderr) == (1, "docs/run.md is stale; run `make diagram`\n")
    assert _generate(docs=tmp_path).returncode == 0
    assert (tmp_path / "run.md").read_bytes() == (ROOT / "docs" / "run.md").read_bytes()


def test_every_fact_and_request_is_in_the_published_document() -> None:
    document = yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text(encoding="utf-8"))
    assert document["asyncapi"] == "3.0.0"
    assert set(document["channels"]) == {*map(kind_of, FACTS), "request.issue", "request.decision", "request.ladder"}
    sent = {name for name, operation in document["operations"].items() if operation["action"] == "send"}
    assert sent == set(map(kind_of, FACTS))


def test_every_stage_is_in_the_picture() -> None:
    picture = (ROOT / "docs" / "run.md").read_text(encoding="utf-8")
    assert all(f"    {stage} --> " in picture for stage in TRANSITIONS)


def test_the_table_of_dispositions_never_gives_a_lower_level_more_authority() -> None:
    rank = {"checkpoint": 0, "abort": 0, "warn": 1, "proceed": 1}
    lines = (ROOT / "docs" / "dispositions.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")][1:]
    assert len(rows) == 7 * 6
    for phase, outcome, assisted, supervised, autonomous, ase in rows:
        assert assisted == "checkpoint"
        assert rank[supervised] >= rank[assisted]
        assert outcome in ("pass", "warn") or ase != "proceed", (phase, outcome)
        assert autonomous != "proceed" or outcome in ("pass", "warn")
