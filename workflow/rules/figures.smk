# Figures, with captions that hold the numbers of the run: of the config's study, of the published
# one.


rule figures:
    """The figures."""
    input:
        tidy=tidy_files(FIGURES, STUDY["study"]),
        templates=caption_templates(STUDY["study"]),
    output:
        **figure_outputs(STUDY["study"]),
    log:
        f"{LOGS}/figures.log",
    benchmark:
        f"{BENCHMARKS}/figures.tsv"
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        code=exhibit_code("figures", FIGURES, STUDY["study"]),
        slice=figures_slice(STUDY["study"]),
        origin=lambda w: origin(None, given_tidy(FIGURES, STUDY["study"])),
    script:
        "../scripts/figures.py"


use rule figures as published_figures with:
    input:
        tidy=tidy_files(FIGURES, PUBLISHED),
        templates=caption_templates(PUBLISHED),
    output:
        **figure_outputs(PUBLISHED),
    log:
        f"results/{PUBLISHED}/logs/figures.log",
    benchmark:
        f"results/{PUBLISHED}/benchmarks/figures.tsv"
    params:
        code=exhibit_code("figures", FIGURES, PUBLISHED),
        slice=figures_slice(PUBLISHED),
        origin=lambda w: origin(None, given_tidy(FIGURES, PUBLISHED)),
