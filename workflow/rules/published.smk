# The published numbers of the reference study, through the same steps from `changes` on.


rule published_changes:
    input:
        published=str(ROOT / "data/published/changes.csv"),
        code=code("published", "ranks", "frames", "contract"),
    output:
        parquet=f"results/{PUBLISHED}/changes.parquet",
        csv=f"results/{PUBLISHED}/changes.csv",
    log:
        f"results/{PUBLISHED}/logs/changes.log",
    benchmark:
        f"results/{PUBLISHED}/benchmarks/changes.tsv"
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    script:
        "../scripts/published_changes.py"


rule published_table_1:
    input:
        changes=f"results/{PUBLISHED}/changes.parquet",
        code=[*TABLE_CODE, *code("published")],
    output:
        table_files(PUBLISHED, "table_1"),
    log:
        f"results/{PUBLISHED}/logs/tables/table_1.log",
    benchmark:
        f"results/{PUBLISHED}/benchmarks/tables/table_1.tsv"
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    script:
        "../scripts/published_table_1.py"


rule published:
    input:
        table_files(PUBLISHED, "changes", "ranks", "table_1"),
    localrule: True
