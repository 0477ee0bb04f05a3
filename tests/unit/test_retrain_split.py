"""Who may train and who may judge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrain.dataset.rows import groups_of, is_human, read_rows, table_of, text_digest, write_rows
from retrain.dataset.split import SPLITS, assign, progress
from retrain.plan import DataPart
from retrain.types import Permanent, Reason

PLANNED = 1000.0


def data(**changed: Any) -> DataPart:
    wanted: dict[str, Any] = {"collected": "c.parquet", "salt": "s", "train_n": 40, "validation_n": 8, "gate_n": 24, "bound_n": 12}
    return DataPart(**(wanted | changed))


def row(i: int, **changed: Any) -> dict[str, Any]:
    return {"id": f"r{i:05d}", "at": PLANNED + 1 + i, "text": f"text number {i}", "label": "a", "source": "human"} | changed


def test_splits_are_disjoint_and_as_large_as_the_plan_wants() -> None:
    found = assign(table_of(row(i) for i in range(84)), data(), PLANNED).indices
    assert {name: len(rows) for name, rows in found.items()} == {"gate": 24, "bound": 12, "validation": 8, "train": 40}
    assert len(np.unique(np.concatenate(list(found.values())))) == 84


def test_rows_recorded_before_the_plan_train_and_never_judge() -> None:
    table = table_of(row(i, at=PLANNED - i) for i in range(30))
    found = assign(table, data(), PLANNED).indices
    assert len(found["train"]) == 30
    assert not any(len(found[name]) for name in ("gate", "bound", "validation"))


def test_a_document_that_was_seen_before_the_plan_never_judges_later() -> None:
    early = [row(i, at=PLANNED - 1, cluster=f"doc{i}") for i in range(5)]
    late = [row(100 + i, cluster=f"doc{i % 10}") for i in range(60)]
    table = table_of(early + late)
    found = assign(table, data(), PLANNED).indices
    clusters = np.asarray(table["cluster"].to_pylist())
    judges = set(clusters[np.concatenate([found["gate"], found["bound"], found["validation"]])])
    assert judges
    assert not judges & {f"doc{i}" for i in range(5)}


def test_a_cluster_is_never_torn_between_two_splits() -> None:
    table = table_of(row(i, cluster=f"doc{i % 17}") for i in range(150))
    found = assign(table, data(train_n=1000), PLANNED).indices
    where: dict[str, set[str]] = {}
    for name, rows in found.items():
        for i in rows:
            where.setdefault(table["cluster"][int(i)].as_py(), set()).add(name)
    assert len(where) == 17
    assert all(len(names) == 1 for names in where.values())


@pytest.mark.parametrize("source", ["own", "Model", " self ", None])
def test_a_label_that_no_person_gave_never_trains_or_judges(source: str | None) -> None:
    table = table_of([row(0), row(1, source=source), row(2, label=None)])
    found = assign(table, data(), PLANNED)
    assert sorted(np.concatenate(list(found.indices.values())).tolist()) == [0]
    assert found.removed == {"own_output": 1, "unlabelled": 1}


def test_equal_texts_count_once_whatever_their_case_and_spacing() -> None:
    table = table_of([row(0, text="Good  film"), row(1, text="good film "), row(2, text="other")])
    found = assign(table, data(), PLANNED)
    assert sorted(np.concatenate(list(found.indices.values())).tolist()) == [0, 2]
    assert found.removed == {"duplicate": 1}


def test_a_sealed_text_is_left_out() -> None:
    found = assign(table_of([row(0), row(1)]), data(), PLANNED, exclude={text_digest("TEXT number 1")})
    assert found.removed == {"sealed": 1}


def test_train_keeps_its_newest_rows() -> None:
    table = table_of(row(i, at=PLANNED - 100 + i) for i in range(50))
    found = assign(table, data(), PLANNED)
    assert found.indices["train"].tolist() == list(range(10, 50))
    assert found.removed == {"surplus": 10}


def test_progress_says_what_is_there_and_what_is_wanted() -> None:
    table = table_of(row(i) for i in range(20))
    now = progress(table, data(), PLANNED)
    assert {name: want for name, (_, want) in now.items()} == {"gate": 24, "bound": 12, "validation": 8, "train": 40}
    assert sum(have for have, _ in now.values()) == 20


def test_another_salt_is_another_split() -> None:
    table = table_of(row(i) for i in range(84))
    gates = [set(assign(table, data(salt=salt), PLANNED).indices["gate"].tolist()) for salt in ("a", "b", "a")]
    assert gates[0] == gates[2] != gates[1]


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 2000), st.integers(0, 15), st.sampled_from(["human", "own"]), st.one_of(st.none(), st.integers(0, 5))),
        max_size=60,
    ),
    order=st.randoms(use_true_random=False),
)
def test_the_split_depends_on_the_rows_and_not_on_their_order(rows: list[tuple[int, int, str, int | None]], order: Any) -> None:
    items = [
        row(i, at=float(at), text=f"t{text}", source=source, cluster=None if cluster is None else f"d{cluster}")
        for i, (at, text, source, cluster) in enumerate(rows)
    ]
    mixed = list(items)
    order.shuffle(mixed)
    by_id = []
    for some in (items, mixed):
        table = table_of(some)
        ids = table["id"].to_pylist()
        found = assign(table, data(gate_n=5, bound_n=3, validation_n=2, train_n=6), PLANNED)
        by_id.append({name: [ids[i] for i in found.indices[name]] for name in SPLITS})
        assert sum(len(kept) for kept in found.indices.values()) + sum(found.removed.values()) == len(items)
    assert by_id[0] == by_id[1]


def test_rows_survive_a_file(tmp_path: Any) -> None:
    table = table_of([row(0, segments='{"age_band": "young"}'), row(1, groups='{"age_band": "old"}')])
    write_rows(tmp_path / "r.parquet", table)
    assert read_rows(tmp_path / "r.parquet").equals(table)
    assert groups_of(table, ["age_band"]) == {"age_band": ["young", "old"]}


def test_labelled_records_as_posted_are_read_too(tmp_path: Any) -> None:
    line = '{"id": "1", "inputs": {"text": "fine"}, "output": {"label": "a", "scores": {"a": 0.9}}, "label": "a"}\n'
    (tmp_path / "r.ndjson").write_text(line)
    found = read_rows(tmp_path / "r.ndjson").to_pylist()[0]
    assert (found["text"], found["predicted"], found["score"], is_human(found["source"])) == ("fine", "a", 0.9, True)


@pytest.mark.parametrize("content", ["{", '{"id": "1", "inputs": {"a": "x", "b": "y"}}\n', "[1]\n"])
def test_a_bad_file_is_named(tmp_path: Any, content: str) -> None:
    (tmp_path / "bad.ndjson").write_text(content)
    with pytest.raises(Permanent, match=r"bad\.ndjson") as caught:
        read_rows(tmp_path / "bad.ndjson")
    assert caught.value.reason is Reason.BAD_DATA


def test_a_table_of_another_shape_is_refused(tmp_path: Any) -> None:
    write_rows(tmp_path / "other.parquet", pa.table({"x": [1]}))
    with pytest.raises(Permanent, match="'id' is missing"):
        read_rows(tmp_path / "other.parquet")
