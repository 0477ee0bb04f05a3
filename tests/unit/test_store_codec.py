"""Detector states survive the way into the ledger and back, and hostile bytes only ever raise ValueError."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field, make_dataclass
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from daemon.store.codec import decode, encode
from detectors.registry import build
from detectors.types import Pairs, Reference


@dataclass(frozen=True)
class Inner:
    bets: Any
    name: str = "a"


@dataclass(frozen=True)
class State:
    value: Any
    inner: Inner | None = None
    table: dict[Any, Any] = field(default_factory=dict)


plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | hnp.arrays(st.sampled_from([np.float64, np.float32, np.int64, np.uint8, np.bool_]), hnp.array_shapes(max_dims=3, max_side=4))
    | hnp.arrays(np.object_, 3, elements=st.none() | st.text())
)
values = st.recursive(
    plain, lambda x: st.lists(x, max_size=3).map(tuple) | st.dictionaries(st.text() | st.integers(), x, max_size=3), max_leaves=8
)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return (
            isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        )
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    return type(a) is type(b) and bool(a == b)


@settings(max_examples=150, deadline=None)
@given(values, values)
def test_a_state_comes_back_as_it_was(first: Any, second: Any) -> None:
    found = decode(encode(State(first, Inner(second), {"x": second})), State)
    assert same(found.value, first)
    assert found.inner is not None
    assert same(found.inner.bets, second)
    assert same(found.table["x"], second)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda b: b"\x01" + b))
def test_hostile_bytes_raise_value_error_only(data: bytes) -> None:
    with pytest.raises(ValueError, match="state"):
        decode(data, State)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_state_is_an_error_or_a_state_but_never_something_else(data: st.DataObject) -> None:
    good = bytearray(encode(State((1, 2.0, np.arange(3)), Inner({"a": 1}))))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode(bytes(good), State)
    except ValueError:
        return
    assert type(found) is State


def test_only_dataclasses_of_the_same_package_are_built() -> None:
    for module, name in (("os", "_wrap_close"), ("subprocess", "Popen"), (__name__, "decode"), (__name__, "pytest.ExitCode")):
        data = b"\x01" + msgspec.msgpack.encode(["c", module, name, {}])
        with pytest.raises(ValueError, match="not a state"):
            decode(data, State)


def test_a_huge_shape_is_refused_without_reserving_memory() -> None:
    data = b"\x01" + msgspec.msgpack.encode(["c", State.__module__, "State", {"value": ["a", "<f8", [2**40, 2**40], b""]}])
    with pytest.raises(ValueError, match="bad shape"):
        decode(data, State)


def test_a_state_of_another_class_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a state of Inner"):
        decode(encode(State(1)), Inner)


def test_a_field_that_was_lost_is_an_error_and_one_that_was_gained_takes_its_default() -> None:
    older = b"\x01" + msgspec.msgpack.encode(["c", Inner.__module__, "Inner", {"bets": 1}])
    assert decode(older, Inner) == Inner(1)
    newer = b"\x01" + msgspec.msgpack.encode(["c", Inner.__module__, "Inner", {"bets": 1, "name": "b", "more": 2}])
    with pytest.raises(ValueError, match="more"):
        decode(newer, Inner)


def test_wealth_of_the_bets_of_an_older_release_is_refused() -> None:
    reference = Reference(columns={"input.x": np.arange(50.0)}, kinds={}, sketches={}, bound=Pairs.empty(), digest="x")
    state = build("conformal_numeric", column="input.x", alpha=0.01).start(reference)
    fields = {f.name: getattr(state, f.name) for f in dataclasses.fields(state)}
    older = object.__new__(type(state))
    for name, value in (fields | {"log_m": state.log_m[:-6]}).items():
        object.__setattr__(older, name, value)
    assert np.array_equal(decode(encode(state), type(state)).log_m, state.log_m)
    with pytest.raises(ValueError, match="expected 67"):
        decode(encode(older), type(state))


def test_what_cannot_be_stored_is_named() -> None:
    with pytest.raises(TypeError, match="object"):
        encode(State(object()))
    with pytest.raises(TypeError, match="datetime64"):
        encode(State(np.zeros(2, "datetime64[s]")))


def test_numpy_scalars_become_plain_numbers() -> None:
    found = decode(encode(State((np.float64(1.5), np.int64(3), np.bool_(True)))), State)
    assert found.value == (1.5, 3, True)
    assert [type(x) for x in found.value] == [float, int, bool]


def test_a_decoded_array_can_be_written_to() -> None:
    array = decode(encode(State(np.zeros(3))), State).value
    array[0] = 1.0
    assert array[0] == 1.0


def test_a_class_made_at_run_time_that_cannot_be_found_again_is_an_error() -> None:
    made = make_dataclass("Made", [("x", int)])
    with pytest.raises(ValueError, match="not a state"):
        decode(encode(made(1)), made)
