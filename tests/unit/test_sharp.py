"""Sharp proofs that passed are kept until their sources change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.prove import results, sharp

TEST = "tests/statistical/test_some.py::test_a[full]"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one proof, one module that it imports, and what all proofs share."""
    files = {
        "tests/statistical/test_some.py": "import detectors.some\n",
        "tests/statistical/conftest.py": "",
        "tests/prove/limits.py": "",
        "detectors/some.py": "ALPHA = 0.1\n",
        "detectors/other.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(results, "ROOT", tmp_path)
    monkeypatch.setattr(sharp, "ROOT", tmp_path)
    monkeypatch.setattr(sharp, "_KEPT", tmp_path / "kept")
    return tmp_path


def written(root: Path, name: str, text: str) -> None:
    (root / name).write_text(text)
    sharp._digest.cache_clear()


def test_a_proof_that_passed_is_kept_with_its_rows_until_something_that_it_imports_changes(root: Path) -> None:
    assert not sharp.is_kept(TEST)
    sharp.keep(TEST, [("bets", "P <= 0.1", "0.09", "0.11", "1000", "1e-07")])
    assert sharp.is_kept(TEST)
    assert not sharp.is_kept(TEST.replace("full", "short"))
    assert sharp.rows() == [("bets", "P <= 0.1", "0.09", "0.11", "1000", "1e-07")]
    written(root, "detectors/other.py", "X = 1\n")
    assert sharp.is_kept(TEST)
    written(root, "detectors/some.py", "ALPHA = 0.2\n")
    assert not sharp.is_kept(TEST)
    assert sharp.rows() == []
    sharp.keep(TEST, [("bets", "P <= 0.2", "0.19", "0.22", "1000", "1e-07")])
    assert sharp.rows() == [("bets", "P <= 0.2", "0.19", "0.22", "1000", "1e-07")]
    written(root, "detectors/some.py", "ALPHA = 0.1\n")
    assert sharp.is_kept(TEST)
    (root / "tests/statistical/test_some.py").unlink()
    sharp._digest.cache_clear()
    assert sharp.rows() == []


def test_a_proof_that_asks_the_registry_depends_on_every_detector(root: Path) -> None:
    written(root, "detectors/registry.py", "")
    written(root, "detectors/some.py", "from detectors.registry import build\n")
    sharp.keep(TEST, [])
    written(root, "detectors/other.py", "X = 1\n")
    assert not sharp.is_kept(TEST)
