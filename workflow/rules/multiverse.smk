# How far the conclusions hang on metric, bins and reading of the options' tokens.


rule pair_multiverse:
    input:
        base=lambda w: receipts(STUDY["pairs"][w.pair]["base"]),
        aligned=lambda w: receipts(STUDY["pairs"][w.pair]["aligned"]),
        base_questions=lambda w: question_files(STUDY["pairs"][w.pair]["base"]),
        aligned_questions=lambda w: question_files(STUDY["pairs"][w.pair]["aligned"]),
        base_json=model_json("base"),
        aligned_json=model_json("aligned"),
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
        code=code("pair_multiverse"),
        slice=statistics_slice("resample", cells=CELLS),
        identities=lambda w: [
            identity_slice(STUDY["pairs"][w.pair][stage]) for stage in STAGES
        ],
        origin=lambda w: origin(
            [
                rules.pair_multiverse.params.slice,
                rules.pair_multiverse.params.identities(w),
            ],
            given_questions(*STUDY["pairs"][w.pair].values()),
        ),
    script:
        "../scripts/pair_multiverse.py"


rule multiverse:
    """How far the conclusions hold over other ways of computing."""
    input:
        parts=expand(f"{RESULTS}/multiverse/{{pair}}.parquet", pair=PAIRS),
    output:
        f"{RESULTS}/multiverse.parquet",
    log:
        f"{LOGS}/multiverse.log",
    benchmark:
        f"{BENCHMARKS}/multiverse.tsv"
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        code=code("multiverse"),
        origin=lambda w: origin(
            None,
            given("pair_multiverse", "multiverse/{pair}.parquet", pair=PAIRS),
        ),
    script:
        "../scripts/multiverse.py"
