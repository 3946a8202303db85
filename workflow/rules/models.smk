# Models: checkpoints found, checked, hashed, and downloaded where they come from the hub. One of
# the two steps that may touch a network.
from alignment_calibration.models import checkpoint_files


def local_checkpoint(wildcards):
    """Files of a local checkpoint, so that a changed one is seen. None if the folder is missing:
    the step itself says so best."""
    spec = STUDY["models"][wildcards.model]
    if "path" not in spec:
        return []
    folder = Path(spec["path"])
    if "gguf_file" in spec:
        file = folder / spec["gguf_file"]
        return [str(file)] if file.is_file() else []
    return [str(file) for file in checkpoint_files(folder, spec)]


localrules:
    models,


rule models:
    input:
        checkpoint=local_checkpoint,
        code=code("models"),
    output:
        f"{RESULTS}/models/{{model}}.json",
    log:
        f"{LOGS}/models/{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/models/{{model}}.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        spec=lambda w: canonical_json(STUDY["models"][w.model]),
        converted=lambda w: f"{RESULTS}/models/{w.model}",
    script:
        "../scripts/models.py"
