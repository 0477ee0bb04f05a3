"""From spool entries to closed panes: once each, on time, in order, counted."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from daemon.capture.frames import Entry, EntryKind
from daemon.capture.frames import Mark as SpoolMark
from daemon.capture.sampling import included
from daemon.capture.wire import parse_labels
from daemon.settings import Settings
from daemon.store import ahead, counters, intake, panes, rows, tables
from daemon.store.closed import ClosedPane, Reign
from daemon.store.intake import Intake
from daemon.store.ledger import Ledger
from daemon.store.ports import Feed
from retrain.types import Transient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PANE_S, WATERMARK_S, LATENESS_S = 10.0, 2.0, 100.0
T = 1_800_000_000.0


@dataclass
class Spool:
    """Entries in memory, each with its mark."""

    entries: list[Entry] = field(default_factory=list)
    released: SpoolMark = field(default_factory=lambda: SpoolMark(0, 0))

    def records(self, *found: dict[str, Any], received_at: float) -> None:
        self._add(EntryKind.RECORDS, found, received_at)

    def labels(self, *found: dict[str, Any], received_at: float) -> None:
        self._add(EntryKind.LABELS, found, received_at)

    def _add(self, kind: EntryKind, found: tuple[dict[str, Any], ...], received_at: float) -> None:
        payload = "\n".join(map(json.dumps, found)).encode()
        self.entries.append(Entry(kind, payload, len(found), received_at, SpoolMark(1, len(self.entries) + 1)))

    def read(self, after: SpoolMark) -> Iterator[Entry]:
        yield from (e for e in list(self.entries) if tuple(e.mark) > tuple(after))

    def release(self, before: SpoolMark) -> None:
        self.released = before


@dataclass
class Service:
    """Ledger, spool and intake; `restart` throws the intake's memory away."""

    folder: Path
    url: str
    ratio: float = 1.0
    spool: Spool = field(default_factory=Spool)
    champions: dict[str, Reign] = field(default_factory=lambda: {"m": Reign("1", 0.0)})
    got: list[ClosedPane] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.url)
        self.ledger.migrate()
        monitors = {"pane_s": PANE_S, "watermark_s": WATERMARK_S, "lateness_s": LATENESS_S}
        columns = {"text": "text", "age": "numeric", "band": {"kind": "category", "protected": True}}
        model = {"name": "m", "task": "text-classification", "labels": ["no", "yes"], "columns": columns, "monitors": monitors}
        self.settings = Settings.model_validate({"data_dir": self.folder, "models": [{**model, "sample_ratio": self.ratio}]})
        self.restart()

    def restart(self) -> None:
        feed = Feed(
            read=self.spool.read,
            release=self.spool.release,
            parse_labels=parse_labels,
            included=lambda record_id, model, ratio: included(record_id, model, ratio, b"salt"),
        )
        if hasattr(self, "intake"):
            self.intake.close()  # a killed service takes its builder with it
        self.intake = Intake(self.settings, self.ledger, feed, self.folder)

    def tick(self, now: float) -> list[ClosedPane]:
        self.intake.pull(now)
        found = []
        for pane in self.intake.due(now, self.champions):
            with self.ledger.begin() as tx:
                self.intake.commit(tx, pane)
            found.append(pane)
        self.intake.release()
        self.got += found
        return found

    def counters(self) -> dict[tuple[str, str], int]:
        with self.ledger.read() as tx:
            return counters.counters(tx, "m")

    def unnamed(self) -> list[str]:
        """Files of the log that no pane names."""
        with self.ledger.read() as tx:
            named = set(tx.execute(select(tables.pane.c.path)).scalars())
        return [
            name
            for path in self.folder.rglob("records/**/*")
            if path.is_file() and (name := str(path.relative_to(self.folder))) not in named
        ]

    def logged(self) -> list[dict[str, Any]]:
        """Every row of every file that a committed pane names."""
        with self.ledger.read() as tx:
            paths = tx.execute(select(tables.pane.c.path).where(tables.pane.c.path.is_not(None)).order_by(tables.pane.c.id)).scalars().all()
        return [row for path in paths for row in pq.read_table(self.folder / path, partitioning=None).to_pylist()]


@pytest.fixture
def service(tmp_path: Path, new_database: Callable[[], str]) -> Iterator[Service]:
    found = Service(tmp_path, new_database())
    yield found
    found.ledger.close()


def record(name: str, at: float, *, version: str = "1", label: str = "yes", band: str | None = "old") -> dict[str, Any]:
    return {
        "id": name,
        "model": "m",
        "version": version,
        "at": datetime.fromtimestamp(at, UTC).isoformat(),
        "inputs": {"text": f"text of {name}", "age": 30},
        "output": {"label": label, "scores": {"yes": 0.75, "no": 0.25}},
        "segments": {} if band is None else {"band": band},
    }


def label(name: str, at: float, value: str = "yes") -> dict[str, Any]:
    return {"id": name, "model": "m", "at": datetime.fromtimestamp(at, UTC).isoformat(), "label": value, "source": "human"}


def texts(pane: ClosedPane) -> list[str]:
    return [str(x).removeprefix("text of ") for x in pane.increment.columns.get("input.text", [])]


def test_a_pane_closes_when_its_watermark_has_passed_and_holds_its_records_once(service: Service) -> None:
    service.spool.records(record("a", T), record("b", T + 9.9), record("c", T + 10.0), record("a", T + 1), received_at=T + 10)
    assert service.tick(T + 11.9) == []
    (pane,) = service.tick(T + 12.0)
    assert (pane.start, pane.end, pane.n_seen, texts(pane)) == (T, T + 10, 2, ["a", "b"])
    watched = {"input.text", "input.age", "segment.band", "output.label", "output.score"}
    assert set(pane.increment.columns) == {*watched, "output.scores", "record.content", "record.at"}
    assert pane.increment.columns["output.scores"].tolist() == [[0.25, 0.75], [0.25, 0.75]]
    assert pane.increment.columns["output.score"].tolist() == [0.75, 0.75]
    assert pane.increment.columns["record.at"].tolist() == [T, T + 9.9]
    scores = pane.parts[0].summary["output.scores"]["scores"]
    assert scores.table(["yes", "no"]).sum(axis=2).tolist() == [[0.0, 2.0], [2.0, 0.0]]  # answered otherwise, answered so
    assert pane.increment.columns["input.age"].dtype == np.float64
    assert service.tick(T + 13) == []
    (pane,) = service.tick(T + 22)
    assert texts(pane) == ["c"]
    assert service.counters() == {("accepted", "records"): 4, ("records", "stored"): 3, ("records", "duplicate"): 1}
    assert [r["id"] for r in service.logged()] == ["a", "b", "c"]


def test_a_pane_counts_what_came_again_and_what_could_not_be_read(service: Service) -> None:
    bad = record("b", T + 1)
    bad["inputs"]["age"] = "unknown"
    service.spool.records(record("a", T), bad, record("a", T + 2), record("a", T + 3), record("x", T + 3, version="0"), received_at=T + 4)
    (pane,) = service.tick(T + 12)
    assert (pane.increment.arrived, pane.increment.repeated, pane.increment.wrong) == (4, 2, {"input.age": 1})
    assert len(set(pane.increment.columns["record.content"].tolist())) == 2
    service.spool.records(record("c", T + 11), record("b", T + 12), received_at=T + 13)
    (pane,) = service.tick(T + 22)
    assert (pane.increment.arrived, pane.increment.repeated, pane.increment.wrong) == (2, 1, {})
    with service.ledger.read() as tx:
        window = panes.window(tx, "m", "1", T, T + 20)
        assert panes.same_hours(tx, "m", T, T + 20, days=3) == (4,)
    assert window.sketches["record"]["ids"].k == 3
    assert window.sketches["record"]["ids"].n == 6
    assert window.sketches["input.age"]["wrong"].k == 1
    assert window.sketches["record"]["at"].high == T + 11


def test_the_same_hours_of_earlier_days_are_those_that_had_records(service: Service) -> None:
    for day, n in ((3, 2), (1, 5), (0, 1)):
        at = T - day * 86_400.0
        service.spool.records(*(record(f"{day}-{i}", at + i) for i in range(n)), received_at=at + 9)
        service.tick(at + 60)
    with service.ledger.read() as tx:
        assert panes.same_hours(tx, "m", T - 30, T + 30, days=7) == (1, 5, 2)
        assert panes.same_hours(tx, "m", T - 30, T + 30, days=2) == (1, 5)


def test_the_same_id_after_its_pane_was_committed_is_a_duplicate_also_after_a_restart(service: Service) -> None:
    service.spool.records(record("a", T), received_at=T)
    service.tick(T + 12)
    service.restart()
    service.spool.records(record("a", T + 15), received_at=T + 15)
    assert service.tick(T + 30) == []
    assert service.counters()["records", "duplicate"] == 1


def test_a_record_that_is_too_old_on_arrival_is_counted_late_and_frees_the_spool(service: Service) -> None:
    service.spool.records(record("old", T - LATENESS_S - 1), received_at=T)
    assert service.tick(T + 60) == []
    assert service.counters() == {("accepted", "records"): 1, ("records", "late"): 1}
    assert service.spool.released == (1, 1)


def test_an_addition_to_a_closed_pane_gets_its_own_number_and_comes_with_the_next_increment(service: Service) -> None:
    service.spool.records(record("a", T), received_at=T)
    service.tick(T + 12)
    service.spool.records(record("straggler", T + 5), record("b", T + 11), received_at=T + 13)
    (pane,) = service.tick(T + 22)
    assert [(p.start, p.seq, p.n) for p in pane.parts] == [(T, 1, 1), (T + 10, 0, 1)]
    assert texts(pane) == ["straggler", "b"]
    assert pane.increment.n == 2


def test_a_straggler_alone_comes_with_the_next_pane_although_that_is_empty(service: Service) -> None:
    service.spool.records(record("a", T), received_at=T)
    service.tick(T + 12)
    service.spool.records(record("straggler", T + 5), received_at=T + 13)
    assert service.tick(T + 14) == []
    (pane,) = service.tick(T + 22)
    assert (pane.start, texts(pane)) == (T + 10, ["straggler"])
    assert service.tick(T + 32) == []


AHEAD_S = 86_400.0


def ahead_and_back(service: Service) -> None:
    """The service's clock alone is a day ahead from T + 20 to T + 40; its senders' are right. Labels are late by design."""
    service.spool.records(record("a", T), received_at=T)
    service.tick(T + 12)
    service.spool.records(record("b", T + 15), received_at=T + 15)
    service.spool.labels(label("a", T + 20), received_at=T + AHEAD_S + 20)
    service.tick(T + AHEAD_S + 22)
    service.spool.records(record("c", T + 35), received_at=T + AHEAD_S + 35)  # too old for the clock of then: dropped, and counted


@pytest.mark.parametrize("restarts", [False, True])
def test_a_clock_that_was_ahead_and_is_set_back_costs_no_later_record_its_pane(service: Service, restarts: bool) -> None:
    ahead_and_back(service)
    service.tick(T + AHEAD_S + 37)
    if restarts:
        service.restart()
    service.spool.records(record("d", T + 41), record("e", T + 52), received_at=T + 53)
    service.spool.labels(label("b", T + 53), received_at=T + 53)
    service.got.clear()
    found = [pane for second in range(54, 80) for pane in service.tick(T + second)]
    assert [(pane.start, texts(pane)) for pane in found] == [(T + 40, ["d"]), (T + 50, ["e"])]
    assert [join.held.label.id for pane in found for join in pane.joins] == ["b"]
    assert service.intake.set_back == {"m": AHEAD_S - 34}
    assert sorted(row["id"] for row in service.logged()) == ["a", "b", "d", "e"]
    assert service.spool.released == SpoolMark(1, len(service.spool.entries))


def test_what_a_clock_that_was_ahead_left_open_does_not_wait_for_its_time(service: Service) -> None:
    """Records of senders whose clock was ahead, too, and labels of that time: with the next pane, and the spool is free."""
    service.spool.records(record("a", T), received_at=T)
    service.spool.records(record("soon", T + AHEAD_S), received_at=T + AHEAD_S)
    service.spool.labels(label("a", T + AHEAD_S), received_at=T + AHEAD_S)
    (pane,) = service.tick(T + 12)
    assert (pane.start, texts(pane)) == (T, ["soon", "a"])
    assert [join.held.label.id for join in pane.joins] == ["a"]
    assert service.spool.released == SpoolMark(1, 3)
    service.spool.records(record("b", T + 15), record("a", T + 16), received_at=T + 16)
    assert [(pane.start, texts(pane)) for pane in service.tick(T + 22)] == [(T + 10, ["b"])]
    service.restart()
    service.spool.records(record("c", T + 25), record("soon", T + 26), received_at=T + 26)
    assert [(pane.start, texts(pane)) for pane in service.tick(T + 32)] == [(T + 20, ["c"])]
    with service.ledger.read() as tx:
        assert panes.newest_record_at(tx, "m") == T + AHEAD_S + 10
        assert panes.newest_record_at(tx, "m", until=T + 32) == T + 30


def test_a_clock_that_is_slewed_by_less_than_the_watermark_is_no_matter(service: Service) -> None:
    service.spool.records(record("a", T), received_at=T)
    service.tick(T + 12)
    service.spool.records(record("late", T + 5), record("b", T + 10.5), received_at=T + 10.5)
    assert service.tick(T + 10.5) == []
    assert service.intake.set_back == {}
    assert [(pane.start, texts(pane)) for pane in service.tick(T + 22)] == [(T + 10, ["late", "b"])]


def test_labels_become_pairs_in_the_order_in_which_they_came(service: Service) -> None:
    service.spool.records(*(record(n, T + i) for i, n in enumerate("abc")), received_at=T + 3)
    service.spool.labels(label("c", T + 4, "no"), label("a", T + 4), received_at=T + 5)
    service.spool.labels(label("b", T + 4, "no"), label("a", T + 9, "no"), received_at=T + 6)
    (pane,) = service.tick(T + 12)
    assert pane.increment.pairs.label.tolist() == ["no", "yes", "no"]
    assert pane.increment.pairs.predicted.tolist() == ["yes"] * 3
    assert pane.increment.pairs.groups["band"].tolist() == ["old"] * 3
    assert pane.increment.pairs.weight is None
    assert pane.parts[0].confusion.n == 3
    found = service.counters()
    assert (found["accepted", "labels"], found["labels", "stored"], found["labels", "duplicate"]) == (4, 3, 1)
    delays = {reason: n for (name, reason), n in found.items() if name == "label_delay"}
    assert delays == {"10": 3, "sum_ms": 3000 + 5000 + 5000}  # c, a and b: from their records to 5, 5 and 6


def test_a_label_for_an_earlier_record_comes_with_the_next_pane_also_without_records_and_after_a_restart(service: Service) -> None:
    service.spool.records(record("a", T, band="young"), record("b", T), received_at=T)
    service.tick(T + 12)
    service.restart()
    service.spool.labels(label("a", T + 40, "no"), received_at=T + 41)
    (pane,) = service.tick(T + 52)
    assert (pane.start, pane.n, pane.increment.n) == (T + 40, 0, 0)
    assert pane.increment.pairs.label.tolist() == ["no"]
    assert pane.increment.pairs.at is not None
    assert pane.increment.pairs.at.tolist() == [T]  # of the record, not of the label
    assert pane.increment.pairs.groups["band"].tolist() == ["young"]
    assert [(p.version, p.n_pairs, p.path) for p in pane.parts] == [("1", 1, None)]
    assert service.tick(T + 62) == []


def test_a_label_waits_for_its_record_also_over_a_restart(service: Service) -> None:
    service.spool.labels(label("later", T), label("never", T), received_at=T)
    service.spool.records(record("a", T), received_at=T)
    (pane,) = service.tick(T + 12)
    assert pane.increment.pairs.n == 0
    service.restart()
    service.spool.labels(label("later", T + 13, "no"), received_at=T + 13)
    service.spool.records(record("later", T + 14), received_at=T + 14)
    (pane,) = service.tick(T + 22)
    assert pane.increment.pairs.label.tolist() == ["yes"]
    assert service.counters()["labels", "duplicate"] == 1
    with service.ledger.begin() as tx:
        states = {row.record_id: row.state for row in tx.execute(select(tables.label))}
        assert states == {"later": "joined", "never": "waiting"}
        assert service.intake.prune(tx, T + 1e9) == {"m": 1}
        assert (tx.execute(select(tables.key_run)).all(), tx.execute(select(tables.key_block)).all()) == ([], [])


def test_a_label_that_came_after_a_pane_closed_belongs_to_the_next_one_when_several_are_caught_up(service: Service) -> None:
    service.spool.records(record("a", T), received_at=T)
    service.spool.records(record("b", T + 10), received_at=T + 10)
    service.spool.labels(label("a", T + 13), received_at=T + 12.5)
    service.spool.labels(label("b", T + 13), received_at=T + 55)
    first, second, third = service.tick(T + 100)
    assert [p.increment.pairs.n for p in (first, second, third)] == [0, 1, 1]
    assert third.n == 0


def test_only_records_and_pairs_of_the_champion_and_its_epoch_enter_the_increment(service: Service) -> None:
    service.champions = {"m": Reign("2", T + 2)}
    service.spool.records(
        record("old", T, version="1"), record("early", T + 1, version="2"), record("mine", T + 3, version="2"), received_at=T + 4
    )
    service.spool.labels(*(label(n, T + 5) for n in ("old", "early", "mine")), received_at=T + 5)
    (pane,) = service.tick(T + 12)
    assert texts(pane) == ["mine"]
    assert pane.increment.pairs.n == 1
    assert {(p.version, p.n, p.n_pairs) for p in pane.parts} == {("1", 1, 1), ("2", 2, 2)}
    assert len(service.logged()) == 3


def test_sampling_keeps_a_share_counts_all_and_stores_the_probability(tmp_path: Path, new_database: Callable[[], str]) -> None:
    service = Service(tmp_path, new_database(), ratio=0.3)
    names = [f"r{i}" for i in range(1000)]
    service.spool.records(*(record(n, T) for n in names), received_at=T)
    service.spool.labels(*(label(n, T) for n in names), received_at=T + 1)
    (pane,) = service.tick(T + 12)
    kept = [n for n in names if included(n, "m", 0.3, b"salt")]
    assert texts(pane) == kept
    assert pane.n_seen == 1000
    assert {r["pi"] for r in service.logged()} == {0.3}
    assert pane.increment.pairs.weight is not None
    assert pane.increment.pairs.weight.tolist() == [1 / 0.3] * len(kept)
    found = service.counters()
    assert found["records", "stored"] == len(kept)
    assert found["records", "stored"] + found["records", "sampled_out"] == found["accepted", "records"] == 1000
    assert found["joins", "unsampled"] == 1000 - len(kept)
    service.spool.records(*(record(n, T + 20) for n in names), received_at=T + 20)
    assert service.tick(T + 60) == []
    assert service.counters()["records", "duplicate"] == 1000
    service.ledger.close()


def test_a_sample_does_not_hold_the_payloads_that_it_was_taken_from(tmp_path: Path, new_database: Callable[[], str]) -> None:
    service = Service(tmp_path, new_database(), ratio=0.3)
    service.spool.records(*(record(f"r{i}", T) for i in range(100)), received_at=T)
    payload = service.spool.entries[0].payload
    before = sys.getrefcount(payload)
    service.intake.pull(T + 1)
    assert service.intake.n_pending == 100
    assert sys.getrefcount(payload) == before
    service.ledger.close()


def test_a_model_that_left_the_settings_and_a_payload_that_cannot_be_read_are_counted(service: Service) -> None:
    service.spool.records({**record("a", T), "model": "gone"}, received_at=T)
    service.spool.entries.append(Entry(EntryKind.RECORDS, b"{", 7, T, SpoolMark(1, 2)))
    service.tick(T + 12)
    with service.ledger.read() as tx:
        assert counters.counters(tx, "gone") == {("accepted", "records"): 1, ("records", "unknown_model"): 1}
        assert counters.counters(tx, "")["records", "unreadable"] == 7
    assert service.spool.released == (1, 2)


def test_a_transaction_that_fails_loses_nothing_and_doubles_nothing(service: Service) -> None:
    service.spool.records(record("a", T), record("a", T), record("b", T + 11), received_at=T + 11)
    service.spool.labels(label("a", T + 1), received_at=T + 11)

    def fail() -> None:
        service.intake.pull(T + 12)
        for pane in service.intake.due(T + 12, service.champions):
            with service.ledger.begin() as tx:
                service.intake.commit(tx, pane)
                raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with pytest.raises(Transient):
        service.intake.release()
    first, second = service.tick(T + 22)
    assert texts(first) + texts(second) == ["a", "b"]
    found = service.counters()
    assert (found["records", "stored"], found["records", "duplicate"], found["accepted", "records"]) == (2, 1, 3)
    assert len(service.logged()) == 2


def test_a_backlog_is_read_in_bounded_portions_with_the_same_panes(
    tmp_path: Path, new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(name: str) -> list[tuple[float, list[str], list[str]]]:
        (tmp_path / name).mkdir()
        service = Service(tmp_path / name, new_database())
        for i in range(200):
            service.spool.records(record(f"r{i}", T + i), received_at=T + i)
            service.spool.labels(label(f"r{i}", T + i), received_at=T + i + 0.5)
        found = [(p.start, texts(p), p.increment.pairs.label.tolist()) for p in service.tick(T + 300)]
        service.ledger.close()
        return found

    whole = run("whole")
    monkeypatch.setattr(intake, "_CHUNK_N", 6)
    monkeypatch.setattr(intake, "_MOST_PENDING_N", 25)
    assert run("portions") == whole
    assert len(whole) == 20


@pytest.mark.parametrize(
    ("new_database", "seed", "piece_n"),
    [("sqlite", 0, 20_000), ("sqlite", 1, 12), ("sqlite", 2, 12), ("postgresql", 0, 12)],
    indirect=["new_database"],
)
def test_with_crashes_at_random_places_everything_is_stored_and_folded_exactly_once(
    tmp_path: Path, new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch, seed: int, piece_n: int
) -> None:
    monkeypatch.setattr(ahead, "PIECE_N", piece_n)
    rng = np.random.default_rng(seed)
    service = Service(tmp_path, new_database(), ratio=0.8)
    truth = _random_traffic(service, rng)
    folded: list[str] = []
    joined = 0
    now = T
    while now < T + 400:
        now += float(rng.uniform(1, 15))
        if rng.random() < 0.3:
            service.restart()
        service.intake.pull(now)
        for pane in service.intake.due(now, service.champions):
            chance = rng.random()
            if chance < 0.2:  # killed between the Parquet file and the transaction
                service.restart()
                break
            try:
                with service.ledger.begin() as tx:
                    service.intake.commit(tx, pane)
                    if chance < 0.4:
                        raise RuntimeError("killed in the transaction")  # noqa: TRY301 (that is the test)
            except RuntimeError:
                break
            folded += texts(pane)
            joined += pane.increment.pairs.n
    service.tick(T + 1000)
    folded += [x for pane in service.got for x in texts(pane)]
    joined += sum(pane.increment.pairs.n for pane in service.got)
    kept = {n for n in truth["records"] if included(n, "m", 0.8, b"salt")}
    assert sorted(folded) == sorted(kept)
    assert joined == len(kept & truth["labels"])
    assert sorted(r["id"] for r in service.logged()) == sorted(kept)
    assert service.unnamed() == []
    found = service.counters()
    dropped = ("sampled_out", "duplicate", "late")
    assert found["accepted", "records"] == truth["sent"]
    assert found["accepted", "records"] == found["records", "stored"] + sum(found.get(("records", r), 0) for r in dropped)
    assert found["records", "stored"] == len(kept)
    assert found["records", "late"] == truth["late"]
    assert found["accepted", "labels"] == found["labels", "stored"] + found["labels", "duplicate"] == truth["labels_sent"]
    service.ledger.close()


def _random_traffic(service: Service, rng: np.random.Generator) -> dict[str, Any]:
    """300 seconds of records and labels, with repetitions, stragglers and late ones; gives what should come of it."""
    records: set[str] = set()
    labels: set[str] = set()
    sent = late = labels_sent = 0
    for i in range(300):
        at = T + i
        names = [f"r{int(rng.integers(0, 3 * i + 3))}" for _ in range(3)]
        service.spool.records(*(record(n, at - float(rng.uniform(0, 30))) for n in names), received_at=at)
        records.update(names)
        sent += 3
        if i % 20 == 0:
            service.spool.records(record(f"late{i}", at - LATENESS_S - 5), received_at=at)
            sent, late = sent + 1, late + 1
        named = [f"r{int(rng.integers(0, 3 * i + 10))}" for _ in range(2)]
        service.spool.labels(*(label(n, at) for n in named), received_at=at)
        labels.update(named)
        labels_sent += 2
    return {"records": records, "labels": labels, "sent": sent, "late": late, "labels_sent": labels_sent}


def test_pieces_that_are_built_ahead_come_to_the_same_pane(
    tmp_path: Path, new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(name: str) -> tuple[list[Any], int]:
        (tmp_path / name).mkdir()
        service = Service(tmp_path / name, new_database(), ratio=0.8)
        for i in range(10):  # the second version comes with the 70th record
            mine = range(10 * i, 10 * i + 10)
            service.spool.records(*(record(f"r{k}", T + i, version="1" if k < 70 else "2") for k in mine), received_at=T + i)
            service.spool.labels(*(label(f"r{k}", T + i, ("yes", "no")[k % 2]) for k in mine if k % 3), received_at=T + i)
            service.tick(T + i + 0.5)
        (pane,) = service.tick(T + 12)
        with service.ledger.read() as tx:
            windows = [panes.window(tx, "m", version, T, T + 10) for version in ("1", "2")]
        counts = [(w.n_seen, w.n, w.sketches["input.age"]["moments"], w.sketches["segment.band"]["counts"]) for w in windows]
        logged = [(row["id"], row["version"], row["text"]) for row in service.logged()]
        service.ledger.close()
        return [texts(pane), pane.increment.pairs.label.tolist(), pane.increment.arrived, counts, logged], len(pane.parts)

    whole, n_parts = run("whole")
    monkeypatch.setattr(ahead, "PIECE_N", 8)
    pieces, n_pieces = run("pieces")
    assert pieces == whole
    assert (n_parts, n_pieces) == (2, 8)


def test_a_piece_that_could_not_be_written_is_built_when_its_pane_closes(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "PIECE_N", 2)
    (service.folder / "records").write_text("a full disk would be like this")
    service.spool.records(*(record(f"r{i}", T + i) for i in range(5)), received_at=T + 5)
    service.tick(T + 6)
    (service.folder / "records").unlink()
    (pane,) = service.tick(T + 12)
    assert texts(pane) == [f"r{i}" for i in range(5)]
    assert [row["id"] for row in service.logged()] == [f"r{i}" for i in range(5)]


def test_a_window_from_the_cache_is_the_window_from_the_ledger(service: Service) -> None:
    rng = np.random.default_rng(1)
    windows = panes.Windows()
    for i in range(40):
        at = T + 10 * i
        found = [record(f"r{i}.{j}", at - (25 if j == 0 and i > 3 else 0) + j % 9, label=str(rng.choice(["yes", "no"]))) for j in range(5)]
        service.spool.records(*found, received_at=at + 9)
        service.spool.labels(label(f"r{i}.1", at), received_at=at + 9)
        service.tick(at + 12)
        with service.ledger.read() as tx:
            kept = windows.window(tx, "m", "1", at - 93, at + 12)
            fresh = panes.window(tx, "m", "1", at - 93, at + 12)
            ids = tx.execute(select(tables.pane.c.n).where(tables.pane.c.start >= at - 93)).scalars().all()
        assert kept.n == fresh.n == kept.n_seen == sum(ids)
        assert kept.confusion == fresh.confusion
        assert kept.sketches["output.label"] == fresh.sketches["output.label"]
        assert kept.sketches["output.score"]["moments"].n == fresh.sketches["output.score"]["moments"].n
    with service.ledger.read() as tx:
        assert windows.window(tx, "m", "1", T - 5, T + 1000).n == 40 * 5
        assert windows.window(tx, "m", "other", T, T + 1000).n == 0
        assert panes.newest_record_at(tx, "m") == T + 400
        assert panes.newest_record_at(tx, "other") is None


def test_rows_for_training_hold_labels_sources_and_groups_and_are_bounded_to_the_newest(service: Service) -> None:
    for i in range(10):
        service.spool.records(record(f"r{i}", T + 10 * i, version=str(i % 2)), received_at=T + 10 * i)
        if i % 3 == 0:
            service.spool.labels(label(f"r{i}", T, "no"), received_at=T + 10 * i + 1)
    service.tick(T + 200)
    with service.ledger.read() as tx:
        found = rows.labelled(tx, service.folder, "m", since=0.0, protected=["band"])
        assert found["id"].to_pylist() == ["r0", "r3", "r6", "r9"]
        assert found["label"].to_pylist() == ["no"] * 4
        assert found["source"].to_pylist() == ["human"] * 4
        assert found["text"].to_pylist()[0] == "text of r0"
        assert [json.loads(g) for g in found["groups"].to_pylist()] == [{"band": "old"}] * 4
        assert json.loads(found["inputs"].to_pylist()[1]) == {"text": "text of r3", "age": 30}
        assert rows.labelled(tx, service.folder, "m", since=T + 30, until=T + 90, version="0")["id"].to_pylist() == ["r6"]
        assert rows.labelled(tx, service.folder, "m", since=0.0, limit=2)["id"].to_pylist() == ["r6", "r9"]
        free = rows.unlabelled(tx, service.folder, "m", since=T + 10)
        assert free["id"].to_pylist() == ["r1", "r2", "r4", "r5", "r7", "r8"]
        assert free["label"].null_count == 6
        assert free.schema == found.schema
        assert rows.unlabelled(tx, service.folder, "m", since=0.0, limit=2)["id"].to_pylist() == ["r7", "r8"]


def test_a_sample_is_spread_evenly_over_its_time_and_reads_a_bounded_part_of_the_log(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(300):
        service.spool.records(record(f"r{i}", T + i), received_at=T + i)
    service.tick(T + 400)
    read: list[str] = []
    monkeypatch.setattr(rows, "_read", lambda folder, path, real=rows._read: read.append(path) or real(folder, path))
    with service.ledger.read() as tx:
        asked = {"tx": tx, "data_dir": service.folder, "model": "m", "since": T + 15, "until": T + 285, "version": "1"}
        everything = rows.sampled(**asked, limit=1000)
        assert everything["id"].to_pylist() == [f"r{i}" for i in range(15, 285)]
        assert (everything["label"].null_count, len(read)) == (270, 28)
        some = rows.sampled(**asked, limit=90)
        assert some["id"].to_pylist() == rows.sampled(**asked, limit=90)["id"].to_pylist()
        thirds = np.bincount((np.asarray(some["at"].to_pylist()) - T - 15).astype(int) // 90)
        assert thirds.min() > 15, "not the newest alone"
        read.clear()
        monkeypatch.setattr(rows, "MOST_FILES", 10)
        assert rows.sampled(**asked, limit=1000).num_rows > 80
        assert len(read) == 10
        read.clear()
        assert 40 < rows.sampled(**asked, limit=1000, most_read=60).num_rows <= 60
        assert len(read) <= 6
        assert rows.sampled(**{**asked, "version": "9"}, limit=10).num_rows == 0


def test_labels_count_from_the_champions_beginning_and_records_from_the_epochs(service: Service) -> None:
    for i in range(4):
        service.spool.records(record(f"r{i}", T + 2 * i), received_at=T + 2 * i)
        service.spool.labels(label(f"r{i}", T, "no"), received_at=T + 2 * i)
    service.champions = {"m": Reign("1", T + 4, answers_since=T + 2, epoch=7)}
    (pane,) = service.tick(T + 12)
    assert (pane.increment.n, pane.increment.pairs.n, pane.epoch) == (2, 3, 7)
