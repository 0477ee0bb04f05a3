"""Files are there whole or not at all."""

from pathlib import Path

import pytest

from retrain.whole import copy_whole, whole, write_whole


def test_an_error_leaves_what_was_there_and_no_half(tmp_path: Path) -> None:
    path = tmp_path / "new" / "plan.json"
    write_whole(path, b"first", mode=0o600)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(TypeError), whole(path) as out:
        out.writelines([b"sec", "ond"])  # type: ignore[list-item]
    assert [(p.name, p.read_bytes()) for p in path.parent.iterdir()] == [("plan.json", b"first")]


def test_nobody_sees_a_file_before_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "bound.parquet"
    with whole(path) as out:
        out.write(b"half")
        assert not path.exists()
    copy_whole(path, tmp_path / "copy.parquet")
    assert (tmp_path / "copy.parquet").read_bytes() == b"half"
