"""One model's detectors in one epoch: reference in, states kept in the ledger, verdicts out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from daemon.decide.monitors.all import monitors
from daemon.decide.monitors.fairness import beyond_judged
from daemon.decide.monitors.segments import watched_values
from daemon.decide.names import listed
from daemon.decide.times import when
from daemon.settings_encoder import SUFFIX
from daemon.settings_monitors import Monitors
from daemon.store import codec, states, verdicts
from daemon.store.damage import BROKEN
from daemon.store.reference import files_of, load_bound, reference_of
from detectors.fairness.groups import group_figures, named_groups, named_intersections
from detectors.fairness.intersection import AND
from detectors.of_reference import filled
from detectors.rhythm import Rhythm
from detectors.rhythm_window import during
from detectors.sequential.column_of_segment import ColumnOfSegment
from detectors.sequential.timed_rows import times_of
from detectors.sketches.confusion import Confusion
from detectors.sketches.counts import Counts
from detectors.sketches.records import AT, RECORD
from detectors.types import Eats, Kind, digest_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable
    from pathlib import Path

    from sqlalchemy import Connection

    from daemon.settings import ModelSettings
    from daemon.store.embed.references import EmbeddedReference
    from detectors.fairness.groups import GroupFigure
    from detectors.types import Detector, Increment, Reference, Verdict, Window

log = structlog.get_logger()

_MOST = 0.5
"""A segment with a larger share of the records is the whole, as far as labels of all go."""
_TRY_EVERY_S = 60.0
"""A reference that cannot be read is tried again: somebody mends the file."""


class Embedding(NamedTuple):
    """Of an embedding that the service makes."""

    key: str
    """Of its detectors' states: those of other vectors are never used."""
    sketches: str
    """Its name among a window's sketches."""


class Unread(NamedTuple):
    """A reference that cannot be read."""

    epoch: int
    because: str
    at: float

    def waits(self, epoch: int, now: float) -> bool:
        """Whether it was tried just now: a large file is read for seconds."""
        return epoch == self.epoch and abs(now - self.at) < _TRY_EVERY_S


_LABELLED = frozenset({Eats.PAIRS, Eats.GROUPS, Eats.VALUES, Eats.QUALITY})
_ARRIVALS = frozenset({f"{RECORD}.n", f"{RECORD}.id", AT})
"""Subjects that are of all records, kept or not, or of the newest alone."""
_NOT_READ = {
    name: Monitors.model_fields[name].default
    for name in ("window_s", "watermark_s", "lateness_s", "quiet_s", "blind_after_s", "label_horizon_s")
}
"""Settings that no sequential detector reads: whoever changes them keeps the evidence."""


@dataclass
class Watch:
    """Built once per epoch by `enter`; thrown away when a transaction that it took part in fails (the ledger has the truth)."""

    model: ModelSettings
    version: str
    epoch: int
    reference: Reference
    key: str
    """Epoch key: digest of model, version, epoch, reference and settings; states of another key are never used."""
    detectors: list[Detector]
    states: dict[tuple[str, str], Any] = field(default_factory=dict)
    steps: dict[tuple[str, str], int] = field(default_factory=dict)
    since: float = 0.0
    """Windows begin no earlier: records of before an absorbing are of another world."""
    waiting: dict[str, str] = field(default_factory=dict)
    """Subject of an embedding whose reference is not embedded yet -> why; its detectors say that, and begin with `begin`."""
    embedded: dict[str, Embedding] = field(default_factory=dict)
    """Subject of an embedding that has begun."""
    changed: str = ""
    """What became of the evidence because the settings changed in the middle of the epoch; empty = nothing."""
    notes: tuple[str, ...] = ()
    """What the bound rows lack, and groups that no alarm judges, a sentence each."""

    def begin(self, tx: Connection, subject: str, made: EmbeddedReference) -> None:
        """The detectors of an embedding begin, or go on with the states that were made with the same encoder and vectors."""
        columns = {subject: made.vectors, times_of(subject): self.reference.columns[AT][made.rows]}
        self.reference = replace(self.reference, columns={**self.reference.columns, **columns})
        key = digest_of(self.key, subject, made.fingerprint, made.vectors.tobytes())
        self.embedded[subject] = Embedding(key, f"{subject}@{made.fingerprint}")
        del self.waiting[subject]
        self._enter(tx, [d for d in self.detectors if d.subject == subject], key)

    def _enter(self, tx: Connection, found: Iterable[Detector], key: str) -> None:
        kept = states.load(tx, self.model.name, key)
        for detector in found:
            name = (detector.name, detector.subject)
            fresh = detector.start(self.reference)
            self.states[name] = _kept(self.model.name, detector, kept[name], fresh) if name in kept else fresh
            self.steps[name] = kept[name][1] if name in kept else 0

    def fold(self, tx: Connection, increment: Increment) -> list[Verdict]:
        """Sequential detectors take the increment, each exactly once; the new states are part of the caller's transaction."""
        if not (increment.n or increment.pairs.n):
            return []
        found = [v for d in self.detectors if d.kind is not Kind.INFORMS if (v := self._step(d, increment)) is not None]
        kept: dict[str, dict[tuple[str, str], tuple[bytes, int]]] = {}
        for k in self.steps:
            if k[1] not in self.waiting:
                key = self.embedded[k[1]].key if k[1] in self.embedded else self.key
                kept.setdefault(key, {})[k] = (codec.encode(self.states[k]), self.steps[k])
        for key, some in kept.items():
            states.save(tx, self.model.name, key, some)
        return found

    def look(self, window: Window) -> list[Verdict]:
        """One-look detectors see the window; they have no state. Of embeddings it has those of the encoder that made the reference's."""
        whole = self._with_own(window)
        alike = whole if whole.alike is None else self._with_own(whole.alike)
        self._turn_to(alike)
        found = []
        for d in self.detectors:
            data = alike if _counts_kept(d) else whole
            if d.kind is Kind.INFORMS and (v := self._step(d, data)) is not None:
                found.append(v if data is whole else _since_changed(v, data))
        return found

    def _with_own(self, window: Window) -> Window:
        own = {subject: window.sketches[e.sketches] for subject, e in self.embedded.items() if e.sketches in window.sketches}
        return replace(window, sketches={**window.sketches, **own}) if own else window

    def _turn_to(self, window: Window) -> None:
        """With a rhythm, statistics of columns compare the window with the reference rows of its own hours."""
        rhythm, drift = self.model.reference.rhythm, self.model.monitors.drift
        if rhythm is Rhythm.NONE or drift is None:
            return
        reference = during(self.reference, rhythm, window.start.timestamp(), window.end.timestamp())
        for d in self.detectors:
            if d.name in drift.statistics and d.subject not in self.waiting:
                self.states[d.name, d.subject] = d.start(reference)

    def is_of_segments(self, keys: Iterable[str]) -> bool:
        """Whether all of these ("detector:subject"), of an incident or of a verdict, are of segments."""
        return {*keys} <= self._of_segments

    def moved_within(self, keys: Container[str]) -> list[str]:
        """Subjects within segments, among an incident's keys, that labels of all records do not acquit.

        They speak for a segment where the column moved in the whole as well, unless it moved in this one alone, which is the smaller part.
        """
        moved: list[Any] = [d for d in self.detectors if isinstance(d, ColumnOfSegment) and f"{d.name}:{d.subject}" in keys]
        several = Counter((d.name, d.column, d.within.column) for d in moved)

        def is_of_all(d: Any) -> bool:  # noqa: ANN401 (`ColumnOfSegment` stands before a detector, whose name it has)
            is_large = several[d.name, d.column, d.within.column] > 1 or d.within.share(self.reference.columns) > _MOST
            return f"{d.name}:{d.column}" in keys and is_large

        return sorted({d.subject for d in moved if not is_of_all(d)})

    def whole_columns(self, subjects: Iterable[str]) -> set[str]:
        """What these subjects are of: those within segments are of their column."""
        columns = {d.subject: d.column for d in self.detectors if isinstance(d, ColumnOfSegment)}
        return {columns.get(subject, subject) for subject in subjects}

    @cached_property
    def _of_segments(self) -> frozenset[str]:
        return frozenset(f"{d.name}:{d.subject}" for d in self.detectors if getattr(d, "within", None) is not None)

    def groups(self, window: Window) -> list[GroupFigure]:
        """Rates of the protected columns' groups; named are those of the reference only (a closed set)."""
        wanted = self.model.monitors.fairness
        if wanted is None or not self.model.labels or not isinstance(window.confusion, Confusion):
            return []
        found: list[GroupFigure] = []
        known = {by: self.reference.sketches.get(f"segment.{by}", {}).get("counts", Counts()).counts for by in wanted.by}
        named = {by: named_groups(counts) for by, counts in known.items()}
        named |= {by: named_intersections(*(known[part] for part in by.split(AND))) for by in wanted.crossed()}
        for by, groups in named.items():
            found += group_figures(window.confusion, by=by, positive=self.model.favourable(), named=groups, min_n=wanted.min_n)
        return found

    def _step(self, detector: Detector, data: Increment | Window) -> Verdict | None:
        """One step; a detector that breaks is told and left out of this tick, so that a bad plug-in blinds nobody else."""
        key = (detector.name, detector.subject)
        try:
            state, verdict = detector.step(self.states[key], data)
        except Exception:  # a plug-in's bug; its state stays where it was
            log.exception("detector.failed", model=self.model.name, detector=detector.name, subject=detector.subject)
            return None
        if detector.subject in self.waiting:
            return replace(verdict, because=f"learning: {self.waiting[detector.subject]}")
        if detector.kind is not Kind.INFORMS:
            self.states[key] = state
            self.steps[key] = self.steps.get(key, 0) + 1
        return verdict


def enter(tx: Connection, model: ModelSettings, version: str, epoch: int, reference_path: Path) -> Watch:
    """The watch of an epoch, with its states where they were left. `Permanent(BAD_DATA)` when the reference can't be read."""
    records, labelled = files_of(model, reference_path)
    bound = load_bound(model, labelled)
    reference = reference_of(model, records, bound.pairs)
    key = key_of(model, version, epoch, reference)
    values = watched_values(model, reference.columns)
    found = monitors(model, has_bound=reference.bound.n > 0, seen=reference.columns, values=values)
    notes = (*bound.notes, *beyond_judged(model, reference.columns))
    watch = Watch(model=model, version=version, epoch=epoch, reference=reference, key=key, detectors=found, notes=notes)
    watch.waiting = dict.fromkeys(_embeddings(model, reference), "its reference has to be embedded")
    watch._enter(tx, found, key)  # noqa: SLF001 (this function is the class's constructor)
    for because in bound.notes:
        log.warning("reference.bound", model=model.name, epoch=epoch, because=because)
    gone = verdicts.keep_only(tx, model.name, watch.states.keys(), epoch=epoch)  # the settings changed: what they said acts no more
    if states.are_of_another(tx, model.name, key):
        lost = f"; not watched any more: {listed(sorted({subject for _, subject in gone}))}" if gone else ""
        watch.changed = f"the settings of what is watched changed: all sequential evidence begins anew{lost}"
    return watch


def unread(before: Unread | None, model: str, epoch: int, because: str, now: float) -> Unread:
    """The same trouble is logged once."""
    if before is None or (before.epoch, before.because) != (epoch, because):
        log.error("reference.unreadable", model=model, epoch=epoch, because=because)
    return Unread(epoch, because, now)


def key_of(model: ModelSettings, version: str, epoch: int, reference: Reference) -> str:
    """Names the states of an epoch: those of another one are never used."""
    # embeddings have a share of the rate of false alarms: with others, all shares are others
    unset = {"segments"} if model.monitors.segments is None else None  # a monitor that nobody asked for starts no other one afresh
    said = model.monitors.model_copy(update=_NOT_READ).model_dump_json(exclude=unset)
    return digest_of(model.name, version, str(epoch), reference.digest, said, *_embeddings(model, reference))


def _embeddings(model: ModelSettings, reference: Reference) -> list[str]:
    """Subjects of the embeddings that the service makes, of texts that the reference has."""
    return sorted(subject for subject in model.encoders() if subject.removesuffix(SUFFIX) in reference.columns)


def _counts_kept(detector: Detector) -> bool:
    """Whether each record that was kept counts once in it: only where all were kept at one ratio is a figure of these one of all.

    Labelled pairs have weights, so that what reads these alone is of the whole window.
    """
    return not detector.eats & _LABELLED and detector.subject not in _ARRIVALS


def _since_changed(verdict: Verdict, alike: Window) -> Verdict:
    since = f"the records since {when(alike.start.timestamp())}, when sample_ratio became {alike.sample_ratio:g}"
    return replace(verdict, because=f"{verdict.because}; of {since}")


def _kept(model: str, detector: Detector, kept: tuple[bytes, int], fresh: Any) -> Any:  # noqa: ANN401 (each detector has a state of its own)
    """A state as it was stored; one that does not read (of an older release, or damaged) starts afresh, which is told."""
    try:
        return filled(codec.decode(kept[0], type(fresh)), fresh)
    except BROKEN as e:
        log.warning("detector.started_afresh", model=model, detector=detector.name, subject=detector.subject, because=str(e))
        return fresh
