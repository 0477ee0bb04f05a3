"""Settings of an encoder: how the service makes vectors of a column's texts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from daemon.settings_part import Part, Positive

LENGTH = ".length"
"""Added to the subject of a text: its number of characters."""
SUFFIX = ".embedding"
"""Of the subject of vectors that the service makes: "input.text" -> "input.text.embedding"."""
Model = Annotated[str, Field(min_length=1, max_length=512)]


class EncoderSettings(Part):
    """Texts are embedded by a process beside the service; their vectors are watched as the column NAME.embedding.

    The process runs on one thread and at low priority, and needs the extra `train` (torch, transformers). What it cannot embed in time is
    counted; nothing else waits for it for longer than `wait_s`.
    """

    model: Model
    """Folder of any Hugging Face encoder with safetensors, `package:NAME` (a folder `model/` inside an installed package), or a hub id that
    is in the local cache. Nothing is downloaded, and no code of the model's is run."""
    pooling: Literal["mean", "cls"] | None = None
    """How the vectors of a text's tokens become one. None = as the folder says (1_Pooling/config.json), else mean."""
    max_tokens: int = Field(default=128, ge=8, le=8192)
    """A text is cut there: the cost of long texts grows with it."""
    batch_n: int = Field(default=16, ge=1, le=256)
    """Texts worked through at once. More are faster on large machines only, and take memory."""
    most_n: int = Field(default=256, ge=16, le=2000)
    """Texts of a pane at most, chosen by a hash of the record's id. 256 short texts and a small encoder take about two seconds of a core.
    Halved as often as it takes to keep the encoder busy for at most half of the time."""
    wait_s: Positive = 30.0
    """How long a pane waits for its vectors after its watermark; then it is closed without them, and that is counted."""
    memory_bytes: int = Field(default=4 * 2**30, ge=2**28)
    """Of the process: it fails beyond this, and is started again."""
