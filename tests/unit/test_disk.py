from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from daemon.settings_service import DiskSettings
from daemon.store.disk import Disk, judged

GIB = 2**30


@dataclass(frozen=True)
class Space:
    f_bavail: int
    f_blocks: int = 100 * GIB // 4096
    f_frsize: int = 4096
    f_favail: int = 10**6
    f_files: int = 10**7


def free(n_bytes: float, **others: int) -> Space:
    return Space(int(n_bytes) // 4096, **others)


def test_the_smaller_of_number_and_share_is_the_limit() -> None:
    limits = DiskSettings(min_free_bytes=GIB, min_free_ratio=0.05)
    assert not judged(free(1.01 * GIB), limits, was_low=False).is_low  # 5 % of 100 GiB would be 5 GiB
    assert judged(free(0.99 * GIB), limits, was_low=False).is_low
    small = {"f_blocks": 2 * GIB // 4096}
    assert not judged(free(0.11 * GIB, **small), limits, was_low=False).is_low  # half of the volume is not kept back
    assert judged(free(0.09 * GIB, **small), limits, was_low=False).is_low


def test_a_disk_that_was_low_needs_a_tenth_more_to_be_so_no_longer() -> None:
    limits = DiskSettings(min_free_bytes=GIB)
    assert judged(free(1.05 * GIB), limits, was_low=True).is_low
    assert not judged(free(1.11 * GIB), limits, was_low=True).is_low


def test_what_is_acknowledged_and_not_stored_yet_must_fit_beside_the_limit() -> None:
    limits = DiskSettings(min_free_bytes=GIB)
    assert judged(free(1.4 * GIB), limits, was_low=False, unread_bytes=GIB // 2).is_low
    assert not judged(free(1.51 * GIB), limits, was_low=False, unread_bytes=GIB // 2).is_low
    assert judged(free(1.51 * GIB), limits, was_low=True, unread_bytes=GIB // 2).is_low
    assert not judged(free(0), DiskSettings(min_free_bytes=0), was_low=False, unread_bytes=GIB).is_low
    unread = [GIB // 2, 0]
    now = iter([0.0, 1.0])
    disk = Disk(Path("data"), limits, unread_bytes=lambda: unread.pop(0), clock=lambda: next(now), look=lambda _: free(1.4 * GIB))
    assert [disk.state().is_low, disk.state().is_low] == [True, False]


def test_inodes_run_out_too_and_a_file_system_that_counts_none_is_not_asked() -> None:
    state = judged(free(50 * GIB, f_favail=9_999), DiskSettings(), was_low=False)
    assert state.is_low
    assert "9999 inodes are free, 10000 must be" in state.because
    assert not judged(free(50 * GIB, f_favail=0, f_files=0), DiskSettings(), was_low=False).is_low


@pytest.mark.parametrize("was_low", [True, False])
def test_zero_turns_it_off(*, was_low: bool) -> None:
    assert not judged(free(0, f_favail=0), DiskSettings(min_free_bytes=0, min_free_inodes=0), was_low=was_low).is_low


def test_a_thousand_questions_at_once_are_one_look() -> None:
    now, looks = [0.0], []

    def look(folder: Path) -> Space:
        looks.append(folder)
        return free(0)

    disk = Disk(Path("data"), DiskSettings(), clock=lambda: now[0], look=look)
    for _ in range(1000):
        assert disk.refusal() is not None
    assert len(looks) == 1
    now[0] = 0.1
    refusal = disk.refusal()
    assert (len(looks), refusal and refusal.retry_after_s) == (2, 10.0)


def test_a_folder_that_is_gone_takes_nothing_in(tmp_path: Path) -> None:
    state = Disk(tmp_path / "gone", DiskSettings()).state()
    assert (state.is_low, "No such file" in state.because) == (True, True)
