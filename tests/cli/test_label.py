"""`rung label` and `rung history`: who looked says what is true, in whose name, and only where something was judged."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from libs.cli.main import main
from libs.cli.options import os_user
from libs.cli.person import own_key
from libs.contracts.export import read_lines
from libs.contracts.facts import HistoryImported, LabelStated
from libs.contracts.wire import Recorded
from tests.spec.story import REPOSITORY
from tests.support.gatekeeping import ended_runs, run_named, running_gatekeeper
from tests.support.system import System

RUN: Final = run_named(1)

Told = tuple[int, Any, str]
Asked = Callable[..., Told]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person's own key, which the operator's file names."""
    return tmp_path_factory.mktemp("key") / "person.nk"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, key: Path) -> Iterator[System]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNG_PERSON_KEY", str(key))
        assert main(["person", "key", "ann"]) == 0
        public = own_key()
    people = {
        "ann": {"role": "operator", "key": public},
        "bob": {"role": "approver", "users": [os_user()]},
    }
    operator = json.dumps({"people": people, "separation": "relaxed"})
    data = tmp_path_factory.mktemp("label") / "data"
    with running_gatekeeper(data, ended_runs([1]), operator) as system:
        yield system


@pytest.fixture(autouse=True)
def _nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("RUNG_PERSON_KEY", "")
    monkeypatch.delenv("RUNG_OPERATOR", raising=False)


@pytest.fixture
def asked(system: System, capsys: pytest.CaptureFixture[str]) -> Asked:
    """Exit code, the JSON answer and standard error of a command."""

    def ask(*words: str) -> Told:
        code = main([*words, "--data", str(system.data), "--json"])
        said = capsys.readouterr()
        return code, json.loads(said.out), said.err

    return ask


def stated(system: System, directory: Path, kind: type) -> list[Any]:
    """The facts of a kind that stand in the log."""
    export = directory / "log.jsonl"
    assert main(["audit", "export", "--output", str(export), "--data", str(system.data)]) == 0
    read = [entry.read for entry in read_lines(export.read_bytes().splitlines(keepends=True))]
    return [one.fact for one in read if isinstance(one, Recorded) and isinstance(one.fact, kind)]


def test_the_person_behind_the_user_labels_and_the_last_word_counts(
    asked: Asked, system: System, tmp_path: Path
) -> None:
    for truth in ("right", "WRONG"):
        code, said, _ = asked("label", RUN[:8], "Review", truth, "--reason", "looked again")
        assert (code, said["by"], said["gate"], said["is_right"]) == (0, "bob", "review", truth == "right")
    labels = stated(system, tmp_path, LabelStated)
    assert [(label.run, label.is_right) for label in labels] == [(RUN, True), (RUN, False)]


def test_who_has_a_key_is_known_by_it(asked: Asked, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNG_PERSON_KEY", str(key))
    code, said, _ = asked("label", RUN[:8], "plan", "right", "--reason", "read it")
    assert (code, said["by"]) == (0, "ann")


def test_what_nobody_judged_has_nothing_to_label(asked: Asked) -> None:
    code, said, err = asked("label", RUN[:8], "intent", "right", "--reason", "x")
    assert code == 3
    assert "the intent gate has no verdict that counts in this run; judged are plan, build" in said["error"]
    assert err == f"{said['error']}\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("tset", "right"), "'tset' is no gate; did you mean test?"),
        (("monitor", "right"), "'monitor' is no gate"),
        (("test", "rigth"), "'rigth' is no label; did you mean right?"),
    ],
)
def test_a_word_that_is_none_is_told_with_the_nearest(asked: Asked, words: tuple[str, str], sentence: str) -> None:
    code, said, _ = asked("label", RUN[:8], *words, "--reason", "x")
    assert (code, sentence in said["error"]) == (2, True)


def test_a_run_that_is_not_there_is_told(asked: Asked) -> None:
    code, said, _ = asked("label", "ffffffff", "test", "right", "--reason", "x")
    assert (code, said["error"]) == (2, "There is no run ffffffff.")


# -- history ------------------------------------------------------------------


def _import(asked: Asked, file: Path, *more: str) -> Told:
    return asked("history", "import", str(file), "--source", "old", "--reason", "record", "--repo", REPOSITORY, *more)


def test_an_operator_s_signed_history_is_kept_whole_and_proves_nothing(
    asked: Asked, system: System, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "runs.csv"
    file.write_text("run,outcome\n1,merged\n")
    before = asked("readiness", "--repo", REPOSITORY)[1]["rungs"]
    monkeypatch.setenv("RUNG_PERSON_KEY", str(key))
    code, said, _ = _import(asked, file)
    assert (code, said["by"], said["is_signed"], said["counts_as_proof"]) == (0, "ann", True, False)
    (fact,) = stated(system, tmp_path, HistoryImported)
    assert (fact.digest, fact.source) == (said["digest"], "old")
    assert asked("readiness", "--repo", REPOSITORY)[1]["rungs"] == before


def test_without_a_key_history_is_refused_before_anything_is_stored(asked: Asked, tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    file.write_text("x")
    code, said, _ = _import(asked, file)
    assert (code, "rung person key NAME makes a key" in said["error"]) == (3, True)


@pytest.mark.parametrize(("content", "sentence"), [(None, "cannot be read"), (b"", "is empty")])
def test_a_file_that_holds_no_history_is_told(
    asked: Asked, tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    file = tmp_path / "runs.csv"
    if content is not None:
        file.write_bytes(content)
    code, said, _ = _import(asked, file)
    assert (code, sentence in said["error"]) == (2, True)
