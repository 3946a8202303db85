"""How a file of the contract is described: what its rows are, and what each column holds."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import pyarrow as pa


class Column(NamedTuple):
    """A column of a table, or a key of a JSON file.

    Attributes:
        type: of its values.
        meaning: what they say.
        unit: what numbers are counted or measured in; empty for text and truth values.
        null: what a missing value says; empty if there is none.
    """

    type: pa.DataType
    meaning: str
    unit: str = ""
    null: str = ""


#: In a schema's metadata: a file of it may be without rows.
MAY_BE_EMPTY: Final = b"may_be_empty"


def table(rows: str, columns: Mapping[str, Column], *, may_be_empty: bool = False) -> pa.Schema:
    """A schema that carries its description: `rows` in its metadata, the rest in its columns'.

    `files.parquet` writes none of it: a file's bytes, of which identities are made, are the same
    whatever is said of its columns.

    Args:
        rows: what a row is, and how rows are sorted.
        columns: by name, in their order.
        may_be_empty: whether some studies have no such rows; else a file without is an error.
    """
    fields = [
        pa.field(name, kind, metadata={"meaning": meaning, "unit": unit, "null": null})
        for name, (kind, meaning, unit, null) in columns.items()
    ]
    metadata = {b"rows": rows.encode()}
    if may_be_empty:
        metadata[MAY_BE_EMPTY] = b""
    return pa.schema(fields, metadata=metadata)


def described(schema: pa.Schema) -> tuple[str, dict[str, Column]]:
    """What `table` was given.

    Raises:
        TypeError: if a column, or the schema, has no description.
    """
    columns = {}
    for field in schema:
        said = {key.decode(): text.decode() for key, text in (field.metadata or {}).items()}
        columns[field.name] = Column(field.type, **said)
    return schema.metadata[b"rows"].decode(), columns


#: Units. A value of a metric has the metric's own: a probability, nats, ...
PROBABILITY: Final = "probability"
NATS: Final = "nats"
QUESTIONS: Final = "questions"
OF_METRIC: Final = "the metric's"

#: Columns by which rows are known, the same in every file.
KEYS: Final = {
    "model": Column(pa.string(), "model, by its slug in the config"),
    "pair": Column(pa.string(), "pair of a base and an aligned model, by its name in the config"),
    "stage": Column(pa.string(), "`base` or `aligned`"),
    "task": Column(pa.string(), "task, by its slug in the config"),
    "prompt": Column(pa.string(), "how questions were put: `continuation` or `choice`"),
    "method": Column(pa.string(), "prompt and reading of the options: one of the config's methods"),
    "metric": Column(pa.string(), "one of the config's metrics"),
    "question_id": Column(pa.string(), "the lm-eval task's name and the document's number in it"),
    "group": Column(pa.string(), "the lm-eval task that the question is of"),
}


def keys(*names: str) -> dict[str, Column]:
    """Some of the columns by which rows are known, in this order."""
    return {name: KEYS[name] for name in names}
