# How much of each pair's changes one temperature per model, task and method takes back.


rule pair_temperature:
    input:
        base=of_pair("base"),
        aligned=of_pair("aligned"),
        code=code("pair_temperature"),
    output:
        f"{RESULTS}/temperature/{{pair}}.parquet",
    log:
        f"{LOGS}/temperature/{{pair}}.log",
    benchmark:
        f"{BENCHMARKS}/temperature/{{pair}}.tsv"
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        slice=statistics_slice(
            "bins", "tace_threshold", metrics=STUDY["metrics"], tasks=TASKS
        ),
    script:
        "../scripts/pair_temperature.py"


rule temperature:
    input:
        parts=expand(f"{RESULTS}/temperature/{{pair}}.parquet", pair=PAIRS),
        code=code("temperature"),
    output:
        f"{RESULTS}/temperature.parquet",
    log:
        f"{LOGS}/temperature.log",
    benchmark:
        f"{BENCHMARKS}/temperature.tsv"
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    script:
        "../scripts/temperature.py"
