# Models that lm-eval has scored already: their cells from its sample files, and the questions too
# where the study scores no model. No GPU, no checkpoint, no hub, no lm-eval.


localrules:
    sampled_models,
    sampled_questions,


rule sampled_models:
    input:
        records=RECORDS,
    output:
        f"{RESULTS}/models/{{model}}.json",
    log:
        f"{LOGS}/models/{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/models/{{model}}.tsv"
    wildcard_constraints:
        model=one_of(SAMPLED),
    conda:
        "../../envs/workflow.yaml"
    params:
        code=code("sampled_models"),
        spec=lambda w: canonical_json(STUDY["models"][w.model]),
        files=lambda w: [str(file) for file in files_of(w.model)],
        sums_only=lambda w: SUMS_ONLY[w.model],
        fingerprint=lambda w: fingerprint(files_of(w.model)),
    script:
        "../scripts/sampled_models.py"


# The questions that the first model was asked; the cells of the others are compared with them.
rule sampled_questions:
    input:
        records=RECORDS,
    output:
        f"{RESULTS}/questions/{{task}}/{{prompt}}.parquet",
    log:
        f"{LOGS}/questions/{{task}}/{{prompt}}.log",
    benchmark:
        f"{BENCHMARKS}/questions/{{task}}/{{prompt}}.tsv"
    wildcard_constraints:
        task=one_of(TASKS if ASKED_BY_SAMPLES else []),
    conda:
        "../../envs/workflow.yaml"
    params:
        code=code("sampled_questions"),
        slice=lambda w: samples_slice(MODELS[0], [(w.task, w.prompt)]),
        fingerprint=lambda w: fingerprint(files_of(MODELS[0], (w.task, w.prompt))),
        # As of questions that the study asks itself: whose samples hold them is no matter.
        origin=lambda w: origin(questions_slice(w)),
    script:
        "../scripts/sampled_questions.py"


rule sampled_cells:
    input:
        model=f"{RESULTS}/models/{{model}}.json",
        questions=lambda w: question_files(w.model),
    output:
        receipts("{model}"),
    log:
        f"{LOGS}/sampled_cells/{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/sampled_cells/{{model}}.tsv"
    wildcard_constraints:
        model=one_of(SAMPLED),
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("sampled_cells"),
        slice=lambda w: samples_slice(w.model, CELLS),
        fingerprint=lambda w: fingerprint(files_of(w.model)),
    script:
        "../scripts/sampled_cells.py"
