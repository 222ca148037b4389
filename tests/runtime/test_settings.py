"""The environment of a service, and what a service says when it cannot be used."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from libs.runtime.settings import SettingUnusable, read_settings

GIVEN = {"RUNG_NATS_URL": "nats://127.0.0.1:1", "RUNG_KEYS": "/k", "RUNG_STATE": "/s"}


def test_what_is_not_said_has_a_default() -> None:
    settings = read_settings(GIVEN)
    assert settings.database_url == "sqlite:////s/projection.sqlite"
    assert (settings.worker_count, settings.log_level) == (2, "INFO")
    assert settings.repository("w") == Path("/s/git/w.git")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"RUNG_NATS_URL": ""}, "RUNG_NATS_URL is not set"),
        ({"RUNG_WORKERS": "many"}, "RUNG_WORKERS must be a whole number from 1 to 64, not 'many'"),
        ({"RUNG_WORKERS": "0"}, "RUNG_WORKERS must be a whole number from 1 to 64, not '0'"),
        ({"RUNG_LOG_LEVEL": "loud"}, "RUNG_LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR, not 'loud'"),
    ],
)
def test_an_unusable_setting_is_named(changed: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingUnusable) as refused:
        read_settings({**GIVEN, **changed})
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"RUNG_STATE": ""}, "RUNG_STATE is not set"),
        ({"RUNG_KEYS": "/nowhere"}, "gatekeeper"),
        ({"RUNG_DATABASE_URL": "nosuch://database"}, "RUNG_DATABASE_URL"),
        ({"RUNG_OPERATOR": "/dev/fd/0"}, "/dev/fd/0 cannot be used: peopel: unknown field, did you mean people?"),
    ],
)
def test_a_service_that_cannot_start_says_why_in_one_line_and_ends_with_2(
    tmp_path: Path, changed: dict[str, str], sentence: str
) -> None:
    from libs.runtime import keys

    keys.ensure(tmp_path / "keys", ["gatekeeper"])
    environment = {**os.environ, **GIVEN, "RUNG_KEYS": str(tmp_path / "keys"), "RUNG_STATE": str(tmp_path), **changed}
    done = subprocess.run(
        [sys.executable, "-m", "services.gatekeeper"],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        input="peopel: {}",
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert sentence in line
