"""The card for programs: Croissant 1.1 (mlcommons.org/croissant), JSON-LD, from the contract."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from alignment_calibration.contract.columns import KEYS, Column, described
from alignment_calibration.files.atomic import sha256

_FORMATS: Final = {
    ".parquet": "application/x-parquet",
    ".json": "application/json",
}
#: The standard's own, whole.
_CONTEXT: Final = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(
    name: str, description: str, folder: Path, files: Mapping[str, pa.Schema]
) -> dict[str, Any]:
    """The metadata of a data set, whose single files are named with their SHA-256.

    Args:
        name, description: of the data set.
        folder: where its files lie.
        files: schemas by name, as of `contract.FILES`; a name with wildcards is a set of files.
    """
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": name,
        "description": description,
        "distribution": [_distribution(file, folder) for file in files],
        "recordSet": [
            _record_set(file, schema) for file, schema in files.items() if file.endswith(".parquet")
        ],
    }


def as_pattern(file: str) -> str:
    """A file of the contract, `*` for each wildcard."""
    return re.sub(r"\{\w+\}", "*", file)


def _distribution(file: str, folder: Path) -> dict[str, Any]:
    pattern = as_pattern(file)
    about = {"@id": pattern, "name": pattern, "encodingFormat": _FORMATS[Path(file).suffix]}
    if pattern != file:
        return {"@type": "cr:FileSet", **about, "includes": pattern}
    path = folder / file
    found = {"contentSize": f"{path.stat().st_size} B", "sha256": sha256(path)}
    return {"@type": "cr:FileObject", **about, "contentUrl": file, **found}


def _record_set(file: str, schema: pa.Schema) -> dict[str, Any]:
    rows, columns = described(schema)
    name = file.split("/")[0].removesuffix(".parquet")
    pattern = as_pattern(file)
    source = {"fileObject" if pattern == file else "fileSet": {"@id": pattern}}
    # What a file's place says and its columns do not.
    placed = [key for key in re.findall(r"\{(\w+)\}", file) if key not in columns]
    fields = [
        _field(name, key, KEYS[key], {"fileProperty": "fullpath"}, source, _part(file, key))
        for key in placed
    ]
    fields += [
        _field(name, key, column, {"column": key}, source) for key, column in columns.items()
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": rows,
        "field": fields,
    }


def _part(file: str, wildcard: str) -> str:
    """A regular expression that finds a wildcard's value in a file's path."""
    pattern = re.escape(file)
    for name in re.findall(r"\{(\w+)\}", file):
        group = "([^/]+)" if name == wildcard else "[^/]+"
        pattern = pattern.replace(re.escape(f"{{{name}}}"), group)
    return f"^(?:.*/)?{pattern}$"


def _field(
    record_set: str,
    name: str,
    column: Column,
    extract: Mapping[str, str],
    source: Mapping[str, Any],
    regex: str | None = None,
) -> dict[str, Any]:
    many = pa.types.is_list(column.type)
    unit = f" ({column.unit})" if column.unit else ""
    null = f"; missing: {column.null}" if column.null else ""
    return {
        "@type": "cr:Field",
        "@id": f"{record_set}/{name}",
        "name": name,
        "description": f"{column.meaning}{unit}{null}",
        "dataType": _data_type(column.type.value_type if many else column.type),
        **({"isArray": True, "arrayShape": "-1"} if many else {}),
        "source": {
            **source,
            "extract": dict(extract),
            **({"transform": {"regex": regex}} if regex else {}),
        },
    }


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"
