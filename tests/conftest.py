"""Settings for all tests: the longest begin first, and what is drawn at random is drawn alike in CI."""

import os

import pytest
from hypothesis import settings

os.environ["RUNG_PERSON_KEY"] = ""  # nobody's own key signs what a test decides
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of the whole system are the longest; the short ones fill the gaps that they leave."""
    items.sort(key=lambda item: "system" not in item.path.parts)
