# Scoring: log-probabilities of a model's options, a file per cell (model × task × prompt).
# The only rules that need a GPU. `gpu` counts the GPUs in use; without one it counts jobs at once.
#
# The logit files belong to the scorer. What Snakemake knows and may delete are their receipts: a job
# gives each cell that the scorer has already its receipt at once, and scores the others.

# How cells are computed, not what comes out: resources and not params, since another device or
# budget is no reason to look at a cell again.
HOW_TO_SCORE = dict(
    device=STUDY["scoring"]["device"],
    token_budget=str(STUDY["scoring"]["token_budget"]),
    cpu_threads=cpu_threads,
    mem_mb=score_memory,
)
# `exec`: the job then has Snakemake itself as its parent, and ends with it.
SCORE = (
    "exec python -m alignment_calibration.scoring --model {input.model:q}"
    " --dtype {params.dtype:q} --backend {params.backend:q} --device {resources.device:q}"
    " --token-budget {resources.token_budget:q} --threads {resources.cpu_threads}"
    " --log {log:q} --questions {input.questions:q} --receipts {output:q}"
)

if STUDY["scoring"]["load_once"]:

    rule score_model:
        input:
            model=f"{RESULTS}/models/{{model}}.json",
            questions=lambda w: question_files(w.model),
        output:
            receipts("{model}"),
        log:
            f"{LOGS}/score_model/{{model}}.log",
        benchmark:
            f"{BENCHMARKS}/score_model/{{model}}.tsv"
        wildcard_constraints:
            model=one_of(SCORED),
        conda:
            "../../envs/scoring.yaml"
        threads: 1  # more would keep `--cores 4` from using four GPUs; profiles of clusters ask for 4
        resources:
            **HOW_TO_SCORE,
            gpu=lambda w: gpus_of(w.model),
            runtime=lambda w, attempt: 1440 * attempt,
        params:
            code=digest_of_code(PACKAGE / "scoring" / "__main__.py"),
            dtype=lambda w: dtype_of(w.model),
            backend=STUDY["scoring"]["backend"],
        shell:
            SCORE

else:

    rule score:
        input:
            model=f"{RESULTS}/models/{{model}}.json",
            questions=lambda w: question_file(w.model, w.task, w.prompt),
        output:
            f"{RESULTS}/logits/{{model}}/{{task}}/{{prompt}}.receipt.json",
        log:
            f"{LOGS}/score/{{model}}/{{task}}/{{prompt}}.log",
        benchmark:
            f"{BENCHMARKS}/score/{{model}}/{{task}}/{{prompt}}.tsv"
        wildcard_constraints:
            model=one_of(SCORED),
        conda:
            "../../envs/scoring.yaml"
        threads: 1  # more would keep `--cores 4` from using four GPUs; profiles of clusters ask for 4
        resources:
            **HOW_TO_SCORE,
            gpu=lambda w: gpus_of(w.model),
            runtime=lambda w, attempt: 240 * attempt,
        params:
            code=digest_of_code(PACKAGE / "scoring" / "__main__.py"),
            dtype=lambda w: dtype_of(w.model),
            backend=STUDY["scoring"]["backend"],
        shell:
            SCORE


# The scoring alone, so that what needs no GPU can follow elsewhere.
rule all_cells:
    """The scoring alone, which needs the GPUs."""
    input:
        [receipts(model) for model in MODELS],
    localrule: True
