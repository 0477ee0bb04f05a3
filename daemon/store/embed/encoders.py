"""The encoders of all models: columns with the same settings share one process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.store.embed.encoder import Encoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.settings import ModelSettings
    from daemon.settings_encoder import EncoderSettings


class Encoders:
    """Made once; `close` it. No process runs before the first text."""

    def __init__(self, models: Sequence[ModelSettings]) -> None:
        made: dict[EncoderSettings, Encoder] = {}
        self.of: dict[tuple[str, str], Encoder] = {}
        """(model, subject of the embedding) -> its encoder."""
        for model in models:
            for subject, settings in model.encoders().items():
                self.of[model.name, subject] = made.setdefault(settings, Encoder(settings))
        for encoder in made.values():
            encoder.columns_n = sum(found is encoder for found in self.of.values())
        self._all = list(made.values())

    def close(self) -> None:
        """End all threads and processes."""
        for encoder in self._all:
            encoder.close()
