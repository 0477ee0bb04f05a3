"""Rules of encoders: a folder that cannot be loaded is refused by `retuned check`, not by a process that never starts."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.check.rules import Finding
from daemon.settings_encoder import SUFFIX
from retrain.types import Permanent
from retrain.weights import base_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.settings import ModelSettings, Settings
    from daemon.settings_encoder import EncoderSettings

EMBEDDING = ("torch", "transformers", "safetensors")
"""What the process needs; the extra `train` brings it."""


def findings(settings: Settings) -> list[Finding]:
    """Every rule that is not kept."""
    found = []
    for i, model in enumerate(settings.models):
        for path, encoder in _encoders(model):
            at: tuple[str | int, ...] = ("models", i, *path)
            found += [Finding((*at, *f.path), f.value, f.rule, f.remedy) for f in (*_packages(), *_folder(encoder))]
        found += [Finding(("models", i, *f.path), f.value, f.rule, f.remedy) for f in _names(model)]
    return found


def _encoders(model: ModelSettings) -> Iterator[tuple[tuple[str, ...], EncoderSettings]]:
    for name, column in model.columns.items():
        if column.encoder is not None:
            yield ("columns", name, "encoder"), column.encoder
    if model.output_encoder is not None:
        yield ("output_encoder",), model.output_encoder


def _packages() -> Iterator[Finding]:
    missing = [name for name in EMBEDDING if importlib.util.find_spec(name) is None]
    if missing:
        rule = f"needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed here"
        yield Finding((), None, rule, "pip install 'retuned[train]', or take the training image for the service")


def _folder(encoder: EncoderSettings) -> Iterator[Finding]:
    if not encoder.model.startswith(("package:", "/", ".")) and not Path(encoder.model).exists():
        return  # a hub id: the process looks into the local cache
    try:
        folder = base_folder(encoder.model)
    except Permanent as e:
        yield Finding(
            ("model",), encoder.model, f"must be a model's folder ({e.detail})", "give a folder with config.json, or package:NAME"
        )
        return
    if not list(folder.glob("*.safetensors")):
        remedy = "save the model with `safe_serialization=True`: pickled weights run whatever is in them"
        yield Finding(("model",), encoder.model, f"must hold *.safetensors, {folder} has none", remedy)


def _names(model: ModelSettings) -> Iterator[Finding]:
    if model.output_encoder is not None and model.task != "text-generation":
        yield Finding(("output_encoder",), None, f"is of models that write texts, this one is {model.task}", "remove it")
    for name, column in model.columns.items():
        if column.encoder is not None and f"{name}{SUFFIX}" in model.columns:
            yield Finding(("columns", f"{name}{SUFFIX}"), None, f"has the name of what the encoder of {name} makes", "rename the column")
