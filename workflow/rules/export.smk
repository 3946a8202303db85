# A study as a data set to publish, and the way back: `snakemake export --cores 1`, and
# `snakemake --config scored=FOLDER`.


rule export:
    """Write the study as a data set to publish: export/{study}/ (docs/export.md)."""
    input:
        files=exported_files(),
        template=str(WORKFLOW / "report" / "data_set.md.jinja"),
    output:
        directory(f"export/{STUDY['study']}"),
    log:
        f"{LOGS}/export.log",
    benchmark:
        f"{BENCHMARKS}/export.tsv"
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        code=code("export"),
        # In the order of the config, which that of rows follows here and there.
        study=lambda w: canonical_json(
            {key: STUDY[key] for key in STUDY if key != "plan"}, sort_keys=False
        ),
        origin=lambda w: origin(None, given_all()),
        results=lambda w: RESULTS,
    script:
        "../scripts/export.py"


# Of an exported study (`scored`) nothing is asked and nothing scored. That its config says the same
# of models, tasks and scoring, `study.config` has seen.


localrules:
    taken_questions,
    taken_chats,
    taken_cells,


rule taken_questions:
    input:
        records=RECORDS,
        files=lambda w: [f"{STUDY['scored']}/questions/{w.task}/{w.prompt}.parquet"],
    output:
        f"{RESULTS}/questions/{{task}}/{{prompt}}.parquet",
    log:
        f"{LOGS}/questions/{{task}}/{{prompt}}.log",
    benchmark:
        f"{BENCHMARKS}/questions/{{task}}/{{prompt}}.tsv"
    wildcard_constraints:
        task=one_of(TASKS if TAKEN else []),
    conda:
        "../../envs/workflow.yaml"
    params:
        code=code("scored"),
    script:
        "../scripts/scored.py"


use rule taken_questions as taken_chats with:
    input:
        records=RECORDS,
        files=lambda w: [
            f"{STUDY['scored']}/questions/{w.task}/{w.prompt}.{w.chat}.parquet"
        ],
    output:
        f"{RESULTS}/questions/{{task}}/{{prompt}}.{{chat}}.parquet",
    log:
        f"{LOGS}/questions/{{task}}/{{prompt}}.{{chat}}.log",
    benchmark:
        f"{BENCHMARKS}/questions/{{task}}/{{prompt}}.{{chat}}.tsv"


rule taken_cells:
    input:
        records=RECORDS,
        files=lambda w: [
            output.replace(RESULTS, STUDY["scored"], 1)
            for output in [f"{RESULTS}/models/{w.model}.json", *receipts(w.model)]
        ],
    output:
        f"{RESULTS}/models/{{model}}.json",
        receipts("{model}"),
    log:
        f"{LOGS}/taken_cells/{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/taken_cells/{{model}}.tsv"
    wildcard_constraints:
        model=one_of(TAKEN),
    conda:
        "../../envs/workflow.yaml"
    params:
        code=code("scored"),
    script:
        "../scripts/scored.py"
