"""lm-eval's sample files: found by name, read in all their forms, refused by file and line.

`samples/` holds what lm-eval itself wrote, in six of its versions, of three questions of two of
the demo's tasks (`lm_eval --model hf --model_args pretrained=… --limit 3 --log_samples`); of its
results files the environment is left out.
"""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from alignment_calibration.calibration.confidences import readings_of, write_confidences
from alignment_calibration.contract.calibration import CONFIDENCES
from alignment_calibration.contract.scoring import LOGITS
from alignment_calibration.errors import UserError
from alignment_calibration.files.logits import expected_identity, read_logits
from alignment_calibration.files.parquet import read_parquet
from alignment_calibration.inputs.lm_eval_samples import (
    check_same_questions,
    read_samples,
    resolve_samples,
    write_sampled_cell,
    write_sampled_questions,
)
from alignment_calibration.inputs.sample_files import has_tokens, sample_files
from alignment_calibration.study.vocabulary import UNCONDITIONAL

WRITTEN = Path(__file__).parent / "samples"
VERSIONS = sorted(folder.name for folder in WRITTEN.iterdir())
NEWEST = WRITTEN / "0.4.13" / "base"
CHOICE = "demo_words_choice"


def files_of(version: str) -> dict[str, Path]:
    return sample_files(str(WRITTEN / version), ["demo_group"])


@pytest.fixture
def lines(tmp_path: Path) -> list[dict[str, Any]]:
    """The samples of one task, to be changed and written by `written`."""
    path = sample_files(str(NEWEST), ["demo_words"])["demo_words"]
    return [json.loads(line) for line in path.read_text().splitlines()]


def written(folder: Path, lines: list[Any], name: str = "samples_demo_words.jsonl") -> Path:
    """A sample file; a line that is text is written as it is."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join(texts) + "\n")
    return folder / name


# What is read


@pytest.mark.parametrize("version", VERSIONS)
def test_all_forms_say_the_same(version):
    found, newest = read_samples(files_of(version)), read_samples(files_of("0.4.13"))
    assert found.questions.equals(newest.questions)
    assert found.logits.equals(newest.logits)


def test_questions_and_sums_are_those_of_the_file():
    samples = read_samples(sample_files(str(NEWEST), ["demo_words"]))
    question = samples.questions.slice(0, 4).to_pylist()
    assert [row["continuation"] for row in question] == [" minimum", " below", " blame", " weak"]
    assert question[1] == {
        "question_id": "demo_words/000000",
        "choice": 1,
        "context": 'The opposite of "above" is',
        "continuation": " below",
        "source_choice": 1,
        "gold": 1,
        "group": "demo_words",
    }
    assert samples.logits.slice(1, 1).to_pylist() == [
        {
            "question_id": "demo_words/000000",
            "choice": 1,
            "gold": 1,
            "group": "demo_words",
            "token_ids": [],
            "token_logprobs": [pytest.approx(-0.016157519, abs=1e-9)],
            "continuation_bytes": 5,
            "context_tokens": -1,
            "truncated": None,
        }
    ]
    assert samples.places["demo_words/000002"].endswith(".jsonl:3")


def test_sums_alone_allow_no_reading_of_single_tokens():
    samples = read_samples(sample_files(str(NEWEST), ["demo_words"]))
    assert readings_of(samples.logits, "continuation") == ["sum", "mean_byte"]
    assert readings_of(samples.logits, "choice") == ["letters"]


def test_tokens_in_a_field_of_their_own_are_read(tmp_path, lines):
    for line in lines:
        for request, answer in zip(line["arguments"].values(), line["resps"], strict=True):
            total = float(answer[0][0])
            request["arg_2"] = {
                "token_ids": [5, 6],
                "token_logprobs": [total * 0.25, total * 0.75],
                "context_tokens": 7,
                "truncated": True,
            }
    samples = read_samples({"demo_words": written(tmp_path, lines)})
    row = samples.logits.slice(1, 1).to_pylist()[0]
    assert row["token_ids"] == [5, 6]
    assert row["token_logprobs"] == pytest.approx([-0.016157519 / 4, -0.016157519 * 3 / 4])
    assert (row["context_tokens"], row["truncated"]) == (7, True)
    assert set(readings_of(samples.logits, "continuation")) == {
        *("sum", "mean_token", "mean_byte", "min")
    }
    assert has_tokens(written(tmp_path, lines))
    # Pooled with a task without them: sums for all.
    pooled = {"demo_words": written(tmp_path, lines)} | sample_files(str(NEWEST), [CHOICE])
    assert readings_of(read_samples(pooled).logits, "continuation") == ["sum", "mean_byte"]
    assert not has_tokens(pooled[CHOICE])
    # One option without them.
    del lines[2]["arguments"]["gen_args_0"]["arg_2"]
    with pytest.raises(UserError, match=r"jsonl:3: some options come with their tokens"):
        read_samples({"demo_words": written(tmp_path, lines)})


def test_limit_takes_the_first_documents():
    samples = read_samples(files_of("0.4.13"), limit=2)
    assert sorted(samples.places) == [
        f"{task}/{number:06d}"
        for task in ("demo_words", "demo_words_choice")
        for number in range(2)
    ]


def test_a_line_for_each_filter_counts_once(tmp_path, lines):
    twice = [{**line, "filter": name} for line in lines for name in ("none", "strict")]
    samples = read_samples({"demo_words": written(tmp_path, twice)})
    assert samples.logits.equals(read_samples(sample_files(str(NEWEST), ["demo_words"])).logits)


def test_requests_without_context_are_a_prompt_of_their_own(tmp_path, lines):
    # lm-eval's acc_mutual_info asks for every option a second time.
    with pytest.raises(UserError, match=r":1: has no requests without context; evaluate with acc"):
        read_samples({"demo_words": written(tmp_path, lines)}, prompt=UNCONDITIONAL)
    for line in lines:
        more = {
            f"gen_args_{number + 4}": {**request, "arg_0": ""}
            for number, request in enumerate(line["arguments"].values())
        }
        alone = [[[str(-number - 1), "False"]] for number in range(len(more))]
        line |= {"arguments": line["arguments"] | more, "resps": line["resps"] + alone}
        line["acc_mutual_info"] = 1.0
    samples = read_samples({"demo_words": written(tmp_path, lines)})
    assert samples.logits.equals(read_samples(sample_files(str(NEWEST), ["demo_words"])).logits)
    without = read_samples({"demo_words": written(tmp_path, lines)}, prompt=UNCONDITIONAL)
    assert without.logits["token_logprobs"].to_pylist()[:4] == [[-1], [-2], [-3], [-4]]
    context = samples.questions.schema.get_field_index("context")
    blank = [""] * samples.questions.num_rows
    put = samples.questions.set_column(context, "context", [blank])
    assert without.questions.equals(put)


@pytest.mark.parametrize("target", [1, "1", "below", " below "])
def test_the_target_is_an_index_or_an_options_text(tmp_path, lines, target):
    lines[0]["target"] = target
    samples = read_samples({"demo_words": written(tmp_path, lines)})
    assert samples.questions["gold"][0].as_py() == 1


def test_shuffled_options_keep_their_source(tmp_path, lines):
    lines[0]["doc"]["source_choice"] = [3, 1, 0, 2]
    samples = read_samples({"demo_words": written(tmp_path, lines)})
    assert samples.questions["source_choice"].to_pylist()[:4] == [3, 1, 0, 2]


def test_a_cell_of_samples_is_read_like_one_that_was_scored(tmp_path, capsys):
    cells = {"continuation": "demo_words", "choice": "demo_words_choice"}
    every, receipts = files_of("0.4.13"), {}
    model = tmp_path / "model.json"
    resolve_samples("base", {"samples": str(NEWEST)}, list(every.values()), [], model)
    for prompt, task in cells.items():
        files = {task: every[task]}
        questions = tmp_path / f"{prompt}.questions.parquet"
        receipt = tmp_path / f"{prompt}.receipt.json"
        write_sampled_questions(files, None, prompt, questions)
        identity = expected_identity(model, questions, {})
        write_sampled_cell(files, None, prompt, questions, "the questions", identity, receipt)
        assert read_logits(receipt, identity).schema.equals(LOGITS)
        receipts["words", prompt] = (receipt, identity)
    methods = ["continuation_sum", "continuation_min", "choice"]
    confidences = tmp_path / "confidences.parquet"
    write_confidences(receipts, methods, {"words": confidences})
    assert "words: continuation_min is left out" in capsys.readouterr().out
    rows = read_parquet(confidences, CONFIDENCES).to_pylist()
    assert {row["method"] for row in rows} == {"continuation_sum", "choice"}
    for row in rows:
        assert (row["letter_mass"] is None) == (row["method"] == "continuation_sum")
        assert row["letter_mass"] is None or 0 < row["letter_mass"] <= 1
    with pytest.raises(UserError, match=r"only sums .* none of the methods reads them: cont"):
        write_confidences(receipts, ["continuation_min"], {"words": confidences})


def test_another_file_is_another_revision(tmp_path):
    shutil.copytree(NEWEST, tmp_path / "base")
    revisions = []
    for _ in range(2):
        files = sample_files(str(tmp_path / "base"), ["demo_words"])
        resolve_samples("m", {"samples": "base"}, list(files.values()), [], tmp_path / "m.json")
        revisions.append(json.loads((tmp_path / "m.json").read_text())["revision"])
        path = files["demo_words"]
        path.write_text(path.read_text().replace("-14.52", "-14.53"))
    assert revisions[0] != revisions[1]


# Which file


def test_the_newest_file_of_each_task_is_taken(tmp_path, lines):
    folder = tmp_path / "out" / "llama"
    old = written(folder, lines, "samples_a_task_2024-05-01T10-00-00.5.jsonl")
    new = written(folder, lines, "samples_a_task_2024-05-01T10-00-01.json")
    other = written(folder, lines, "samples_a_2023-01-01T00-00-00.000001.jsonl")
    expected = {"a": other, "a_task": new}
    # The model's folder, the one above it, and a pattern that tells which run is meant.
    assert sample_files(str(folder), ["a_task", "a"]) == expected
    assert sample_files(str(tmp_path / "out"), ["a_task", "a"]) == expected
    assert sample_files(str(folder / "*_2024-05-01T10-00-00*"), ["a_task"]) == {"a_task": old}


def test_tasks_of_nested_groups(tmp_path, lines):
    folder = tmp_path / "llama"
    for task in ("x_one", "x_two", "y"):
        written(folder, lines, f"samples_{task}_2024-05-01T10-00-00.jsonl")
    groups = {"all": ["x", "y"], "x": ["x_one", "x_two"], "y": []}
    (folder / "results_2024-05-01T10-00-00.json").write_text(json.dumps({"group_subtasks": groups}))
    assert sorted(sample_files(str(folder), ["all"])) == ["x_one", "x_two", "y"]
    assert sorted(sample_files(str(folder), ["x", "x_one"])) == ["x_one", "x_two"]


def test_files_that_cannot_be_told_apart(tmp_path, lines):
    for day, model in enumerate(("llama", "mistral"), start=1):
        written(tmp_path / model, lines, f"samples_a_2024-05-0{day}T10-00-00.jsonl")
    with pytest.raises(UserError, match=r"sample files of 2 models: .*llama, .*mistral; name"):
        sample_files(str(tmp_path), ["a"])
    # The same twice is no matter; another content is.
    copies = [tmp_path / run / "m" for run in ("one", "two")]
    for folder in copies:
        written(folder, lines, "samples_a_2024-05-01T10-00-00.jsonl")
    pattern = str(tmp_path / "*" / "m" / "*.jsonl")
    assert sample_files(pattern, ["a"])["a"].parent == copies[0]
    written(copies[1], lines[:2], "samples_a_2024-05-01T10-00-00.jsonl")
    with pytest.raises(UserError, match=r"one/m.* differs from .*two/m.*; name one of them"):
        sample_files(pattern, ["a"])


@pytest.mark.parametrize(
    ("source", "names", "message"),
    [
        ("nowhere", ["demo_words"], "nowhere: no such folder, nor a pattern of files"),
        (str(NEWEST), ["piqa"], r"no sample file of 'piqa'; there are files of demo_words, demo_w"),
        (str(NEWEST / "*.csv"), ["piqa"], "there are files of no task"),
    ],
)
def test_files_that_are_not_there(source, names, message):
    with pytest.raises(UserError, match=message):
        sample_files(source, names)


# Lines that are refused


def changed(line: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(line), **changes}


def resps(line: dict[str, Any], first: Any) -> dict[str, Any]:
    return changed(line, resps=[[[first, "False"]], *line["resps"][1:]])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda line: json.dumps(line)[:200], "not a whole line of JSON"),
        (lambda line: "[1, 2]", "not one of lm-eval's samples"),
        (lambda line: {"doc_id": 1}, "has no arguments, resps, target"),
        (lambda line: resps(line, "nan"), "option 0: the log-probability is nan"),
        (lambda line: resps(line, float("nan")), "option 0: the log-probability is nan"),
        (lambda line: resps(line, "-inf"), "the log-probability is -inf"),
        (lambda line: resps(line, "0.5"), "the log-probability is 0.5"),
        (lambda line: resps(line, "about -3"), r"option 0: resps are \[\['about -3', 'False'\]\]"),
        (lambda line: resps(line, None), "option 0: resps are"),
        (lambda line: changed(line, resps=line["resps"][:3]), "has 3 resps for 4 options"),
        (lambda line: changed(line, resps=[*line["resps"], [["-1", "False"]]]), "has 5 resps"),
        (lambda line: changed(line, resps=["text"] * 4), "option 0: resps are text"),
        (lambda line: changed(line, resps=None), "resps None"),
        (lambda line: changed(line, doc_id="x"), "doc_id is 'x'"),
        (lambda line: changed(line, target="a sentence"), "target is 'a sentence'; needs"),
        (lambda line: changed(line, target="4"), "target is '4'; needs"),
        (lambda line: changed(line, target="[0, 1]"), r"target is \[0, 1\]; needs one right"),
        (lambda line: changed(line, target="0"), "lm-eval has acc 1.0, but with option 0 right"),
        (lambda line: changed(line, acc=0.63), "lm-eval has acc 0.63"),
        (
            lambda line: changed(
                line,
                arguments={"gen_args_0": {"arg_0": "Say", "arg_1": {"until": ["\n"]}}},
                resps=[["words"]],
            ),
            "needs a task of output_type multiple_choice",
        ),
        (
            lambda line: changed(
                line, arguments={"gen_args_0": {"arg_0": "Rolling"}}, resps=[["-1"]]
            ),
            "needs a task of output_type multiple_choice",
        ),
        (
            lambda line: changed(
                line,
                arguments={"gen_args_0": line["arguments"]["gen_args_0"]},
                resps=line["resps"][:1],
            ),
            "has 1 option; needs at least 2",
        ),
        (lambda line: changed(line, doc_id=0), "answers document 0 otherwise than .*:1; remove"),
    ],
)
def test_a_line_that_is_no_answer_is_refused_by_file_and_line(tmp_path, lines, spoil, message):
    path = written(tmp_path, [lines[0], spoil(lines[1]), lines[2]])
    with pytest.raises(UserError, match=message) as caught:
        read_samples({"demo_words": path})
    assert str(caught.value).startswith(f"{path}:2: ")
    assert len(str(caught.value)) < 400 + len(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ": has no samples"),
        (b"[\n  {\n", ": cannot be read"),
        (b"\n\xff\xfe{}", ":2: not a whole line of JSON"),
        (b'{"doc": "caf\xe9"}', ":1: not a whole line of JSON"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path, content, message):
    path = tmp_path / "samples_demo_words.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_samples({"demo_words": path})
    assert str(caught.value).startswith(f"{path}{message}")


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ({"token_logprobs": [-1.0]}, "its tokens cannot be read"),
        ({"token_ids": [1], "token_logprobs": ["x"]}, "its tokens cannot be read"),
        ({"token_ids": ["a"], "token_logprobs": [-14.527887]}, "its tokens cannot be read"),
        ({"token_ids": [1], "token_logprobs": [-1.0]}, "are not those of the whole option"),
        ({"token_ids": [1, 2], "token_logprobs": [-14.527887]}, "are not those of the whole"),
    ],
)
def test_tokens_that_are_not_the_options_are_refused(tmp_path, lines, tokens, message):
    rest = {"context_tokens": 3, "truncated": False} if "token_ids" in tokens else {}
    lines[0]["arguments"]["gen_args_0"]["arg_2"] = tokens | rest
    with pytest.raises(UserError, match=message) as caught:
        read_samples({"demo_words": written(tmp_path, lines)})
    assert ":1: option 0: " in str(caught.value)


# Other questions


def differing(folder: Path, lines: list[dict[str, Any]], change: Any) -> str:
    """What is said of samples in which `change` was made to every request."""
    base = read_samples({"demo_words": written(folder / "base", lines)})
    other = copy.deepcopy(lines)
    for line in other:
        line["arguments"] = {
            key: dict(zip(("arg_0", "arg_1"), change(*request.values()), strict=True))
            for key, request in line["arguments"].items()
        }
    path = written(folder / "aligned", other)
    with pytest.raises(UserError) as caught:
        check_same_questions(read_samples({"demo_words": path}), base.questions, "base.parquet")
    assert str(caught.value).startswith(f"{path}:1: question demo_words/000000 ")
    assert str(caught.value).endswith(" than in base.parquet")
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c, o: (f"Q: 1+1?\nA: 2\n\n{c}", o), "worked examples"),
        (lambda c, o: (f"<|user|>\n{c}<|end|>\n<|assistant|>", o[1:]), "a chat template"),
        (
            lambda c, o: (c.replace("opposite", "contrary"), o),
            "'pposite of \"ab'|put in other words",
        ),
        (lambda c, o: (c, o.strip()), "another delimiter before its options ('minimum', not ' min"),
        (
            lambda c, o: (c, o.replace("minimum", "least")),
            "another option 0 (' least', not ' minim",
        ),
    ],
)
def test_differences_between_the_questions_of_two_models_are_named(
    tmp_path, lines, change, message
):
    said = differing(tmp_path, lines, change)
    assert any(part in said for part in message.split("|")), said


def test_missing_documents_and_options_are_named(tmp_path, lines):
    whole = read_samples({"demo_words": written(tmp_path / "base", lines)})
    part = read_samples({"demo_words": written(tmp_path / "part", lines[:2])})
    with pytest.raises(UserError, match=r"1 of the 3 questions of q.* \(first demo_words/000002\)"):
        check_same_questions(part, whole.questions, "q")
    with pytest.raises(UserError, match=r":3: 1 of its 3 questions are not in q"):
        check_same_questions(whole, part.questions, "q")
    check_same_questions(whole, read_samples(files_of("0.4.2")).questions.slice(0, 12), "q")
    short = copy.deepcopy(lines)
    short[0]["arguments"].pop("gen_args_3")
    short[0]["resps"].pop()
    fewer = read_samples({"demo_words": written(tmp_path / "fewer", short)})
    with pytest.raises(UserError, match=r":1: question demo_words/000000 has another number of op"):
        check_same_questions(fewer, whole.questions, "q")
    lines[0] |= {"target": "2", "acc": 0.0}
    other = read_samples({"demo_words": written(tmp_path / "gold", lines)})
    with pytest.raises(UserError, match="has the right option 2, which is another than in q"):
        check_same_questions(other, whole.questions, "q")
