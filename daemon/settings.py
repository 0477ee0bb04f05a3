"""The one YAML file: every setting with its meaning, unit, what None means and why this default."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from daemon.settings_encoder import LENGTH, SUFFIX, EncoderSettings
from daemon.settings_executor import ExecutorSettings
from daemon.settings_monitors import Metric, Monitors
from daemon.settings_part import Name, Part, Positive, Ratio, Word
from daemon.settings_service import DiskSettings, HttpSettings, NotifySettings, RegistrySettings
from detectors.rhythm import Rhythm
from detectors.types import ColumnKind

_MOST_ASKED = 20


class Autonomy(StrEnum):
    """How far the service goes without a person."""

    SUGGEST = "suggest"
    TRAIN = "train"
    STAGE = "stage"
    PROMOTE = "promote"


class ColumnSettings(Part):
    """One column of a model's inputs or segments."""

    kind: ColumnKind
    """numeric | category | text | embedding (a list of numbers in the record's inputs). A category may be a text, a figure or true/false,
    in records as in a reference: 1 and 1.0 are both "1" (a table whose column has gaps holds floats), 1.5 is "1.5", true is "True", a text
    is as it was written ("1.10"). NaN is no value."""
    dimensions: int | None = Field(default=None, ge=2, le=4096)
    """How many numbers an embedding has; needed for it, and for nothing else. A record with another number of them has none."""
    protected: bool = False
    """True: fairness is judged by this column, and the gate by each of its groups."""
    minimum: float | None = None
    """Least number that is in range (numeric). None = the reference's smallest, less `monitors.quality.range_tolerance` of its range."""
    maximum: float | None = None
    """Largest number that is in range (numeric); None likewise."""
    encoder: EncoderSettings | None = None
    """Of a text column: the service itself embeds a sample of its texts and watches the vectors too. None = only as text."""

    @model_validator(mode="after")
    def _is_range(self) -> ColumnSettings:
        """A range is of numbers, and not empty."""
        if (self.minimum, self.maximum) != (None, None) and self.kind is not ColumnKind.NUMERIC:
            raise ValueError(f"minimum and maximum are of numeric columns, this is {self.kind}; remove them")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum must not exceed maximum, got {self.minimum:g} and {self.maximum:g}")
        if self.encoder is not None and self.kind is not ColumnKind.TEXT:
            raise ValueError(f"an encoder embeds texts, this column is {self.kind}; remove it, or write `kind: text`")
        return self


class ReferenceSettings(Part):
    """What production is compared with."""

    kind: Literal["file", "learn"] = "learn"
    """file: rows given by the user. learn: the first days of traffic are pinned."""
    path: Path | None = None
    """Parquet or NDJSON (kind: file), rows in the shape of POST /v1/records, or flat: a column for each input, and `predicted`, `score` or
    `scores` (class -> probability), `value`, `at`."""
    bound: Path | None = None
    """Labelled records ({record fields, "label"}) that no training saw: the bound on the champion's own loss. Refused when no row can be
    used, or most labels are none of `labels`. None = until the first promotion no max_drop monitor, and of risk only a rise."""
    learn_days: Positive = 7.0
    """How long to learn (kind: learn). A week covers the weekly rhythm."""
    learn_n: int = Field(default=1000, ge=100)
    """Learning goes on until at least so many records were seen; a shift is absorbed with no fewer."""
    max_n: int = Field(default=20_000, ge=100)
    """Rows kept of a larger reference (a uniform sample): bounds memory."""
    rhythm: Rhythm = Rhythm.NONE
    """none | hour_of_day | quarter_hour_of_day | hour_of_week (UTC). With one, columns are compared with the reference rows of their own
    hour, and so are their missing values, a rise of the loss is one beside the bound rows and labels of its hour, and limits from bound
    rows are of hours like its own (`minimum` and `maximum` are the same at all hours): where traffic has a rhythm, without it every
    morning is an alarm. `retuned check --records` finds and proposes it. Rows need a time (`at`)."""


class KeepSettings(Part):
    """How long what was stored is kept. What the present epoch, an open incident, a run or a rollback needs stays, however old."""

    records_days: Positive = 90.0
    """Records and their labels, by the record's time: a quarter to train on and to replay. At least the label horizon."""
    sketches_days: Positive = 35.0
    """The sketches of a pane, from which windows are merged: a month and the week before. At least the window."""
    work_days: Positive = 7.0
    """Checkpoints of ended runs and jobs of written reports: for looking at what went wrong."""
    runs_days: Positive = 180.0
    """Folders of ended runs (plan, data set, evaluations, adapter as trained), references, fetched adapters and reports. What the ledger
    says of a run or an incident (trigger, gates, decisions) is kept for ever; what is registered is the registry's."""
    max_bytes: int | None = Field(default=20 * 2**30, ge=2**20)
    """Of all files of this model; above it the oldest go first, whatever their age. None = only age counts."""


class Budget(Part):
    """Splits and sizes of a retraining's data set, in rows."""

    train_n: int = Field(default=640, ge=16)
    validation_n: int = Field(default=80, ge=8)
    gate_n: int = Field(default=400, ge=20)
    """Rows that the superiority gate judges on: 350 see a gain of .07 at discordance .22 with power .9 (docs/validity)."""
    bound_n: int = Field(default=150, ge=20)
    replay_n: int = Field(default=640, ge=0)


class RetrainSettings(Part):
    """When and how to retrain."""

    base_model: str
    """Folder of the base model, or `package:NAME` (a folder `model/` inside an installed package). Hub ids only with hub access."""
    technique: str = "lora"
    """A file in retrain/techniques."""
    on: list[Literal["performance", "harmful_drift", "schedule", "manual"]] = ["performance", "harmful_drift"]
    """Which triggers may start a run. harmful_drift = a drift alarm and a risk alarm in one incident. A person always may (`retuned
    retrain`): manual changes nothing, and says so where nothing else stands."""
    schedule: str | None = None
    """Cron expression, UTC; None = no calendar."""
    autonomy: Autonomy = Autonomy.STAGE
    """suggest: says so · train: trains and judges · stage: registers, asks before promoting · promote: does it all."""
    confirm_ticks: int = Field(default=2, ge=1)
    """Hysteresis: a trigger must stand for so many ticks in a row."""
    cooldown_h: Annotated[float, Field(ge=0.0)] = 24.0
    """No new automatic run for so long after the last one ended."""
    monthly_budget_h: Positive = 10.0
    """Training hours in 30 days; beyond it only a person starts runs."""
    collect_deadline_h: Positive = 14 * 24.0
    """Collecting labels ends as inconclusive after this."""
    watch_h: Positive = 72.0
    """Watching after a promotion ends as kept, unproven, after this."""
    watch_alpha: Ratio = 0.05
    """Level of the paired bets of the watch, each side."""
    watch_margin: Ratio = 0.05
    """Kept early when the new version is proven not worse than this margin."""
    cluster: str | None = None
    """Input or segment that names the document or user of a record: no split cuts through one, and the gates' errors are clustered by it.
    None = every record stands alone."""
    data: Budget = Budget()
    replay: Path | None = None
    """Labelled rows of the first training (Parquet or NDJSON of labelled records): mixed into every retraining."""
    old_domain: Path | None = None
    """Sealed labelled rows of the first domain: the non-inferiority gate."""
    epochs: Positive = 3.0
    learning_rate: Positive = 1e-3
    rank: int = Field(default=16, ge=1)
    max_tokens: int = Field(default=96, ge=8)
    seed: int = 0
    threads: int | None = None
    """Training threads; None = all cores."""
    alpha: Ratio = 0.05
    """Level of each gate."""
    old_domain_margin: Ratio = 0.03
    """Loss of accuracy on the old domain that is still no loss."""
    group_margin: Ratio = 0.05
    group_min_n: int = Field(default=50, ge=2)


class ModelSettings(Part):
    """One model."""

    name: Name
    task: Literal["text-classification", "text-generation", "tabular-classification", "tabular-regression"]
    labels: list[Word] = []
    """Classes, in the order of the model's outputs (classification)."""
    score_range: tuple[float, float] = (0.0, 1.0)
    """Worst and best judgement that a label's `score` can give (text-generation): a rating of 1 to 5 is [1, 5]. One outside it counts as
    no judgement."""
    columns: dict[Word, ColumnSettings] = {}
    """Inputs and segments by name; `text: text` is short for `text: {kind: text}`."""
    output_encoder: EncoderSettings | None = None
    """Likewise of the texts that the model writes (text-generation). None = only as text."""
    sample_ratio: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Share of records kept, chosen by a hash of the id; all are counted. Where it was changed within the window, figures of kept records
    are of those since."""
    labels_expected: bool | None = None
    """True: an alert when no label comes, and of performance without bound rows a rise of the loss is watched. False: neither. None = true
    for classes; for numbers and judged texts where the settings name performance: not every number comes true, not every text is judged."""
    reference: ReferenceSettings = ReferenceSettings()
    monitors: Monitors = Monitors()
    keep: KeepSettings = KeepSettings()
    retrain: RetrainSettings | None = None
    """None: watched only; an alias moved by someone else is adopted as a new epoch."""

    def expects_labels(self) -> bool:
        """Whether labels come, as the settings say it or by the task."""
        if self.labels_expected is not None or self.monitors.performance is None:
            return bool(self.labels_expected)
        return bool(self.labels) if self.task.endswith("classification") else "performance" in self.monitors.model_fields_set

    def subjects(self) -> dict[str, ColumnKind]:
        """Subject -> kind of every column that is watched: "segment.NAME" when protected, else "input.NAME", and the model's own output.

        The value of a column is looked for in the record's `inputs`, then in its `segments`, whatever its subject is called.
        """
        kinds = {self.subject_of(name): c.kind for name, c in self.columns.items()}
        if self.task.endswith("classification"):
            kinds |= {"output.label": ColumnKind.CATEGORY, "output.score": ColumnKind.NUMERIC}
        elif self.task == "tabular-regression":
            kinds["output.value"] = ColumnKind.NUMERIC
        else:
            kinds["output.text"] = ColumnKind.TEXT
        return kinds

    def encoders(self) -> dict[str, EncoderSettings]:
        """Subject of an embedding that the service makes -> by what. The texts are those of the subject without its `SUFFIX`."""
        found = {f"{self.subject_of(name)}{SUFFIX}": c.encoder for name, c in self.columns.items() if c.encoder}
        return found | ({f"output.text{SUFFIX}": self.output_encoder} if self.output_encoder is not None else {})

    def asked(self) -> dict[str, ColumnKind]:
        """Subject -> kind of the inputs that labelled pairs carry: numbers and categories, the first 20 of them.

        Of judged answers texts as well, which they carry as lengths (`carried`). What a judge gave is about the answer.
        """
        plain = {ColumnKind.NUMERIC, ColumnKind.CATEGORY}
        plain |= {ColumnKind.TEXT} if self.task == "text-generation" else set()
        found = [(s, kind) for s, kind in self.subjects().items() if kind in plain and not s.startswith("output.") and s != self.judge()]
        return dict(found[:_MOST_ASKED])

    def carried(self) -> tuple[str, ...]:
        """Columns of labelled pairs: what is asked, a text as "input.prompt.length"; of judged answers their own length, too."""
        asked = [f"{s}{LENGTH}" if kind is ColumnKind.TEXT else s for s, kind in self.asked().items()]
        return (*asked, *([f"output.text{LENGTH}"] if self.task == "text-generation" else []))

    def segments(self) -> list[str]:
        """Subjects of the columns whose values are watched one by one."""
        wanted = self.monitors.segments
        return [self.subject_of(name) for name in dict.fromkeys(wanted.by)] if wanted is not None else []

    def subject_of(self, column: str) -> str:
        """Of a column by its name."""
        return f"{'segment' if self.columns[column].protected else 'input'}.{column}"

    def paired(self) -> dict[str, ColumnKind]:
        """Subject -> kind of what a labelled pair keeps of its record: what is asked, the columns of segments, a judge's score."""
        judge = self.judge()
        judged = {} if judge is None else {judge: ColumnKind.NUMERIC}
        return self.asked() | dict.fromkeys(self.segments(), ColumnKind.CATEGORY) | judged

    def judge(self) -> str | None:
        """Subject of the score that a judge gives every answer; None = there is none."""
        wanted = self.monitors.performance
        named = wanted.predicted if wanted is not None else False
        return self.subject_of(named) if isinstance(named, str) and named in self.columns and self.metric() == "score" else None

    def metric(self) -> Metric:
        """What performance is judged by: the settings' choice, or the task's."""
        wanted = self.monitors.performance.metric if self.monitors.performance is not None else None
        if wanted is not None:
            return wanted
        return "f1" if self.task.endswith("classification") else "mae" if self.task == "tabular-regression" else "score"

    def favourable(self) -> str:
        """The label that is the favourable answer; "" without labels."""
        wanted = self.monitors.fairness.positive if self.monitors.fairness is not None else None
        return wanted or (self.labels[-1] if self.labels else "")

    def protected(self) -> list[str]:
        """Names of the protected columns."""
        return [name for name, column in self.columns.items() if column.protected]

    @field_validator("score_range")
    @classmethod
    def _is_a_range(cls, found: tuple[float, float]) -> tuple[float, float]:
        """Finite, the worst first."""
        if not (math.isfinite(found[0]) and math.isfinite(found[1]) and found[0] < found[1]):
            raise ValueError(
                f"score_range is [worst, best], worst < best, got {list(found)}; turn a rating where less is better around first"
            )
        return found

    @model_validator(mode="before")
    @classmethod
    def _short_columns(cls, data: object) -> object:
        """`text: text` -> `text: {kind: text}`."""
        if isinstance(data, dict) and isinstance(data.get("columns"), dict):
            columns = {k: {"kind": v} if isinstance(v, str) else v for k, v in data["columns"].items()}
            return {**data, "columns": columns}
        return data


class Settings(Part):
    """The whole file."""

    data_dir: Path = Path("./retuned-data")
    """Everything the service keeps: ledger, record log, spool, runs."""
    ledger: str | None = None
    """SQLAlchemy URL; None = SQLite in data_dir."""
    http: HttpSettings = HttpSettings()
    registry: RegistrySettings = RegistrySettings()
    notify: NotifySettings = NotifySettings()
    executor: ExecutorSettings = ExecutorSettings()
    disk: DiskSettings = DiskSettings()
    tick_s: Annotated[float, Field(gt=0.0, le=86_400.0)] = 10.0
    """How often the service looks; each tick closes the panes that are due."""
    future_s: Positive = 300.0
    """A record dated further ahead of the server's clock is refused."""
    models: list[ModelSettings] = Field(min_length=1)

    def model(self, name: str) -> ModelSettings | None:
        """By its name; None when the settings do not name it (any more)."""
        return next((m for m in self.models if m.name == name), None)

    def bound_to(self, port: int) -> Settings:
        """The same settings with the port that was given in place of 0 = any free one."""
        return self.model_copy(update={"http": self.http.model_copy(update={"port": port})})
