"""Artifacts: bytes by their sha256 in the object store `artifacts`, laid out as NATS clients expect it.

Chunks are written before the entry that names them, and readers verify the digest, so a half-written
or altered artifact is never taken for a whole one. Only direct reads and plain publishes are used:
a right to create consumers would let its holder write into the log.
"""

import base64
import hashlib
import json
import uuid
from datetime import UTC, datetime
from typing import Any, Final

from nats.aio.client import Client
from nats.errors import Error as NatsError

from libs.runtime.log import ANSWER_S, LogUnavailable

BUCKET: Final = "artifacts"
STREAM: Final = f"OBJ_{BUCKET}"
CHUNK_BYTES: Final = 128 * 1024
LIMIT_BYTES: Final = 64 * 1024 * 1024


class ArtifactMissing(Exception):
    """No artifact has this digest; it may have been erased."""


class ArtifactDamaged(Exception):
    """The stored bytes are not the ones that the digest names."""


class Artifacts:
    """Puts and gets artifacts over one connection; `api` is the prefix of the stream interface."""

    def __init__(self, client: Client, *, api: str) -> None:
        self._client = client
        self._api = api

    async def put(self, data: bytes) -> str:
        """Store the bytes and return their digest; the same bytes are stored once.

        Raises:  ValueError above LIMIT_BYTES, LogUnavailable when the store did not answer.
        """
        if len(data) > LIMIT_BYTES:
            raise ValueError(f"an artifact of {len(data)} bytes is over the limit of {LIMIT_BYTES}")
        digest = hashlib.sha256(data).hexdigest()
        if await self._last(_entry_subject(digest)) is None:
            await self._write(digest, data)
        return digest

    async def get(self, digest: str) -> bytes:
        """The bytes with this digest.

        Raises:  ArtifactMissing, ArtifactDamaged, LogUnavailable.
        """
        if (entry := await self._last(_entry_subject(digest))) is None:
            raise ArtifactMissing(f"no artifact {digest}")
        info = json.loads(entry)
        if info.get("deleted"):
            raise ArtifactMissing(f"artifact {digest} was erased")
        data = await self._chunks(f"$O.{BUCKET}.C.{info['nuid']}", info["chunks"])
        if hashlib.sha256(data).hexdigest() != digest:
            raise ArtifactDamaged(f"artifact {digest} does not have the bytes that its digest names")
        return data

    async def _write(self, digest: str, data: bytes) -> None:
        nuid = uuid.uuid4().hex
        chunks = [data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES)]
        for chunk in chunks:
            await self._publish(f"$O.{BUCKET}.C.{nuid}", chunk)
        entry = {
            "name": digest,
            "bucket": BUCKET,
            "nuid": nuid,
            "size": len(data),
            "chunks": len(chunks),
            "mtime": datetime.now(UTC).isoformat(),
            "digest": "SHA-256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode(),
            "options": {"max_chunk_size": CHUNK_BYTES},
        }
        await self._publish(_entry_subject(digest), json.dumps(entry).encode())

    async def _chunks(self, subject: str, count: int) -> bytes:
        parts: list[bytes] = []
        after = 1
        for _ in range(count):
            message = await self._request(f"DIRECT.GET.{STREAM}", {"seq": after, "next_by_subj": subject})
            if (message.headers or {}).get("Status"):
                break
            parts.append(message.data)
            after = int((message.headers or {})["Nats-Sequence"]) + 1
        return b"".join(parts)

    async def _last(self, subject: str) -> bytes | None:
        message = await self._request(f"DIRECT.GET.{STREAM}", {"last_by_subj": subject})
        return None if (message.headers or {}).get("Status") else bytes(message.data)

    async def _request(self, call: str, question: dict[str, Any]) -> Any:
        try:
            return await self._client.request(f"{self._api}.{call}", json.dumps(question).encode(), timeout=ANSWER_S)
        except (NatsError, TimeoutError) as error:
            raise LogUnavailable(f"the artifact store did not answer {call}") from error

    async def _publish(self, subject: str, data: bytes) -> None:
        try:
            answer = await self._client.request(subject, data, timeout=ANSWER_S)
        except (NatsError, TimeoutError) as error:
            raise LogUnavailable(f"the artifact store did not take {subject}") from error
        if error_said := json.loads(answer.data).get("error"):
            raise LogUnavailable(f"the artifact store refused {subject}: {error_said.get('description')}")


def _entry_subject(digest: str) -> str:
    return f"$O.{BUCKET}.M.{base64.urlsafe_b64encode(digest.encode()).decode()}"
