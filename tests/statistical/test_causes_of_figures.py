"""What explains incidents of numbers and judged answers; the long form: `python -m tests.statistical.causes_of_figures 40`."""

from __future__ import annotations

import pytest

from detectors.types import Outcome
from tests.statistical.causes_of_figures import World, called, stream

ALPHA = 1e-5


@pytest.mark.prove  # 10 s
@pytest.mark.parametrize("kind", ["numbers", "grades"])
@pytest.mark.parametrize(
    ("world", "inputs", "given_inputs"),
    [
        (World(), (0, 0), (0, 0)),
        (World(inputs=0.7), (3, 3), (0, 1)),
        (World(inputs=1.0, hidden=True), (3, 3), (0, 1)),
        (World(concept=0.8), (0, 0), (3, 3)),
        (World(inputs=0.7, concept=0.8), (3, 3), (2, 3)),
    ],
    ids=["nothing", "inputs", "inputs to hidden errors", "concept", "both"],
)
def test_each_cause_is_called_where_it_moved_and_hardly_ever_elsewhere(
    kind: str, world: World, inputs: tuple[int, int], given_inputs: tuple[int, int]
) -> None:
    found = [called(stream(kind, seed, world, alpha=ALPHA, before_n=300, after_n=900)) for seed in range(3)]
    for word, (least, most) in (("inputs", inputs), ("given inputs", given_inputs)):
        assert least <= sum(word in words for words in found) <= most, found


def test_the_magnitude_is_in_the_unit_of_the_values_and_inputs_alone_leave_little_of_it() -> None:
    moved = stream("numbers", 0, World(inputs=0.7), alpha=ALPHA, before_n=300)[-1]
    assert moved["inputs"].outcome is Outcome.OK
    assert "weights explain the inputs" in moved["inputs"].because
    assert moved["given inputs"].low < 0.0 < moved["given inputs"].high < 0.25
    noisier = stream("numbers", 0, World(spread=2.0), alpha=ALPHA, before_n=300)[-1]["given inputs"]
    assert noisier.low > 0.2  # a mean absolute error of .8 or so that doubles in part


def test_too_few_labelled_rows_and_a_pane_without_labels_give_no_word() -> None:
    few = stream("grades", 0, World(concept=0.8), alpha=ALPHA, reference_n=60, before_n=50, after_n=200)[-1]["given inputs"]
    assert few.outcome is Outcome.INSUFFICIENT
    assert "60 labelled rows are kept for the bound, 100 are needed" in few.because
