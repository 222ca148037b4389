"""Who may state, ask and hear what, as data, and the server configuration made from it.

Theory: permissions inside one account do not keep roles apart, because the server answers
a request with its own authority on whatever reply subject the caller named: a granted read
with a fact's subject as its reply would store a forged fact. So every role has an account
of its own and CORE owns the streams. CORE exports exactly the subjects below as services,
each to its role; an answer then stays in the caller's account, where no stream listens.
Calls to the JetStream API are imported under `api.` (see `API`), because an account without
JetStream that calls `$JS.API` plainly is told "JetStream not enabled".
Nobody but the provisioner, who is CORE's only user, makes or deletes streams and consumers.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from libs.contracts.subjects import spoken_by
from libs.contracts.words import Service
from libs.runtime import keys as key_files

API: Final = "api"
"""Prefix under which every role but the provisioner calls JetStream: `nc.jetstream(prefix=API)`."""

PROVISIONER: Final = "provisioner"
OPERATOR: Final = "operator"
TRACKER: Final = "tracker"
OPS: Final = "ops"
CORE: Final = "CORE"
WIDTH: Final = 110

STATES: Final[Mapping[Service, tuple[str, ...]]] = {service: spoken_by(service) for service in Service}
"""Subjects of the facts each service may state; nobody else may."""


@dataclass(frozen=True)
class Durable:
    """A pre-made consumer and the one role that may pull and acknowledge it."""

    role: str
    stream: str
    name: str
    filters: tuple[str, ...]
    unacknowledged_max: int = 1000


ACK_WAIT_S: Final = 10.0
"""After this time without a sign of life a message goes to another worker; each gives three in that time."""

WAITING_MAX: Final = 16
"""Attempts handed to one worker service at once; each is kept alive while it waits for its turn."""

DURABLES: Final = (
    Durable(Service.PLANNER, "INTAKE", "planner", ("intake.issue.*",)),
    Durable(
        Service.PLANNER,
        "FACTS",
        "planner",
        tuple(f"run.*.phase.requested.{phase}.*" for phase in ("intent", "plan")),
        WAITING_MAX,
    ),
    Durable(
        Service.BUILDER,
        "FACTS",
        "builder",
        tuple(f"run.*.phase.requested.{phase}.*" for phase in ("build", "test", "review", "document")),
        WAITING_MAX,
    ),
    Durable(Service.GATEKEEPER, "FACTS", "gatekeeper", ("run.>", "workflow.>", "issue.>")),
    Durable(Service.GATEKEEPER, "FACTS", "projection", ()),
    Durable(Service.GATEKEEPER, "INTAKE", "gatekeeper", ("intake.decision.*", "intake.ladder.*")),
    Durable(Service.GATEKEEPER, "TIMERS", "gatekeeper", ("timers.due.>",)),
    Durable(
        Service.MERGER,
        "FACTS",
        "merger",
        (
            "run.*.phase.requested.deploy.*",
            "run.*.merge.authorised",
            "run.*.merge.authorised.>",
            "run.*.rollback.ordered",
            "run.*.rollback.ordered.>",
        ),
    ),
    Durable(
        Service.MONITOR,
        "FACTS",
        "monitor",
        (
            "run.*.change.merged",
            "run.*.change.merged.>",
            "run.*.change.reverted",
            "run.*.change.reverted.>",
            "run.*.timer.due.*",
        ),
    ),
    Durable(
        OPS,
        "FACTS",
        "ops",
        ("*.*.anomaly.>", "*.*.incident.>", "run.*.change.reverted", "run.*.change.reverted.>"),
    ),
)


@dataclass(frozen=True)
class Rights:
    """What one role may do, beyond hearing the answers on its own inbox.

    says:    subjects it publishes that CORE stores or whose service answers
    asks:    calls to the JetStream API, without prefix
    hears:   subject -> account it comes from
    offers:  subject others may hear from it
    answers: subject of requests it serves
    queries: subject of requests it makes, answered by the gatekeeper
    never:   subjects that `says` would allow and that are denied all the same
    """

    says: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    hears: tuple[tuple[str, str], ...] = ()
    offers: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


READS_FACTS: Final = ("DIRECT.GET.FACTS", "DIRECT.GET.FACTS.>")
READS_ARTIFACTS: Final = ("DIRECT.GET.OBJ_artifacts", "DIRECT.GET.OBJ_artifacts.>")
PUTS_ARTIFACTS: Final = ("$O.artifacts.C.>", "$O.artifacts.M.>")
KEEPS_TIMERS: Final = (
    "DIRECT.GET.TIMERS",
    "DIRECT.GET.TIMERS.>",
    "STREAM.MSG.GET.TIMERS",
    "STREAM.PURGE.TIMERS",
)
STREAMS: Final = ("FACTS", "INTAKE", "TIMERS", "ASIDE", "OBJ_artifacts")


ALSO_SAYS: Final[Mapping[Service, tuple[str, ...]]] = {
    Service.GATEKEEPER: ("timers.at.>",),
    Service.MONITOR: ("intake.issue.monitor",),
}
ALSO_ASKS: Final[Mapping[Service, tuple[str, ...]]] = {Service.GATEKEEPER: KEEPS_TIMERS}
ANSWERS: Final[Mapping[Service, tuple[str, ...]]] = {Service.GATEKEEPER: ("query.>",)}


def service_rights(service: Service, states: tuple[str, ...]) -> Rights:
    return Rights(
        says=(*states, *ALSO_SAYS.get(service, ()), f"aside.{service}.>", *PUTS_ARTIFACTS, *_acks(service)),
        asks=(
            *READS_FACTS,
            "STREAM.MSG.GET.FACTS",
            *READS_ARTIFACTS,
            *_pulls(service),
            *ALSO_ASKS.get(service, ()),
        ),
        offers=("progress.>",),
        answers=ANSWERS.get(service, ()),
    )


def operator_rights() -> Rights:
    return Rights(
        says=("intake.issue.*", "intake.decision.*", "intake.ladder.*", *PUTS_ARTIFACTS),
        asks=(
            *READS_FACTS,
            *READS_ARTIFACTS,
            "DIRECT.GET.ASIDE",
            "DIRECT.GET.ASIDE.>",
            *(f"STREAM.INFO.{stream}" for stream in STREAMS),
            *(f"CONSUMER.INFO.{durable.stream}.{durable.name}" for durable in DURABLES),
        ),
        hears=(("live.>", CORE), *(("progress.>", service) for service in Service)),
        queries=("query.>",),
    )


def tracker_rights(source: str) -> Rights:
    """A tracker speaks for its own source, and in no case for a person at the command line or the monitor."""
    return Rights(says=(f"intake.issue.{source}",), never=("intake.issue.cli", "intake.issue.monitor"))


def ops_rights() -> Rights:
    return Rights(says=_acks(OPS), asks=_pulls(OPS), hears=(("live.>", CORE),))


def table(states: Mapping[Service, tuple[str, ...]], sources: Iterable[str] = ()) -> Mapping[str, Rights]:
    """Rights by role; without named sources one tracker speaks for all of them."""
    trackers = {f"{TRACKER}-{source}": tracker_rights(source) for source in sources}
    return {
        **{str(service): service_rights(service, states[service]) for service in Service},
        OPERATOR: operator_rights(),
        **(trackers or {TRACKER: tracker_rights("*")}),
        OPS: ops_rights(),
    }


def roles(rights: Mapping[str, Rights]) -> tuple[str, ...]:
    return (PROVISIONER, *rights)


def inbox(role: str) -> str:
    return f"_INBOX_{role}"


def accounts(rights: Mapping[str, Rights], public: Mapping[str, str]) -> dict[str, Any]:
    """The accounts section: CORE with its exports, one account per role with its imports."""
    return {
        CORE: {
            "jetstream": "enabled",
            "exports": [*_core_services(rights), *_core_streams(rights)],
            "users": [{"nkey": public[PROVISIONER]}],
        },
        **{role: _account(role, its, rights, public[role]) for role, its in rights.items()},
    }


def server_config(
    accounts: Mapping[str, Any], *, store: Path, host: str, port: int, name: str, more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "server_name": name,
        "host": host,
        "port": port,
        # One fsync a message: the default syncs every two minutes, and a power cut loses what was acknowledged.
        "jetstream": {"store_dir": str(store), "sync_interval": "always"},
        **(more or {}),
        "accounts": accounts,
    }


def render(value: Any, indent: str = "") -> str:
    """The configuration as text: JSON, which the server reads and which keeps `$` and spaces harmless."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or len(indent + line) <= WIDTH:
        return line
    deeper = indent + "  "
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    items = value.items() if isinstance(value, dict) else ((None, item) for item in value)
    lines = (f"{deeper}{_key(name)}{render(item, deeper)}" for name, item in items)
    return f"{opening}\n" + ",\n".join(lines) + f"\n{indent}{closing}"


def _key(name: str | None) -> str:
    return "" if name is None else f"{json.dumps(name)}: "


def _pulls(role: str) -> tuple[str, ...]:
    return tuple(
        f"CONSUMER.{call}.{durable.stream}.{durable.name}"
        for durable in DURABLES
        if durable.role == role
        for call in ("MSG.NEXT", "INFO")
    )


def _acks(role: str) -> tuple[str, ...]:
    return tuple(f"$JS.ACK.{durable.stream}.{durable.name}.>" for durable in DURABLES if durable.role == role)


def _core_services(rights: Mapping[str, Rights]) -> list[dict[str, Any]]:
    callers: dict[str, list[str]] = {}
    for role, its in rights.items():
        for subject in (*its.says, *(f"$JS.API.{call}" for call in its.asks)):
            callers.setdefault(subject, []).append(role)
    return [_service_export(subject, allowed) for subject, allowed in callers.items()]


def _service_export(subject: str, allowed: Sequence[str]) -> dict[str, Any]:
    many = "MSG.NEXT" in subject or "DIRECT.GET" in subject
    return {"service": subject, "accounts": list(allowed), **({"response_type": "stream"} if many else {})}


def _core_streams(rights: Mapping[str, Rights]) -> list[dict[str, Any]]:
    hearers: dict[str, list[str]] = {}
    for role, its in rights.items():
        for subject, account in its.hears:
            if account == CORE:
                hearers.setdefault(subject, []).append(role)
    return [{"stream": subject, "accounts": allowed} for subject, allowed in hearers.items()]


def _account(role: str, its: Rights, rights: Mapping[str, Rights], public: str) -> dict[str, Any]:
    return {
        "imports": [
            *({"service": {"account": CORE, "subject": subject}} for subject in its.says),
            *({"service": {"account": CORE, "subject": f"$JS.API.{call}"}, "to": f"{API}.{call}"} for call in its.asks),
            *({"stream": {"account": account, "subject": subject}} for subject, account in its.hears),
            *({"service": {"account": str(Service.GATEKEEPER), "subject": subject}} for subject in its.queries),
        ],
        "exports": [
            *({"stream": subject, "accounts": _hearers(role, subject, rights)} for subject in its.offers),
            *({"service": subject, "accounts": _askers(subject, rights)} for subject in its.answers),
        ],
        "users": [{"nkey": public, "permissions": _permissions(role, its)}],
    }


def _hearers(role: str, subject: str, rights: Mapping[str, Rights]) -> list[str]:
    return [other for other, its in rights.items() if (subject, role) in its.hears]


def _askers(subject: str, rights: Mapping[str, Rights]) -> list[str]:
    return [other for other, its in rights.items() if subject in its.queries]


def _permissions(role: str, its: Rights) -> dict[str, Any]:
    heard = dict.fromkeys((f"{inbox(role)}.>", *(subject for subject, _ in its.hears), *its.answers))
    return {
        "publish": {
            "allow": [*its.says, *(f"{API}.{call}" for call in its.asks), *its.offers, *its.queries],
            **({"deny": list(its.never)} if its.never else {}),
        },
        "subscribe": {"allow": list(heard)},
        **({"allow_responses": {"max": 1, "expires": "1m"}} if its.answers else {}),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = _parser().parse_args(arguments)
    rights = table(STATES, chosen.tracker)
    monitored = {"http": f"{chosen.host}:{chosen.monitor_port}"} if chosen.monitor_port else {}
    try:
        public = key_files.ensure(chosen.keys, roles(rights))
        config = server_config(
            accounts(rights, public),
            store=chosen.store,
            host=chosen.host,
            port=chosen.port,
            name=chosen.name,
            more=monitored,
        )
        _write(render(config) + "\n", chosen.output)
    except (key_files.KeyFileError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the command's one sentence
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m libs.runtime.rights",
        description="Make the keys that are missing and the server's configuration.",
    )
    parser.add_argument("--keys", type=Path, required=True, help="directory of the seeds, one file per role")
    parser.add_argument("--store", type=Path, required=True, help="where the server keeps its streams")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=4222, help="port for clients")
    parser.add_argument("--monitor-port", type=int, help="port for the server's own health and metrics pages")
    parser.add_argument("--name", default="rung", help="how the server calls itself")
    parser.add_argument("--tracker", action="append", default=[], metavar="SOURCE", help="a tracker with its own key")
    parser.add_argument("--output", type=Path, help="file to write; standard output without it")
    return parser


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
