"""What nothing watches any more once another reference takes the place of one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from daemon.decide.lost import Lost, LostSegment, lost
from daemon.settings import ModelSettings
from detectors.sketches.records import AT
from detectors.types import Pairs, Reference


def model(**segments: Any) -> ModelSettings:
    return ModelSettings.model_validate(
        {
            "name": "m",
            "task": "tabular-classification",
            "labels": ["no", "yes"],
            "columns": {"age": "numeric", "city": "category", "shop": "category"},
            "monitors": {"segments": {"by": ["shop"], "least_n": 20, **segments}, "performance": None},
        }
    )


def reference(*, without: str = "", **shops: int) -> Reference:
    """So many rows of each shop."""
    found = np.repeat([*shops], [*shops.values()]).astype(object)
    columns = {"input.age": np.arange(float(len(found))), "input.city": np.full(len(found), "x", dtype=object), "input.shop": found}
    columns[AT] = np.arange(float(len(found)))
    return Reference(columns={s: v for s, v in columns.items() if s != without}, kinds={}, sketches={}, bound=Pairs.empty(), digest="d")


def test_a_shop_with_too_few_rows_is_named_with_how_many_there_are_and_are_needed() -> None:
    found = lost(model(), reference(de=100, fr=20, uk=30), reference(de=200, fr=19, it=60))
    assert found.names() == ["shop=uk", "shop=fr"]
    assert found.why_not() == (
        "nothing would watch shop=uk (0 rows, segments.least_n is 20), shop=fr (19 rows, segments.least_n is 20) any more"
    )
    assert found.in_words().startswith("not watched any more: shop=uk (0 rows")


@pytest.mark.parametrize("after", [reference(de=100, fr=20, uk=30), reference(de=20, fr=90, uk=30, it=50)])
def test_nothing_is_said_where_every_value_goes_on_being_watched(after: Reference) -> None:
    found = lost(model(), reference(de=100, fr=20, uk=30, es=19), after)
    assert (found, found.names(), found.in_words(), found.why_not()) == (Lost(), [], "", "")


def test_a_value_that_others_crowd_out_is_lost_though_it_has_rows_enough() -> None:
    found = lost(model(most_n=2), reference(de=100, fr=30), reference(de=100, fr=30, it=60))
    assert found.segments == (LostSegment(name="shop=fr", n=30, needed=20),)
    assert "shop=fr (others are more frequent: segments.most_n)" in found.why_not()


def test_without_its_column_every_segment_is_named_beside_it() -> None:
    found = lost(model(), reference(de=100, fr=30), reference(without="input.shop", de=100, fr=30))
    assert found.names() == ["input.shop", "shop=de", "shop=fr"]
    assert found.why_not().startswith(
        "no record since then is there of input.shop, which would have no reference any more; nothing would watch"
    )


def test_inputs_that_more_segments_leave_no_room_for_are_lost_too() -> None:
    settings = model(inputs={"most_n": 4})
    found = lost(settings, reference(de=100, fr=30), reference(de=100, fr=30, it=60))
    assert found.names() == ["input.city within segments"]
    assert found.in_words() == "not watched any more: input.city within segments (segments.inputs.most_n)"
    assert lost(settings, reference(de=100, fr=30, it=60), reference(de=100, fr=30)).names() == ["shop=it"]


def test_a_sentence_names_twenty_and_counts_the_rest() -> None:
    found = Lost(segments=tuple(LostSegment(name=f"shop={i}", n=1, needed=20) for i in range(27)))
    assert len(found.names()) == 27
    assert found.in_words().endswith(", and 7 more")
    assert "shop=20 " not in found.in_words()


def test_a_model_without_segments_loses_columns_only() -> None:
    settings = model().model_copy(update={"monitors": model().monitors.model_copy(update={"segments": None})})
    assert lost(settings, reference(de=100, fr=30), reference(without="input.age", de=100)).names() == ["input.age"]
