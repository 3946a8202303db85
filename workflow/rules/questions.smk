# Questions: lm-eval's tasks, completed by the config, as one row per option. One of the two steps
# that may touch a network.
from alignment_calibration.inputs.library import Library
from alignment_calibration.study.letters import TEMPLATES

LIBRARY = Library(WORKFLOW / "tasks", STUDY["task_folders"])


localrules:
    questions,


rule questions:
    input:
        records=checked(check_task),
    output:
        f"{RESULTS}/questions/{{task}}/{{prompt}}.parquet",
    log:
        f"{LOGS}/questions/{{task}}/{{prompt}}.log",
    benchmark:
        f"{BENCHMARKS}/questions/{{task}}/{{prompt}}.tsv"
    wildcard_constraints:
        task=one_of(TASKS if SCORED else []),
    conda:
        "../../envs/workflow.yaml"
    params:
        code=code("questions"),
        slice=questions_slice,
        origin=lambda w: origin(questions_slice(w)),
        sources=lambda w: fingerprint(question_sources(w)),
    script:
        "../scripts/questions.py"
