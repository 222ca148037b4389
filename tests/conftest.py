"""The tests of the whole system are the longest, so they begin first and the short ones fill the gaps."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: "system" not in item.path.parts)
