"""What a body may look like, and what its sender is told when it does not."""

from __future__ import annotations

import json
import math
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from daemon.capture.items import Label, Record
from daemon.capture.lines import TooMany
from daemon.capture.rejection import Rejected, Rejection
from daemon.capture.wire import Batch, decode_labels, decode_records, parse_labels
from daemon.store.spooled import Parsed, parse_records

NOW = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
GOOD: dict[str, Any] = {
    "id": "r1",
    "model": "sentiment",
    "version": "1",
    "at": "2026-11-01T00:00:00Z",
    "inputs": {"text": "a fine day", "age": 30, "price": 1.5, "new": True, "channel": None},
    "output": {"label": "positive", "scores": {"positive": 0.9, "negative": 0.1}},
    "segments": {"age_band": "30-40"},
}
LABEL: dict[str, Any] = {"id": "r1", "model": "sentiment", "at": "2026-11-01T00:00:00Z", "label": "positive", "source": "human"}


def records(body: bytes | str, *, max_n: int = 100_000, now: float = NOW) -> Batch:
    data = body.encode() if isinstance(body, str) else body
    return decode_records(data, models={"sentiment", "spam"}, now=now, future_s=300.0, max_n=max_n)


def labels(body: str) -> Batch:
    return decode_labels(body.encode(), models={"sentiment"}, now=NOW, future_s=300.0, max_n=1000)


def only_error(item: dict[str, Any]) -> Rejected:
    batch = records(json.dumps(item))
    assert batch.n == 0
    (error,) = batch.errors
    return error


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


def sent(record: Parsed) -> tuple[Any, ...]:
    """All that a record says."""
    return record.id, record.model, record.version, *(json.loads(bytes(x)) for x in (record.inputs, record.output, record.segments))


def sent_item(item: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(item[name] for name in ("id", "model", "version", "inputs", "output", "segments"))


def test_a_good_ndjson_body_is_handed_on_as_the_very_bytes_that_came() -> None:
    body = "\n".join(json.dumps({**GOOD, "id": f"r{i}"}) for i in range(2500)).encode()
    batch = records(body)
    assert batch.payload is body
    assert batch.n == 2500
    assert [record.id for record in parse_records(batch.payload)] == [f"r{i}" for i in range(2500)]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("count", [1, 2, 1001])
def test_an_array_means_the_same_as_its_items_line_by_line(count: int, indent: int | None) -> None:
    items = [{**GOOD, "id": f"r{i}"} for i in range(count)]
    lines = records("\n".join(map(json.dumps, items)))
    array = records(json.dumps(items, indent=indent))
    assert array.n == lines.n == count
    assert list(map(sent, parse_records(array.payload))) == list(map(sent, parse_records(lines.payload))) == list(map(sent_item, items))
    assert array.payload.count(b"\n") == count - 1


def test_one_object_may_stand_on_several_lines() -> None:
    batch = records(json.dumps(GOOD, indent=2))
    assert (batch.n, batch.errors) == (1, [])
    assert sent(parse_records(batch.payload)[0]) == sent_item(GOOD)


def test_an_integer_stays_an_integer_and_a_time_keeps_its_zone() -> None:
    (record,) = parse_records(records(json.dumps({**GOOD, "at": "2026-11-01T02:00:00+02:00"})).payload)
    assert type(json.loads(bytes(record.inputs))["age"]) is int
    assert record.at.timestamp() == NOW


def test_blank_lines_and_windows_line_ends_are_no_records() -> None:
    one = json.dumps(GOOD)
    batch = records(f"\n\n{one}\r\n\r\n  \n{one}\n\n")
    assert (batch.n, batch.errors) == (2, [])
    assert len(parse_records(batch.payload)) == 2


@pytest.mark.parametrize("as_array", [False, True])
def test_in_a_batch_the_good_ones_are_kept_and_the_bad_ones_named_by_index(as_array: bool) -> None:
    items = [{**GOOD, "id": f"r{i}"} for i in range(2100)]
    items[3] = {**GOOD, "id": 3}
    items[1500] = {**GOOD, "model": "unheard-of"}
    items[2099] = {**GOOD, "output": {"label": "positive", "scores": {"positive": 1.5}}}
    batch = records(json.dumps(items) if as_array else "\n".join(map(json.dumps, items)))
    assert batch.n == 2097
    assert [(e.index, e.path, e.reason) for e in batch.errors] == [
        (3, "$.id", Rejection.INVALID),
        (1500, "$.model", Rejection.UNKNOWN_MODEL),
        (2099, "$.output.scores.positive", Rejection.INVALID),
    ]
    kept = {record.id for record in parse_records(batch.payload)}
    assert kept == {f"r{i}" for i in range(2100)} - {"r3", "r1500", "r2099"}


def test_a_line_that_is_no_json_costs_only_itself() -> None:
    one = json.dumps(GOOD)
    batch = records(f'{one}\n{{"id": "cut of\n{one}')
    assert batch.n == 2
    assert [(e.index, e.reason) for e in batch.errors] == [(1, Rejection.MALFORMED)]
    assert batch.errors[0].value == '{"id": "cut of'


@pytest.mark.parametrize(
    ("item", "path", "reason"),
    [
        (without("id"), "$.id", Rejection.MISSING),
        (without("at"), "$.at", Rejection.MISSING),
        (without("output"), "$.output", Rejection.MISSING),
        ({**GOOD, "id": ""}, "$.id", Rejection.INVALID),
        ({**GOOD, "id": "x" * 257}, "$.id", Rejection.INVALID),
        ({**GOOD, "id": "a\0b"}, "$.id", Rejection.INVALID),
        ({**GOOD, "version": "v\0"}, "$.version", Rejection.INVALID),
        ({**GOOD, "segments": {"band": "a\0"}}, "$.segments", Rejection.INVALID),
        ({**GOOD, "segmnets": {}}, "$.segmnets", Rejection.UNKNOWN_FIELD),
        ({**GOOD, "at": "2026-11-01T00:00:00"}, "$.at", Rejection.INVALID),
        ({**GOOD, "at": "yesterday"}, "$.at", Rejection.INVALID),
        ({**GOOD, "at": 1793491200}, "$.at", Rejection.INVALID),
        ({**GOOD, "at": "2026-11-01T00:05:01Z"}, "$.at", Rejection.FUTURE),
        ({**GOOD, "at": "9999-12-31T23:59:59-23:00"}, "$.at", Rejection.FUTURE),
        ({**GOOD, "inputs": {"text": "x" * 65_537}}, "$.inputs.text", Rejection.INVALID),
        ({**GOOD, "inputs": {"fine": 1, "nested": [[1]]}}, "$.inputs.nested", Rejection.INVALID),
        ({**GOOD, "inputs": {"big": 2**63}}, "$.inputs.big", Rejection.INVALID),
        ({**GOOD, "inputs": {"k" * 129: 1}}, "$.inputs", Rejection.INVALID),
        ({**GOOD, "inputs": {"": 1}}, "$.inputs", Rejection.INVALID),
        ({**GOOD, "segments": {"k" * 129: "a"}}, "$.segments", Rejection.INVALID),
        ({**GOOD, "segments": {"": "a"}}, "$.segments", Rejection.INVALID),
        ({**GOOD, "segments": {f"c{i}": "a" for i in range(65)}}, "$.segments", Rejection.INVALID),
        ({**GOOD, "output": {"label": "a", "scores": {"l" * 257: 0.5}}}, "$.output.scores", Rejection.INVALID),
        ({**GOOD, "output": {"label": "a", "scores": {"": 0.5}}}, "$.output.scores", Rejection.INVALID),
        ({**GOOD, "inputs": {f"c{i}": i for i in range(257)}}, "$.inputs", Rejection.INVALID),
        ({**GOOD, "output": {}}, "$.output", Rejection.INVALID),
        ({**GOOD, "output": {"label": "a", "value": 1.0}}, "$.output", Rejection.INVALID),
        ({**GOOD, "output": {"text": "a", "scores": {"a": 1.0}}}, "$.output", Rejection.INVALID),
        ({**GOOD, "output": {"label": "a", "scores": {"a": -0.1}}}, "$.output.scores.a", Rejection.INVALID),
        ({**GOOD, "model": "other"}, "$.model", Rejection.UNKNOWN_MODEL),
    ],
)
def test_a_bad_record_is_refused_with_its_path(item: dict[str, Any], path: str, reason: Rejection) -> None:
    error = only_error(item)
    assert (error.index, error.path, error.reason) == (0, path, reason)
    assert error.rule


def test_keys_may_be_as_long_as_the_rules_say() -> None:
    inputs, segments, scores = {"k" * 128: 1}, {"é" * 128: "a"}, {"l" * 256: 0.5}
    assert records(json.dumps({**GOOD, "inputs": inputs, "segments": segments, "output": {"label": "a", "scores": scores}})).n == 1


@pytest.mark.parametrize("output", [{"label": "a"}, {"text": "", "n_tokens": 3, "more": [1]}, {"value": -1e300}])
def test_each_shape_of_an_output_is_accepted(output: dict[str, Any]) -> None:
    assert records(json.dumps({**GOOD, "output": output})).n == 1


def test_free_text_may_hold_nul_because_parquet_can() -> None:
    batch = records(json.dumps({**GOOD, "inputs": {"text": "a\0b"}}))
    assert batch.n == 1
    assert json.loads(bytes(parse_records(batch.payload)[0].inputs))["text"] == "a\0b"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "-1e999"])
def test_no_number_that_is_not_finite_gets_in(number: str) -> None:
    body = json.dumps({**GOOD, "inputs": {"x": 123456}}).replace("123456", number)
    assert records(body).n == 0
    assert len(records(body).errors) == 1


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_costs_only_its_own_item_of_an_array(number: float, indent: int | None) -> None:
    text = 'NaN, "[Infinity]" and \\'
    items = [{**GOOD, "id": f"r{i}", "inputs": {"text": text, "age": i}} for i in range(1200)]
    items[0]["inputs"] = {"age": number}
    items[700]["inputs"] = {"text": text, "many": [number, 1.0, number]}
    items[1199]["output"] = {"label": "positive", "unread": number}
    batch = records(json.dumps(items, indent=indent))
    told = [(e.index, e.path, e.reason, e.rule.rpartition("; ")[2]) for e in batch.errors]
    assert told == [(i, "$", Rejection.MALFORMED, "NaN and Infinity are no JSON: send null") for i in (0, 700, 1199)]
    kept = parse_records(batch.payload)
    assert [sent(record) for record in kept] == [sent_item(item) for i, item in enumerate(items) if i not in (0, 700, 1199)]


def test_labels_that_are_no_number_cost_only_themselves() -> None:
    values = [{**LABEL, "id": f"r{i}", "label": None, "value": math.nan if i == 1 else 0.5} for i in range(3)]
    batch = labels(json.dumps(values))
    assert [label.id for label in parse_labels(batch.payload)] == ["r0", "r2"]
    assert [(e.index, e.reason) for e in batch.errors] == [(1, Rejection.MALFORMED)]


@pytest.mark.parametrize("wrong", ["[NaN", "[{}, nan]", "[NaN, None]", '[NaN, "]', "[NaN] 1", '[{"a": NaN]', "[-]", "[IN]", '["a" NaN]'])
def test_an_array_that_is_wrong_beside_such_a_number_is_refused_as_a_whole(wrong: str) -> None:
    batch = records(wrong)
    assert (batch.n, [(e.index, e.reason) for e in batch.errors]) == (0, [(None, Rejection.MALFORMED)])


@pytest.mark.parametrize(
    "body",
    [
        "[" + "NaN," * 4_000_000 + "NaN]",
        '["' + "NaN" * 60_000 + '",' + '"' * 8_000_000,
        "[" + '"\\",' * 3_000_000 + "NaN",
        '[{"a":[' + "1," * 100_000 + "NaN" + ",1" * 7_000_000 + "]}]",
    ],
)
def test_looking_for_such_a_number_in_the_largest_body_takes_a_bounded_time(body: str) -> None:
    data = body.encode()
    start = time.process_time()
    assert records(data, max_n=10_000).n == 0
    assert time.process_time() - start < 5.0  # a few passes over 16 MB; what goes back over it never ends


@pytest.mark.parametrize("body", ["", "  \n ", "[", "{", "nonsense", '{"id": "\\ud800"}', "\ufeff{}"])
def test_a_body_that_is_no_json_is_refused_as_malformed(body: str) -> None:
    batch = records(body)
    assert batch.n == 0
    assert {e.reason for e in batch.errors} == {Rejection.MALFORMED}


def test_bytes_that_are_no_utf_8_are_refused() -> None:
    body = json.dumps({**GOOD, "inputs": {"text": "MARK"}}).encode().replace(b"MARK", b"\xff\xfe")
    assert [e.reason for e in records(body).errors] == [Rejection.MALFORMED]


@pytest.mark.parametrize("body", ["[" * 200_000, '{"a":' * 200_000, "[" * 200_000 + "]" * 200_000])
def test_deep_nesting_is_an_error_and_no_crash(body: str) -> None:
    assert len(records(body).errors) == 1


def test_the_rule_for_a_wrong_type_says_what_was_expected_and_shows_a_short_value() -> None:
    error = only_error({**GOOD, "version": list(range(1000))})
    assert "Expected `str`" in error.rule
    assert error.value is not None
    assert len(error.value) <= 80


def test_an_unknown_model_is_told_the_known_ones() -> None:
    assert only_error({**GOOD, "model": "other"}).rule == "model is one of: sentiment, spam"


@pytest.mark.parametrize("body", [json.dumps([GOOD] * 11), "\n".join([json.dumps(GOOD)] * 11)])
def test_more_records_than_allowed_are_refused_before_they_are_decoded(body: str) -> None:
    with pytest.raises(TooMany, match="10 records, got 11"):
        records(body, max_n=10)
    assert records(body, max_n=11).n == 11


def test_blank_lines_do_not_count_against_the_limit() -> None:
    assert records("\n\n\n".join([json.dumps(GOOD)] * 10), max_n=10).n == 10


@pytest.mark.parametrize("body", ["[" + "1," * 400_000 + "1]", "[" + "{}," * 400_000 + "{}]"])
def test_an_array_of_tiny_items_is_refused_before_it_fills_the_memory(body: str) -> None:
    try:
        batch = records(body, max_n=10_000)
    except TooMany:
        return
    assert batch.n == 0
    assert len(batch.errors) == 1


def test_replay_has_no_future() -> None:
    assert records(json.dumps({**GOOD, "at": "2100-01-01T00:00:00Z"}), now=math.inf).n == 1


@pytest.mark.parametrize("value", [{"label": "a"}, {"value": 2}, {"text": "as it should be"}, {"score": 0.5}])
def test_each_kind_of_label_is_accepted(value: dict[str, Any]) -> None:
    batch = labels(json.dumps({"id": "r", "model": "sentiment", "at": "2026-11-01T00:00:00Z", **value}))
    assert batch.n == 1
    (label,) = parse_labels(batch.payload)
    assert label.source == "human"


@pytest.mark.parametrize(
    ("item", "path", "reason"),
    [
        ({**LABEL, "value": 1.0}, "$", Rejection.INVALID),
        ({k: v for k, v in LABEL.items() if k != "label"}, "$", Rejection.INVALID),
        ({**LABEL, "label": "a\0"}, "$.label", Rejection.INVALID),
        ({**LABEL, "source": "x" * 65}, "$.source", Rejection.INVALID),
        ({**LABEL, "model": "spam"}, "$.model", Rejection.UNKNOWN_MODEL),
        ({k: v for k, v in LABEL.items() if k != "at"}, "$.at", Rejection.MISSING),
        ({**LABEL, "inputs": {}}, "$.inputs", Rejection.UNKNOWN_FIELD),
    ],
)
def test_a_bad_label_is_refused_with_its_path(item: dict[str, Any], path: str, reason: Rejection) -> None:
    batch = labels(json.dumps(item))
    assert batch.n == 0
    assert [(e.index, e.path, e.reason) for e in batch.errors] == [(0, path, reason)]


def test_what_is_not_a_payload_does_not_parse() -> None:
    with pytest.raises(ValueError, match="Expected"):
        parse_records(b"[1]")


def test_the_schemas_name_every_required_field() -> None:
    found = msgspec.json.schema_components([Record, Label])[1]
    assert set(found["Record"]["required"]) == {"id", "model", "version", "at", "output"}
    assert set(found["Label"]["required"]) == {"id", "model", "at"}
