# Figures, with captions that hold the numbers of the run. `{study}` is the study of the config or
# the study of the published numbers.

# The tidy files that each figure reads, of the config's study and of the published numbers.
TIDY = {
    "figure1": ["changes"],
    "figure2": ["changes"],
    "figure2_sce": ["changes"],
    "ranks": ["changes", "rank_probabilities"],
    "accuracy_calibration": ["changes"],
    "temperature": ["temperature"],
    "multiverse": ["multiverse"],
    "sce_audit": ["sce_audit"],
}
PUBLISHED_TIDY = {
    "figure1": ["changes"],
    "figure2": ["changes"],
    "ranks": ["changes"],
    "accuracy_calibration": ["changes"],
    "sce_audit_published": ["audit"],
}

# The modules that a figure's own module builds on, where there are any.
FIGURE_PARTS = {
    "figure1": ["figures/change_rates"],
    "figure2": ["figures/change_rates"],
    "figure2_sce": ["figures/change_rates"],
    "sce_audit": ["sce_audit"],
    "sce_audit_published": ["figures/sce_audit", "sce_audit"],
}


rule figure:
    input:
        tidy=lambda w: [
            f"results/{w.study}/{name}.parquet"
            for name in (PUBLISHED_TIDY if w.study == PUBLISHED else TIDY)[w.figure]
        ],
        caption=str(WORKFLOW / "report/{figure}.rst"),
        code=lambda w: code(f"figure_{w.figure}"),
    output:
        pdf="figures/{study}/{figure}.pdf",
        png=report(
            "figures/{study}/{figure}.png",
            caption="../report/caption.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        caption="results/{study}/captions/{figure}.rst",
    log:
        "results/{study}/logs/figures/{figure}.log",
    benchmark:
        "results/{study}/benchmarks/figures/{figure}.tsv"
    wildcard_constraints:
        figure=one_of(TIDY | PUBLISHED_TIDY),
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    script:
        "../scripts/figure_{wildcards.figure}.py"


rule reliability_figure:
    input:
        base=lambda w: f"{RESULTS}/reliability/{STUDY['pairs'][w.pair]['base']}.parquet",
        aligned=lambda w: f"{RESULTS}/reliability/{STUDY['pairs'][w.pair]['aligned']}.parquet",
        caption=str(WORKFLOW / "report/reliability.rst"),
        code=code("figure_reliability"),
    output:
        pdf=f"{FIGURES}/reliability/{{pair}}/{{method}}.pdf",
        png=report(
            f"{FIGURES}/reliability/{{pair}}/{{method}}.png",
            caption="../report/caption.rst",
            category="Reliability",
            subcategory="{pair}",
            labels={"figure": "reliability", "pair": "{pair}", "method": "{method}"},
        ),
        caption=f"{RESULTS}/captions/reliability/{{pair}}/{{method}}.rst",
    log:
        f"{LOGS}/figures/reliability/{{pair}}/{{method}}.log",
    benchmark:
        f"{BENCHMARKS}/figures/reliability/{{pair}}/{{method}}.tsv"
    wildcard_constraints:
        method=one_of(STUDY["methods"]),
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    script:
        "../scripts/figure_reliability.py"


rule figures:
    input:
        expand(f"{FIGURES}/{{figure}}.{{suffix}}", figure=TIDY, suffix=["pdf", "png"]),
        expand(
            f"{FIGURES}/reliability/{{pair}}/{{method}}.{{suffix}}",
            pair=PAIRS,
            method=STUDY["methods"],
            suffix=["pdf", "png"],
        ),
    localrule: True


rule published_figures:
    input:
        expand(
            f"figures/{PUBLISHED}/{{figure}}.{{suffix}}",
            figure=PUBLISHED_TIDY,
            suffix=["pdf", "png"],
        ),
    localrule: True
