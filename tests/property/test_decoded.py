"""What is read of many values at once is what each of them is read as alone."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from daemon.store.decoded import Fields, answers_of, objects_of, output_of
from daemon.store.values import numbers

_NAMES = ["x", "y", "z"]
_values = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["7", " 1.5 ", "1_000", "nan", "inf", "-1e400", "word", "", [], [1], [1.0, 2.0], {}])
)
_mostly = st.floats(-1e9, 1e9) | st.floats(-1e9, 1e9) | st.integers(-9, 9)
_rows = st.fixed_dictionaries({}, optional=dict.fromkeys(_NAMES, _mostly)) | st.fixed_dictionaries(
    {}, optional=dict.fromkeys(_NAMES, _values)
)


def _lines(items: list[dict[str, Any]]) -> bytes:
    return b"\n".join(json.dumps(item).encode() for item in items)


@given(st.lists(_rows, min_size=1, max_size=6), st.sampled_from([_NAMES, ["x", "y"], ["z"], []]), st.booleans())
def test_columns_read_together_are_those_read_one_by_one_where_all_are_finite_and_no_others(
    items: list[dict[str, Any]], together: list[str], is_odd: bool
) -> None:
    fields = Fields([*_NAMES, 'quo"ted'] if is_odd else _NAMES, together)
    rows = [row.inputs for row in fields.decode(_lines([{"output": {}, "inputs": item} for item in items]))[0]]
    found = fields.numbers(rows)
    for name in _NAMES:
        values = list(map(fields.value[name], rows))
        assert values == [item.get(name) for item in items]
        if name in found:
            np.testing.assert_array_equal(found[name], numbers(values))
            assert np.isfinite(found[name]).all()
    if len(together) > 1 and not is_odd and all(type(item.get(name)) in {int, float} for item in items for name in together):
        assert list(found) == together


@given(st.lists(_values, min_size=1, max_size=5))
def test_a_column_of_numbers_is_one_number_each_also_where_all_are_lists(values: list[Any]) -> None:
    alone = [numbers([value]).tolist()[0] for value in values]
    np.testing.assert_array_equal(numbers(values), np.array(alone))
    assert numbers(values).shape == (len(values),)


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "label": st.text(max_size=3),
                "scores": st.dictionaries(st.text(max_size=2), st.floats(0, 1)) | st.none(),
                "value": st.floats(-9, 9),
                "unread": st.just([{"a": 1}]),
            },
        ),
        min_size=1,
        max_size=4,
    )
)
def test_of_an_answer_the_log_keeps_all_that_is_read_and_nothing_else(items: list[dict[str, Any]]) -> None:
    lines = _lines([{"output": item} for item in items])
    assert Fields([], []).decode(lines)[1] == all("unread" not in item for item in items)
    raw = [found.output for found in objects_of(lines)]
    outputs, kept = [output_of(output) for output in raw], [bytes(line) for line in answers_of(raw)]
    read = [{k: v for k, v in item.items() if k != "unread" and v is not None} for item in items]
    assert [{k: v for k, v in asdict(output).items() if v is not None} for output in outputs] == read
    assert [{k: v for k, v in json.loads(line).items() if v is not None} for line in kept] == read
