from pathlib import Path

from snakemake.utils import min_version

min_version("9.10")


include: "workflow/rules/common.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/questions.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/confidences.smk"
include: "workflow/rules/metrics.smk"
include: "workflow/rules/changes.smk"
include: "workflow/rules/temperature.smk"
include: "workflow/rules/decomposition.smk"
include: "workflow/rules/sce_audit.smk"
include: "workflow/rules/multiverse.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/published.smk"
include: "workflow/rules/plan.smk"


rule all:
    default_target: True
    input:
        rules.figures.input,
        table_files(STUDY["study"], *TABLES),
        rules.run_summary.output,
        f"{RESULTS}/metrics.parquet",
        f"{RESULTS}/changes.parquet",
        f"{RESULTS}/rank_agreement.parquet",
        f"{RESULTS}/temperature.parquet",
        f"{RESULTS}/decomposition.parquet",
        f"{RESULTS}/sce_audit.parquet",
        f"{RESULTS}/multiverse.parquet",
