"""What the fingerprint of files tells apart."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from alignment_calibration.inputs.fingerprint import fingerprint


def with_date_kept(file: Path) -> None:
    """Another content of the same length, and the date set back."""
    before = file.stat()
    file.write_text("two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced_by_an_older_one(file: Path) -> None:
    other = file.with_name("other")
    other.write_text("two")
    os.utime(other, (1_000_000_000, 1_000_000_000))
    other.replace(file)


def replaced_with_its_date(file: Path) -> None:
    other = file.with_name("other")
    other.write_text("two")
    shutil.copystat(file, other)
    other.replace(file)


def grown(file: Path) -> None:
    file.write_text("longer")


def gone(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize(
    "change",
    [with_date_kept, replaced_by_an_older_one, replaced_with_its_date, grown, gone],
)
def test_it_changes_with_the_file(change: Callable[[Path], None], tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("one")
    before = fingerprint([file])
    assert fingerprint([file]) == before
    change(file)
    assert fingerprint([file]) != before


def test_it_changes_when_two_files_of_one_size_and_date_are_swapped(tmp_path: Path) -> None:
    one, two, aside = (tmp_path / name for name in ("one", "two", "aside"))
    for file in (one, two):
        file.write_text(file.name)
        os.utime(file, (1_000_000_000, 1_000_000_000))
    before = fingerprint([one, two])
    one.rename(aside)
    two.rename(one)
    aside.rename(two)
    assert fingerprint([one, two]) != before


def test_the_order_of_the_files_does_not_count(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one", "two")]
    assert fingerprint(files) == fingerprint(files[::-1])
