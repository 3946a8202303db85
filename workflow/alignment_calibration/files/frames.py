"""Tidy tables of the contract as pandas frames. (The scoring code does without pandas.)"""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from alignment_calibration.files.atomic import write_text
from alignment_calibration.files.parquet import read_parquet, write_parquet


def read_frame(path: str | Path, schema: pa.Schema) -> pd.DataFrame:
    """Read a Parquet file of the contract; integers and booleans that may be missing become `Int64`
    and `boolean`.

    Raises:
        UserError: if the file is missing, damaged, has other columns or no rows.
    """
    frame: pd.DataFrame = read_parquet(path, schema).to_pandas(
        types_mapper={pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}.get
    )
    return frame


def write_frame(path: str | Path, frame: pd.DataFrame, schema: pa.Schema) -> None:
    """Write a frame that has the columns of `schema` as a Parquet file of the contract."""
    write_parquet(path, pa.Table.from_pandas(frame, schema=schema, preserve_index=False))


def csv_text(frame: pd.DataFrame) -> str:
    """A frame for spreadsheets: ten significant digits, missing values empty."""
    text: str = frame.to_csv(index=False, float_format="%.10g", lineterminator="\n")
    return text


def write_csv(path: str | Path, frame: pd.DataFrame) -> None:
    """Write `csv_text`; before the Parquet file of the same name (see `files/suspects.py`)."""
    write_text(path, csv_text(frame))
