# Helper functions of all rules. Nothing heavy is imported here: neither torch nor pandas.
import re
import sys

from alignment_calibration import config as study_config
from alignment_calibration.errors import UserError
from alignment_calibration.files import canonical_json

ROOT = Path(workflow.basedir)
PACKAGE = ROOT / "workflow" / "alignment_calibration"


def read_config():
    """The study's config. `config.yaml` is read only if no --configfile was given, since
    Snakemake would merge the two and the other study would contain the demo's models.
    """
    settings = workflow.config_settings
    files = list(settings.configfiles) or [ROOT / "config.yaml"]
    schema = ROOT / "workflow" / "schemas" / "config.schema.yaml"
    try:
        return study_config.load(files, settings.config or {}, schema)
    except UserError as error:
        sys.exit(f"error: {error}")


STUDY = read_config()
RESULTS = f"results/{STUDY['study']}"
FIGURES = f"figures/{STUDY['study']}"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"

PROMPT_OF = {
    "continuation_sum": "continuation",
    "continuation_min": "continuation",
    "choice": "choice",
}
TASKS = list(STUDY["tasks"])
PAIRS = list(STUDY["pairs"])
MODELS = list(
    dict.fromkeys(
        pair[stage] for pair in STUDY["pairs"].values() for stage in ("base", "aligned")
    )
)
PROMPTS = {
    task: [
        prompt
        for prompt in dict.fromkeys(PROMPT_OF[method] for method in STUDY["methods"])
        if STUDY["tasks"][task][prompt]
    ]
    for task in TASKS
}


def one_of(names):
    """A wildcard constraint: exactly one of these slugs."""
    return "|".join(map(re.escape, names))


# The study of the published numbers (`snakemake published`): the rules from `changes` on are
# written for any study, so that they run on it as well.
PUBLISHED = "published"
PUBLISHED_CHANGES = str(ROOT / "data/published/changes.csv")


wildcard_constraints:
    study=one_of([STUDY["study"], PUBLISHED]),
    model=one_of(MODELS),
    task=one_of(TASKS),
    pair=one_of(PAIRS),
    prompt="continuation|choice",


def code(*modules):
    """The package's modules a rule depends on: inputs, so that an edit re-runs the rule (by
    checksum: a touch does not)."""
    return [str(PACKAGE / f"{module}.py") for module in modules]


def config_slice(*keys):
    """The smallest part of the config a rule needs, as one string that changes only with it."""
    return canonical_json({key: STUDY[key] for key in keys})


def dtype_of(model):
    """The number format a model is run in: its own, or the study's."""
    return STUDY["models"][model].get("dtype", STUDY["scoring"]["dtype"])


def table_files(study, *tables):
    """The files of tables, in every format."""
    return [
        f"results/{study}/tables/{table}.{suffix}"
        for table in tables
        for suffix in ("csv", "md", "tex")
    ]
