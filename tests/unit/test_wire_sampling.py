"""Sampling by a keyed hash of the id."""

from __future__ import annotations

import math

import pytest

from daemon.capture.sampling import included, unit

IDS = [f"record-{i}" for i in range(20_000)]


@pytest.mark.parametrize("ratio", [0.01, 0.3, 0.9])
def test_the_share_kept_is_the_ratio(ratio: float) -> None:
    kept = sum(included(i, "m", ratio, b"salt") for i in IDS)
    # the ids and the salt are fixed, so this never flakes; 5 standard deviations of a binomial
    assert abs(kept - ratio * len(IDS)) < 5 * math.sqrt(len(IDS) * ratio * (1 - ratio))


def test_everything_is_kept_at_ratio_one() -> None:
    assert all(included(i, "m", 1.0, b"salt") for i in IDS[:100])


def test_what_is_kept_at_a_ratio_is_kept_at_every_larger_one() -> None:
    assert all(included(i, "m", 0.5, b"salt") for i in IDS if included(i, "m", 0.2, b"salt"))


@pytest.mark.parametrize(("model", "salt"), [("m", b"other"), ("n", b"salt")])
def test_another_salt_or_model_chooses_independently(model: str, salt: bytes) -> None:
    kept = [i for i in IDS if included(i, "m", 0.5, b"salt")]
    both = sum(included(i, model, 0.5, salt) for i in kept)
    assert abs(both - len(kept) / 2) < 5 * math.sqrt(len(kept) / 4)


def test_the_same_id_is_always_treated_alike() -> None:
    assert unit("ä", "m", b"salt") == unit("ä", "m", b"salt")


def test_an_empty_salt_is_refused() -> None:
    with pytest.raises(ValueError, match="salt must not be empty"):
        included("a", "m", 0.5, b"")
