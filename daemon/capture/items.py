"""What a record and a label are, as they are sent: every field and its rule."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

Id = Annotated[str, Meta(min_length=1, max_length=256)]
Key = Annotated[str, Meta(min_length=1, max_length=128)]
Short = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(max_length=65_536)]
At = Annotated[datetime, Meta(tz=True)]
Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Probability = Annotated[float, Meta(ge=0.0, le=1.0)]
Vector = Annotated[list[float], Meta(max_length=4096)]
Input = Text | Integer | float | bool | Vector | None
Segment = Id | Integer | float | bool | None
Inputs = Annotated[dict[Key, Input], Meta(max_length=256)]
Segments = Annotated[dict[Key, Segment], Meta(max_length=64)]
Scores = Annotated[dict[Id, Probability], Meta(max_length=1024)]


class Output(Struct, frozen=True, gc=False):
    """What the model answered: exactly one of label, text, value. Further fields are allowed and not read."""

    label: Id | None = None
    scores: Scores | None = None
    """Label -> probability, 0..1; only beside a label."""
    text: Text | None = None
    value: float | None = None


class Record(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One production request with its answer. An unknown field is refused: a misspelt `segments` would blind a monitor unseen."""

    id: Id
    model: Short
    version: Short
    at: At
    output: Output
    inputs: Inputs = {}
    segments: Segments = {}


class Label(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What a record's answer should have been: exactly one of label, value, text, score; joined to its record by id."""

    id: Id
    model: Short
    at: At
    label: Id | None = None
    value: float | None = None
    text: Text | None = None
    score: float | None = None
    """A judgement of the answer in the user's own unit (a thumb, a rating)."""
    probability: Annotated[float, Meta(gt=0.0, le=1.0)] | None = None
    """The chance that a label plan gave the record, as it stood there; None = not planned."""
    source: Short = "human"
    """Who says so. "own" and "model" are a model's own words: they are stored and never train."""
