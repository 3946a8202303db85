# Confidences: token log-probabilities of a model on a task, read as probabilities of the options.


rule confidences:
    input:
        receipts=lambda w: receipts(w.model, of_task(w.task)),
        questions=lambda w: question_files(of_task(w.task)),
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
        identity=lambda w: identity_slice(w.model),
    script:
        "../scripts/confidences.py"
