# How far the conclusions hang on metric, bins and reading of the options' tokens.


rule pair_multiverse:
    input:
        base=logits_of("base"),
        aligned=logits_of("aligned"),
        questions=[
            f"{RESULTS}/questions/{task}/{prompt}.parquet" for task, prompt in CELLS
        ],
        base_json=model_json("base"),
        aligned_json=model_json("aligned"),
        code=code("pair_multiverse"),
    output:
        f"{RESULTS}/multiverse/{{pair}}.parquet",
    log:
        f"{LOGS}/multiverse/{{pair}}.log",
    benchmark:
        f"{BENCHMARKS}/multiverse/{{pair}}.tsv"
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        slice=statistics_slice("permutations", "seed", cells=CELLS),
        dtypes=lambda w: [
            dtype_of(STUDY["pairs"][w.pair][stage]) for stage in ("base", "aligned")
        ],
    script:
        "../scripts/pair_multiverse.py"


rule multiverse:
    input:
        parts=expand(f"{RESULTS}/multiverse/{{pair}}.parquet", pair=PAIRS),
        code=code("multiverse"),
    output:
        f"{RESULTS}/multiverse.parquet",
    log:
        f"{LOGS}/multiverse.log",
    benchmark:
        f"{BENCHMARKS}/multiverse.tsv"
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    script:
        "../scripts/multiverse.py"
