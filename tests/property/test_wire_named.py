"""Whatever names traffic used before, a batch is judged as each of its lines alone would be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import ValidationError
from msgspec.json import Decoder

from daemon.capture import wire
from daemon.capture.named import ByNames
from daemon.capture.wire import Batch, decode_records

NOW = 1_793_491_200.0
_names = st.sampled_from(["text", "age", "n0", "inputs", "ü", "a\\b", 'quo"ted', "x" * 128, "x" * 129, ""])
_values = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
_wrong = st.sampled_from([[], {}, {"a": 1}, 2**64])
_inputs = st.dictionaries(_names, _values, max_size=4) | st.dictionaries(_names, _values | _wrong, max_size=2)
_segments = st.dictionaries(_names, st.text(min_size=1, max_size=5) | st.none(), max_size=2) | st.just({"band": ""})
_shares = st.floats(0.0, 1.0) | st.integers(0, 1)
_scores = st.dictionaries(_names | st.just("x" * 257), _shares, max_size=3) | st.dictionaries(
    _names, _shares | _values | _wrong, max_size=2
)
_outputs = st.sampled_from([{"label": "a"}, {"text": "t"}, {"value": 1.0}, {}, {"scores": {"a": 2}}, {"label": "a", "unread": 1}])
_outputs |= st.fixed_dictionaries({"label": st.just("a"), "scores": _scores | st.none()})
_record = st.fixed_dictionaries({"output": _outputs}, optional={"inputs": _inputs, "segments": _segments, "extra": st.just(1)})


def _line(i: int, rest: dict[str, Any]) -> bytes:
    return json.dumps({"id": f"r{i}", "model": "m", "version": "1", "at": "2026-11-01T00:00:00Z", **rest}).encode()


def _decoded(body: bytes) -> Batch:
    return decode_records(body, models={"m"}, now=NOW, future_s=300.0, max_n=1000)


@given(st.lists(st.lists(_record, min_size=2, max_size=4), min_size=1, max_size=4))
def test_a_batch_is_judged_as_its_lines_alone(batches: list[list[dict[str, Any]]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "_BY_NAMES", ByNames(Decoder(wire._QuickRecord), wire._names_of, wire._named))
        for batch in batches:
            lines = [_line(i, rest) for i, rest in enumerate(batch)]
            alone = [_decoded(line) for line in lines]
            found = _decoded(b"\n".join(lines))
            assert found.payload.split(b"\n") == [a.payload for a in alone if a.n] or not found.n
            assert found.n == sum(a.n for a in alone)
            assert [(e.path, e.reason) for e in found.errors] == [(e.path, e.reason) for a in alone for e in a.errors]


def test_known_names_are_decoded_as_fields_and_new_ones_are_learnt_a_bounded_number_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ByNames(Decoder(wire._QuickRecord), wire._names_of, wire._named)
    monkeypatch.setattr(wire, "_BY_NAMES", found)
    bodies = [b"\n".join(_line(i, {"output": {"label": "a"}, "inputs": {f"x{k}": 1}}) for i in range(2)) for k in range(60)]
    learnt = []
    for body in bodies:
        assert not found.decode_lines(memoryview(body))[1]
        learnt.append(found.decode_lines(memoryview(body))[1])
    assert learnt == [True] * 32 + [False] * 28
    assert found.decode_lines(memoryview(bodies[0]))[1]


def test_classes_with_scores_are_fields_too_and_are_held_to_the_same_rules() -> None:
    found = ByNames(Decoder(wire._QuickRecord), wire._names_of, wire._named)
    both = b"\n".join(_line(i, {"output": {"label": "a", "scores": {"a": 0.5, "b": 0.5}}}) for i in range(2))
    found.decode_lines(memoryview(both))
    assert found.decode_lines(memoryview(both))[0][1].output.scores.n1 == 0.5
    for scores in ({"a": 1.5}, {"a": None}, {"a": "1"}):
        with pytest.raises(ValidationError):
            found.decode_lines(memoryview(_line(0, {"output": {"label": "a", "scores": scores}})))
    assert found.decode_lines(memoryview(_line(0, {"output": {"label": "a", "scores": {"c": 1}}})))[0][0].output.scores == {"c": 1}


def test_more_names_than_one_record_may_have_are_not_learnt() -> None:
    found = ByNames(Decoder(wire._QuickRecord), wire._names_of, wire._named)
    for k in range(3):
        inputs = {f"x{k}.{i}": i for i in range(200)}
        body = b"\n".join(_line(i, {"output": {"label": "a"}, "inputs": inputs}) for i in range(2))
        found.decode_lines(memoryview(body))
        assert found.decode_lines(memoryview(body))[1] is (k == 0)
