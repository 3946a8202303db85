# Questions: lm-eval's tasks, completed by the config, as one row per option. One of the two steps
# that may touch a network.
from alignment_calibration.inputs.library import Library
from alignment_calibration.study.letters import TEMPLATES

LIBRARY = Library(WORKFLOW / "tasks", STUDY["task_folders"])


localrules:
    questions,
    chats,


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


# The same questions as chats, for models that are asked by their chat templates.
use rule questions as chats with:
    input:
        records=checked(check_task),
        questions=f"{RESULTS}/questions/{{task}}/{{prompt}}.parquet",
    output:
        f"{RESULTS}/questions/{{task}}/{{prompt}}.{{chat}}.parquet",
    log:
        f"{LOGS}/questions/{{task}}/{{prompt}}.{{chat}}.log",
    benchmark:
        f"{BENCHMARKS}/questions/{{task}}/{{prompt}}.{{chat}}.tsv"
    params:
        code=code("questions"),
        slice=questions_slice,
        origin=lambda w: origin(
            [questions_slice(w), w.chat],
            given(
                "questions",
                "questions/{task}/{prompt}.parquet",
                task=[w.task],
                prompt=[w.prompt],
            ),
        ),
        sources=lambda w: fingerprint(question_sources(w)),
