"""How a request's body becomes lines for the spool: each is checked (`items`), a bad one is named.

A good body is checked and handed on as it is, never encoded again; one bad line costs only itself. The reader behind the spool takes
the same lines apart only as far as it must: what was accepted here is accepted there.

Three sets of types say the same. `Record` names every rule and so every error; `_QuickRecord` leaves the rules about keys to a look at the
keys that occur, because the decoder remembers plain keys and makes constrained ones anew (half of its time); `_named` has the keys that
traffic uses as fields (half again).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct
from msgspec.json import Decoder

from daemon.capture.items import Input, Label, Output, Probability, Record, Segment
from daemon.capture.lines import as_lines
from daemon.capture.named import ByNames
from daemon.capture.rejection import Rejected, Rejection, of_error, refused
from daemon.capture.seconds import seconds_of
from daemon.store.slices import slices
from daemon.store.spooled import heads_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from daemon.capture.named import Names

_KEY_CHARS, _SCORE_CHARS = range(1, 129), range(1, 257)  # what Key and Id say
_MOST_INPUTS, _MOST_SEGMENTS, _MOST_SCORES = 256, 64, 1024  # what Inputs, Segments and Scores say


class _QuickOutput(Output, frozen=True, gc=False):
    scores: Annotated[dict[str, Probability], Meta(max_length=1024)] | None = None


class _QuickRecord(Record, frozen=True, gc=False, forbid_unknown_fields=True):
    output: _QuickOutput
    inputs: Annotated[dict[str, Input], Meta(max_length=256)] = msgspec.field(default_factory=dict)
    segments: Annotated[dict[str, Segment], Meta(max_length=64)] = msgspec.field(default_factory=dict)


T = TypeVar("T", Record, Label)


class Batch(Struct, frozen=True, gc=False):
    """One body, checked: the good ones as NDJSON, the bad ones by index."""

    payload: bytes
    n: int
    """Good ones, the lines of `payload`."""
    errors: list[Rejected] = []
    heads: bytes = b""
    """`store.spooled.Heads` of good records that were all decoded together: whoever reads them again need not look into their lines."""


class _Kind(Struct, Generic[T], frozen=True):
    """How one kind of item is decoded, and what its types alone cannot say."""

    quick: Callable[[memoryview], list[T] | None]
    """Many lines at once; None says nothing about which is wrong. Says yes only to what `exact` says yes to, but for `are_sound`."""
    are_sound: Callable[[list[T]], bool]
    exact: Decoder[T]
    """For one, when something is wrong: its errors are told."""
    complaint: Callable[[T, bool], tuple[str, str] | None]
    """(item, look for NUL) -> (path, rule), or None."""
    heads: Callable[[list[T]], bytes] = lambda _: b""
    """What is kept of items that were decoded together."""


class _Rules(Struct, frozen=True):
    """What holds for one request."""

    models: Collection[str]
    limit: datetime
    """`at` may not be later."""
    has_nul: bool
    """Somewhere in the body: then each item is looked at."""


def decode_records(body: bytes, *, models: Collection[str], now: float, future_s: float, max_n: int) -> Batch:
    """Check a body of records: one JSON object, an array of them, or NDJSON.

    `now` in seconds since the epoch (infinity: any `at`, for replay). Raises TooMany above `max_n` records.
    """
    return _decode(body, _RECORDS, models=models, limit=_limit(now + future_s), max_n=max_n)


def decode_labels(body: bytes, *, models: Collection[str], now: float, future_s: float, max_n: int) -> Batch:
    """Check a body of labels; otherwise like `decode_records`."""
    return _decode(body, _LABELS, models=models, limit=_limit(now + future_s), max_n=max_n)


def parse_labels(payload: bytes) -> list[Label]:
    """The labels of a `Batch.payload`. Raises ValueError on anything else."""
    return _LABELS.exact.decode_lines(payload)


def _limit(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError):  # infinity
        return datetime.max.replace(tzinfo=UTC)


def _decode(body: bytes, kind: _Kind[T], *, models: Collection[str], limit: datetime, max_n: int) -> Batch:
    try:
        lines = as_lines(body, max_n)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Batch(b"", 0, [of_error(None, body, error)])
    if not lines:
        return Batch(b"", 0, [refused(None, "$", None, "one JSON object, an array of them, or NDJSON: got nothing", Rejection.MALFORMED)])
    rules = _Rules(models, limit, b"\\" in lines and b"\\u0000" in lines)
    if b"\n" not in lines:
        rejected = _reject(0, lines, kind, rules)
        return Batch(lines, 1) if rejected is None else Batch(b"", 0, [rejected])
    good: list[memoryview | bytes] = []
    errors: list[Rejected] = []
    known: list[T] = []
    n = first = 0
    for chunk, size in slices(lines):
        if size > 1 and (items := _all_good(chunk, size, kind, rules)) is not None:
            good.append(chunk)
            known += items
            n += size
            first += size
            continue
        for line in filter(None, map(bytes.strip, bytes(chunk).split(b"\n"))):
            rejected = _reject(first, line, kind, rules)
            if rejected is None:
                good.append(line)
                n += 1
            else:
                errors.append(rejected)
            first += 1
    as_it_is = sum(map(len, good)) + len(good) - 1 == len(lines)  # nothing left out between the pieces
    heads = kind.heads(known) if known and len(known) == n else b""
    return Batch(lines if as_it_is else b"\n".join(good), n, errors, heads)


def _all_good(lines: memoryview, n: int, kind: _Kind[T], rules: _Rules) -> list[T] | None:
    """All n lines, at full speed. None says nothing about which is wrong."""
    try:
        items = kind.quick(lines)
    except (ValueError, RecursionError):
        return None
    if items is None or len(items) != n or rules.has_nul:
        return None
    is_known = {item.model for item in items}.issubset(rules.models)
    return items if is_known and max([item.at for item in items]) <= rules.limit and kind.are_sound(items) else None


def _reject(index: int, line: bytes, kind: _Kind[T], rules: _Rules) -> Rejected | None:
    """What is wrong with one line, or None."""
    try:
        item = kind.exact.decode(line)
    except (ValueError, RecursionError) as error:
        return of_error(index, line, error)
    if item.model not in rules.models:
        known = ", ".join(sorted(rules.models)) or "none is configured"
        return refused(index, "$.model", item.model, f"model is one of: {known}", Rejection.UNKNOWN_MODEL)
    if item.at > rules.limit:
        rule = f"at must not be later than {rules.limit.isoformat()}: the server's clock and what it allows ahead"
        return refused(index, "$.at", item.at.isoformat(), rule, Rejection.FUTURE)
    if complaint := kind.complaint(item, rules.has_nul):
        return refused(index, complaint[0], None, complaint[1], Rejection.INVALID)
    return None


def _are_sound_records(records: list[Record]) -> bool:
    outputs = [record.output for record in records]
    if {o.text for o in outputs} == _NOTHING and {o.value for o in outputs} == _NOTHING and None not in {o.label for o in outputs}:
        return True  # of classes alone: half of the time
    return {(o.label is None, o.text is None, o.value is None, o.scores is None) for o in outputs} <= _COMPLETE


def _heads(records: list[Record]) -> bytes:
    names = [r.id for r in records], [r.model for r in records], [r.version for r in records]
    return heads_of(*names, seconds_of([r.at for r in records]))


def _quick_records(lines: memoryview) -> list[Record] | None:
    records, is_named = _BY_NAMES.decode_lines(lines)
    return records if is_named or _names_of(records) is not None else None


def _names_of(records: Iterable[Record]) -> Names | None:
    """Names that inputs, segments and scores use, or None when one of them is too long or empty."""
    found = (
        frozenset[str]().union(*[record.inputs for record in records]),
        frozenset[str]().union(*[record.segments for record in records]),
        frozenset[str]().union(*[record.output.scores for record in records if record.output.scores is not None]),
    )
    are_sound = all(
        len(name) in chars for names, chars in zip(found, (_KEY_CHARS, _KEY_CHARS, _SCORE_CHARS), strict=True) for name in names
    )
    return found if are_sound else None


def _named(names: Names) -> Decoder[Any] | None:
    """A decoder of records with these inputs, segments and scores and no others; None where no struct can have such names, or so many."""
    if any(len(known) > most_n for known, most_n in zip(names, (_MOST_INPUTS, _MOST_SEGMENTS, _MOST_SCORES), strict=True)):
        return None
    objects: list[Any] = []
    for known, value in zip(names, (Input, Segment, Probability), strict=True):
        fields = {f"n{i}": name for i, name in enumerate(sorted(known))}
        try:
            objects.append(
                msgspec.defstruct(
                    "Named", [(field, value, None) for field in fields], rename=fields, frozen=True, gc=False, forbid_unknown_fields=True
                )
            )
        except ValueError:  # a quote in a name
            return None
    inputs, segments, scores = objects
    output = msgspec.defstruct("NamedOutput", [("scores", scores | None, None)], bases=(Output,), frozen=True, gc=False)
    own: list[tuple[str, Any] | tuple[str, Any, Any]] = [("output", output), ("inputs", inputs, None), ("segments", segments, None)]
    return Decoder(msgspec.defstruct("NamedRecord", own, bases=(Record,), frozen=True, gc=False, forbid_unknown_fields=True))


def _record_complaint(record: Record, look_for_nul: bool) -> tuple[str, str] | None:  # noqa: FBT001 (a callback's argument)
    output = record.output
    if (output.label is None, output.text is None, output.value is None, output.scores is None) not in _COMPLETE:
        return "$.output", "output has exactly one of label, text, value; scores only beside a label"
    if look_for_nul:
        texts = {"$.id": record.id, "$.version": record.version, "$.output.label": record.output.label or ""}
        texts |= {"$.output.scores": "".join(record.output.scores or ())}
        texts |= {"$.segments": "".join(f"{key}{value}" for key, value in record.segments.items())}
        texts |= {"$.inputs": "".join(record.inputs)}
        return _nul(texts)
    return None


def _are_sound_labels(labels: list[Label]) -> bool:
    return all(map(_is_complete_label, labels))


def _is_complete_label(label: Label) -> bool:
    return ((label.label is None) + (label.value is None) + (label.text is None) + (label.score is None)) == 3  # noqa: PLR2004 (of four)


def _label_complaint(label: Label, look_for_nul: bool) -> tuple[str, str] | None:  # noqa: FBT001 (a callback's argument)
    if not _is_complete_label(label):
        return "$", "a label has exactly one of label, value, text, score"
    if look_for_nul:
        return _nul({"$.id": label.id, "$.label": label.label or "", "$.text": label.text or "", "$.source": label.source})
    return None


def _nul(texts: dict[str, str]) -> tuple[str, str] | None:
    """Names go into a database's text columns, which cannot hold U+0000; free text goes into Parquet, which can."""
    for path, text in texts.items():
        if "\0" in text:
            return path, "must not contain the character U+0000"
    return None


_COMPLETE = frozenset({(False, True, True, False), (False, True, True, True), (True, False, True, True), (True, True, False, True)})
"""Whether label, text, value and scores are missing, of an output that is whole."""
_NOTHING: set[object] = {None}
_BY_NAMES: ByNames[Record] = ByNames(Decoder(_QuickRecord), _names_of, _named)
_RECORDS: _Kind[Record] = _Kind(_quick_records, _are_sound_records, Decoder(Record), _record_complaint, _heads)
_LABELS = _Kind(Decoder(Label).decode_lines, _are_sound_labels, Decoder(Label), _label_complaint)
