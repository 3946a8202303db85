# What the report says of the run as a whole.


report: "../report/workflow.rst"


rule run_summary:
    """What the run used: models, devices, hours, tokens."""
    input:
        models=expand(f"{RESULTS}/models/{{model}}.json", model=MODELS),
        receipts=[receipts(model) for model in MODELS],
        metrics=f"{RESULTS}/metrics.parquet",
        caption=str(WORKFLOW / "report/run_summary.rst"),
    output:
        summary=f"{RESULTS}/run_summary.json",
        caption=f"{RESULTS}/captions/run_summary.rst",
        html=report(
            f"{RESULTS}/captions/run_summary.html",
            category="Run",
            labels={"page": "models, tasks, devices, hours, versions"},
        ),
    log:
        f"{LOGS}/run_summary.log",
    benchmark:
        f"{BENCHMARKS}/run_summary.tsv"
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        code=code("run_summary"),
        slice=config_slice(
            "study", "pairs", "tasks", "methods", "metrics", "statistics", "scoring"
        ),
        notes=notes(STUDY["study"]) + registry.left_out(STUDY, PUBLISHED_NAMES),
        origin=lambda w: origin(
            None, {f"{RESULTS}/metrics.parquet": config_of("changes")}
        ),
    script:
        "../scripts/run_summary.py"


# Every file in full, whatever its date: `snakemake verify --cores 1`.
rule verify:
    """Read every result file in full and find what does not belong."""
    log:
        f"{LOGS}/verify.log",
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        origin=lambda w: origin(None, given_all()),
        results=RESULTS,
        made=lambda w: [str(file) for file in rules.all.input if not callable(file)],
    script:
        "../scripts/verify.py"
