"""`prove` tests run only when asked for (`make prove`); what they found becomes a part of docs/validity.md."""

from __future__ import annotations

import json

import pytest

from tests.docs_blocks import Block, blocks_run_by
from tests.prove.results import SHARP

_ROWS = pytest.StashKey[list[tuple[str, ...]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ROWS] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "prove" in (config.option.markexpr or ""):
        return
    full = [item for item in items if item.get_closest_marker("prove") is not None]
    if full:
        config.hook.pytest_deselected(items=full)
        items[:] = [item for item in items if item.get_closest_marker("prove") is None]


@pytest.fixture
def doc_blocks(request: pytest.FixtureRequest) -> list[Block]:
    """The documentation's command blocks that name the asking test: it is to run them all."""
    found = blocks_run_by(request.function.__name__)
    assert found, f"no block in the documentation says `<!-- run by {request.function.__name__} -->`"
    return found


@pytest.fixture
def proof_rows(request: pytest.FixtureRequest) -> list[tuple[str, ...]]:
    """Rows of docs/validity.md, collected by the full proofs; a short form's rows go nowhere."""
    if request.node.get_closest_marker("prove") is None:
        return []
    return request.config.stash[_ROWS]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    rows = session.config.stash[_ROWS]
    is_whole = exitstatus == pytest.ExitCode.OK and not session.config.option.keyword
    if rows and is_whole:
        SHARP.parent.mkdir(parents=True, exist_ok=True)
        SHARP.write_text(json.dumps(rows))
