# Scoring: log-probabilities of a model's options, a file per cell (model × task × prompt).
# The only rules that need a GPU. `gpu` counts the GPUs in use; without one it counts jobs at once.

from snakemake.logging import logger

LOAD_ONCE = STUDY["scoring"]["load_once"]

# How cells are computed, not what comes out: resources and not params, since another device or
# budget is no reason to score again.
HOW_TO_SCORE = dict(
    device=STUDY["scoring"]["device"],
    token_budget=str(STUDY["scoring"]["token_budget"]),
    cpu_threads=cpu_threads(),
)
# `exec`: the job then has Snakemake itself as its parent, and ends with it.
SCORE = (
    "exec python -m alignment_calibration.scoring --model {input.model:q}"
    " --dtype {params.dtype:q} --device {resources.device:q}"
    " --token-budget {resources.token_budget:q} --threads {resources.cpu_threads}"
    " --log {log:q}"
)

if LOAD_ONCE:
    # Snakemake is surprised that jobs of `score` find what `score_model` has put there.
    logger.addFilter(
        lambda record: "output files of rule score were not" not in record.getMessage()
    )

    rule score_model:
        input:
            model=f"{RESULTS}/models/{{model}}.json",
            questions=lambda w: [questions for questions, _ in cells_of(w.model)],
        output:
            # The logit files are the outputs of `score`, whose jobs then only look at them: so a
            # study may switch between the two ways, and a cell can be scored by itself.
            touch(f"{RESULTS}/logits/{{model}}/scored"),
        log:
            f"{LOGS}/score_model/{{model}}.log",
        benchmark:
            f"{BENCHMARKS}/score_model/{{model}}.tsv"
        conda:
            "../../envs/scoring.yaml"
        threads: 1
        resources:
            **HOW_TO_SCORE,
            gpu=lambda w: gpus_of(w.model),
            mem_mb=lambda w, attempt: 16000 * attempt,
            runtime=lambda w, attempt: 1440 * attempt,
        params:
            dtype=lambda w: dtype_of(w.model),
            cells=lambda w: [
                part for cell in cells_of(w.model) for part in ("--cell", *cell)
            ],
        shell:
            f"{SCORE} {{params.cells:q}}"


rule score:
    input:
        model=f"{RESULTS}/models/{{model}}.json",
        questions=f"{RESULTS}/questions/{{task}}/{{prompt}}.parquet",
        # `ancient`: a cell is looked at for its own sake only, not whenever another was scored.
        scored=ancient(f"{RESULTS}/logits/{{model}}/scored") if LOAD_ONCE else [],
    output:
        # `update`: Snakemake leaves the old files in place, and the job looks whether they are
        # what it would write (by their identity), so that a touched tree is not scored again.
        logits=update(f"{RESULTS}/logits/{{model}}/{{task}}/{{prompt}}.parquet"),
        run=update(f"{RESULTS}/logits/{{model}}/{{task}}/{{prompt}}.run.json"),
        # After a failed update Snakemake restores the old files and would take them for current.
        # This one it removes before the job starts, so that the job is run again.
        current=touch(f"{RESULTS}/logits/{{model}}/{{task}}/{{prompt}}.current"),
    log:
        f"{LOGS}/score/{{model}}/{{task}}/{{prompt}}.log",
    benchmark:
        f"{BENCHMARKS}/score/{{model}}/{{task}}/{{prompt}}.tsv"
    localrule: LOAD_ONCE
    conda:
        "../../envs/scoring.yaml"
    threads: 1
    resources:
        **HOW_TO_SCORE,
        # Where the job only looks it waits for no GPU. (Should its file have been lost, it leases
        # one like any other.)
        gpu=lambda w: 0 if LOAD_ONCE else gpus_of(w.model),
        mem_mb=lambda w, attempt: 16000 * attempt,
        runtime=lambda w, attempt: 240 * attempt,
    params:
        dtype=lambda w: dtype_of(w.model),
    shell:
        f"{SCORE} --cell {{input.questions:q}} {{output.logits:q}}"
