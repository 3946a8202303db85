"""What an earlier run has left of figures and tables that are now made in other files, or not."""

from collections.abc import Collection, Iterable
from pathlib import Path


def remove_leftovers(
    folder: str | Path, made: Iterable[str | Path], exhibits: Collection[str]
) -> None:
    """Remove files of exhibits that are not among those made, and folders that this empties.

    Args:
        folder: that of the figures, captions or tables of one study: `{exhibit}.{suffix}`, and
            below `{exhibit}/` pages and parts. What has another name is somebody's own.
        made: files in it; only files with one of their suffixes are removed.
        exhibits: names in the registry.
    """
    kept = set(map(Path, made))
    suffixes = {path.suffix for path in kept}
    # What lies in a folder sorts after it.
    for path in sorted(Path(folder).rglob("*"), reverse=True):
        if path.relative_to(folder).parts[0].split(".")[0] not in exhibits:
            continue
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.suffix in suffixes and path not in kept:
            path.unlink()
