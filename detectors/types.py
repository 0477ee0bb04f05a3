"""The vocabulary: evidence, verdicts, windows, increments, references and what a detector is.

Pure data. A detector is a fold: `start(reference) -> state`, `step(state, input) -> (state, verdict)`. A one-look detector
(`informs`) ignores its state and gets a `Window`; a sequential one (`alarms`) lives in its state and gets an `Increment`.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from numpy.typing import NDArray


class Outcome(StrEnum):
    """What a detector or a gate says."""

    OK = "ok"
    """Nothing against the null; for a gate: the bound holds."""
    ALARM = "alarm"
    """The stated limit is passed; for a gate: the bound is missed."""
    INSUFFICIENT = "insufficient"
    """Too little data to say. Never `None`, never `NaN`, never "pass"."""


class ColumnKind(StrEnum):
    """How a column is read."""

    NUMERIC = "numeric"
    CATEGORY = "category"
    TEXT = "text"
    EMBEDDING = "embedding"
    """A vector of a fixed number of dimensions; values have shape (n, d), float32, a row of NaN = missing."""


def _fraction(name: str, value: float) -> None:
    if not 0.0 < value < 1.0:
        msg = f"{name} must be in (0, 1), got {value}; 0.01 = 1 false alarm per 100 looks"
        raise ValueError(msg)


@dataclass(frozen=True, kw_only=True, slots=True)
class PValue:
    """Valid at ONE look: P(p <= alpha) <= alpha under the null. Informs, never alarms by itself."""

    p: float
    alpha: float

    def __post_init__(self) -> None:
        """Refuse what is no probability."""
        _fraction("alpha", self.alpha)
        if not 0.0 <= self.p <= 1.0:
            msg = f"p must be in [0, 1], got {self.p}"
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True, slots=True)
class EValue:
    """Valid at ANY look: P(ever log10_e >= -log10(alpha)) <= alpha under the null (Ville's inequality)."""

    log10_e: float
    alpha: float

    def __post_init__(self) -> None:
        """Refuse NaN and a bad alpha."""
        _fraction("alpha", self.alpha)
        if math.isnan(self.log10_e):
            msg = "log10_e is NaN; an e-value without data is 0.0 (e = 1)"
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True, slots=True)
class EDetectorValue:
    """Mean run length between false alarms of at least (1 - delta)/alpha panes. No e-value: never combine by e-BH."""

    log10_e: float
    alpha: float
    delta: float = 0.0

    def __post_init__(self) -> None:
        """Refuse NaN and a bad alpha or delta."""
        _fraction("alpha", self.alpha)
        if math.isnan(self.log10_e) or not 0.0 <= self.delta < 1.0:
            msg = f"log10_e must be a number and delta in [0, 1), got {self.log10_e}, {self.delta}"
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """A distance with a limit set by hand: no error rate is claimed."""

    distance: float
    limit: float


Evidence = PValue | EValue | EDetectorValue | Score


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What one detector says about one subject.

    `value` in [`low`, `high`] is the magnitude in the detector's unit (a rate, a distance in [0, 1], …), finite always; `n` the
    records or labelled pairs behind it. With `INSUFFICIENT` and n = 0 they are the widest possible interval, not a measurement.
    `because` is a sentence for a person, always.
    """

    detector: str
    subject: str
    outcome: Outcome
    evidence: Evidence
    value: float
    low: float
    high: float
    n: int
    because: str
    limit: float | None = None
    """What the figure is held to, in its own unit: floor of a metric, most of a loss, gap or distance. None = no fixed value."""
    e_value: EValue | None = None
    """Of an e-process that an e-detector keeps beside itself: evidence that this subject moved since the epoch began. It never alarms;
    `combine.e_bh` says with it which subjects moved. None = it keeps none."""

    def __post_init__(self) -> None:
        """Refuse non-finite figures, a reversed interval and a silent verdict."""
        if not all(math.isfinite(x) for x in (self.value, self.low, self.high, self.limit or 0.0)):
            msg = f"value, low, high and limit must be finite, got {self.value}, {self.low}, {self.high}, {self.limit}"
            raise ValueError(msg)
        if self.low > self.high:
            msg = f"low must not exceed high, got [{self.low}, {self.high}]"
            raise ValueError(msg)
        if not self.because:
            msg = "because must be a sentence"
            raise ValueError(msg)


Column = "NDArray[np.float64] | NDArray[np.object_]"
"""Values of one column, shape (n,): float64 with NaN = missing (numeric); object array of str with None = missing (category, text)."""


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Labelled pairs in the order in which their labels arrived. All arrays have shape (n,) but `scores`.

    All pairs of a model are of one kind, by its task: classes (`predicted`, `label`, perhaps `scores`), numbers (`predicted_value`,
    `value`) or judged answers (`quality`). What a kind does not have is None; there `predicted` and `label` hold None in every row.
    """

    predicted: NDArray[np.object_]
    """The label that the model gave, str."""
    label: NDArray[np.object_]
    """The label that came later, str."""
    groups: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)
    """Column name (no prefix, as in settings: "age_band") -> group of each pair, str, None = unknown."""
    weight: NDArray[np.float64] | None = None
    """1 / inclusion probability; None = all 1."""
    scores: NDArray[np.float64] | None = None
    """Probability of each class, in the order of the model's labels, (n, k); NaN = not given."""
    predicted_value: NDArray[np.float64] | None = None
    """The number that the model gave."""
    value: NDArray[np.float64] | None = None
    """The number that came later."""
    at: NDArray[np.float64] | None = None
    """When the record of each pair was made, seconds since the epoch; None = not known."""
    quality: NDArray[np.float64] | None = None
    """What a judge, a user or an exact match gave the answer, in [0, 1]: 1 is best."""
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Subject ("input.age", "segment.channel") -> the record's value of each pair, as in `Increment.columns`: numbers and categories."""

    @property
    def n(self) -> int:
        """How many pairs."""
        return len(self.label)

    @property
    def loss(self) -> NDArray[np.float64]:
        """0/1 error of each pair, shape (n,)."""
        return np.asarray(self.predicted != self.label, dtype=np.float64)

    def take(self, rows: slice | NDArray[np.bool_] | NDArray[np.int64]) -> Pairs:
        """Some of the pairs, in the order of `rows`."""
        optional = {name: None if (found := getattr(self, name)) is None else found[rows] for name in _OPTIONAL}
        groups = {by: values[rows] for by, values in self.groups.items()}
        columns = {subject: values[rows] for subject, values in self.columns.items()}
        return Pairs(predicted=self.predicted[rows], label=self.label[rows], groups=groups, columns=columns, **optional)

    @classmethod
    def empty(cls) -> Pairs:
        """No pairs."""
        return cls(predicted=np.empty(0, dtype=object), label=np.empty(0, dtype=object))


_OPTIONAL = ("weight", "scores", "predicted_value", "value", "at", "quality")


@dataclass(frozen=True, kw_only=True)
class Increment:
    """One closed pane's news for the sequential detectors: each record and each labelled pair exactly once, in ledger order."""

    start: datetime
    end: datetime
    columns: Mapping[str, NDArray[Any]]
    """Subject ("input.text", "output.label", "output.score", "segment.channel", "record.content") -> values, shape (n,).

    Where classes are known and scores are sent, "output.scores" is beside them: (n, k), as `Pairs.scores`; without kind and sketch.
    Embeddings that the service makes ("input.text.embedding") have rows for the texts that were embedded only.
    """
    pairs: Pairs
    n: int = 0
    """Records in this increment."""
    wrong: Mapping[str, int] = field(default_factory=dict)
    """Subject -> values that were there and do not read as the column's kind; none = 0. Of a numeric column they are NaN in `columns`."""
    arrived: int = 0
    """Records of the version that came, sampled or not, those under an id that had come before among them."""
    repeated: int = 0
    """Of these, those under an id that had come before; they are in no column."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """[start, end), UTC, of one model version: merged panes. Costs the same however many records were in it."""

    model: str
    version: str
    start: datetime
    end: datetime
    n_seen: int
    """All records, sampled or not."""
    n: int
    """Sampled records, those in the sketches."""
    sketches: Mapping[str, Mapping[str, Any]]
    """Subject -> {"moments" | "quantiles" | "counts" | "wrong": sketch}; "record" -> {"at" | "repeats" | "ids": sketch}."""
    confusion: Any
    """`detectors.sketches.confusion.Confusion`: counts by (group column, group, label, predicted)."""
    judged: Mapping[str, Any] = field(default_factory=dict)
    """Further sketches of the labelled pairs, by name: see `detectors.sketches.judged`. A name without pairs is missing."""
    traffic: tuple[int, ...] = ()
    """All records of the model, whatever their version, in these hours: now, then on each earlier day that had any; () = not counted."""
    alike: Window | None = None
    """The newest part of it, where the share of records that are kept was changed in it: its sketches have a record as often as any other,
    those of the whole window do not. None = the whole is alike. Labelled pairs have weights and need none of it."""
    sample_ratio: float | None = None
    """Of such a part: the share of its records that was kept."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What production is compared with: raw columns (bounded), their sketches, and labelled rows for the source bound."""

    columns: Mapping[str, NDArray[Any]]
    """Subject -> values, as in `Increment.columns`."""
    kinds: Mapping[str, ColumnKind]
    """Subject -> how it is read."""
    sketches: Mapping[str, Mapping[str, Any]]
    """Subject -> {name: sketch}, built from `columns` by `detectors.sketches.summarise`."""
    bound: Pairs
    """Labelled pairs that no training, checkpoint choice or gate has seen: for the source loss bound only. May be empty."""
    digest: str
    """Of all of the above; part of the epoch's key."""


def digest_of(*parts: str | bytes) -> str:
    """First 16 hex digits of the SHA-256 of the parts, length-prefixed so that no two splits collide."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        sha.update(len(data).to_bytes(8, "big"))
        sha.update(data)
    return sha.hexdigest()[:16]


class Kind(StrEnum):
    """Which of the four contracts a detector keeps; only one of them wakes anybody."""

    INFORMS = "informs"
    """One look at a `Window`; PValue or Score evidence; the policy never acts on it."""
    ALARMS = "alarms"
    """A fold over `Increment`s; EValue or EDetectorValue evidence."""
    EXPLAINS = "explains"
    """A fold over `Increment`s for the diagnosis of an incident: it wakes nobody. Score evidence: log10 of a wealth whose rate of false
    words is kept only while what it estimates on the way is right."""
    ESTIMATES = "estimates"
    """A fold over `Increment`s that speaks of the latest records as of one look; Score evidence. For what needs rows, not sketches."""


class Eats(StrEnum):
    """What part of its input a detector reads."""

    NUMERIC = "numeric"
    CATEGORY = "category"
    TEXT = "text"
    EMBEDDING = "embedding"
    TABLE = "table"
    """Several columns at once, numeric and category: the detector's `columns`."""
    PAIRS = "pairs"
    GROUPS = "groups"
    """Labelled pairs with groups."""
    SCORES = "scores"
    """Probabilities of the classes: of all records ("output.scores") and of labelled pairs (`Pairs.scores`)."""
    VALUES = "values"
    """Labelled pairs of numbers."""
    QUALITY = "quality"
    """Answers that were judged."""
    FAULTS = "faults"
    """What is wrong with the data as such: of one column (with its kind beside this), of records, of their traffic."""


@runtime_checkable
class Detector(Protocol):
    """A detector: a frozen dataclass of its settings plus two pure functions.

    Class attributes document it (docs and contract tests read them); instances are built by `detectors.registry.build`.
    """

    name: ClassVar[str]
    kind: ClassVar[Kind]
    eats: ClassVar[frozenset[Eats]]
    evidence: ClassVar[type[PValue | EValue | EDetectorValue | Score]]
    guarantee: ClassVar[str]
    assumption: ClassVar[str]
    cost: ClassVar[str]
    source: ClassVar[str]

    @classmethod
    def example(cls) -> Self:
        """One of its kind with settings as in practice: what the contract tests and the documentation build."""
        ...

    @property
    def subject(self) -> str:
        """What it is about: "input.text", "f1[label=positive]", "risk", "equalized_odds_difference[by=age_band]"."""
        ...

    def start(self, reference: Reference) -> Any:  # noqa: ANN401 (each detector has a state of its own)
        """The state before any data: a frozen dataclass of float, int, str, bool, tuple, dict and ndarray (the ledger stores it)."""
        ...

    def step(self, state: Any, data: Any) -> tuple[Any, Verdict]:  # noqa: ANN401 (Window or Increment, by kind)
        """One input further. Pure: the arguments are not changed, equal arguments give equal results."""
        ...
