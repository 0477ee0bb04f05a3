"""`prove` tests run only when asked for (`make prove`); what they found becomes a part of docs/validity.md."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.docs_blocks import Block, blocks_run_by
from tests.prove import sharp

_ROWS = pytest.StashKey[list[sharp.Row]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    is_left = _is_unproven if "prove" in (config.option.markexpr or "") else _is_usual
    gone = [item for item in items if not is_left(item)]
    if gone:
        config.hook.pytest_deselected(items=gone)
        items[:] = [item for item in items if is_left(item)]


def _is_usual(item: pytest.Item) -> bool:
    return item.get_closest_marker("prove") is None


def _is_proof(item: pytest.Item) -> bool:
    return not _is_usual(item) and item.nodeid.startswith(sharp.FOLDERS)


def _is_unproven(item: pytest.Item) -> bool:
    return not (_is_proof(item) and sharp.is_kept(item.nodeid))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "call" and report.passed and _is_proof(item):
        sharp.keep(item.nodeid, item.stash.get(_ROWS, []))
    return report


@pytest.fixture
def doc_blocks(request: pytest.FixtureRequest) -> list[Block]:
    """The documentation's command blocks that name the asking test: it is to run them all."""
    found = blocks_run_by(request.function.__name__)
    assert found, f"no block in the documentation says `<!-- run by {request.function.__name__} -->`"
    return found


@pytest.fixture
def proof_rows(request: pytest.FixtureRequest) -> list[sharp.Row]:
    """Rows of docs/validity.md, kept when a full proof has passed; a short form's rows go nowhere."""
    return request.node.stash.setdefault(_ROWS, [])
