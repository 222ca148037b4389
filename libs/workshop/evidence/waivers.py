"""Takes out of the counts what a waiver of the base commit's workflow lets pass, and says until when."""

import datetime as dt
from collections.abc import Iterable
from typing import Final

from libs.contracts.evidence import Finding, ReviewEvidence, Waived
from libs.contracts.workflow import WaiverPolicy
from libs.workshop.evidence.findings import counted
from libs.workshop.evidence.review import Review

WAIVED_KEPT: Final = 50


def waive(
    review: Review, waivers: Iterable[WaiverPolicy], at: float
) -> tuple[ReviewEvidence | None, tuple[Finding, ...]]:
    """The evidence without what is waived at this moment of the store, and the findings that count.

    A waiver holds until the end of its day, UTC. One that has expired is still listed, its finding counts. All
    findings of one fingerprint are alike, so a waiver lets all of them pass.
    """
    if review.evidence is None:
        return None, review.findings
    by_fingerprint = _latest(waivers)
    today = dt.datetime.fromtimestamp(at, dt.UTC).date()
    met = [
        (one, _waived(one, by_fingerprint[one.fingerprint], today))
        for one in review.findings
        if one.fingerprint in by_fingerprint
    ]
    passing = {waived.fingerprint for _, waived in met if waived.days_left >= 0}
    kept = tuple(finding for finding in review.findings if finding.fingerprint not in passing)
    listed = tuple(dict.fromkeys(waived for _, waived in met))[:WAIVED_KEPT]
    return counted(review.evidence, kept).model_copy(update={"waived": listed}), kept


def _latest(waivers: Iterable[WaiverPolicy]) -> dict[str, WaiverPolicy]:
    """By fingerprint; of several the one that holds longest."""
    return {waiver.fingerprint: waiver for waiver in sorted(waivers, key=lambda waiver: waiver.expires)}


def _waived(finding: Finding, waiver: WaiverPolicy, today: dt.date) -> Waived:
    return Waived(
        fingerprint=finding.fingerprint,
        severity=finding.severity,
        rule=finding.rule,
        file=finding.file,
        author=waiver.author,
        reason=waiver.reason,
        days_left=(waiver.expires - today).days,
    )
