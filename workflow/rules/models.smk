# Models: checkpoints found, checked, hashed, and downloaded where they come from the hub. One of
# the two steps that may touch a network.
from alignment_calibration.inputs.checkpoints import check_local


localrules:
    models,


rule models:
    input:
        records=checked(check_model),
        same=same_checkpoint_as,
    output:
        f"{RESULTS}/models/{{model}}.json",
    log:
        f"{LOGS}/models/{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/models/{{model}}.tsv"
    wildcard_constraints:
        model=one_of(SCORED),
    conda:
        "../../envs/workflow.yaml"
    params:
        code=code("models"),
        spec=lambda w: canonical_json(STUDY["models"][w.model]),
        checkpoint=lambda w: fingerprint([*files_of(w.model), *template_file(w)]),
        converted=lambda w: f"{RESULTS}/models/{w.model}",
    script:
        "../scripts/models.py"
