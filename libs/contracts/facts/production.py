"""Production: what the monitor states, about a run or, where none explains it, about a service."""

from typing import Literal

from libs.contracts.evidence import Count
from libs.contracts.facts.base import Moment, RunFact, ServiceFact
from libs.contracts.words import ObjectId, Token


class WatchStarted(RunFact):
    """Production is compared with before until `ends_at`."""

    type = "watch.started"
    tip: ObjectId
    started_at: Moment
    ends_at: Moment
    signals: tuple[str, ...] = ()


class WatchEnded(RunFact):
    """`no_data` is what silence ends with; only measured points end a watch clear."""

    type = "watch.ended"
    outcome: Literal["clear", "regressed", "no_data"]
    points_before: Count = 0
    points_after: Count = 0
    reason: str


class AnomalyDetected(RunFact):
    type = "anomaly.detected"
    place = ("anomaly",)
    anomaly: Token
    signal: str
    message: str


class IncidentOpened(RunFact):
    type = "incident.opened"
    place = ("incident",)
    incident: Token
    message: str


class IncidentResolved(RunFact):
    type = "incident.resolved"
    place = ("incident",)
    incident: Token
    message: str


class ServiceAnomalyDetected(ServiceFact):
    """An anomaly that no run explains."""

    type = "anomaly.detected"
    place = ("anomaly",)
    anomaly: Token
    signal: str
    message: str


class ServiceIncidentOpened(ServiceFact):
    type = "incident.opened"
    place = ("incident",)
    incident: Token
    message: str


class ServiceIncidentResolved(ServiceFact):
    type = "incident.resolved"
    place = ("incident",)
    incident: Token
    message: str
