"""The data dictionary, `docs/files.md`: `python -m alignment_calibration.contract.dictionary`."""

import pyarrow as pa

from alignment_calibration.contract import FILES
from alignment_calibration.contract.columns import described

_HEAD = """# The files of a study

Made by `make files` from the contract, `workflow/alignment_calibration/contract/`: edit that.

All lie below `results/{study}/`; names in braces are slugs of the config. Parquet files are read
by pandas, polars, DuckDB, R's arrow and others; [examples/own_figure.py](examples/own_figure.py)
starts from some. `steps.parquet`, `stages.parquet` and `trends.parquet` are of studies with a
ladder of several steps; a step is a pair without a rank. `metrics.csv`, `changes.csv` and
`steps.csv` have the columns of the Parquet files beside them, with ten digits. `audit.parquet` is
of the published study only, which has few of the others. Not described here, since they are for
people: `tables/`, `captions/`, `logs/`, `benchmarks/` and `report.zip`; nor `models/{model}/`, a
checkpoint converted from GGUF.

A metric has its own unit: nats (`nll`), or a share such as accuracy and the errors of calibration.
Intervals are meant to hold the truth 95 times of 100, and did in simulations of single contrasts
where `ci_covers` says so; an end that is infinite is missing. There is no interval where nothing
varies between the questions, as of a single one.

In the metadata of a Parquet file, `content_sha256` is the digest of its values, and
`alignment_calibration`, where it is there, says in JSON what the file was made of.
"""


def page() -> str:
    """The page, in Markdown."""
    return "\n".join([_HEAD, *(_section(file, schema) for file, schema in FILES.items())])


def _section(file: str, schema: pa.Schema) -> str:
    rows, columns = described(schema)
    noun, first = ("A row", "column") if file.endswith(".parquet") else ("The object", "key")
    table = [
        (first, "type", "unit", "meaning", "missing means"),
        ("---",) * 5,
        *(
            (f"`{name}`", _type(column.type), column.unit, column.meaning, column.null)
            for name, column in columns.items()
        ),
    ]
    lines = ["| " + " | ".join(cell or " " for cell in row) + " |" for row in table]
    end = "" if rows.endswith("?") else "."
    return "\n".join([f"## `{file}`", "", f"{noun}: {_lower(rows)}{end}", "", *lines, ""])


def _type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"list of {_type(kind.value_type)}"
    return "JSON" if kind == pa.json_() else str(kind)


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]


if __name__ == "__main__":
    print(page(), end="")
