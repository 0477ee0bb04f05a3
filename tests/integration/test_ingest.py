"""The ingest routes, asked as a client would."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from daemon.capture.frames import EntryKind
from daemon.capture.http import Ingest, IngestPort, Limits
from daemon.capture.rejection import Rejection
from daemon.capture.spool import Spool
from daemon.capture.wire import parse_labels
from daemon.store.spooled import parse_records
from retrain.types import Reason, Transient

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = 1_793_491_200.0  # 2026-11-01T00:00:00Z
RECORD = {"id": "r1", "model": "m", "version": "1", "at": "2026-11-01T00:00:00Z", "inputs": {"text": "hi"}, "output": {"label": "a"}}
LABEL = {"id": "r1", "model": "m", "at": "2026-11-01T00:00:00Z", "label": "a"}
JSON = {"content-type": "application/json"}


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Ingest]:
    limits = Limits(max_body_bytes=100_000, max_batch_n=50)
    with Spool(tmp_path) as spool:
        yield Ingest(IngestPort(spool=spool, models=lambda: {"m"}, now=lambda: NOW, limits=limits))


def ask(ingest: Ingest, body: Any, path: str = "/v1/records", method: str = "POST", **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = JSON | {name.replace("_", "-"): value for name, value in headers.items()}

    async def once() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(ingest), base_url="http://service") as client:
            return await client.request(method, path, content=content, headers=given)

    return asyncio.run(once())


def test_what_is_acknowledged_is_in_the_spool_with_its_time_of_arrival(ingest: Ingest) -> None:
    answer = ask(ingest, [RECORD, {**RECORD, "id": "r2"}])
    assert (answer.status_code, answer.json()) == (200, {"accepted": 2, "rejected": []})
    assert ask(ingest, LABEL, "/v1/labels").json() == {"accepted": 1, "rejected": []}
    records, labels = ingest.port.spool.read()
    assert [record.id for record in parse_records(records.payload)] == ["r1", "r2"]
    assert (records.kind, records.n, records.received_at) == (EntryKind.RECORDS, 2, NOW)
    assert [label.label for label in parse_labels(labels.payload)] == ["a"]


def test_a_batch_with_bad_ones_keeps_the_good_ones_and_names_the_others(ingest: Ingest) -> None:
    answer = ask(ingest, [RECORD, {**RECORD, "id": 7}, {**RECORD, "id": "r3"}])
    assert answer.status_code == 200
    assert answer.json()["accepted"] == 2
    (rejected,) = answer.json()["rejected"]
    assert rejected == {"index": 1, "path": "$.id", "value": "7", "rule": "Expected `str`, got `int`", "reason": "invalid"}
    (entry,) = ingest.port.spool.read()
    assert [record.id for record in parse_records(entry.payload)] == ["r1", "r3"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({**RECORD, "at": "2026-11-01T00:00:00"}, 422),
        ({**RECORD, "at": "2026-11-01T00:05:01Z"}, 422),
        ({**RECORD, "model": "other"}, 404),
        ([{**RECORD, "model": "other"}, {**RECORD, "id": 1}], 422),
        (b"{", 400),
        (b"", 400),
        ([], 400),
        ([RECORD] * 51, 413),
        (b" " * 100_001, 413),
    ],
)
def test_when_nothing_is_good_the_answer_is_an_error_and_the_spool_is_empty(ingest: Ingest, body: Any, status: int) -> None:
    answer = ask(ingest, body)
    assert answer.status_code == status
    assert answer.json()["accepted"] == 0
    assert all(error["path"].startswith("$") and error["rule"] for error in answer.json()["errors"])
    assert len(answer.json()["errors"]) >= 1
    assert list(ingest.port.spool.read()) == []


def test_every_line_sent_is_counted_as_accepted_or_refused_under_its_reason(ingest: Ingest) -> None:
    ask(ingest, [RECORD, {**RECORD, "id": 7}, {**RECORD, "model": "other"}, {**RECORD, "id": "r4"}])
    ask(ingest, b"no json")
    counts = ingest.port.counts
    assert counts.accepted == {EntryKind.RECORDS: 2}
    assert counts.refused == {
        (EntryKind.RECORDS, Rejection.INVALID): 1,
        (EntryKind.RECORDS, Rejection.UNKNOWN_MODEL): 1,
        (EntryKind.RECORDS, Rejection.MALFORMED): 1,
    }
    assert counts.requests == {200: 1, 400: 1}


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/json; charset=utf-8", "Application/JSON"])
def test_json_and_ndjson_are_read(ingest: Ingest, kind: str) -> None:
    assert ask(ingest, RECORD, content_type=kind).status_code == 200


@pytest.mark.parametrize("header", [{"content_type": "text/plain"}, {"content_type": "multipart/form-data"}, {"content_encoding": "gzip"}])
def test_what_is_not_read_is_refused_by_its_header(ingest: Ingest, header: dict[str, str]) -> None:
    answer = ask(ingest, RECORD, **header)
    assert answer.status_code == 415
    assert "Content-" in answer.json()["errors"][0]["rule"]


def test_only_post_and_only_these_routes(ingest: Ingest) -> None:
    answer = ask(ingest, b"", method="GET")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert ask(ingest, RECORD, "/v1/other").status_code == 404


def test_everything_else_goes_to_the_app_beside_it(tmp_path: Path) -> None:
    async def beside(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 (ASGI's signature)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with Spool(tmp_path) as spool:
        both = Ingest(IngestPort(spool=spool, models=lambda: {"m"}, now=lambda: NOW), beside)
        assert ask(both, b"", "/metrics", "GET").status_code == 204
        assert ask(both, RECORD).status_code == 200


def test_when_the_disk_fails_the_client_is_told_when_to_send_it_again(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_fd: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fdatasync", fail)
    answer = ask(ingest, [RECORD, {**RECORD, "id": "r2"}])
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) == 5
    assert answer.json()["accepted"] == 0
    monkeypatch.undo()
    assert list(ingest.port.spool.read()) == []
    assert ingest.port.counts.refused == {(EntryKind.RECORDS, Rejection.OVERLOAD): 2}
    assert ask(ingest, RECORD).status_code == 200


def _messages(*chunks: bytes, ends: bool) -> list[dict[str, Any]]:
    last = [{"type": "http.request", "body": b"", "more_body": False}] if ends else [{"type": "http.disconnect"}]
    return [*({"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks), *last]


async def _raw(ingest: Ingest, messages: list[dict[str, Any]]) -> list[Any]:
    """Speak ASGI with it; returns what it sent."""
    sent: list[Any] = []
    waiting = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(waiting)

    async def send(message: Any) -> None:
        sent.append(message)

    await ingest({"type": "http", "method": "POST", "path": "/v1/records", "headers": []}, receive, send)
    return sent


def test_a_body_in_pieces_is_one_body(ingest: Ingest) -> None:
    data = json.dumps(RECORD).encode()
    sent = asyncio.run(_raw(ingest, _messages(*(data[i : i + 7] for i in range(0, len(data), 7)), ends=True)))
    assert sent[0]["status"] == 200
    assert ingest.held_bytes == 0


def test_an_endless_body_is_refused_at_the_limit_and_its_memory_given_back(ingest: Ingest) -> None:
    sent = asyncio.run(_raw(ingest, _messages(*[b" " * 10_000] * 11, ends=True)))
    assert sent[0]["status"] == 413
    assert ingest.held_bytes == 0


def test_a_client_that_goes_away_leaves_nothing_behind(ingest: Ingest) -> None:
    assert asyncio.run(_raw(ingest, _messages(json.dumps(RECORD).encode(), ends=False))) == []
    assert ingest.held_bytes == 0
    assert list(ingest.port.spool.read()) == []


def test_all_bodies_together_are_bounded(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        limits = Limits(max_held_bytes=1000)
        ingest = Ingest(IngestPort(spool=spool, models=lambda: {"m"}, now=lambda: NOW, limits=limits))
        answer = ask(ingest, b" " * 1001)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert ask(ingest, RECORD).status_code == 200


def test_a_low_disk_is_503_with_its_reason_before_a_body_is_read_and_nothing_is_kept(tmp_path: Path) -> None:
    full = [Transient(Reason.UNAVAILABLE, "the disk is low: 5 bytes are free, 9 must be", retry_after_s=10.0), None]
    with Spool(tmp_path) as spool:
        ingest = Ingest(IngestPort(spool=spool, models=lambda: {"m"}, now=lambda: NOW, refusal=lambda: full[0]))
        for path, body in (("/v1/records", RECORD), ("/v1/labels", LABEL)):
            answer = ask(ingest, body, path)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
            (error,) = answer.json()["errors"]
            assert (error["reason"], error["rule"]) == ("disk_low", "the disk is low: 5 bytes are free, 9 must be: send it again")
        assert (list(spool.read()), ingest.held_bytes) == ([], 0)
        assert ingest.port.counts.refused == {(EntryKind.RECORDS, Rejection.DISK_LOW): 1, (EntryKind.LABELS, Rejection.DISK_LOW): 1}
        full.pop(0)
        assert ask(ingest, RECORD).status_code == 200
