"""Texts that the service embeds: which of a pane, how long it waits, what is told of each, and how the encoder is looked after.

The process is a stand-in here; tests/integration/test_encoder.py has the real one.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from daemon.decide.monitors.all import monitors
from daemon.settings import ModelSettings, ReferenceSettings, Settings
from daemon.settings_encoder import EncoderSettings
from daemon.store.embed import encoder as of_encoder
from daemon.store.embed.encoder import Encoder, Job, Priority, State
from daemon.store.embed.encoders import Encoders
from daemon.store.embed.panes import Embeddings, Told
from daemon.store.embed.references import MOST_N, EmbeddedReference, References
from daemon.store.embed.texts import LEAST_N, affordable, sample, sent, text_of
from daemon.store.keys import key_of
from daemon.store.ledger import Ledger
from daemon.store.pending import Buffer
from daemon.store.ports import Mark
from daemon.store.spooled import Spooled, records_of
from daemon.watch import enter
from daemon.watched.table import notes
from detectors.rhythm import Rhythm
from detectors.sketches.fourier import Fourier
from detectors.types import Increment, Outcome, Pairs, Window
from retrain.encoder_wire import Hello
from retrain.types import Permanent
from tests.embedding import D, Fake, vector_of
from tests.integration.conftest import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

SUBJECT, SALT = "input.text.embedding", b"salt"
AT = datetime(2026, 11, 1, tzinfo=UTC)


def model(**encoder: Any) -> ModelSettings:
    column = {"kind": "text", "encoder": {"model": "e", **encoder}}
    return ModelSettings.model_validate({"name": "m", "task": "text-generation", "columns": {"text": column, "x": "numeric"}})


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    Fake.reset()
    monkeypatch.setattr(of_encoder, "EncoderProcess", Fake)
    monkeypatch.setattr(of_encoder, "_BACKOFF_S", (0.0,))


@pytest.fixture
def encoder() -> Iterator[Encoder]:
    found = Encoder(EncoderSettings(model="e"))
    yield found
    found.close()


def spooled(name: str, inputs: dict[str, Any], **segments: Any) -> Spooled:
    said = {"id": name, "model": "m", "version": "1", "at": AT.isoformat(), "output": {"text": "said"}}
    return records_of(json.dumps({**said, "inputs": inputs, "segments": segments}).encode())[0]


def buffer(*texts: str | None, prefix: str = "r") -> Buffer:
    found = Buffer(Mark(0, 0))
    for i, text in enumerate(texts):
        name = f"{prefix}{i}"
        found.records.append(spooled(name, {} if text is None else {"text": text}))
        found.keys.append(key_of(name))
    return found


# -- the sample


def test_a_sample_is_the_same_whatever_the_texts_and_however_the_records_came_and_another_with_another_salt() -> None:
    held = buffer(*(f"text {i}" for i in range(300)))
    found = sample([held], 20, SALT)
    turned = Buffer(Mark(0, 0), records=held.records[::-1], keys=held.keys[::-1])
    assert sample([turned], 20, SALT) == found
    assert [key for key, _ in sample([buffer(*(["other"] * 300))], 20, SALT)] == [key for key, _ in found]
    assert sample([turned], 40, SALT)[:20] == found  # a smaller share is part of a larger one
    assert len({key for key, _ in found} & {key for key, _ in sample([held], 20, b"another")}) < 10
    assert len(sample([held], 1000, SALT)) == 300


def test_every_record_is_in_the_sample_equally_often() -> None:
    n = Counter[int]()
    for stream in range(400):
        held = buffer(*(str(i) for i in range(20)), prefix=f"{stream}-")
        n.update(held.keys.index(key) for key, _ in sample([held], 5, SALT))
    assert sum(n.values()) == 2000
    assert sum((k - 100) ** 2 / 100 * 20 / 15 for k in (n[i] for i in range(20))) < 50.8  # chi-square with 19 degrees: P < 1e-4


def test_a_slow_encoder_has_a_smaller_share_by_halves_and_never_fewer_than_the_least() -> None:
    assert affordable(256, texts_per_s=0.0, pane_s=1.0, columns_n=1) == 256  # not known yet
    assert affordable(256, texts_per_s=100.0, pane_s=60.0, columns_n=1) == 256
    assert affordable(256, texts_per_s=100.0, pane_s=2.0, columns_n=1) == 64
    assert affordable(256, texts_per_s=100.0, pane_s=2.0, columns_n=2) == 32
    assert affordable(256, texts_per_s=0.01, pane_s=1.0, columns_n=1) == LEAST_N


def test_texts_are_found_where_the_subject_says_and_cut_and_made_valid() -> None:
    record = spooled("r", {"text": "hello"}, note="from the segments", n=3)
    assert text_of(record, "input.text") == "hello"
    assert text_of(record, "input.note") == "from the segments"
    assert text_of(record, "segment.n") == "3"
    assert text_of(record, "output.text") == "said"
    assert text_of(record, "input.none") is None
    assert sent(["a" * 1000, "\ud800b"], 8) == ["a" * 256, "?b"]


# -- the encoder


def done(job: Job | None) -> Job:
    assert job is not None
    assert job.done.wait(20)
    return job


def test_texts_come_back_as_vectors_in_their_order_and_what_it_costs_is_known(encoder: Encoder) -> None:
    assert encoder.state is State.IDLE
    texts = [f"t{i}" for i in range(150)]
    job = done(encoder.submit(texts, Priority.PANE))
    assert job.vectors is not None
    np.testing.assert_array_equal(job.vectors, np.stack([vector_of(t) for t in texts]))
    assert [len(part) for part in Fake.made[0].asked] == [64, 64, 22]
    assert (encoder.state, encoder.cpu_s, encoder.rss_bytes, encoder.lost_n) == (State.READY, 1.5, 7, 0)


def test_panes_go_before_references(encoder: Encoder) -> None:
    Fake.gate.clear()
    first = encoder.submit(["first"], Priority.REFERENCE)
    wait_for(lambda: Fake.made and Fake.made[0].asked, message="the first job at work")
    jobs = [encoder.submit(["reference"], Priority.REFERENCE), encoder.submit(["pane"], Priority.PANE)]
    Fake.gate.set()
    for job in (first, *jobs):
        done(job)
    assert Fake.made[0].asked == [["first"], ["pane"], ["reference"]]


def test_a_job_whose_process_dies_is_tried_once_more_and_given_up_when_it_takes_a_second_one_with_it(encoder: Encoder) -> None:
    Fake.errors = [EOFError("the process was ended by signal 9 (SIGKILL)")]
    assert done(encoder.submit(["a"], Priority.PANE)).vectors is not None
    assert (len(Fake.made), encoder.lost_n, encoder.because) == (2, 1, "the process was ended by signal 9 (SIGKILL)")
    Fake.errors = [EOFError("it died"), TimeoutError("the process gave no answer within 120 s")]
    job = done(encoder.submit(["poison"], Priority.PANE))
    assert job.vectors is None
    assert job.failed == "the process gave no answer within 120 s"
    assert done(encoder.submit(["b"], Priority.PANE)).vectors is not None  # the next one is not held against it
    assert encoder.state is State.READY
    assert [not made.is_alive for made in Fake.made[:-1]] == [True] * (len(Fake.made) - 1)


def test_an_encoder_that_cannot_be_loaded_is_down_with_its_reason_and_comes_back_by_itself(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_encoder, "_BACKOFF_S", (0.3,))
    Fake.hellos = [Hello(error="no *.safetensors")] * 2
    job = done(encoder.submit(["a"], Priority.PANE))
    assert (job.failed, encoder.state, encoder.because) == ("no *.safetensors", State.DOWN, "no *.safetensors")
    wait_for(lambda: encoder.state is State.READY, message="the folder was mended")
    assert done(encoder.submit(["a"], Priority.PANE)).vectors is not None


def test_another_encoder_in_the_same_folder_is_not_mixed_with_the_first(encoder: Encoder) -> None:
    done(encoder.submit(["a"], Priority.PANE))
    Fake.errors = [EOFError("it died")]
    Fake.hellos = [Hello(fingerprint="another", dimensions=D)]
    job = done(encoder.submit(["b"], Priority.PANE))
    assert job.vectors is None
    assert "is not the encoder that it was" in job.failed
    assert encoder.hello is not None
    assert encoder.hello.fingerprint == "f"


def test_too_many_jobs_are_refused_and_an_end_takes_no_time(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    Fake.gate.clear()
    jobs = [encoder.submit([str(i)], Priority.PANE) for i in range(of_encoder.MOST_JOBS + 3)]
    assert jobs[-1] is None
    monkeypatch.setattr(of_encoder, "_JOIN_S", 20.0)
    encoder.close()
    assert encoder._thread is not None
    assert not encoder._thread.is_alive()


# -- panes


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Panes:
    settings: ModelSettings
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.encoders = Encoders([self.settings])
        self.encoder = self.encoders.of["m", SUBJECT]
        self.embeddings = Embeddings([self.settings], self.encoders, salt=SALT, clock=self.clock)

    def ready(self, index: int, *buffers: Buffer) -> Any:
        found = wait_for(lambda: self.embeddings.of("m", index, buffers, may_wait=True), seconds=20, message="the vectors")
        return found[0]


@pytest.fixture
def panes() -> Iterator[Callable[..., Panes]]:
    made: list[Panes] = []

    def make(**encoder: Any) -> Panes:
        made.append(Panes(model(**encoder)))
        return made[-1]

    yield make
    for one in made:
        one.encoders.close()


def test_a_pane_gets_the_vectors_of_its_sample_and_every_record_is_told_of_once(panes: Callable[..., Panes]) -> None:
    held = buffer(*(f"t{i}" for i in range(30)), None, "no vector")
    found = panes(most_n=32).ready(0, held)
    assert found.told == {"embedded": 30, "no_text": 1, "no_vector": 1}
    assert (found.subject, found.fingerprint, set(found.vectors)) == (SUBJECT, "f", set(held.keys[:30]))
    np.testing.assert_array_equal(found.vectors[held.keys[3]], vector_of("t3"))
    many = panes(most_n=16).ready(0, held, buffer("late", prefix="l"))
    assert many.told.total() == 33
    assert many.told["sampled_out"] == 17
    assert set(many.vectors) <= {key for key, _ in sample([held, buffer("late", prefix="l")], 16, SALT)}


def test_what_the_model_writes_is_embedded_too() -> None:
    settings = ModelSettings.model_validate({"name": "m", "task": "text-generation", "output_encoder": {"model": "e"}})
    encoders = Encoders([settings])
    held = buffer("asked")
    (found,) = Embeddings([settings], encoders, salt=SALT, is_patient=True).of("m", 0, [held], may_wait=True) or ()
    encoders.close()
    assert found.subject == "output.text.embedding"
    np.testing.assert_array_equal(found.vectors[held.keys[0]], vector_of("said"))


def test_the_same_pane_is_the_same_again_after_a_kill(panes: Callable[..., Panes]) -> None:
    texts = [f"t{i}" for i in range(100)]
    first, again = (panes(most_n=32).ready(7, buffer(*texts)) for _ in range(2))
    assert first.told == again.told
    assert {k: v.tobytes() for k, v in first.vectors.items()} == {k: v.tobytes() for k, v in again.vectors.items()}


def test_a_pane_waits_for_its_vectors_up_to_a_bound_and_is_then_closed_without_them(panes: Callable[..., Panes]) -> None:
    Fake.gate.clear()
    one = panes(wait_s=30)
    held = [buffer("a", "b", None)]
    assert one.embeddings.of("m", 0, held, may_wait=True) is None
    one.clock.now = 29.0
    assert one.embeddings.of("m", 0, held, may_wait=True) is None
    one.clock.now = 30.0
    found = one.embeddings.of("m", 0, held, may_wait=True)
    assert found is not None
    assert (found[0].told[Told.LATE], found[0].told.total(), found[0].vectors) == (2, 3, {})
    Fake.gate.set()


def test_an_encoder_that_hangs_holds_up_a_model_once_until_it_gives_a_sign_of_life(panes: Callable[..., Panes]) -> None:
    one = panes(wait_s=30)
    one.ready(0, buffer("a"))
    Fake.gate.clear()
    assert one.embeddings.of("m", 1, [buffer("b")], may_wait=True) is None
    wait_for(lambda: ["b"] in Fake.made[-1].asked, message="the process at work")
    one.clock.now = 30.0
    assert one.ready(1, buffer("b")).told == {"late": 1}
    (next_one,) = one.embeddings.of("m", 2, [buffer("c")], may_wait=True) or ()
    assert next_one.told == {"late": 1}  # at once
    signs_n = one.encoder.signs_n
    Fake.gate.set()
    wait_for(lambda: one.encoder.signs_n > signs_n, message="an answer")
    assert one.ready(3, buffer("d")).told == {"embedded": 1}


def test_a_process_without_texts_is_ended_and_the_next_text_starts_another(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_encoder, "IDLE_S", 0.05)
    done(encoder.submit(["a"], Priority.PANE))
    wait_for(lambda: encoder.state is State.IDLE and encoder.pid is None, message="the end of the process")
    done(encoder.submit(["b"], Priority.PANE))
    assert (len(Fake.made), encoder.lost_n) == (2, 0)


def test_nothing_waits_when_memory_is_full_or_the_encoder_is_down(panes: Callable[..., Panes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_encoder, "_BACKOFF_S", (600.0,))
    Fake.gate.clear()
    one = panes()
    found = one.embeddings.of("m", 0, [buffer("a")], may_wait=False)
    assert found is not None
    assert found[0].told[Told.LATE] == 1
    Fake.gate.set()
    broken = panes()
    Fake.hellos = [Hello(error="broken")]
    told = broken.ready(0, buffer("a", "b")).told
    assert told[Told.UNAVAILABLE] == 2
    assert broken.encoder.state is State.DOWN
    (found_at_once,) = broken.embeddings.of("m", 1, [buffer("a")], may_wait=True) or ()
    assert found_at_once.told == {"unavailable": 1}


def test_a_few_panes_are_asked_for_ahead_of_their_turn(panes: Callable[..., Panes]) -> None:
    one = panes()
    for index in range(10):
        if one.embeddings.has_room("m"):
            one.embeddings.ask("m", index, [buffer(f"t{index}")])
    assert len(one.embeddings._asked) == 4
    assert one.ready(3, buffer("t3")).told == {"embedded": 1}
    one.embeddings.forget()
    assert one.embeddings.has_room("m")
    assert one.embeddings.of("other", 0, [buffer("a")], may_wait=True) == ()


def test_a_replay_waits_and_says_what_is_wrong_with_an_encoder() -> None:
    settings = model()
    encoders = Encoders([settings])
    try:
        patient = Embeddings([settings], encoders, salt=SALT, is_patient=True)
        (found,) = patient.of("m", 0, [buffer("a", "b")], may_wait=True) or ()
        assert found.told == {"embedded": 2}
        Fake.errors = [EOFError("it died")] * 2
        with pytest.raises(Permanent, match="it died"):
            patient.of("m", 1, [buffer("a")], may_wait=True)
    finally:
        encoders.close()


# -- the reference, and the detectors that begin with it


def reference_of(found: References, texts: Sequence[str | None]) -> EmbeddedReference:
    said: list[str] = []

    def ready() -> EmbeddedReference | None:
        now = found.of("m", SUBJECT, texts)
        if isinstance(now, str):
            said.append(now)
            return None
        return now

    made: EmbeddedReference = wait_for(ready, seconds=20, message="the reference")
    assert all("its encoder is" in sentence for sentence in said)
    return made


def test_a_reference_is_embedded_once_and_kept_for_the_same_texts_and_encoder(tmp_path: Path) -> None:
    texts = [*(f"t{i}" for i in range(100)), None]
    encoders = Encoders([model()])
    made = reference_of(References(encoders, tmp_path), texts)
    np.testing.assert_array_equal(made.vectors, np.stack([vector_of(t) for t in texts if t]))
    asked_n = sum(len(p) for m in Fake.made for p in m.asked)
    again = reference_of(References(encoders, tmp_path), texts)
    np.testing.assert_array_equal(again.vectors, made.vectors)
    assert sum(len(p) for m in Fake.made for p in m.asked) == asked_n
    (path,) = (tmp_path / "references" / "m").iterdir()
    path.write_bytes(b"no archive")
    np.testing.assert_array_equal(reference_of(References(encoders, tmp_path), texts).vectors, made.vectors)  # made anew
    assert len(reference_of(References(encoders, tmp_path), [f"u{i}" for i in range(3 * MOST_N)]).vectors) == MOST_N
    encoders.close()


def test_a_replay_says_why_its_reference_cannot_be_embedded(tmp_path: Path) -> None:
    encoders = Encoders([model()])
    assert isinstance(References(encoders, tmp_path, is_patient=True).of("m", SUBJECT, ["a", "b"]), EmbeddedReference)
    encoders.close()
    broken = Encoders([model()])
    Fake.hellos = [Hello(error="no *.safetensors")] * 1_000_000  # more than are asked for before the replay looks
    with pytest.raises(Permanent, match=r"input\.text\.embedding: no \*\.safetensors"):
        References(broken, tmp_path, is_patient=True).of("m", SUBJECT, ["a", "b"])
    broken.close()


def test_a_disk_without_room_only_costs_the_next_start_its_time(tmp_path: Path) -> None:
    (tmp_path / "references").write_text("in the way")
    encoders = Encoders([model()])
    assert len(reference_of(References(encoders, tmp_path), [f"t{i}" for i in range(70)]).vectors) == 70
    encoders.close()


def test_references_leave_room_for_panes(encoder: Encoder) -> None:
    Fake.gate.clear()
    assert encoder.submit(["at work"], Priority.REFERENCE) is not None
    wait_for(lambda: Fake.made and Fake.made[0].asked, message="the first job at work")
    asked = [encoder.submit([str(i)], Priority.REFERENCE) for i in range(of_encoder.MOST_JOBS)]
    assert sum(job is not None for job in asked) == of_encoder.MOST_JOBS // 2
    assert encoder.submit(["pane"], Priority.PANE) is not None
    Fake.gate.set()


def test_texts_of_a_reference_that_end_every_process_are_left_out(tmp_path: Path) -> None:
    encoders = Encoders([model()])
    Fake.errors = [EOFError("it died")] * 2
    made = reference_of(References(encoders, tmp_path), [f"t{i}" for i in range(70)])
    assert np.flatnonzero(np.isnan(made.vectors[:, 0])).tolist() == list(range(64))
    encoders.close()


def _watch(ledger: Ledger, folder: Path, texts: Sequence[str]) -> Any:
    path = folder / "reference.ndjson"
    path.write_text("\n".join(f'{{"inputs": {{"text": "{t}", "x": {i}}}, "output": {{"text": "said"}}}}' for i, t in enumerate(texts)))
    with ledger.begin() as tx:
        return enter(tx, model(), "1", 1, path)


def _made(texts: Sequence[str], fingerprint: str = "f") -> EmbeddedReference:
    return EmbeddedReference(vectors=np.stack([vector_of(t) for t in texts]), fingerprint=fingerprint, rows=np.arange(len(texts)))


def _step(watch: Any, ledger: Ledger, texts: Sequence[str]) -> Any:
    columns = {"input.x": np.arange(len(texts), dtype=float), SUBJECT: np.stack([vector_of(t) for t in texts])}
    with ledger.begin() as tx:
        found = watch.fold(tx, Increment(start=AT, end=AT, columns=columns, pairs=Pairs.empty(), n=len(texts)))
    (verdict,) = [v for v in found if v.subject == SUBJECT]
    return verdict


def test_detectors_of_an_embedding_learn_until_its_reference_is_there_and_go_on_after_a_restart(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/l.db")
    ledger.migrate()
    texts = [f"t{i}" for i in range(300)]
    watch = _watch(ledger, tmp_path, texts)
    alphas = {(d.name, d.subject): getattr(d, "alpha", None) for d in watch.detectors}
    verdict = _step(watch, ledger, texts[:50])
    assert (verdict.outcome, verdict.because) == (Outcome.INSUFFICIENT, "learning: its reference has to be embedded")
    others = {name: state for name, state in watch.states.items() if name[1] != SUBJECT}
    with ledger.begin() as tx:
        watch.begin(tx, SUBJECT, _made(texts))
    assert {(d.name, d.subject): getattr(d, "alpha", None) for d in watch.detectors} == alphas  # its share was kept for it
    assert all(watch.states[name] is state for name, state in others.items())
    for part in range(6):
        verdict = _step(watch, ledger, [f"new {part} {i}" for i in range(40)])
    assert (verdict.outcome, verdict.n) == (Outcome.OK, 200)
    kept = watch.states["embedding_witness", SUBJECT]
    for fingerprint, n in (("f", 240), ("another", 0)):
        again = _watch(ledger, tmp_path, texts)
        with ledger.begin() as tx:
            again.begin(tx, SUBJECT, _made(texts, fingerprint))
        assert again.states["embedding_witness", SUBJECT].n == n  # evidence of another encoder's vectors is never used
    assert kept.n == 240
    for part in range(4):
        verdict = _step(watch, ledger, [f"other {part} {i}" for i in range(40)])
    assert verdict.outcome is Outcome.ALARM
    ledger.close()


def test_with_a_rhythm_more_texts_are_embedded_each_known_by_its_time_and_their_rows_are_not_in_the_ledger(tmp_path: Path) -> None:
    encoders, texts = Encoders([model()]), [None, *(f"t{i}" for i in range(40))]
    made = reference_of(References(encoders, tmp_path), texts)
    assert made.rows.tolist() == list(range(1, 41))  # not that of the missing text
    many = References(encoders, tmp_path, is_patient=True).of("m", SUBJECT, [f"u{i}" for i in range(3000)], 2500)
    assert isinstance(many, EmbeddedReference)
    assert (len(many.vectors), many.rows[-1]) == (2500, 2999)
    encoders.close()
    ledger, timed = (
        Ledger(f"sqlite:///{tmp_path}/l.db"),
        model().model_copy(update={"reference": ReferenceSettings(rhythm=Rhythm.HOUR_OF_DAY)}),
    )
    ledger.migrate()
    path = tmp_path / "timed.ndjson"
    rows_n = 24 * 40
    lines = ({"at": 3600.0 * (i % 24), "inputs": {"text": f"t{i}"}, "output": {"text": "said"}} for i in range(rows_n))
    path.write_text("\n".join(map(json.dumps, lines)))
    rows = np.arange(3, rows_n)
    vectors = np.stack([vector_of(f"t{i}") for i in rows])
    watches = []
    for _ in range(2):
        with ledger.begin() as tx:
            watch = enter(tx, timed, "1", 1, path)
            watch.begin(tx, SUBJECT, EmbeddedReference(vectors=vectors, fingerprint="f", rows=rows))
        for part in range(3):
            verdict = _step(watch, ledger, [f"new {part} {i}" for i in range(40)])
        watches.append(watch)
    before, again = (w.states["embedding_witness", SUBJECT] for w in watches)
    assert [len(part.hours) for part in again.hold] == [len(part.hours) for part in before.hold] == [26] * 24
    assert (again.n, verdict.outcome) == (240, Outcome.OK)
    ledger.close()


def test_sketches_of_another_encoders_vectors_are_not_looked_at(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/l.db")
    ledger.migrate()
    texts = [f"t{i}" for i in range(300)]
    watch = _watch(ledger, tmp_path, texts)
    with ledger.begin() as tx:
        watch.begin(tx, SUBJECT, _made(texts))
    panes_ = {
        f"{SUBJECT}@{name}": [Fourier.of(np.stack([vector_of(f"{kind} {i}") for i in range(64 * k, 64 * k + 64)])) for k in range(8)]
        for name, kind in (("f", "new"), ("another", "other"))
    }
    sketches = {name: {"fourier": sum_of(parts)} for name, parts in panes_.items()}
    window = Window(model="m", version="1", start=AT, end=AT, n_seen=512, n=512, sketches=sketches, confusion=None)
    found = {v.detector: v for v in watch.look(window) if v.subject == SUBJECT}
    assert (found["mmd"].outcome, found["mmd"].n) == (Outcome.OK, 512)
    turned = replace(window, sketches={f"{SUBJECT}@f": sketches[f"{SUBJECT}@another"]})
    assert next(v for v in watch.look(turned) if v.subject == SUBJECT).outcome is Outcome.ALARM
    ledger.close()


def sum_of(parts: Sequence[Fourier]) -> Fourier:
    found = Fourier()
    for part in parts:
        found = found.merge(part)
    return found


# -- settings


def test_an_embedding_of_the_service_is_watched_for_drift_and_its_texts_for_quality() -> None:
    names = {(d.name, d.subject) for d in monitors(model(), has_bound=False) if SUBJECT in d.subject}
    assert names == {("mmd", SUBJECT), ("embedding_witness", SUBJECT)}
    chosen = Settings.model_validate({"models": [model().model_dump() | {"monitors": {"drift": {"columns": ["text"]}}}]}).models[0]
    assert {d.subject for d in monitors(chosen, has_bound=False) if d.name.endswith("_witness")} == {"input.text", "output.text", SUBJECT}
    assert any(SUBJECT in note and "at most 256 texts of input.text a pane" in note for note in notes(model()))
    said = ModelSettings.model_validate({"name": "m", "task": "text-generation", "output_encoder": {"model": "e"}})
    assert "output.text.embedding" in {d.subject for d in monitors(said, has_bound=False)}


def test_columns_with_the_same_encoder_share_one_process() -> None:
    column = {"kind": "text", "encoder": {"model": "e"}}
    two = ModelSettings.model_validate({"name": "m", "task": "text-generation", "columns": {"a": column, "b": column}})
    encoders = Encoders([two])
    assert len(set(map(id, encoders.of.values()))) == 1
    assert encoders.of["m", "input.a.embedding"].columns_n == 2
    encoders.close()
