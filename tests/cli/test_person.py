"""A key of one's own: it is made once, kept private, and signs what is decided from then on."""

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from libs.cli.connection import connected_to
from libs.cli.ending import Misused
from libs.cli.main import main
from libs.cli.person import own_key, signed
from libs.cli.requesting import decide
from libs.contracts.operator import read_operator
from libs.contracts.requests import DecisionRequest
from libs.contracts.signing import is_signed_well
from libs.contracts.words import DecisionKind
from libs.runtime.keys import seed
from tests.cli.stand_in import stand_in
from tests.cli.views import RUN, waiting
from tests.support.bus import running_bus

Tell = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("RUNG_PERSON_KEY", raising=False)


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """Exit code, standard output and standard error of `rung person key`."""

    def told(*words: str) -> tuple[int, str, str]:
        code = main(["person", "key", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return told


def asked() -> DecisionRequest:
    return DecisionRequest(decision="d1", run=RUN, kind=DecisionKind.APPROVE, by="ann", os_user="ann")


def test_the_secret_half_is_kept_private_and_the_line_is_one_of_the_operator_s_file(tmp_path: Path, tell: Tell) -> None:
    code, out, err = tell("Änn O'Neil: x", "--json")
    made = json.loads(out)
    file = tmp_path / "rung" / "person.nk"
    people = read_operator(f"people:\n  {made['line']}\n")
    assert (code, err, made["file"]) == (0, "", str(file))
    assert people.holder(made["key"]) == "Änn O'Neil: x"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().strip() not in out
    assert [path.name for path in file.parent.iterdir()] == ["person.nk"]


def test_people_are_told_the_public_half_and_where_the_secret_one_is(tmp_path: Path, tell: Tell) -> None:
    code, out, err = tell("ann")
    public, line = out.splitlines()
    assert (code, public) == (0, own_key())
    assert line == f"  ann: {{role: approver, key: {public}}}"
    assert str(tmp_path / "rung" / "person.nk") in err
    assert seed(tmp_path / "rung", "person") not in out + err


def test_a_key_that_is_there_is_replaced_only_on_demand(tmp_path: Path, tell: Tell) -> None:
    assert tell("ann")[0] == 0
    first = own_key()
    code, out, err = tell("ann")
    assert (code, out, own_key()) == (3, "", first)
    assert "--force replaces it" in err
    assert tell("ann", "--force")[0] == 0
    assert own_key() not in (None, first)
    assert [path.name for path in (tmp_path / "rung").iterdir()] == ["person.nk"]


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "\x1b[2J"])
def test_a_name_is_one_line(name: str, tell: Tell) -> None:
    assert tell(name) == (2, "", "NAME is to be one line of text.\n")


def test_where_no_file_can_be_written_there_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Tell
) -> None:
    (tmp_path / "rung").write_text("a file, no directory")
    code, _, err = tell("ann")
    assert code == 2
    assert err.startswith(f"The key cannot be written to {tmp_path}/rung/person.nk: ")
    monkeypatch.setenv("RUNG_PERSON_KEY", "")
    assert "RUNG_PERSON_KEY is set to nothing" in tell("ann")[2]


def test_a_decision_is_signed_once_there_is_a_key(tell: Tell) -> None:
    assert signed(asked()) == asked()
    tell("ann")
    request = signed(asked())
    assert request.key == own_key()
    assert is_signed_well(request)


def test_a_key_may_lie_elsewhere_or_be_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Tell) -> None:
    tell("ann")
    usual = own_key()
    monkeypatch.setenv("RUNG_PERSON_KEY", str(tmp_path / "own.key"))
    tell("ann")
    assert own_key() not in (None, usual)
    monkeypatch.setenv("RUNG_PERSON_KEY", "")
    assert signed(asked()) == asked()


@pytest.mark.parametrize("content", [None, b"no key", b"\xff", b""], ids=str)
def test_a_key_that_was_named_and_cannot_be_used_signs_nothing_in_silence(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "own.key"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("RUNG_PERSON_KEY", str(file))
    with pytest.raises(Misused, match="Your key"):
        signed(asked())


async def test_what_is_sent_is_signed_and_holds_no_secret(tmp_path: Path, tell: Tell) -> None:
    tell("ann")
    async with (
        running_bus(tmp_path / "data") as bus,
        stand_in(bus, waiting()) as gatekeeper,
        connected_to(bus.endpoint) as connection,
    ):
        answer = await decide(connection, RUN, DecisionKind.APPROVE, by="ann", reason="seen", attempt=1)
    (request,) = gatekeeper.decisions
    assert (answer.by, answer.awaits, request.key) == ("ann", 0, own_key())
    assert is_signed_well(request)
    assert seed(tmp_path / "rung", "person") not in request.model_dump_json()
