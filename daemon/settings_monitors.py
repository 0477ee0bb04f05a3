"""Settings of the monitors: what is watched, how it is judged, and how often it may be wrong."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from daemon.settings_part import Part, Positive, Ratio
from detectors import registry
from detectors.fairness.intersection import intersections
from detectors.types import Eats, Kind

_COLUMN = {Eats.NUMERIC, Eats.CATEGORY, Eats.TEXT, Eats.EMBEDDING}


def column_statistics() -> list[str]:
    """Every detector that informs about one column."""
    found = {name: registry.detector_class(name) for name in registry.names()}
    return [name for name, cls in found.items() if cls.kind is Kind.INFORMS and cls.eats & _COLUMN]


class DriftSettings(Part):
    """Drift of columns."""

    columns: Literal["all"] | list[str] = "all"
    """Which columns; "all" includes the model's own output."""
    mean_days_between_false_alarms: Positive | None = None
    """Of all of this model's drift monitors together, those within segments too, for experts: None = their share of the model's."""
    statistics: list[str] = ["ks", "wasserstein", "psi", "chi_square", "total_variation", "jensen_shannon", "mmd"]
    """What is measured of each column at every look, each by those that fit its kind; they inform, they never alarm. Numeric: ks,
    wasserstein, psi, jensen_shannon_numeric, hellinger_numeric. Category: chi_square, total_variation, jensen_shannon, hellinger,
    psi_category, l_infinity. Embedding: mmd. A plug-in's, too. The default has a test, a distance in the column's own unit and the
    customary index."""

    together: bool | None = None
    """Also watch the numeric and category columns as a table: a classifier that bets sees what no single column shows, a changed
    correlation, and names the columns. It learns for 0.1 s every 32 records (at most once a pane). None = for tabular tasks
    without a `reference.rhythm`: by hours it sees gross changes only."""

    @field_validator("statistics")
    @classmethod
    def _are_distances_of_columns(cls, names: list[str]) -> list[str]:
        """Each is registered, informs and reads one column."""
        known = column_statistics()
        if unknown := [name for name in names if name not in known]:
            raise ValueError(f"no statistic of a column is called {', '.join(unknown)}; there are {', '.join(known)}")
        return list(dict.fromkeys(names))


Metric = Literal["f1", "precision", "recall", "accuracy", "roc_auc", "log_loss", "brier", "mae", "rmse", "score"]
LOSSES = frozenset({"log_loss", "brier", "mae", "rmse"})
"""Less is better: `maximum` and `max_rise` are theirs, `minimum` and `max_drop` the others'."""


class PerformanceSettings(Part):
    """Performance by labels that come late."""

    metric: Metric | None = None
    """What alarms. Classes: f1, precision, recall, roc_auc (each class), accuracy, log_loss, brier. Numbers: mae, rmse. Generated texts:
    score (judgements, or exact match with a wanted text). None = f1, mae or score, by the task."""
    minimum: Ratio | None = None
    """Alarm when the metric is below this (a loss: see `maximum`)."""
    max_drop: Ratio | None = 0.05
    """Alarm when the metric is further below what the model had on the bound rows. Ignored when `minimum` is given."""
    maximum: Positive | None = None
    """Of a loss (log_loss, brier, mae, rmse): alarm when it is above this."""
    max_rise: Positive | None = 0.1
    """Of a loss: alarm when it is above what it was on the bound rows by more than this share. Ignored when `maximum` is given."""
    predicted: bool | str = False
    """Bet on few labels with what is known of all records. True, of the metric accuracy: with their scores (`ppi_floor` in place of
    `accuracy_floor`); small rises of the error need up to a sixth fewer labels where scores are sharp, none fewer where they are not. The
    name of a numeric column, of judged answers: with the score that a judge, a model say, gave each of them in any unit, more is better
    (`ppi_score_floor` in place of `score_floor`); falls by .05 need a third fewer people's judgements where the two correlate by .7. Needs
    labelled bound rows, three records or more a label, and labels before 2,048 more have become due; later ones speak alone."""
    tolerance: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.05
    """Risk: extra loss above the source bound, or above what it was before, that is still no harm; points (classes, judged texts) or a
    share of that (numbers). Numbers that became too high or too low: so much of their mean error is still no harm."""
    calibration: Annotated[float, Field(ge=0.0, lt=1.0)] | None = 0.02
    """Of classes with scores: so much further than in the bound rows may the confidence of answers be off the share of right ones.
    None = not watched. It tells people (recalibrate), it never trains."""
    mean_days_between_false_alarms: Positive | None = None
    """Of all performance and risk monitors of this model together, for experts: None = their share of the model's."""
    least_label_probability: Ratio | None = None
    """Smallest chance that a label plan gives a record. None = plans are even: every record alike, labels come back as any other. With
    0.02, say, unsure answers are planned more often, each label must come back with its `probability`, and weighs by its inverse (one
    without counts as sure to be labelled). All alarms by labels then bet a share of this, so they are slower."""
    estimate: bool = True
    """Also estimate before labels come: accuracy, F1 and ROC AUC by calibrated scores, each class's share of the truth by the answers;
    accuracy, precision, recall and F1 by few labels and all scores. They inform. Needs scores in the records and labelled reference rows
    (`reference.bound`)."""

    @model_validator(mode="after")
    def _predicts_accuracy(self) -> Self:
        """`predicted` is of accuracy or, by a judge, of judged answers, with even plans."""
        if self.predicted is True and self.metric != "accuracy":
            raise ValueError("`predicted: true` needs `metric: accuracy`; of judged answers, name the column of the judge's score")
        if self.predicted and self.least_label_probability is not None:
            raise ValueError("`predicted` needs no `least_label_probability`: uneven plans are slower with it")
        return self


FairnessMetric = Literal[
    "equalized_odds_difference",
    "demographic_parity_difference",
    "demographic_parity_ratio",
    "equal_opportunity_difference",
    "false_positive_rate_difference",
    "false_negative_rate_difference",
    "predictive_parity_difference",
    "accuracy_difference",
    "score_difference",
    "calibration_difference",
    "error_difference",
]


class FairnessSettings(Part):
    """Fairness between the groups of protected columns."""

    metrics: list[FairnessMetric] = Field(default=["equalized_odds_difference"], min_length=1)
    """Rates of classes by fairlearn's definitions. score_difference: of the means of what is given (the favourable label's probability, the
    number, the judged quality). calibration_difference, of classes with scores: of the share of right answers less the confidence in them.
    error_difference, of numbers: of the mean absolute errors. Each informs and alarms."""
    metric: FairnessMetric | None = None
    """The older name for one metric; given, it takes the place of `metrics`."""
    by: list[str] = Field(max_length=5)
    """Protected columns."""
    intersections: bool = False
    """Also by every two of these columns at once, "age_band & sex"."""
    positive: str | None = None
    """The label that is the favourable answer (accuracy is of all labels alike). None = the last of the model's labels."""
    maximum: Ratio = 0.10
    """Of a difference: alarm when the lower end of its confidence sequence is above this. Of numbers it is a share of their range: the
    middle 98 % of the reference's answers."""
    maximums: dict[FairnessMetric, Ratio] = {}
    """The same for single metrics, in place of `maximum`."""
    minimum: Ratio = 0.80
    """Of the ratio: alarm when the upper end of its confidence sequence is below this; 0.8 is the four-fifths rule."""
    alpha: Ratio | None = None
    """P(ever a false alarm in an epoch), for experts: None = their share of the 0.02 that all e-processes of a model have."""
    min_n: int = Field(default=50, ge=2)
    """Fewer labelled pairs in a group that count for a rate: insufficient, no figure."""

    def watched(self) -> list[FairnessMetric]:
        """The metrics, each once."""
        return list(dict.fromkeys([self.metric] if self.metric is not None else self.metrics))

    def crossed(self) -> list[str]:
        """The intersections that are watched, as group columns."""
        return intersections(list(dict.fromkeys(self.by))) if self.intersections else []


class QualitySettings(Part):
    """Quality of the data: what is missing, unreadable, out of range, unheard of, repeated, late. Its alarms tell people, they never train.

    A rate alarms when it is above what the reference has (its upper bound) by more than the tolerance.
    """

    columns: Literal["all"] | list[str] = "all"
    """Which columns; "all" are the inputs and segments, not the model's own output."""
    mean_days_between_false_alarms: Positive | None = None
    """Of all of this model's quality monitors together, for experts: None = their share of the model's."""
    tolerance: Ratio = 0.01
    """Share of values (missing, of a wrong type, out of range, unseen) or of records (the same content within 32) above the reference's
    bound that is still fine: one in a hundred is seldom worth a message at night."""
    repeated_ids: Ratio = 0.05
    """Share of arriving records whose id had come before that is still fine: retries after a lost answer are no fault."""
    range_tolerance: Annotated[float, Field(ge=0.0)] = 0.1
    """How far beyond the reference's smallest and largest number is still in range, as a share of that range. A column's own `minimum`
    and `maximum` take its place."""
    stale_after_s: Positive = 1800.0
    """Records whose newest is older than this when it is looked at are told to be stale."""
    traffic_ratio: Annotated[float, Field(gt=1.0)] = 2.0
    """So many times more or fewer records than in the same hours of the last 14 days are told; informs only."""
    cardinality_ratio: Annotated[float, Field(gt=1.0)] = 2.0
    """So many times more or fewer categories than so many records of the reference would have are told; informs only."""


class InputsOfSegments(Part):
    """Inputs within segments: "the French shop sends empty ages", "its amounts are twice as high".

    Numbers, categories and texts' own figures are compared with the segment's own reference rows where `drift` watches them, their missing
    values counted where `quality` does. A short form: `inputs: all`, `inputs: [age, city]`.
    """

    columns: Literal["all"] | list[str] = "all"
    """Which columns, inputs and segments; not the column of the segment itself."""
    most_n: int = Field(default=200, ge=1, le=2000)
    """Pairs of a column and a value that are watched at most: each takes about .6 ms and 4 to 9 KB of state a pane. A text
    counts as 8; with `reference.rhythm: hour_of_day` a column counts four times, with the finer rhythms ten times. Columns have their
    turn in the order of `columns` of the model; one that does not fit is left out within all values, and `retuned check` says which."""
    mean_days_between_false_alarms: Positive | None = None
    """Of inputs within all segments of this model together, for experts: None = their share of the model's."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: object) -> object:
        """`all`, or a list that names the columns."""
        return {"columns": data} if isinstance(data, list | str) else data


class SegmentSettings(Part):
    """Values of columns, each for itself: whether the model got worse in one shop, language or channel, or something else moved there.

    Within each the loss (`performance.tolerance`) and the metric are held to what `performance` says, measured on the segment's own bound
    rows; labels and numbers that the model gives, and their scores, are compared with the segment's own reference rows where `drift`
    watches them, and so are inputs (`inputs`). A short form: `segments: [channel, language]`.
    """

    by: list[str] = Field(min_length=1, max_length=5)
    """Category columns."""
    most_n: int = Field(default=8, ge=1, le=50)
    """Values of a column that are watched: the most frequent of the reference. The others are watched only within the whole."""
    least_n: int = Field(default=30, ge=10)
    """Fewer rows say nothing: of the reference (the value is not watched), of the labelled bound rows, of labelled records so far."""
    mean_days_between_false_alarms: Positive | None = None
    """Of loss and metric of all segments of this model together, for experts: None = their share of the model's. What the model answers
    within them shares the rate of `drift`; inputs have a share of their own."""
    inputs: InputsOfSegments | None = InputsOfSegments()
    """Also watch the inputs there; None = only within the whole."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: object) -> object:
        """A list names the columns."""
        return {"by": data} if isinstance(data, list) else data


class Monitors(Part):
    """What is watched."""

    mean_days_between_false_alarms: Positive = 90.0
    """Of everything that alarms for this model together: the one knob. 90 = at most four false alarms a year on average. It is spread over
    groups, columns and detectors, and `retuned check` shows what each got. A group's own figure takes the place of its share."""
    alphas: dict[str, Ratio] = {}
    """Of single monitors, for experts: "detector" (all of its monitors) or "detector:subject" ("conformal_numeric:input.age") -> the alpha
    of each. What alarms by a mean run length: one false alarm in 1/alpha panes on average; `risk` and fairness: the chance of one ever in
    an epoch. It takes the place of the monitor's share; the others keep theirs."""
    drift: DriftSettings | None = DriftSettings()
    performance: PerformanceSettings | None = PerformanceSettings()
    fairness: FairnessSettings | None = None
    quality: QualitySettings | None = QualitySettings()
    segments: SegmentSettings | None = None
    """Also watch single values of columns: their labelled records, what the model is asked and answers there; None = only all together."""
    window_s: Positive = 3600.0
    """Length of the window that informing detectors look at: so many seconds of the newest closed panes."""
    pane_s: Positive = 60.0
    """Length of a pane: the unit of time of every sequential detector (its 1/alpha counts panes)."""
    watermark_s: Positive = 30.0
    """How long after its end a pane waits for stragglers before it is closed."""
    lateness_s: Positive = 6 * 3600.0
    """A record older than this on arrival is counted late and not used. At most the de-duplication horizon."""
    quiet_s: Positive = 3600.0
    """An incident is over when none of its subjects has alarmed for so long. While nothing comes, what alarmed last still does."""
    blind_after_s: Positive = 24 * 3600.0
    """No verdict, or no label where labels are expected, for so long is itself an alert."""
    label_horizon_s: Positive = 30 * 24 * 3600.0
    """How long a record waits for its label, and a label for its record."""

    def closed_at(self, now: float) -> float:
        """End of the newest pane that may be closed by now; seconds since the epoch."""
        return (now - self.watermark_s) // self.pane_s * self.pane_s

    def window_from(self, now: float) -> float:
        """Start of the window as it is now: `window_s` of panes that may be closed, whole ones."""
        return self.closed_at(now) - self.window_s

    def own_days(self, group: Literal["drift", "performance", "quality", "segments", "inputs"]) -> float | None:
        """What an expert set for a group (inputs: those within segments); None = its share of the model's."""
        settings = (self.segments and self.segments.inputs) if group == "inputs" else getattr(self, group)
        return None if settings is None else settings.mean_days_between_false_alarms
