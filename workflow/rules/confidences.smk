# Confidences: token log-probabilities of a model on a task, read as probabilities of the options.


rule confidences:
    input:
        logits=lambda w: [
            f"{RESULTS}/logits/{w.model}/{w.task}/{prompt}.parquet"
            for prompt in PROMPTS[w.task]
        ],
        # Missing after a job that failed: see `score`.
        current=lambda w: [
            f"{RESULTS}/logits/{w.model}/{w.task}/{prompt}.current"
            for prompt in PROMPTS[w.task]
        ],
        questions=lambda w: [
            f"{RESULTS}/questions/{w.task}/{prompt}.parquet"
            for prompt in PROMPTS[w.task]
        ],
        model=f"{RESULTS}/models/{{model}}.json",
        code=code("confidences"),
    output:
        f"{RESULTS}/confidences/{{model}}/{{task}}.parquet",
    log:
        f"{LOGS}/confidences/{{model}}/{{task}}.log",
    benchmark:
        f"{BENCHMARKS}/confidences/{{model}}/{{task}}.tsv"
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        prompts=lambda w: PROMPTS[w.task],
        methods=lambda w: STUDY["methods"],
        dtype=lambda w: dtype_of(w.model),
    script:
        "../scripts/confidences.py"
