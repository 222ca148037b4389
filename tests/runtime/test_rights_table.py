"""The rights as data, and the commands that deploy them; no server needed."""

import json
from pathlib import Path

import pytest

from libs.runtime import keys as key_files
from libs.runtime import provision, rights

TABLE = rights.table(rights.STATES)


def test_every_fact_subject_is_exported_to_its_one_speaker() -> None:
    public = dict.fromkeys(rights.roles(TABLE), "U")
    exports = rights.accounts(TABLE, public)[rights.CORE]["exports"]
    allowed = {export["service"]: export["accounts"] for export in exports if "service" in export}
    for service, subjects in rights.STATES.items():
        assert {subject: allowed[subject] for subject in subjects} == {subject: [service] for subject in subjects}


def test_no_role_is_granted_what_makes_consumers_or_changes_streams() -> None:
    calls = {call for its in TABLE.values() for call in its.asks}
    assert {call for call in calls if "CREATE" in call or "DELETE" in call or "UPDATE" in call} == set()
    assert {call for call in calls if "PURGE" in call} == {"STREAM.PURGE.TIMERS"}
    assert {role for role, its in TABLE.items() if "STREAM.PURGE.TIMERS" in its.asks} == {"gatekeeper"}


def test_a_named_tracker_speaks_for_its_own_source_only() -> None:
    table = rights.table(rights.STATES, ["github", "gitlab"])
    assert table["tracker-github"].says == ("intake.issue.github",)
    assert rights.TRACKER not in table


def test_every_durable_is_pulled_by_one_role() -> None:
    places = [(durable.stream, durable.name) for durable in rights.DURABLES]
    assert len(places) == len(set(places))
    for durable in rights.DURABLES:
        call = f"CONSUMER.MSG.NEXT.{durable.stream}.{durable.name}"
        assert [role for role, its in TABLE.items() if call in its.asks] == [durable.role]


def test_a_missing_setting_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert provision.main({"RUNG_KEYS": "keys"}) == 2
    assert capsys.readouterr().err == "RUNG_NATS_URL is not set.\n"


def test_the_command_writes_the_configuration_and_the_keys_once(tmp_path: Path) -> None:
    keys, output = tmp_path / "keys", tmp_path / "nats.conf"
    arguments = [
        "--keys",
        str(keys),
        "--store",
        "/data",
        "--host",
        "192.0.2.1",
        "--tracker",
        "github",
        "--monitor-port",
        "8222",
    ]
    assert rights.main([*arguments, "--output", str(output)]) == 0
    first = output.read_text()
    assert rights.main([*arguments, "--output", str(output)]) == 0
    assert output.read_text() == first
    config = json.loads(first)
    assert (config["host"], config["port"], config["jetstream"]["store_dir"]) == ("192.0.2.1", 4222, "/data")
    assert config["http"] == "192.0.2.1:8222"
    public = key_files.public(key_files.seed(keys, "tracker-github"))
    assert config["accounts"]["tracker-github"]["users"][0]["nkey"] == public
    assert not [path for path in keys.iterdir() if path.read_text().strip() in first]


def test_the_command_refuses_a_source_that_could_widen_a_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rights.main(["--keys", str(tmp_path), "--store", "/data", "--tracker", "a.>"]) == 1
    assert "is no role name" in capsys.readouterr().err
