"""A real bus for tests: the embedded server, its streams and durables, and connections by role."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import nats
from nats.aio.client import Client

from libs.contracts.words import Service
from libs.runtime.artifacts import Artifacts
from libs.runtime.log import Log
from libs.runtime.provision import wait_and_provision
from libs.runtime.rights import API
from libs.runtime.server import Endpoint, connect_options, start


@dataclass(frozen=True)
class Bus:
    """Where the server is; `client` connects as one role."""

    endpoint: Endpoint
    data: Path

    @contextlib.asynccontextmanager
    async def client(self, role: str) -> AsyncIterator[Client]:
        async with await nats.connect(self.endpoint.url, **connect_options(self.endpoint.keys, role)) as client:
            yield client

    @contextlib.asynccontextmanager
    async def log(self, service: Service) -> AsyncIterator[Log]:
        async with self.client(service) as client:
            yield Log(client, api=API, producer=service)

    @contextlib.asynccontextmanager
    async def artifacts(self, role: str) -> AsyncIterator[Artifacts]:
        async with self.client(role) as client:
            yield Artifacts(client, api=API)


@contextlib.asynccontextmanager
async def running_bus(data: Path) -> AsyncIterator[Bus]:
    """A provisioned server on this data directory, ended afterwards."""
    async with await start(data) as server:
        await wait_and_provision(server.endpoint.url, server.endpoint.keys)
        yield Bus(server.endpoint, data)
