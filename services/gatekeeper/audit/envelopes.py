"""One message by itself: it can be read, its attributes agree with its data, and its speaker may say it."""

from collections.abc import Iterator

from libs.contracts.export import Entry
from libs.contracts.facts import speaker_of
from libs.contracts.history import Unread
from libs.contracts.requests import fact_id, one_line
from libs.contracts.wire import Newer, Recorded, kind_of
from services.gatekeeper.audit.findings import Finding


def see(entry: Entry) -> Iterator[Finding]:
    match entry.read:
        case Unread() as unread:
            code = "message.newer" if isinstance(unread.reason, Newer) else "message.unreadable"
            yield Finding(code, entry.sequence, entry.subject, one_line(str(unread.reason)))
        case Recorded() as recorded:
            for code, said in _wrong(entry, recorded):
                yield Finding(code, entry.sequence, entry.subject, said)


def _wrong(entry: Entry, recorded: Recorded) -> Iterator[tuple[str, str]]:
    envelope, fact = entry.envelope, recorded.fact
    assert envelope is not None, "what was read has an envelope"
    if envelope.type != f"rung.{kind_of(fact)}":
        yield "message.type", f"the type {one_line(envelope.type, 80)} does not fit the data of {kind_of(fact)}"
    if envelope.subject != entry.subject:
        yield "message.subject", f"the event names the subject {one_line(str(envelope.subject), 120)}"
    if recorded.id != fact_id(recorded.cause, fact.subject):
        yield "message.id", f"the id {one_line(recorded.id, 60)} does not follow from cause and subject"
    speaker = speaker_of(fact)
    if envelope.source != f"/rung/{speaker}":
        said = f"stated by {one_line(envelope.source, 60)}; only /rung/{speaker} may state {kind_of(fact)}"
        yield "message.speaker", said
