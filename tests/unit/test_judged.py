"""Labelled pairs of every kind: what becomes one, what is kept of them, and that it merges, stores and reads back exactly."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss, mean_absolute_error, mean_squared_error, r2_score

from daemon.settings import ModelSettings
from daemon.store.answers import MOST_CLASSES, Output, score_matrix
from daemon.store.blob import pane_from_bytes, pane_to_bytes
from daemon.store.columns import concatenated
from daemon.store.pairing import Pairing, Truth
from detectors.sketches.confusion import Cell, Confusion, Tally
from detectors.sketches.errors import Errors
from detectors.sketches.judged import judge, judged_from_bytes, judged_to_bytes, merge_judged
from detectors.sketches.means import Means
from detectors.sketches.score_bins import ANSWER, ScoreBins
from detectors.sketches.summary import summary_to_bytes
from detectors.types import Pairs

CLASSES = ("a", "b", "c")


def objects(values: Any) -> Any:
    found = np.empty(len(values), dtype=object)
    found[:] = list(values)
    return found


def pairing(task: str, **more: Any) -> Pairing:
    return Pairing(ModelSettings.model_validate({"name": "m", "task": task, "labels": ["no", "yes"], **more}))


def classes(n: int, seed: int = 0, *, weighted: bool = True) -> Pairs:
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.ones(3), n)
    label = objects([CLASSES[rng.choice(3, p=p)] for p in scores])
    weight = rng.choice([1.0, 3.0, 10.0], n) if weighted else None
    groups = {"by": objects(rng.choice([None, "x", "y"], n).tolist())}
    return Pairs(predicted=objects([CLASSES[i] for i in scores.argmax(1)]), label=label, scores=scores, groups=groups, weight=weight)


def numbers(n: int, seed: int = 0) -> Pairs:
    rng = np.random.default_rng(seed)
    value = rng.normal(1e6, 3.0, n)
    nothing = objects([None] * n)
    return Pairs(predicted=nothing, label=nothing, value=value, predicted_value=value + rng.normal(0, 1, n), weight=rng.uniform(1, 5, n))


@pytest.mark.parametrize(
    ("task", "more", "output", "truth", "fits"),
    [
        ("text-classification", {}, Output(label="yes"), Truth(label="no"), True),
        ("text-classification", {}, Output(label="yes"), Truth(score=1.0), False),
        ("tabular-regression", {}, Output(value=2.0), Truth(value=1.0), True),
        ("tabular-regression", {}, Output(value=float("nan")), Truth(value=1.0), False),
        ("tabular-regression", {}, Output(label="yes"), Truth(label="no"), False),
        ("text-generation", {}, Output(text="Yes, it is."), Truth(text="yes,  IT is."), True),
        ("text-generation", {}, Output(text="x"), Truth(score=0.4), True),
        ("text-generation", {}, Output(text="x"), Truth(score=4.0), False),
        ("text-generation", {"score_range": [1, 5]}, Output(text="x"), Truth(score=4.0), True),
    ],
)
def test_a_label_makes_a_pair_when_it_is_of_the_task_s_kind(
    task: str, more: dict[str, Any], output: Output, truth: Truth, fits: bool
) -> None:
    assert pairing(task, **more).fits(output, truth) is fits


def test_pairs_carry_scores_numbers_and_qualities() -> None:
    said = [Output(label="yes", scores={"yes": 0.75}), Output(label="no", scores={"no": 0.5, "yes": 0.5}), Output(label="no")]
    made = pairing("text-classification").made(said, [Truth(label="yes")] * 3, {})
    assert made.scores is not None
    np.testing.assert_array_equal(made.scores, [[0.25, 0.75], [0.5, 0.5], [np.nan, np.nan]])
    made = pairing("tabular-regression").made([Output(value=2.0)], [Truth(value=1.0)], {})
    assert made.predicted_value is not None
    assert made.value is not None
    assert (made.predicted_value.tolist(), made.value.tolist(), made.loss.tolist()) == ([2.0], [1.0], [0.0])
    truths = [Truth(score=4.0), Truth(text="X"), Truth(text="y")]
    made = pairing("text-generation", score_range=[1, 5]).made([Output(text="x")] * 3, truths, {})
    assert made.quality is not None
    assert made.quality.tolist() == [0.75, 1.0, 0.0]
    assert made.take(slice(1, 3)).quality.tolist() == [1.0, 0.0]  # type: ignore[union-attr]


def test_scores_are_kept_where_they_can_be_read() -> None:
    assert score_matrix([{"a": 1.0}, None], ["a"]) is None
    assert score_matrix([None, None], ["a", "b"]) is None
    assert score_matrix([{"0": 1.0}], [str(i) for i in range(MOST_CLASSES + 1)]) is None
    whole = score_matrix([{"b": 0.2, "a": 0.8}, {"b": 1.0, "a": 0.0, "c": 0.1}], ["a", "b"])
    np.testing.assert_array_equal(np.asarray(whole), [[0.8, 0.2], [0.0, 1.0]])
    joined = concatenated([{"x": np.zeros(2)}, {"x": np.ones(1), "output.scores": np.array([[0.5, 0.5]])}])
    assert joined["x"].tolist() == [0.0, 0.0, 1.0]
    assert np.isnan(joined["output.scores"]).tolist() == [[True, True], [True, True], [False, False]]


@pytest.mark.parametrize("pairs", [classes(1000), numbers(1000)], ids=["classes", "numbers"])
def test_sketches_of_panes_merge_to_those_of_the_whole_and_read_back(pairs: Pairs) -> None:
    whole, merged = judge(pairs, CLASSES), judge(Pairs.empty(), CLASSES)
    for i in range(0, pairs.n, 90):
        merged = merge_judged(merged, judge(pairs.take(slice(i, i + 90)), CLASSES))
    assert set(merged) == set(whole)
    for name, sketch in whole.items():
        other = merged[name]
        match sketch, other:
            case Means(), Means():
                assert sketch.cells.keys() == other.cells.keys()
                for cell, sums in sketch.cells.items():
                    np.testing.assert_allclose(other.cells[cell], sums, rtol=1e-9)
            case ScoreBins(), ScoreBins():
                assert sketch.cells.keys() == other.cells.keys()
                assert sketch.n == other.n == pairs.n
                for cell, table in sketch.cells.items():
                    np.testing.assert_allclose(other.cells[cell], table, rtol=1e-9, atol=1e-9)
            case Errors(), Errors():
                np.testing.assert_allclose(other.sums, sketch.sums, rtol=1e-6, atol=1e-2)
            case _:
                pytest.fail(f"{name} became another sketch")
    data = judged_to_bytes(merged)
    assert judged_to_bytes(judged_from_bytes(data)) == data
    for cut in (1, 3, 7, len(data) // 2, len(data) - 1):
        with pytest.raises(ValueError, match=r"not |no sketches|end after"):
            judged_from_bytes(data[:cut])


def test_means_and_errors_are_scikit_learn_s() -> None:
    pairs = classes(1000)
    means = judge(pairs, CLASSES)["means"]
    assert isinstance(means, Means)
    expected = log_loss(pairs.label.tolist(), pairs.scores, sample_weight=pairs.weight, labels=list(CLASSES))
    assert means.sums("log_loss").mean == pytest.approx(expected, rel=1e-9)
    assert means.sums("log_loss", "by", "x").n == sum(g == "x" for g in pairs.groups["by"])
    pairs = numbers(1000)
    found = judge(pairs, ())
    means, errors = found["means"], found["errors"]
    assert isinstance(means, Means)
    assert isinstance(errors, Errors)
    raw = (pairs.value, pairs.predicted_value)
    assert means.sums("absolute_error").mean == pytest.approx(mean_absolute_error(*raw, sample_weight=pairs.weight))
    assert means.sums("squared_error").mean == pytest.approx(mean_squared_error(*raw, sample_weight=pairs.weight))
    w = errors.sums[0]
    r2 = 1.0 - w[1, 0] / (w[0, 2] - w[0, 1] ** 2 / w[0, 0])
    assert r2 == pytest.approx(r2_score(*raw, sample_weight=pairs.weight))


def test_pairs_without_a_class_are_no_confusion_and_weights_give_shares() -> None:
    assert Confusion().add(numbers(10)).n == 0
    pairs = classes(500)
    confusion = Confusion().add(pairs)
    both = Confusion().add(pairs.take(slice(0, 100))).merge(Confusion().add(pairs.take(slice(100, 500))))
    assert both.cells == confusion.cells
    found = confusion.tallies("a")
    assert pairs.weight is not None
    is_a = (pairs.label == "a") & (pairs.predicted == "a")
    for got, expected in zip(found.tp, (is_a.sum(), pairs.weight[is_a].sum(), (pairs.weight[is_a] ** 2).sum()), strict=True):
        assert got == pytest.approx(expected)
    assert both.tallies("a").fn == pytest.approx(found.fn)
    again = Confusion.from_bytes(both.to_bytes())
    assert (again.cells, again.weights) == (both.cells, both.weights)
    plain = Confusion().add(classes(500, weighted=False))
    assert not plain.weights
    mixed = plain.merge(confusion)
    cell = Cell("", "", "a", "a")
    assert mixed.tally(cell) == pytest.approx(plain.tally(cell).plus(confusion.tally(cell)))
    assert plain.tally(cell) == Tally(plain.cells[cell], float(plain.cells[cell]), float(plain.cells[cell]))


def test_a_pane_of_an_earlier_release_reads_and_a_new_one_reads_back() -> None:
    confusion = Confusion().add(classes(50, weighted=False))
    summary = summary_to_bytes({})
    old = struct.pack("<I", len(summary)) + summary + bytes([1]) + json.dumps([2, 0, [["", "", "a", "b", 2]]]).encode()
    found = pane_from_bytes(old)
    assert (found[0], found[1].n, dict(found[1].cells), found[2]) == ({}, 2, {Cell("", "", "a", "b"): 2}, {})
    judged = judge(classes(50), CLASSES)
    again = pane_from_bytes(pane_to_bytes({}, confusion, judged))
    assert again[1].cells == confusion.cells
    assert judged_to_bytes(again[2]) == judged_to_bytes(judged)
    with pytest.raises(ValueError, match="not"):
        pane_from_bytes(b"RTP")


def test_a_group_column_of_many_groups_stays_bounded() -> None:
    many = classes(600)
    groups = {"by": objects([f"g{i}" for i in range(600)])}
    found = judge(Pairs(predicted=many.predicted, label=many.label, scores=many.scores, groups=groups), CLASSES)["calibration"]
    assert isinstance(found, ScoreBins)
    assert len(found.cells) == 48 + 3  # the three classes among their own answers are kept beside
    assert found.dropped == 1200 + 4 - 48
    assert found.bins(ANSWER) is not None
    assert all(found.answered(label) is not None for label in CLASSES)


def _binned(pairs: Pairs, labels: tuple[str, ...] = CLASSES) -> ScoreBins:
    found = judge(pairs, labels)["calibration"]
    assert isinstance(found, ScoreBins)
    return found


def test_pairs_by_the_class_of_their_answer_are_those_of_all_answers() -> None:
    pairs = classes(500)
    found, answer = _binned(pairs), _binned(pairs).bins(ANSWER)
    parts = [found.answered(label) for label in CLASSES]
    assert answer is not None
    for at, sums in enumerate(answer):
        np.testing.assert_allclose(sum(part[at] for part in parts if part is not None), sums, atol=1e-9)
    assert pairs.weight is not None
    for label, part in zip(CLASSES, parts, strict=True):
        so = pairs.predicted == label
        assert part is not None
        assert part.wy.sum() == pytest.approx(pairs.weight[so & (pairs.label == label)].sum())
        assert part.w2.sum() == pytest.approx((pairs.weight[so] ** 2).sum())


def _of_an_earlier_release() -> bytes:
    """Two pairs answered "c" with .5, the one right and the other truly "a", as they were kept before answers were counted by class."""
    cells = {"": [[2, 1, 0, 2, 1, 0, 0.5]], "a": [[2, 1, 0.5, 2, 1, 0.5, 0.625]], "c": [[2, 1, 0, 2, 1, 0, 0.5]]}
    head = json.dumps([2, 0, [["", "", label, [86 if label == "a" else 100]] for label in cells]]).encode()
    body = np.array([row for rows in cells.values() for row in rows], dtype="<f8").tobytes()
    return bytes([1]) + struct.pack("<II", len(head), len(body)) + head + body


def test_pairs_of_an_earlier_release_read_and_a_window_with_them_does_not_know_their_answers() -> None:
    old, new = ScoreBins.from_bytes(_of_an_earlier_release()), _binned(classes(50))
    assert old.n == 2
    assert not old.knows_answers()
    assert new.knows_answers()
    for both in (old.merge(new), new.merge(old), new.merge(old).merge(new), new.merge(old.merge(new))):
        assert not both.knows_answers()
        assert both.answered("c") is None
        answer = both.bins(ANSWER)
        assert answer is not None
        assert not ScoreBins.from_bytes(both.to_bytes()).knows_answers()
    assert ScoreBins().merge(new).knows_answers()
    assert ScoreBins().knows_answers()  # nothing is missing of no pairs


def test_more_classes_than_there_is_room_for_are_not_known_by_their_answers_in_part() -> None:
    """Versions whose classes have other names, in one window."""
    rng, found = np.random.default_rng(0), ScoreBins()
    for version in range(3):
        labels = tuple(f"{version}.{i}" for i in range(8))
        names = objects([labels[i] for i in rng.integers(0, 8, 200)])
        found = found.merge(_binned(Pairs(predicted=names, label=names, scores=np.full((200, 8), 1 / 8)), labels))
        assert found.knows_answers() is (version < 2)
    assert ScoreBins.from_bytes(found.to_bytes()).n == 600
