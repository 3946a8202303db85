# Figures, each from one tidy file, with a caption that holds the numbers of the run. `{study}` is
# the study of the config or the study of the published numbers.

# The tidy file that a figure reads.
TIDY = {
    "figure1": "changes",
    "figure2": "changes",
    "figure2_sce": "changes",
}

# The modules that a figure's own module builds on, where there are any.
FIGURE_PARTS = {
    "figure1": ["figures/change_rates"],
    "figure2": ["figures/change_rates"],
    "figure2_sce": ["figures/change_rates"],
}


def figure_files(study, *figures):
    """The files of figures, in both formats."""
    return [
        f"figures/{study}/{figure}.{suffix}"
        for figure in figures
        for suffix in ("pdf", "png")
    ]


rule figure:
    input:
        tidy=lambda w: f"results/{w.study}/{TIDY[w.figure]}.parquet",
        caption=str(ROOT / "workflow/report/{figure}.rst"),
        code=lambda w: code(
            f"figures/{w.figure}",
            *FIGURE_PARTS.get(w.figure, []),
            "figures/style",
            "captions",
            "contract",
            "frames",
        ),
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
        figure=one_of(TIDY),
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    script:
        "../scripts/figure_{wildcards.figure}.py"


rule figures:
    input:
        figure_files(STUDY["study"], *TIDY),
    localrule: True
