# Tables for people, each as CSV, HTML, Markdown and LaTeX: of our study and the published one.


rule tables:
    """The tables."""
    input:
        tidy=tidy_files(TABLES, STUDY["study"]),
    output:
        table_outputs(STUDY["study"]),
    log:
        f"{LOGS}/tables.log",
    benchmark:
        f"{BENCHMARKS}/tables.tsv"
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        code=exhibit_code("tables", TABLES, STUDY["study"]),
        slice=tables_slice(STUDY["study"]),
        origin=lambda w: origin(None, given_tidy(TABLES, STUDY["study"])),
    script:
        "../scripts/tables.py"


use rule tables as published_tables with:
    input:
        tidy=tidy_files(TABLES, PUBLISHED),
    output:
        table_outputs(PUBLISHED),
    log:
        f"results/{PUBLISHED}/logs/tables.log",
    benchmark:
        f"results/{PUBLISHED}/benchmarks/tables.tsv"
    params:
        code=exhibit_code("tables", TABLES, PUBLISHED),
        slice=tables_slice(PUBLISHED),
        origin=lambda w: origin(None, given_tidy(TABLES, PUBLISHED)),
