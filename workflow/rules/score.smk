# Scoring: log-probabilities of a model's options, one job per cell (model × task × prompt).
# The only rules that need a GPU. `gpu` counts the GPUs in use; without one it counts jobs at once.


def gpus_of(model):
    return STUDY["models"][model]["gpus"]


def cpu_threads():
    """Threads of a job that finds no GPU: its share of the cores."""
    cores = workflow.cores or 1
    limits = workflow.global_resources
    at_once = min(cores, limits["gpu"].value) if "gpu" in limits else cores
    return max(1, cores // max(1, at_once))


rule score:
    input:
        model=f"{RESULTS}/models/{{model}}.json",
        questions=f"{RESULTS}/questions/{{task}}/{{prompt}}.parquet",
    output:
        # `update`: Snakemake leaves the old files in place, and the job looks whether they are
        # what it would write (by their identity), so that a touched tree is not scored again.
        logits=update(f"{RESULTS}/logits/{{model}}/{{task}}/{{prompt}}.parquet"),
        run=update(f"{RESULTS}/logits/{{model}}/{{task}}/{{prompt}}.run.json"),
    log:
        f"{LOGS}/score/{{model}}/{{task}}/{{prompt}}.log",
    benchmark:
        f"{BENCHMARKS}/score/{{model}}/{{task}}/{{prompt}}.tsv"
    conda:
        "../../envs/scoring.yaml"
    threads: 1
    resources:
        gpu=lambda w: gpus_of(w.model),
        mem_mb=lambda w, attempt: 16000 * attempt,
        runtime=lambda w, attempt: 240 * attempt,
        # Not params, since they decide how a cell is computed and not what comes out: another
        # device or budget is no reason to score again.
        device=STUDY["scoring"]["device"],
        token_budget=str(STUDY["scoring"]["token_budget"]),
        cpu_threads=cpu_threads(),
    params:
        dtype=lambda w: dtype_of(w.model),
    shell:
        # `exec`: the job then has Snakemake itself as its parent, and ends with it.
        "exec python -m alignment_calibration.score --model {input.model:q}"
        " --dtype {params.dtype:q} --device {resources.device:q}"
        " --token-budget {resources.token_budget:q} --threads {resources.cpu_threads}"
        " --log {log:q} --cell {input.questions:q} {output.logits:q}"
