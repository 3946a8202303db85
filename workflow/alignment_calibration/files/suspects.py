"""Files of results that somebody else may have written, told by their dates alone.

Imported while Snakemake parses the workflow, so nothing heavy may be imported here.
"""

import os
from pathlib import Path

#: Nanoseconds between the last write of a file and its renaming into place, at most.
_RENAMED_WITHIN = 60 * 10**9


def suspects(results: str | Path) -> list[str]:
    """Tables of a study that were not just written and renamed, as the workflow writes them.

    The kernel notes when a file's content, date or name was last changed, and lets nobody set that
    note. Where it is far from the date of the content, the file was edited and its date set back,
    or copied with its date. A CSV file is written before the Parquet file of its name, its twin
    (there are none of the tables for people, which are not looked at).

    Args:
        results: the study's folder of results. Its logit files are left out: the scorer and those
            who read them compare them with their receipts.

    Returns:
        Paths of Parquet and CSV files, sorted.
    """
    found = []
    for folder, subfolders, names in os.walk(results):
        subfolders[:] = [name for name in subfolders if name != "logits"]
        for name in names:
            stem, suffix = os.path.splitext(name)
            twin = os.path.join(folder, f"{stem}.parquet")
            if name.startswith(".") or not (
                suffix == ".parquet" or (suffix == ".csv" and os.path.exists(twin))
            ):
                continue
            path = os.path.join(folder, name)
            status = os.stat(path)
            set_back = abs(status.st_ctime_ns - status.st_mtime_ns) > _RENAMED_WITHIN
            if set_back or status.st_mtime_ns > os.stat(twin).st_mtime_ns:
                found.append(path)
    return sorted(found)
