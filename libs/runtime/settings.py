"""The environment of a service, read once.

RUNG_NATS_URL      where the bus is
RUNG_KEYS          directory of the key files, one a role
RUNG_STATE         directory for repositories and workspaces, private to this user
RUNG_DATABASE_URL  the projection, by default an SQLite file under RUNG_STATE
RUNG_WORKERS       attempts worked on at once
RUNG_LOG_LEVEL     DEBUG, INFO, WARNING or ERROR
RUNG_OPERATOR      the operator's file, by default $XDG_CONFIG_HOME/rung/operator.yaml; it need not exist
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from libs.contracts.operator import NO_FILE, Operator, OperatorFileRefused, read_operator
from libs.contracts.people import People

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class SettingUnusable(Exception):
    """A variable that has no default is not set, or cannot be used; the message names it."""


@dataclass(frozen=True)
class Settings:
    nats_url: str
    keys: Path
    state: Path
    database_url: str
    worker_count: int = 2
    log_level: str = "INFO"
    operator: Operator = NO_FILE

    @property
    def people(self) -> People:
        """The operator's file as far as it is about people."""
        return self.operator

    @property
    def worker(self) -> str:
        """Name of this process in claims: host and process id."""
        return f"{socket.gethostname()}:{os.getpid()}"

    def repository(self, workflow: str) -> Path:
        """Where the repository lies that Rung owns for a workflow."""
        return self.state / "git" / f"{workflow}.git"

    @property
    def scratch(self) -> Path:
        """Where workspaces come and go."""
        return self.state / "work"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from the environment.

    Raises:  SettingUnusable with one sentence.
    """
    state = Path(_required(environment, "RUNG_STATE"))
    workers = environment.get("RUNG_WORKERS", "2")
    if not workers.isdecimal() or not 1 <= int(workers) <= 64:
        raise SettingUnusable(f"RUNG_WORKERS must be a whole number from 1 to 64, not {workers!r}")
    return Settings(
        nats_url=_required(environment, "RUNG_NATS_URL"),
        keys=Path(_required(environment, "RUNG_KEYS")),
        state=state,
        database_url=environment.get("RUNG_DATABASE_URL") or f"sqlite:///{state / 'projection.sqlite'}",
        worker_count=int(workers),
        log_level=_log_level(environment.get("RUNG_LOG_LEVEL", "INFO")),
        operator=read_operator_file(environment),
    )


def _required(environment: Mapping[str, str], name: str) -> str:
    if not (value := environment.get(name)):
        raise SettingUnusable(f"{name} is not set")
    return value


def _log_level(name: str) -> str:
    if name.upper() not in LOG_LEVELS:
        raise SettingUnusable(f"RUNG_LOG_LEVEL must be one of {', '.join(LOG_LEVELS)}, not {name!r}")
    return name.upper()


def read_operator_file(environment: Mapping[str, str]) -> Operator:
    """What the operator's file says; one that allows everything when there is none.

    Raises:  SettingUnusable with one sentence.
    """
    file = _operator_file(environment)
    if not file.exists():
        return NO_FILE
    try:
        return read_operator(file.read_text(encoding="utf-8"))
    except (OperatorFileRefused, OSError, UnicodeDecodeError) as error:
        raise SettingUnusable(f"{file} cannot be used: {error}") from error


def _operator_file(environment: Mapping[str, str]) -> Path:
    named = environment.get("RUNG_OPERATOR")
    return Path(named) if named else config_directory(environment) / "operator.yaml"


def config_directory(environment: Mapping[str, str]) -> Path:
    """Where a user's own files for Rung lie."""
    base = environment.get("XDG_CONFIG_HOME") or ""
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".config") / "rung"
