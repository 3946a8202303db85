# The published numbers of the reference study, through the same steps from `changes` on.


rule published_changes:
    """The published changes, in the form of our own."""
    input:
        published=PUBLISHED_CHANGES,
        records=RECORDS,
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
        code=code("published_changes"),
        slice=statistics_slice("permutations", "seed"),
        origin=lambda w: origin(rules.published_changes.params.slice),
    script:
        "../scripts/published_changes.py"


rule published_audit:
    """What the published numbers say of the formula behind them."""
    input:
        published=PUBLISHED_CHANGES,
        records=RECORDS,
    output:
        f"results/{PUBLISHED}/audit.parquet",
    log:
        f"results/{PUBLISHED}/logs/audit.log",
    benchmark:
        f"results/{PUBLISHED}/benchmarks/audit.tsv"
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        code=code("published_audit"),
    script:
        "../scripts/published_audit.py"


rule published:
    """Tables and figures of the published numbers of the reference study."""
    input:
        rules.published_figures.output,
        rules.published_tables.output,
        f"results/{PUBLISHED}/rank_agreement.parquet",
    localrule: True
