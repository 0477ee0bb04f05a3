"""The base model's folder and the digest that names its weights. No torch: the service writes it into the plan."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from retrain.types import Permanent, Reason

_PACKAGE = "package:"
_NAMING = ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt")
"""Beside *.safetensors: another tokenizer or configuration is another model."""


def base_folder(base_model: str) -> Path:
    """Folder of a base model: a path, or `package:NAME` for `model/` in an installed package (which is not imported)."""
    if base_model.startswith(_PACKAGE):
        name = base_model.removeprefix(_PACKAGE)
        spec = find_spec(name) if name.isidentifier() else None
        if spec is None or not spec.submodule_search_locations:
            raise Permanent(Reason.NOT_FOUND, f"{base_model}: no such package is installed here")
        folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    else:
        folder = Path(base_model)
    if not (folder / "config.json").is_file():
        raise Permanent(Reason.NOT_FOUND, f"{base_model}: {folder} holds no config.json")
    return folder


def weights_digest(folder: Path) -> str:
    """SHA-256 over names and contents of weights, configuration and tokenizer: 64 hex digits. Reads all of it (about 0.3 s for 90 MB)."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise Permanent(Reason.NOT_FOUND, f"{folder}: no *.safetensors (pickled weights are not read)")
    sha = hashlib.sha256()
    for path in [*weights, *(folder / name for name in _NAMING if (folder / name).is_file())]:
        sha.update(f"{path.name}:{path.stat().st_size}\n".encode())
        with path.open("rb") as data:
            while block := data.read(1 << 20):
                sha.update(block)
    return sha.hexdigest()


def check_weights(base_model: str, digest: str) -> None:
    """`Permanent(WRONG_BASE)` unless the base model here is the one that the digest names."""
    found = weights_digest(base_folder(base_model))
    if found != digest:
        raise Permanent(Reason.WRONG_BASE, f"{base_model} has digest {found[:16]}, the plan asks for {digest[:16]}")
