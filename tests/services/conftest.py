"""What the tests of services share: a bus, and a projection in a file."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.gatekeeper.projection import Projection
from tests.support.bus import Bus, running_bus


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    async with running_bus(tmp_path / "bus") as bus:
        yield bus


@pytest.fixture
def projection(tmp_path: Path) -> Iterator[Projection]:
    projection = Projection(f"sqlite:///{tmp_path / 'projection.sqlite'}")
    yield projection
    projection.close()
