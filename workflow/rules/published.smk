# The published numbers of the reference study, through the same steps from `changes` on.


rule published_changes:
    input:
        published=PUBLISHED_CHANGES,
        code=code("published_changes"),
    output:
        changes=f"results/{PUBLISHED}/changes.parquet",
        changes_csv=f"results/{PUBLISHED}/changes.csv",
        rank_agreement=f"results/{PUBLISHED}/rank_agreement.parquet",
        rank_correlations=f"results/{PUBLISHED}/rank_correlations.parquet",
    log:
        f"results/{PUBLISHED}/logs/changes.log",
    benchmark:
        f"results/{PUBLISHED}/benchmarks/changes.tsv"
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        slice=statistics_slice("permutations", "seed"),
    script:
        "../scripts/published_changes.py"


rule published_table_1:
    input:
        changes=f"results/{PUBLISHED}/changes.parquet",
        code=code("published_table_1"),
    output:
        table_outputs(PUBLISHED, "table_1"),
    log:
        f"results/{PUBLISHED}/logs/tables/table_1.log",
    benchmark:
        f"results/{PUBLISHED}/benchmarks/tables/table_1.tsv"
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    script:
        "../scripts/published_table_1.py"


rule published_audit:
    input:
        published=PUBLISHED_CHANGES,
        code=code("published_audit"),
    output:
        audit=f"results/{PUBLISHED}/audit.parquet",
        audit_table=table_files(PUBLISHED, "audit"),
        recovered=table_files(PUBLISHED, "recovered"),
        ranks=table_files(PUBLISHED, "audit_ranks"),
    log:
        f"results/{PUBLISHED}/logs/audit.log",
    benchmark:
        f"results/{PUBLISHED}/benchmarks/audit.tsv"
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    script:
        "../scripts/published_audit.py"


rule published:
    input:
        rules.published_figures.input,
        table_files(PUBLISHED, "changes", "ranks", "claims", "table_1"),
        table_files(PUBLISHED, "audit", "recovered", "audit_ranks"),
        f"results/{PUBLISHED}/audit.parquet",
        f"results/{PUBLISHED}/rank_agreement.parquet",
    localrule: True
