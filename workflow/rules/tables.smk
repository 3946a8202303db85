# Tables for people, each as CSV, Markdown and LaTeX. `{study}` is the study of the config or the
# study of the published numbers.


rule change_table:
    input:
        changes="results/{study}/changes.parquet",
        code=code("change_table"),
    output:
        table_outputs("{study}", "changes"),
    log:
        "results/{study}/logs/tables/changes.log",
    benchmark:
        "results/{study}/benchmarks/tables/changes.tsv"
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    script:
        "../scripts/change_table.py"


rule rank_table:
    input:
        changes="results/{study}/changes.parquet",
        code=code("rank_table"),
    output:
        table_outputs("{study}", "ranks"),
    log:
        "results/{study}/logs/tables/ranks.log",
    benchmark:
        "results/{study}/benchmarks/tables/ranks.tsv"
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    script:
        "../scripts/rank_table.py"


rule claims:
    input:
        changes="results/{study}/changes.parquet",
        code=code("claims"),
    output:
        table_outputs("{study}", "claims"),
    log:
        "results/{study}/logs/tables/claims.log",
    benchmark:
        "results/{study}/benchmarks/tables/claims.tsv"
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    script:
        "../scripts/claims.py"


rule model_table:
    input:
        metrics=f"{RESULTS}/metrics.parquet",
        code=code("model_table"),
    output:
        table_outputs(STUDY["study"], "models"),
    log:
        f"{RESULTS}/logs/tables/models.log",
    benchmark:
        f"{RESULTS}/benchmarks/tables/models.tsv"
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    script:
        "../scripts/model_table.py"


# The study of the config beside the published one.
rule comparison:
    input:
        changes=f"{RESULTS}/changes.parquet",
        published=PUBLISHED_CHANGES,
        code=code("comparison"),
    output:
        table_outputs(STUDY["study"], "comparison"),
    log:
        f"{RESULTS}/logs/tables/comparison.log",
    benchmark:
        f"{RESULTS}/benchmarks/tables/comparison.tsv"
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    script:
        "../scripts/comparison.py"


TABLES = ["changes", "ranks", "claims", "models", "comparison"]


rule tables:
    input:
        table_files(STUDY["study"], *TABLES),
    localrule: True
