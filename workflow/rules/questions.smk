# Questions: lm-eval's tasks, completed by the config, as one row per option. One of the two steps
# that may touch a network.
from alignment_calibration.tasks import TEMPLATES, Library

LIBRARY = Library(ROOT / "workflow" / "tasks", STUDY["task_folders"])


def questions_slice(wildcards):
    """What decides the questions of a task in one prompt; the template only if letters are asked
    for, so that editing it re-runs nothing else."""
    spec = STUDY["tasks"][wildcards.task]
    templates = TEMPLATES | STUDY["letters"]
    return canonical_json(
        {
            "names": spec[wildcards.prompt],
            "limit": spec["limit"],
            "num_fewshot": spec["num_fewshot"],
            "letters": (
                templates[spec["letters"]] if wildcards.prompt == "choice" else ""
            ),
            "data": spec["data"],
            "task_folders": STUDY["task_folders"],
        }
    )


def question_sources(wildcards):
    """Task YAMLs of ours and local data files, so that an edit is seen. A missing file is left
    out: the step itself says so best."""
    spec = STUDY["tasks"][wildcards.task]
    patterns = [v for k, v in (spec["data"] or {}).items() if k.endswith("file")]
    files = [
        str(path)
        for pattern in patterns
        for path in sorted(Path().glob(pattern.replace("{subset}", "*")))
        if path.is_file()
    ]
    try:
        return files + [str(path) for path in LIBRARY.sources(spec[wildcards.prompt])]
    except UserError as error:
        sys.exit(f"error: {error}")


localrules:
    questions,


rule questions:
    input:
        sources=question_sources,
        code=code("questions", "tasks"),
    output:
        f"{RESULTS}/questions/{{task}}/{{prompt}}.parquet",
    log:
        f"{LOGS}/questions/{{task}}/{{prompt}}.log",
    benchmark:
        f"{BENCHMARKS}/questions/{{task}}/{{prompt}}.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        slice=questions_slice,
    script:
        "../scripts/questions.py"
