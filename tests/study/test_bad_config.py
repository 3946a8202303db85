"""Broken configs, made of a good one by mutation: each is one clear error, and nothing runs."""

import copy
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.errors import UserError
from alignment_calibration.study import config
from alignment_calibration.study.explain import violation
from alignment_calibration.study.strict_yaml import read_yaml
from alignment_calibration.study.vocabulary import LETTERS_ONLY
from tests.support.study import ROOT, Study, dumped, environment

SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"

# Every key that the schema knows, with a valid value.
GOOD: dict[str, Any] = {
    "study": "good",
    "models": {
        "base": {"path": "data/base", "dtype": "float32", "gpus": 1, "trust_remote_code": False},
        "tuned": {"hub": "owner/name", "revision": "main", "gguf_file": "name.gguf"},
        "again": {"hub": "owner/other"},
        "asked": {
            "hub": "owner/other",
            "chat_template": {"system": "Be brief.", "file": "a", "fewshot_as_multiturn": True},
        },
    },
    "pairs": {
        "One": {"base": "base", "aligned": "tuned"},
        "Two": {"base": "tuned", "aligned": "again"},
    },
    "ladders": {"Three": ["base", "tuned", "again"]},
    "tasks": {
        "first": {
            "continuation": "arc_easy",
            "choice": ["arc_easy_choice"],
            "letters": "mine",
            "limit": 10,
            "num_fewshot": 1,
            "data": {"file": "a.jsonl", "fewshot_file": "b.jsonl", "format": "json"},
        },
        "second": {"continuation": ["piqa", "sciq"]},
    },
    "methods": ["continuation_sum", "choice"],
    "metrics": ["accuracy", "ece"],
    "letters": {"mine": "{{ question }}\n{{ options }}"},
    "task_folders": ["tasks"],
    "scoring": {"dtype": "float32", "device": "cpu", "token_budget": 100, "load_once": False},
    "statistics": {
        "bins": 10,
        "seed": 1,
        "resamples": 10,
        "permutations": 10,
        "tace_threshold": 0.1,
        "primary": {"metric": "ece", "method": "choice"},
    },
    "plan": {"gpu": "H100", "utilisation": 0.5},
}

BAD_SLUGS = [
    "",
    ".",
    "..",
    "../up",
    "a/b",
    "/etc",
    "a\\b",
    ".hidden",
    "dot.",
    "-dash",
    "a b",
    "line\n",
    "two\nlines",
    "nul\0",
    "tab\t",
    "naïve",
    "模型",
    "\u202eabc",
    "a\u0301",
    "{model}",
    "*",
    "$(touch pwned)",
    "`touch pwned`",
    "a;b",
    "x" * 101,
]

Case = tuple[str, str]  # name, text of the config file


def nodes(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every value in a config, with its path."""
    yield path, value
    entries: Any = ()
    if isinstance(value, dict | list):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, entry in entries:
        yield from nodes(entry, (*path, key))


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """The good config with another value at a path."""
    made = copy.deepcopy(GOOD)
    place: Any = made
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return made


def renamed(section: str, slug: Any) -> dict[str, Any]:
    """The good config with another name for a section's last entry."""
    made = copy.deepcopy(GOOD)
    entries = made[section]
    entries[slug] = entries.pop(list(entries)[-1])
    return made


def wrong_kinds(draw: random.Random) -> Iterator[Case]:
    """Something no key takes, in the place of every value."""
    odd = [{"x": 1}, [[]], [{"x": None}], {"": []}, float("nan"), float("inf"), -1e308, b"bytes"]
    for path, _ in nodes(GOOD):
        if path:
            value = draw.choice(odd)
            yield f"{'.'.join(map(str, path))} = {value!r}", dumped(changed(path, value))


def unknown_keys(draw: random.Random) -> Iterator[Case]:
    """A key spelled backwards, or a strange one, in every mapping of fixed keys."""
    for path, value in nodes(GOOD):
        free = path in {
            (section,) for section in ("models", "pairs", "ladders", "tasks", "letters")
        }
        if not isinstance(value, dict) or free:
            continue
        key = draw.choice(list(value))
        for name in (key[::-1], draw.choice(["", "__proto__", "§", "x" * 5000])):
            entry = {name: 1, **value}
            made = changed(path, entry) if path else entry
            yield f"{'.'.join(path)}: key {name[:20]!r}", dumped(made)


def missing_keys() -> Iterator[Case]:
    for path in [
        ("study",),
        ("models",),
        ("tasks",),
        ("models", "base", "path"),
        ("models", "tuned", "hub"),
        ("pairs", "One", "base"),
        ("pairs", "Two", "aligned"),
        ("tasks", "second", "continuation"),
        ("tasks", "first", "data", "file"),
        ("tasks", "first", "data", "format"),
        ("tasks", "first", "data", "fewshot_file"),
        ("models", "base"),
    ]:
        made = copy.deepcopy(GOOD)
        place: Any = made
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]
        yield f"without {'.'.join(path)}", dumped(made)


def absurd_numbers() -> Iterator[Case]:
    for path, value in nodes(GOOD):
        if isinstance(value, int | float) and not isinstance(value, bool):
            for number in (-1, 10**30, float("nan"), float("-inf"), True, "1"):
                yield f"{'.'.join(path)} = {number!r}", dumped(changed(path, number))
            if isinstance(value, int):
                for number in (1.5, 3.0):
                    yield f"{'.'.join(path)} = {number!r}", dumped(changed(path, number))


def bad_slugs() -> Iterator[Case]:
    for number, slug in enumerate(BAD_SLUGS):
        yield f"study {slug!r}", dumped(changed(("study",), slug))
        section = ("models", "pairs", "tasks", "letters")[number % 4]
        yield f"{section} {slug!r}", dumped(renamed(section, slug))
    for section, slug in [("models", "BASE"), ("pairs", "one"), ("tasks", "First")]:
        yield f"{section} {slug}", dumped(renamed(section, slug))
    for key in (1, None, True, 1.5):
        yield f"tasks {key!r}", dumped(renamed("tasks", key))
    yield "study published", dumped(changed(("study",), "published"))
    yield "study README.md", dumped(changed(("study",), "README.md"))


def bad_names() -> Iterator[Case]:
    """Names that do not fit together."""
    for path, value in [
        (("pairs", "One", "base"), "nobody"),
        (("pairs", "Two", "aligned"), "agian"),
        (("pairs", "One", "aligned"), "base"),
        (("pairs", "Three"), {"base": "again", "aligned": "base"}),  # in a circle
        (("models", "base", "hub"), "owner/name"),  # beside path
        (("models", "base", "revision"), "main"),  # of a local folder
        (("models", "tuned", "hub"), "owner/../name"),
        (("models", "tuned", "hub"), "https://example.org/owner/name"),
        (("models", "tuned", "hub"), "owner/name\n"),
        (("models", "tuned", "revision"), "../../refs"),
        (("models", "tuned", "revision"), "--upload-pack=touch pwned"),
        (("models", "tuned", "gguf_file"), "../name.gguf"),
        (("models", "base", "path"), ""),
        (("models", "asked", "chat_template"), False),
        (("models", "asked", "chat_template"), {}),
        (("ladders", "Three"), ["base"]),
        (("ladders", "Three"), ["base", "nobody", "again"]),
        (("ladders", "Three"), ["base", "tuned", "base"]),
        (("ladders", "Three"), ["base", "again", "asked"]),  # one checkpoint
        (("ladders", "One"), ["base", "tuned", "again"]),  # a pair's name
        (("models", "base", "path"), "data\0base"),
        (("models", "base", "path"), "data/\x1b[31mbase"),
        (("tasks", "first", "data", "file"), "a\nb"),
        (("tasks", "first", "letters"), "yours"),
        (("tasks", "second"), {"choice": None, "continuation": None}),
        (("tasks", "second", "continuation"), ["piqa", "piqa"]),
        (("tasks", "second", "continuation"), []),
        (("methods",), ["choice", "choice"]),
        (("methods",), ["letters"]),
        (("methods",), []),
        (("metrics",), ["ECE"]),
        (("metrics",), ["accuracy"]),  # without the primary metric
        (("methods",), ["continuation_sum"]),  # without the primary method
        (("statistics", "primary", "method"), "continuation_min"),  # not of this study
        (("letters", "mine"), ""),
        (("letters", "block"), "{{ question }}"),
        (("letters", "mine"), "bell \a"),
        (("scoring", "dtype"), "int8"),
        (("scoring", "device"), "cuda:0"),
        (("scoring", "token_budget"), "automatic"),
        (("scoring", "load_once"), "no"),
        (("scoring", "parts"), 0),
        (("scoring", "parts"), 2),  # with `load_once: false`
    ]:
        yield f"{'.'.join(path)} = {value!r}", dumped(changed(path, value))
    without_choice = changed(("tasks",), {"second": {"continuation": "piqa"}})
    yield "a method whose prompt no task has", dumped(without_choice)


def bombs() -> Iterator[Case]:
    """YAML that is small on disk and not in memory."""
    for kind, opening, closing in (("mappings", "{", "}"), ("lists", "[", "]")):
        lines = [f"a0: &a0 {opening}{'x: 1' if kind == 'mappings' else '1'}{closing}"]
        for level in range(1, 30):
            parts = [f"k{n}: *a{level - 1}" for n in range(9)]
            if kind == "lists":
                parts = [f"*a{level - 1}"] * 9
            lines.append(f"a{level}: &a{level} {opening}{', '.join(parts)}{closing}")
        yield f"bomb of {kind}", "\n".join(lines)
    yield "a list in itself", "study: &a [*a]"
    yield "a mapping in itself", "models: &a {x: *a}"
    yield "deep lists", "study: " + "[" * 20_000
    yield "deep mappings", "study: " + "{a: " * 5_000 + "1" + "}" * 5_000
    yield "deep indentation", "\n".join(" " * n + "a:" for n in range(1_000))
    yield "a long number", dumped(GOOD).replace("bins: 10", "bins: " + "9" * 5_000)
    yield "3,000 nested lists", "study: " + "[" * 3_000 + "]" * 3_000
    yield "a long text", f"study: {'x' * 50_000_000}"
    yield "a large file", dumped(GOOD) + "#" * 2_000_000


def broken_texts(draw: random.Random) -> Iterator[Case]:
    good = dumped(GOOD)
    lines = good.splitlines()
    before_tasks = good.index("tasks:")
    for number in range(20):
        end = draw.randrange(before_tasks)
        yield f"cut at {end} ({number})", good[:end]
    keys = [number for number, line in enumerate(lines) if re.match(r" *\w+: \S", line)]
    for number in draw.sample(keys, 20):
        doubled = [*lines[: number + 1], *lines[number:]]
        yield f"line {number + 1} twice", "\n".join(doubled)
    for number in draw.sample(keys, 5):
        yield (
            f"a tab in line {number + 1}",
            "\n".join([*lines[:number], "\t" + lines[number], *lines[number + 1 :]]),
        )
    yield "section twice", good + "\ntasks: {other: {continuation: piqa}}\n"
    yield "nothing", ""
    yield "a comment", "# study: good\n"
    yield "a text", "study good"
    yield "a list", dumped([GOOD])
    yield "two documents", good + "\n---\n" + good
    yield "an unknown alias", good.replace("study: good", "study: *other")
    yield (
        "a Python object",
        good.replace("study: good", "study: !!python/object/apply:os.getcwd []"),
    )
    yield "an unknown tag", good.replace("study: good", "study: !include other.yaml")
    yield "a tag as a key", good + "\n? !!python/object/apply:os.getcwd []\n: c\n"
    yield "pairs", good.replace("study: good", "study: !!pairs [a: b]")
    yield "an ordered mapping", good.replace("study: good", "study: !!omap [a: b]")
    yield "a tag at the top", "!!set {study, models}"
    yield "a set", good.replace("study: good", "study: !!set {a, b}")
    yield "binary", good.replace("study: good", "study: !!binary aGVsbG8=")
    yield "code of another program", good + "\n__use_yte__: true\n"
    yield "a key that is a list", good + "\n? [a, b]\n: c\n"
    yield "a lone surrogate", good.replace("study: good", 'study: "\\ud800"')
    yield "a control character", good.replace("study: good", "study: g\x07ood")


def corpus() -> list[Case]:
    draw = random.Random(20240900352)
    return [
        *wrong_kinds(draw),
        *unknown_keys(draw),
        *missing_keys(),
        *absurd_numbers(),
        *bad_slugs(),
        *bad_names(),
        *bombs(),
        *broken_texts(draw),
    ]


def test_the_good_config_is_good(tmp_path: Path) -> None:
    file = tmp_path / "good.yaml"
    file.write_text(dumped(GOOD), encoding="utf-8")
    assert config.load([file], {}, SCHEMA)["study"] == "good"


def check_message(message: str, place: str) -> None:
    """One to three lines that name the place and fit a screen."""
    assert place in message
    assert len(message.splitlines()) <= 3, message
    assert len(message) < 1000, message
    assert message.isprintable() or "\n" in message, message


def test_every_broken_config_is_one_clear_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = corpus()
    assert len({text for _, text in cases}) >= 250
    file = tmp_path / "broken.yaml"
    accepted, messages = [], []
    for name, text in cases:
        file.write_text(text, encoding="utf-8")
        try:
            config.load([file], {}, SCHEMA)
            accepted.append(name)
        except UserError as error:
            check_message(str(error), str(file))
            messages.append(f"{name[:60]!r}: {str(error).replace(str(file), 'FILE')}")
    with capsys.disabled():
        print(f"\n{len(messages)} broken configs refused, for example:")
        print("\n".join(f"  {message}" for message in messages[::40]))
    assert accepted == []


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    for data in (b"study: \xff\xfe", dumped(GOOD).encode("utf-16"), os.urandom(100), b"\x00" * 10):
        file.write_bytes(data)
        with pytest.raises(UserError, match=re.escape(str(file))):
            config.load([file], {}, SCHEMA)
    with pytest.raises(UserError, match="cannot be read"):
        config.load([tmp_path], {}, SCHEMA)


def test_what_is_allowed_is_said_as_one_writes_it() -> None:
    template = "a mapping with system, file, fewshot_as_multiturn"
    cases: list[tuple[tuple[Any, ...], Any, str]] = [
        (
            ("models", "asked", "chat_template"),
            False,
            f"true (to ask without one, leave the key out) or {template}",
        ),
        (("models", "asked", "chat_template"), {}, "at least 1 entry"),
        (("scoring", "token_budget"), "all", "auto or integer ≥ 1 and ≤ 10000000"),
        (("tasks", "first", "num_fewshot"), None, "integer ≥ 0 and ≤ 100"),
    ]
    schema = read_yaml(SCHEMA)
    for path, value, allowed in cases:
        with pytest.raises(UserError) as error:
            config.check(changed(path, value), schema, "test")
        assert str(error.value).endswith(f"; allowed: {allowed}")
    constants = {"oneOf": [{"const": True}, {"$ref": "#/$defs/none"}]}
    found = violation(1.5, {**constants, "$defs": {"none": {"const": None}}})
    assert found == "top level: found 1.5; allowed: true or null"


def test_an_exported_study_that_is_not_there_is_told_by_its_key(tmp_path: Path) -> None:
    file = tmp_path / "good.yaml"
    file.write_text(dumped(GOOD | {"scored": "nowhere"}), encoding="utf-8")
    place = re.escape(f"{file}: scored: nowhere/config.yaml: ")
    with pytest.raises(UserError, match=f"^{place}cannot be read"):
        config.load([file], {}, SCHEMA)


def test_overrides_are_checked_like_the_file(tmp_path: Path) -> None:
    file = tmp_path / "good.yaml"
    file.write_text(dumped(GOOD), encoding="utf-8")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"statistics": {"bins": "many"}}, "statistics.bins"),
        ({"statistics": 3}, "statistics"),
        ({"models": {"base": {"hub": "a/b"}}}, "models.base"),
        ({"study": "../x"}, "study"),
        ({"study": "a\0"}, "study"),
        ({"statistics": {"tace_threshold": float("nan")}}, "statistics.tace_threshold"),
        ({"tasks": {3: {"continuation": "x"}}}, "tasks"),
        ({"bins": 3}, "bins"),
    ]
    for overrides, place in cases:
        with pytest.raises(UserError, match=f"--config: .*{place}"):
            config.load([file], overrides, SCHEMA)
    assert config.load([file], {"statistics": {"bins": 7}}, SCHEMA)["statistics"]["seed"] == 1


#: A study whose first metric its first method does not have.
LETTER_MASS_FIRST = {
    "methods": ["continuation_sum", "choice_raw"],
    "metrics": ["letter_mass", "accuracy"],
}


def test_what_is_primary_where_nothing_is_said() -> None:
    schema = read_yaml(SCHEMA)
    cases: list[tuple[dict[str, Any], tuple[str, str]]] = [
        ({}, ("ece", "choice")),
        ({"metrics": ["brier", "sce"]}, ("brier", "choice")),
        ({"methods": ["continuation_min", "continuation_sum"]}, ("ece", "continuation_min")),
        ({"statistics": {"primary": {"metric": "accuracy"}}}, ("accuracy", "choice")),
        (LETTER_MASS_FIRST, ("accuracy", "continuation_sum")),
        (
            LETTER_MASS_FIRST | {"statistics": {"primary": {"method": "choice_raw"}}},
            ("letter_mass", "choice_raw"),
        ),
        (
            LETTER_MASS_FIRST | {"statistics": {"primary": {"metric": "letter_mass"}}},
            ("letter_mass", "choice_raw"),
        ),
        (LETTER_MASS_FIRST | {"metrics": ["letter_mass"]}, ("letter_mass", "choice_raw")),
    ]
    for more, expected in cases:
        study = GOOD | {"statistics": {}} | more
        primary = config.check(study, schema, "test")["statistics"]["primary"]
        assert (primary["metric"], primary["method"]) == expected


def test_a_metric_that_no_method_has_is_refused() -> None:
    schema = read_yaml(SCHEMA)
    text = GOOD | {"methods": ["continuation_sum"], "statistics": {}}
    both = {"methods": ["continuation_sum", "choice_pride"], "metrics": ["letter_mass", "ece"]}
    primary = {"metric": "letter_mass", "method": "continuation_sum"}
    cases: list[tuple[dict[str, Any], str]] = [
        (text | {"metrics": ["accuracy", "letter_mass"]}, "metrics"),
        (text | both | {"statistics": {"primary": primary}}, "statistics.primary.metric"),
    ]
    for study, key in cases:
        with pytest.raises(UserError, match=f"^test: {key}: found 'letter_mass'") as error:
            config.check(study, schema, "test")
        assert str(error.value).endswith(": choice, choice_raw, choice_cyclic, choice_pride")
    assert config.check(text | both, schema, "test")["metrics"] == ["letter_mass", "ece"]


def test_the_metrics_of_letters_are_those_of_the_registry() -> None:
    assert {name for name, metric in METRICS.items() if metric.letters_only} == LETTERS_ONLY


@pytest.mark.parametrize("number", ["010", "0x1F", "0b11", "1_000", "1:30", "-010", "1:30.5"])
def test_numbers_that_are_not_what_they_seem(tmp_path: Path, number: str) -> None:
    """In YAML 1.1, 010 is 8 and 1:30 is 90."""
    file = tmp_path / "broken.yaml"
    file.write_text(dumped(GOOD).replace("bins: 10", f"bins: {number}"), encoding="utf-8")
    with pytest.raises(UserError, match=rf"line \d+: found {number}, which YAML does not read as"):
        config.load([file], {}, SCHEMA)


@pytest.mark.parametrize("file", ["/dev/zero", "/dev/null", "pipe"])
def test_what_is_no_regular_file_keeps_nobody_waiting(
    tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with pytest.raises(UserError, match=f"{file}: not a regular file"):
        config.load([file], {}, SCHEMA)


def test_what_is_odd_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "odd.yaml"
    pair = {"base": "base", "aligned": "tuned"}
    file.write_text(dumped(changed(("pairs", "Again"), pair)), encoding="utf-8")
    config.load([file], {}, SCHEMA)
    assert capsys.readouterr().err == (
        f"warning: {file}: pairs: 'One' and 'Again' are the same two models\n"
    )


def test_a_pair_in_two_number_formats_is_a_warning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    schema = read_yaml(SCHEMA)
    cases = {
        ("tuned", "bfloat16"): ["'One' 'base' runs in float32 and 'tuned' in bfloat16", "'Two' "],
        ("tuned", "float32"): [],  # what the study has anyway
    }
    for (model, dtype), expected in cases.items():
        study = changed(("models", model, "dtype"), dtype)
        del study["ladders"]
        config.check(study, schema, "test")
        said = capsys.readouterr().err.splitlines()
        assert len(said) == len(expected)
        for line, words in zip(said, expected, strict=True):
            assert line.startswith(f"warning: test: pairs: in {words}")
    # A pair that is there for its formats, and a ladder, of which a step is named.
    study = changed(("models", "asked", "dtype"), "float16")
    study["models"]["tuned"]["dtype"] = "bfloat16"
    study["pairs"] = {"Formats": {"base": "again", "aligned": "asked"}}
    config.check(study, schema, "test")
    said = capsys.readouterr().err.splitlines()
    assert [line.split("'")[1] for line in said] == ["Three: base → tuned", "Three: tuned → again"]


def test_anchors_and_merges_are_allowed(tmp_path: Path) -> None:
    text = dumped(GOOD).replace("  base:\n", "  base: &base\n", 1)
    text = text.replace("  again:\n    hub: owner/other\n", "  again: {<<: *base, path: other}\n")
    file = tmp_path / "anchors.yaml"
    file.write_text(text, encoding="utf-8")
    study = config.load([file], {}, SCHEMA)
    assert study["models"]["again"] == {**study["models"]["base"], "path": "other"}


def test_snakemake_itself_stops_at_broken_configs(tmp_path: Path) -> None:
    draw = random.Random(0)
    for name, text in [*draw.sample(corpus(), 3), draw.choice(list(bombs()))]:
        (tmp_path / "broken.yaml").write_text(text, encoding="utf-8")
        run = Study(tmp_path, targets=(), config_file="broken.yaml").run()
        assert run.returncode != 0, name
        assert "Traceback" not in run.stderr, (name, run.stderr)
        assert len(run.stderr.splitlines()) <= 4, run.stderr
        assert re.search(r"^error: \S*broken\.yaml", run.stderr, re.M), run.stderr
        assert not (tmp_path / "results").exists()


def test_the_command_line_names_the_line_that_snakemake_does_not(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("study: demo\nmodels: [\n", encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "alignment_calibration.study.config", "broken.yaml",
         "--schema", str(SCHEMA)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert run.returncode == 1
    assert re.fullmatch(r"error: broken\.yaml, line 3: not valid YAML: .*\n", run.stderr)
