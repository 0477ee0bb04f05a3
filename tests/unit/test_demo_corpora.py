"""The demo's corpora: what is kept, and that no two parts share a text or a document."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from retrain.demo.corpora import (
    FILES,
    GROUPS,
    QUIET_PARTS,
    SOURCE_PARTS,
    TARGET_PARTS,
    Row,
    balanced,
    read_corpus,
    read_rows,
    shuffled,
    split,
    without,
)
from retrain.types import Permanent

REAL = Path(__file__).parents[2] / ".cache" / "corpora" / "vaderSentiment-3.3.2.tar.gz"

TWEETS = "1\t2.5\tSo good!\n2\t0.1\tNeither this nor that.\n3\t-1.5\tawful\n4\t-2\tso  GOOD!\n5\t-0.31\ta\ttab inside\n"
NYT = "1_1\t1.0\tfirst\n1_2\t-1.0\tsecond\n2_1\t1.0\tthird\n"


def archive(path: Path, files: dict[str, str], *, link: bool = False) -> Path:
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"hutto_ICWSM_2014/{name}")
            if link:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
                tar.addfile(info)
                continue
            info.size = len(content.encode())
            tar.addfile(info, io.BytesIO(content.encode()))
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo("vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz")
        info.size = len(inner.getvalue())
        tar.addfile(info, io.BytesIO(inner.getvalue()))
    return path


def rows(n: int, per_document: int = 1) -> list[Row]:
    return [
        Row(id=f"r{i}", document=f"d{i // per_document}", text=f"text {i}", label=("negative", "positive")[i % 3 == 0]) for i in range(n)
    ]


def test_near_neutral_rows_and_repeated_texts_are_dropped(tmp_path: Path) -> None:
    found = read_corpus(archive(tmp_path / "a.tar.gz", {FILES["tweets"]: TWEETS}), "tweets")
    assert [(r.id, r.label, r.text) for r in found] == [
        ("tweets-1", "positive", "So good!"),
        ("tweets-3", "negative", "awful"),
        ("tweets-5", "negative", "a\ttab inside"),
    ]


def test_sentences_know_their_document(tmp_path: Path) -> None:
    found = read_corpus(archive(tmp_path / "a.tar.gz", {FILES["nyt"]: NYT}), "nyt")
    assert [r.document for r in found] == ["nyt-1", "nyt-1", "nyt-2"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder / "none.tar.gz", "make data"),
        (lambda folder: archive(folder / "a.tar.gz", {"other.txt": ""}), "not the source distribution"),
        (lambda folder: archive(folder / "a.tar.gz", {FILES["tweets"]: TWEETS}, link=True), "no file"),
        (lambda folder: archive(folder / "a.tar.gz", {FILES["tweets"]: "1\tmany\ttext\n"}), "line 1"),
    ],
)
def test_a_bad_archive_is_refused_with_what_is_wrong(tmp_path: Path, make: Callable[[Path], Path], said: str) -> None:
    with pytest.raises(Permanent, match=said):
        read_corpus(make(tmp_path), "tweets")


def test_an_unknown_corpus_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="known: tweets, movies, amazon, nyt"):
        read_corpus(tmp_path, "novels")


def test_parts_share_no_row_and_no_document() -> None:
    parts = split(rows(900, per_document=7), {"a": 300, "b": 100, "c": 50}, seed=1)
    assert {name: len(part) for name, part in parts.items()} == {"a": 300, "b": 100, "c": 50}
    documents = [{r.document for r in part} for part in parts.values()]
    assert not (documents[0] & documents[1] | documents[0] & documents[2] | documents[1] & documents[2])


def test_a_small_corpus_scales_every_part_alike() -> None:
    parts = split(rows(100), {"a": 100, "b": 60, "c": 40}, seed=0)
    assert [len(part) for part in parts.values()] == [50, 30, 20]


def test_a_split_is_the_same_for_a_seed_and_another_for_another() -> None:
    first, again, other = (split(rows(200), {"a": 100, "b": 50}, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_shuffled_labels_keep_their_counts_and_say_nothing_about_the_row() -> None:
    before = rows(3000)
    after = shuffled(before, seed=0)
    assert [r.id for r in after] == [r.id for r in before]
    assert sum(r.label == "positive" for r in after) == sum(r.label == "positive" for r in before)
    assert abs(sum(a.label == b.label for a, b in zip(before, after, strict=True)) / 3000 - 5 / 9) < 0.05


def test_balanced_rows_hold_each_label_equally_often_in_the_same_order() -> None:
    before = rows(300)
    after = balanced(before, seed=0)
    assert len(after) == 200
    assert sum(r.label == "positive" for r in after) == 100
    assert [r.id for r in after] == [r.id for r in before if r in after]


def test_texts_of_the_other_corpus_are_left_out() -> None:
    a = [Row(id="1", document="1", text="Same  text", label="negative"), Row(id="2", document="2", text="other", label="negative")]
    b = [Row(id="3", document="3", text="same text", label="positive")]
    assert [r.id for r in without(a, b)] == ["2"]


def test_a_corpus_of_ones_own_names_the_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.ndjson"
    path.write_text('{"id": "1", "text": "a", "label": "negative"}\n{"id": "2"}\n')
    with pytest.raises(Permanent, match="line 2"):
        read_rows(path)


@pytest.mark.skipif(not REAL.exists(), reason="make data fetches the corpora")
def test_the_real_corpora_hold_what_the_demo_needs() -> None:
    found = {name: read_corpus(REAL, name) for name in FILES}
    positive = {name: sum(r.label == "positive" for r in part) / len(part) for name, part in found.items()}
    assert 3600 < len(found["tweets"]) < 3800
    assert 10_000 < len(found["movies"]) < 10_500
    assert 0.66 < positive["tweets"] < 0.72
    assert 0.47 < positive["movies"] < 0.53
    sizes = {name: len(part) for name, part in split(found["tweets"], SOURCE_PARTS, seed=0).items()}
    assert sizes == SOURCE_PARTS
    assert {name: len(part) for name, part in split(found["movies"], TARGET_PARTS, seed=0).items()} == TARGET_PARTS
    assert len({r.document for r in found["nyt"]}) < len(found["nyt"]) / 5
    quiet = split(found["tweets"], QUIET_PARTS, seed=0)
    assert len({r.id for part in quiet.values() for r in part}) == sum(len(part) for part in quiet.values())
    bands = [sum(r.age_band == band for r in found["movies"]) for band in GROUPS]
    assert abs(bands[0] / sum(bands) - 0.5) < 0.03
