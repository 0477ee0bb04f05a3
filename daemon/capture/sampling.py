"""Which records are kept: by a keyed hash of the id, so that every replica, every retry and every replay chooses the same ones."""

from __future__ import annotations

from hashlib import blake2b

_SCALE = 2.0**64


def included(record_id: str, model: str, ratio: float, salt: bytes) -> bool:
    """Whether a record is kept; the inclusion probability is `ratio`, in (0, 1], for ids chosen without knowing `salt`.

    `salt` (1 to 64 secret bytes) belongs to sampling alone: with the salt of the splits, splits of a sample would be no splits.
    A record kept at one ratio is kept at every larger one.
    """
    if ratio >= 1.0:
        return True
    return unit(record_id, model, salt) < ratio


def unit(record_id: str, model: str, salt: bytes) -> float:
    """The record's place in [0, 1), uniform over salts."""
    if not salt:
        raise ValueError("salt must not be empty: without a secret anyone can choose ids that are never sampled")
    hashed = blake2b(record_id.encode(), key=salt, digest_size=8, person=blake2b(model.encode(), digest_size=8).digest() + b"sample")
    return int.from_bytes(hashed.digest(), "big") / _SCALE
