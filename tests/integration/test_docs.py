"""Documentation that is executed: every command block is run by a test or says why not; the README's are run here."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.docs_blocks import ROOT, Block, blocks, blocks_in, documents, fault
from tests.integration.conftest import free_port

_README = ROOT / "README.md"
_DAY_S = 86400.0


@pytest.mark.parametrize("file", documents(), ids=lambda file: str(file.relative_to(ROOT)))
def test_every_command_block_is_run_by_a_test_or_says_why_not(file: Path) -> None:
    assert [f"{block.place}: {wrong}" for block in blocks(file) if (wrong := fault(block))] == []


def test_every_document_is_reached_from_the_readme() -> None:
    reached, todo = set[Path](), [_README]
    while todo:
        file = todo.pop()
        if file.suffix == ".md" and file.exists() and file not in reached:
            reached.add(file)
            for link in re.findall(r"\]\(([^)#:]+)", file.read_text()):
                target = (file.parent / link).resolve()
                todo += target.glob("*.md") if target.is_dir() else [target]
    assert {*documents()} - reached == set()


@pytest.mark.parametrize(
    ("marker", "wrong"),
    [
        ("", "put `<!-- run by"),
        ("<!-- run by test_that_never_was -->", "no test called"),
        ("<!-- run by test_every_command_block_is_run_by_a_test_or_says_why_not -->", "no test called"),  # it does not take the blocks
        ("<!-- not run here: -->", "put `<!-- run by"),  # no reason
        ("<!-- not run here: needs a cluster -->", None),
        ("<!-- run by test_the_readme_puts_the_service_in_front_of_ones_own_model -->", None),
    ],
)
def test_a_block_needs_a_marker_that_is_true(marker: str, wrong: str | None) -> None:
    text = f"words\n{marker}\n  ```sh\n  one\n  ```\n```yaml\nnone: of ours\n```\n"
    (block,) = blocks_in(text, ROOT / "docs" / "some.md")
    assert (block.text, block.place) == ("one", "docs/some.md:3")
    found = fault(block)
    assert found is None if wrong is None else found is not None and found.startswith(wrong)


def test_a_block_that_fails_in_the_middle_fails_and_tells_what_it_printed(tmp_path: Path) -> None:
    (block,) = blocks_in("<!-- not run here: an example -->\n```sh\necho before\nfalse\necho after\n```", ROOT / "docs" / "some.md")
    with pytest.raises(AssertionError, match=r"(?s)docs/some\.md:2 failed with 1.*\nbefore"):
        block.run(cwd=tmp_path)


def test_the_readme_puts_the_service_in_front_of_ones_own_model(doc_blocks: list[Block], tmp_path: Path) -> None:
    used = next(found for found in re.findall(r"```yaml\n(.*?)```", _README.read_text(), re.DOTALL) if "# retuned.yaml" in found)
    port = free_port()
    (tmp_path / "retuned.yaml").write_text(f"http: {{port: {port}}}\n{used}")
    _write_rows(tmp_path)
    path = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    before, after = doc_blocks
    serve = "retuned serve --config retuned.yaml"
    background = f"{serve} 2>service.log & trap 'kill %1; wait %1' EXIT; until curl -sf 127.0.0.1:{port}/readyz; do sleep 0.1; done"
    said = before.run(cwd=tmp_path, env=path, replace={serve: background, "127.0.0.1:8420": f"127.0.0.1:{port}"})
    assert "retuned.yaml: valid" in said
    assert said.count('"accepted":1') == 2, said
    assert '"at": "2' not in _README.read_text()  # a fixed date is late by the time that somebody reads it
    assert "support-sentiment" in said
    assert "Traceback" not in (tmp_path / "service.log").read_text()
    assert "records" in after.run(cwd=tmp_path, env=path)
    assert (tmp_path / "replay-out" / "summary.json").exists()


def _write_rows(folder: Path) -> None:
    """Reference and bound as Parquet, ten minutes of records and labels as NDJSON: the files that the README names."""
    now = datetime.now(UTC).timestamp()
    rows = [_row(f"r{i}", now - _DAY_S + 2.0 * i) for i in range(600)]
    labelled = [{**row, "label": row["output"]["label"]} for row in rows]
    pq.write_table(pa.Table.from_pylist(rows[:300]), folder / "reference.parquet")
    pq.write_table(pa.Table.from_pylist(labelled[:300]), folder / "labelled.parquet")
    (folder / "records.jsonl").write_text("\n".join(json.dumps(row) for row in rows[300:]))
    said = [{"id": r["id"], "model": r["model"], "at": r["at"], "label": r["label"], "source": "agent"} for r in labelled[300:]]
    (folder / "labels.jsonl").write_text("\n".join(json.dumps(label) for label in said))


def _row(name: str, at: float) -> dict[str, Any]:
    label = ("negative", "positive")[int(name[1:]) % 2]
    return {
        "id": name,
        "model": "support-sentiment",
        "version": "1",
        "at": datetime.fromtimestamp(at, UTC).isoformat(),
        "inputs": {"text": f"it is {label} number {name}", "channel": "mail"},
        "output": {"label": label, "scores": {"negative": 0.5, "positive": 0.5}},
    }
