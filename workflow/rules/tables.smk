# Tables for people, each as CSV, Markdown and LaTeX. `{study}` is the study of the config or the
# study of the published numbers.
TABLE_CODE = code("tables", "frames", "contract")


def table_files(study, *tables):
    """The files of tables, in every format."""
    return [
        f"results/{study}/tables/{table}.{suffix}"
        for table in tables
        for suffix in ("csv", "md", "tex")
    ]


rule change_table:
    input:
        changes="results/{study}/changes.parquet",
        code=TABLE_CODE,
    output:
        table_files("{study}", "changes"),
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
        code=TABLE_CODE,
    output:
        table_files("{study}", "ranks"),
    log:
        "results/{study}/logs/tables/ranks.log",
    benchmark:
        "results/{study}/benchmarks/tables/ranks.tsv"
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    script:
        "../scripts/rank_table.py"


rule tables:
    input:
        table_files(STUDY["study"], "changes", "ranks"),
    localrule: True
