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
CELLS_OF_MODEL = (
    "exec python -m alignment_calibration.scoring --parent $PPID --model {input.model:q}"
    " --dtype {params.dtype:q} --backend {params.backend:q}"
    " --log {log:q} --questions {input.questions:q}"
)
SCORE = CELLS_OF_MODEL + (
    " --device {resources.device:q} --token-budget {resources.token_budget:q}"
    " --threads {resources.cpu_threads} --receipts "
)
# Jobs that share the cells of a model.
PARTS = min(STUDY["scoring"]["parts"], len(CELLS))

if PARTS > 1:

    rule score_part:
        input:
            model=f"{RESULTS}/models/{{model}}.json",
            questions=lambda w: question_files(w.model),
        output:
            temp(touch(f"{RESULTS}/logits/{{model}}/{{part}}-of-{PARTS}.scored")),
        log:
            f"{LOGS}/score_part/{{model}}/{{part}}-of-{PARTS}.log",
        benchmark:
            f"{BENCHMARKS}/score_part/{{model}}/{{part}}-of-{PARTS}.tsv"
        wildcard_constraints:
            model=one_of(SCORED),
            part=r"\d+",
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
            receipts=lambda w: receipts(w.model),
        shell:
            f"{SCORE}{{params.receipts:q}} --part {{wildcards.part}}/{PARTS}"

    # The marks are temporary, so that whatever makes a receipt necessary runs the parts first.
    rule give_receipts:
        input:
            model=f"{RESULTS}/models/{{model}}.json",
            questions=lambda w: question_files(w.model),
            parts=expand(
                rules.score_part.output, part=range(1, PARTS + 1), allow_missing=True
            ),
        output:
            receipts("{model}"),
        log:
            f"{LOGS}/give_receipts/{{model}}.log",
        benchmark:
            f"{BENCHMARKS}/give_receipts/{{model}}.tsv"
        wildcard_constraints:
            model=one_of(SCORED),
        localrule: True
        conda:
            "../../envs/scoring.yaml"
        params:
            code=digest_of_code(PACKAGE / "scoring" / "__main__.py"),
            dtype=lambda w: dtype_of(w.model),
            backend=STUDY["scoring"]["backend"],
        shell:
            f"{CELLS_OF_MODEL} --receipts {{output:q}} --scored {{input.parts:q}}"

elif STUDY["scoring"]["load_once"]:

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
            f"{SCORE}{{output:q}}"

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
            f"{SCORE}{{output:q}}"


# The scoring alone, so that what needs no GPU can follow elsewhere.
rule all_cells:
    """The scoring alone, which needs the GPUs."""
    input:
        [receipts(model) for model in MODELS],
    localrule: True
