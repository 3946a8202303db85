"""JSON files: records of models, cells and runs, each one object."""

from typing import Final

import pyarrow as pa

from alignment_calibration.contract.columns import KEYS, Column, table

#: What the schemas of the tables leave to others: an object, or a list of them.
_NESTED: Final = pa.json_()
_LIBRARIES: Final = "versions of the libraries, by name"
_VALUES_SHA256: Final = Column(
    pa.string(), "digest of the logit file's values (`files.parquet.values_digest`)"
)

#: What it says that a key of a model is not there.
_PLAIN: Final = "asked without a template; the key is left out"

MODEL: Final = table(
    "A model, as it was found",
    {
        "model": KEYS["model"],
        "spec": Column(_NESTED, "the model in the config, with all defaults"),
        "revision": Column(
            pa.string(), "commit on the hub, or digest of a local checkpoint's or samples' files"
        ),
        "path": Column(
            pa.string(), "where its files lie", null="elsewhere: the study was exported"
        ),
        "files": Column(_NESTED, "`name`, `size` in bytes and `sha256` of each file"),
        "sums_only": Column(
            _NESTED,
            "task and prompt of the cells of which only the sums over an option's tokens are known",
            null="no model of samples; the key is left out",
        ),
        "chat_template": Column(pa.string(), "the template it is asked by, in Jinja", null=_PLAIN),
        "chat_template_sha256": Column(
            pa.string(), "digest of the template and of what it makes of a chat", null=_PLAIN
        ),
    },
)  # fmt: skip

RECEIPT: Final = table(
    "What the logit file beside it must hold",
    {
        "identity": Column(
            _NESTED,
            "all that decides the log-probabilities: the model's spec and revision, `dtype`, the "
            "questions file's SHA-256 (and those of the chats and the chat template of a model "
            "that is asked by it), the version of the scoring, the backend where it has numbers "
            "of its own; the same stands in the logit file's metadata",
        ),
        "values_sha256": _VALUES_SHA256,
    },
)

RUN: Final = table(
    "How a cell was scored; nothing depends on it",
    {
        "values_sha256": _VALUES_SHA256,
        "device": Column(pa.string(), "its name"),
        "scorer": Column(pa.string(), "`tree` or `plain`"),
        "attention": Column(pa.string(), "the attention kernel, and what mask it was given"),
        "compiled": Column(pa.bool_(), "whether the model's layers were compiled"),
        "token_budget": Column(pa.int64(), "largest batch", "tokens"),
        "seconds": Column(pa.float64(), "time it took", "seconds"),
        "startup_seconds": Column(
            pa.float64(), "time before a job's first cell; 0 for its other cells", "seconds"
        ),
        "questions": Column(pa.int64(), "number of questions", "questions"),
        "questions_per_second": Column(pa.float64(), "speed", "questions per second"),
        "tokens_computed": Column(pa.int64(), "tokens that went through the model", "tokens"),
        "tokens_per_second": Column(pa.float64(), "speed", "tokens per second"),
        "trie_nodes": Column(pa.int64(), "the least number of tokens that would do", "tokens"),
        "peak_memory_bytes": Column(_NESTED, "of the process, and of each GPU", "bytes"),
        "threads": Column(pa.int64(), "of the CPU", "threads"),
        "libraries": Column(_NESTED, _LIBRARIES),
    },
)

RUN_SUMMARY: Final = table(
    "What a run used",
    {
        "models": Column(_NESTED, "`model`, `source`, `revision` and size in `bytes` of each"),
        "libraries": Column(_NESTED, f"{_LIBRARIES}, several where jobs differed"),
        "devices": Column(_NESTED, "`cells` and `hours` of scoring by `device`, start-up included"),
        "sampled": Column(pa.int64(), "those of models that were scored before", "cells"),
        "not_recorded": Column(pa.int64(), "scored ones of whose run no record is left", "cells"),
        "questions": Column(pa.int64(), "put, over the recorded cells", "questions"),
        "tokens": Column(pa.int64(), "computed, over the recorded cells", "tokens"),
        "truncated": Column(
            _NESTED, "`model`, `task`, `method`, and how many of the `n` questions were `truncated`"
        ),
    },
)
