"""Panes whose texts are embedded: they wait in their order, nothing else does, and a kill changes none of them."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import sqlalchemy as sa

from daemon.capture.spool import EntryKind, Spool
from daemon.capture.wire import parse_labels
from daemon.settings import Settings
from daemon.store import counters, intake, tables
from daemon.store.blob import pane_from_bytes
from daemon.store.closed import ClosedPane, Reign
from daemon.store.embed import encoder as of_encoder
from daemon.store.embed.encoders import Encoders
from daemon.store.embed.panes import Embeddings
from daemon.store.intake import Intake
from daemon.store.ledger import Ledger
from daemon.store.ports import Feed
from tests.embedding import Fake, vector_of
from tests.integration.conftest import wait_for
from tests.killing import to_the_end

if TYPE_CHECKING:
    from collections.abc import Iterator

T, PANE_S, PER_PANE, MOST_N = 1_800_000_000.0, 10.0, 30, 16
SUBJECT, SALT = "input.text.embedding", b"salt"
REIGNS = {name: Reign("1", 0.0) for name in ("m", "other")}


def settings_of(folder: Path) -> Settings:
    monitors = {"pane_s": PANE_S, "watermark_s": 1.0}
    column = {"kind": "text", "encoder": {"model": "e", "most_n": MOST_N}}
    model = {"task": "text-classification", "labels": ["no", "yes"], "monitors": monitors}
    models = [{**model, "name": "m", "columns": {"text": column}}, {**model, "name": "other", "columns": {"text": "text"}}]
    return Settings.model_validate({"data_dir": folder, "models": models})


class World:
    """A real spool and ledger, an intake, and an encoder whose process is a stand-in."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.settings = folder, settings_of(folder)
        self.spool = Spool(folder / "spool")
        self.ledger = Ledger(f"sqlite:///{folder}/ledger.db")
        self.ledger.migrate()
        self.encoders = Encoders(self.settings.models)
        feed = Feed(
            read=self.spool.read,
            release=self.spool.release,
            parse_labels=parse_labels,
            included=lambda *_: True,
        )
        self.intake = Intake(self.settings, self.ledger, feed, folder, Embeddings(self.settings.models, self.encoders, salt=SALT))

    def tick(self, now: float) -> list[ClosedPane]:
        self.intake.pull(now)
        found = []
        for pane in self.intake.due(now, REIGNS):
            with self.ledger.begin() as tx:
                self.intake.commit(tx, pane)
                vectors = pane.increment.columns.get(SUBJECT, np.empty((0, 8)))
                counters.add(tx, pane.model, {("folded", "vectors"): len(vectors)})
            found.append(pane)
        self.intake.release()
        return found

    def post(self, *names: str, model: str = "m", at: float, version: str = "1") -> None:
        when = datetime.fromtimestamp(at, UTC).isoformat()
        fixed = {"model": model, "version": version, "at": when, "output": {"label": "yes"}}
        lines = [json.dumps({**fixed, "id": name, "inputs": {"text": f"text of {name}"}}) for name in names]
        asyncio.run(self.spool.append(EntryKind.RECORDS, "\n".join(lines).encode(), len(lines), at))

    def counters(self) -> dict[tuple[str, str], int]:
        with self.ledger.read() as tx:
            return counters.counters(tx, "m")

    def sketches(self) -> dict[tuple[float, str], bytes]:
        """(start, version) -> the embedding's sketch as it stands in the ledger."""
        with self.ledger.read() as tx:
            rows = tx.execute(sa.select(tables.pane).where(tables.pane.c.model == "m")).all()
        found = {(row.start, row.version): pane_from_bytes(row.sketches)[0] for row in rows}
        return {key: summary[f"{SUBJECT}@f"]["fourier"].to_bytes() for key, summary in found.items() if f"{SUBJECT}@f" in summary}

    def close(self) -> None:
        Fake.gate.set()
        self.encoders.close()
        self.intake.close()
        self.spool.close()
        self.ledger.close()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    Fake.reset()
    monkeypatch.setattr(of_encoder, "EncoderProcess", Fake)
    found = World(tmp_path)
    yield found
    found.close()


def closed(world: World, now: float, n: int) -> list[ClosedPane]:
    """The next n panes of the model."""
    found: list[ClosedPane] = []
    wait_for(lambda: found.extend(p for p in world.tick(now) if p.model == "m") or len(found) >= n, message=f"{n} panes")
    return found


def names(pane: int) -> list[str]:
    return [f"r{pane}.{i}" for i in range(PER_PANE)]


def test_panes_wait_in_their_order_while_other_models_go_on_and_then_hold_their_sample(world: World) -> None:
    Fake.gate.clear()
    for pane in range(3):
        world.post(*names(pane), at=T + PANE_S * pane)
        world.post(*(f"o{n}" for n in names(pane)), model="other", at=T + PANE_S * pane)
    now = T + 3 * PANE_S + 2
    assert [(p.model, p.start) for p in world.tick(now)] == [("other", T + PANE_S * i) for i in range(3)]
    assert world.tick(now + 1) == []
    Fake.gate.set()
    found = closed(world, now + 2, 3)
    assert [pane.start for pane in found] == [T, T + PANE_S, T + 2 * PANE_S]
    assert sum(len(part) for made in Fake.made for part in made.asked) == 3 * MOST_N  # each asked for once, the later ones ahead
    for pane in found:
        (part,) = pane.parts
        chosen = sorted(part.keys, key=lambda key: blake2b(key, key=SALT, digest_size=8, person=b"embed").digest())[:MOST_N]
        wanted = [vector_of(f"text of {n}") for n, key in zip(names(int(pane.start - T) // 10), part.keys, strict=True) if key in chosen]
        np.testing.assert_array_equal(pane.increment.columns[SUBJECT], np.stack(wanted))  # in the order in which the records came
        assert (pane.increment.n, len(pane.increment.columns["input.text"])) == (PER_PANE, PER_PANE)
        assert part.summary[f"{SUBJECT}@f"]["fourier"].n == MOST_N
    found_counters = world.counters()
    assert (found_counters["texts", "embedded"], found_counters["texts", "sampled_out"]) == (3 * MOST_N, 3 * (PER_PANE - MOST_N))
    assert found_counters["records", "stored"] == 3 * PER_PANE


def test_another_version_has_its_own_sketches_and_only_the_champions_texts_are_evidence(world: World) -> None:
    world.post("a", "b", at=T)
    world.post("c", at=T + 1, version="2")
    (pane,) = closed(world, T + 12, 1)
    assert len(pane.increment.columns[SUBJECT]) == 2
    assert {part.version: part.summary[f"{SUBJECT}@f"]["fourier"].n for part in pane.parts} == {"1": 2, "2": 1}


def test_what_comes_late_is_embedded_with_the_next_pane(world: World) -> None:
    world.post("a", at=T)
    closed(world, T + 12, 1)
    world.post("late", at=T + 1)
    world.post("b", at=T + 12)
    (pane,) = closed(world, T + 22, 1)
    assert {tuple(row) for row in pane.increment.columns[SUBJECT]} == {tuple(vector_of(f"text of {n}")) for n in ("late", "b")}
    assert world.counters()["texts", "embedded"] == 3


def test_a_backlog_beyond_memory_waits_for_no_vector(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_CHUNK_N", 20)
    monkeypatch.setattr(intake, "_MOST_PENDING_N", 40)
    Fake.gate.clear()
    for pane in range(6):
        world.post(*names(pane), at=T + PANE_S * pane)
    found = world.tick(T + 7 * PANE_S)
    assert len(found) >= 4
    told = world.counters()
    assert told["texts", "late"] > 0
    Fake.gate.set()
    closed(world, T + 7 * PANE_S + 1, 6 - len(found))
    told = world.counters()
    assert sum(n for (name, _), n in told.items() if name == "texts") == told["records", "stored"] == 6 * PER_PANE


PANES = 40


def _fill(folder: Path) -> None:
    world = World(folder)
    for pane in range(PANES):
        world.post(*names(pane), at=T + PANE_S * pane)
    world.spool.close()
    world.ledger.close()


def _all(world: World) -> None:
    """Tick until all panes are closed."""
    while world.counters().get(("records", "stored"), 0) < PANES * PER_PANE:
        world.tick(T + PANES * PANE_S + 100)
        time.sleep(0.001)  # the encoder's turn


def _main(folder: Path) -> None:
    """The process that is killed."""
    Fake.reset()
    of_encoder.EncoderProcess = Fake  # type: ignore[assignment, misc]
    world = World(folder)
    print("ready", flush=True)
    _all(world)
    world.close()


def test_killed_at_random_moments_every_pane_is_as_without_a_kill_and_every_vector_is_folded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Fake.reset()
    monkeypatch.setattr(of_encoder, "EncoderProcess", Fake)
    found: list[tuple[Any, Any]] = []
    for name in ("quiet", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        _fill(folder)
        if name == "killed":
            assert to_the_end(__file__, folder, seed=3, kills_n=3, within_s=(0.02, 0.25)) >= 2, (
                "it ended before it could be killed: nothing was tried"
            )
        world = World(folder)
        _all(world)
        found.append((world.sketches(), {key: n for key, n in world.counters().items() if key[0] in {"texts", "folded", "records"}}))
        world.close()
    assert found[0] == found[1]
    sketches, told = found[0]
    assert len(sketches) == PANES
    assert told["folded", "vectors"] == told["texts", "embedded"] == PANES * MOST_N


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
