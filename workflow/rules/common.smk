# Helper functions of all rules. Nothing heavy is imported here: neither torch nor pandas.
import csv
import json
import re
import shutil
import subprocess
import sys
from functools import cache
from contextlib import suppress
from glob import escape, glob
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import alignment_calibration
from alignment_calibration.errors import UserError, and_others
from alignment_calibration.files.atomic import canonical_json, read_json
from alignment_calibration.files.suspects import suspects
from alignment_calibration.inputs.code import digest_of_code
from alignment_calibration.inputs.fingerprint import fingerprint
from alignment_calibration.inputs.sample_files import sample_files
from alignment_calibration.inputs.sizes import memory_to_score
from alignment_calibration.inputs.sources import (
    absence_notes,
    source_of,
    sums_only,
    unreadable,
)
from alignment_calibration.report import closing, registry
from alignment_calibration.report.registry import (
    AS_PUBLISHED,
    PUBLISHED,
    lack,
    of_config,
    of_study,
    pages,
    reads_of,
)
from alignment_calibration.scoring.backends import identity_settings
from alignment_calibration.study import config as study_config
from alignment_calibration.study.chats import CHATS, chat_of, chat_options
from alignment_calibration.study.ladders import same_checkpoint, steps_of
from alignment_calibration.study.vocabulary import PROMPTS as PROMPT_KEYS
from alignment_calibration.study.vocabulary import STAGES, prompts_of

# Wherever the workflow was included from, or imported as a module.
PACKAGE = Path(alignment_calibration.__file__).parent
WORKFLOW = PACKAGE.parent
ROOT = WORKFLOW.parent


def read_config():
    """The study's config: what an importing workflow hands over, or the files of --configfile.

    `config.yaml` is read only if there are none, since Snakemake would merge the two and the
    other study would contain the demo's models.
    """
    settings = workflow.config_settings
    schema = WORKFLOW / "schemas" / "config.schema.yaml"
    try:
        if not workflow.modifier.is_main_snakefile():
            return study_config.load([], config, schema)
        files = list(settings.configfiles) or [ROOT / "config.yaml"]
        return study_config.load(files, settings.config or {}, schema)
    except UserError as error:
        sys.exit(f"error: {error}")


STUDY = read_config()
RESULTS = f"results/{STUDY['study']}"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"

TASKS = list(STUDY["tasks"])
PAIRS = list(STUDY["pairs"])
# The steps of ladders: pairs as well, but not for ranks and claims, which wholes have.
STEPS = steps_of(STUDY["ladders"])
CONTRASTED = STUDY["pairs"] | STEPS
MODELS = list(
    dict.fromkeys(pair[stage] for pair in CONTRASTED.values() for stage in STAGES)
)
PROMPTS = {
    task: [
        prompt
        for prompt in prompts_of(STUDY["methods"])
        if STUDY["tasks"][task][prompt]
    ]
    for task in TASKS
}
# The tasks and prompts of a model's cells, in this order.
CELLS = [(task, prompt) for task in TASKS for prompt in PROMPTS[task]]

# The numbers of the published study (`snakemake published`): the rules from `changes` on run on
# them as well.
PUBLISHED_CHANGES = str(ROOT / "data/published/changes.csv")


def published_names():
    """The pairs, tasks and methods of the published study, by column."""
    with open(PUBLISHED_CHANGES, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {
        column: sorted({row[column] for row in rows})
        for column in ("pair", "task", "method")
    }


PUBLISHED_NAMES = published_names()
# The figures and tables that a study with this config can have.
FIGURES, TABLES = (
    of_config(exhibits, STUDY, PUBLISHED_NAMES)
    for exhibits in (registry.FIGURES, registry.TABLES)
)
# With their numbers from an exported study.
TAKEN = MODELS if STUDY["scored"] else []
SCORED = [
    model
    for model in MODELS
    if model not in TAKEN and source_of(STUDY["models"][model]).scored
]
# By somebody else, before.
SAMPLED = [model for model in MODELS if model not in (*TAKEN, *SCORED)]
# Whether the questions are those that the first model was asked.
ASKED_BY_SAMPLES = not (TAKEN or SCORED)


def read_sums_only(model):
    """The cells of a model of which only sums over an option's tokens are known. It looks for the
    samples, so that a missing file is said before the first job; an exported study has noted it.
    """
    if model in TAKEN:
        record = read_json(f"{STUDY['scored']}/models/{model}.json")
        return list(map(tuple, record.get("sums_only", [])))
    asked = {(task, prompt): STUDY["tasks"][task][prompt] for task, prompt in CELLS}
    return sums_only(model, STUDY["models"][model], asked, STUDY["methods"])


try:
    SUMS_ONLY = {model: read_sums_only(model) for model in MODELS}
    # Method → model → tasks.
    UNREADABLE = unreadable(SUMS_ONLY, CELLS, STUDY["methods"])
except UserError as error:
    sys.exit(f"error: {error}")
if workflow.is_main_process:
    for note in absence_notes(UNREADABLE, CELLS):
        print(f"note: {note}", file=sys.stderr)
# Pair and method, where a model of the pair cannot be read by the method on any task.
NO_CONTRASTS = [
    (pair, method)
    for method, tasks_of in UNREADABLE.items()
    for pair, models in STUDY["pairs"].items()
    if set.union(*(tasks_of.get(models[stage], set()) for stage in STAGES))
    >= {task for task, prompt in CELLS if prompt in prompts_of([method])}
]


def one_of(names):
    """A wildcard constraint: exactly one of these slugs; nothing, if there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    study=one_of([STUDY["study"], PUBLISHED]),
    model=one_of(MODELS),
    task=one_of(TASKS),
    pair=one_of(CONTRASTED),
    prompt=one_of(PROMPT_KEYS),
    chat=one_of(CHATS),


def records():
    """A file beside Snakemake's records, an input of the first steps.

    Without records (lost, or results copied elsewhere) Snakemake would go by dates and take files
    for current whatever the config says. Then this file is new, and all steps are run again: of
    what was scored nothing, since the scorer knows its files.
    """
    file = Path(".snakemake", "alignment_calibration")
    file.parent.mkdir(exist_ok=True)
    if not file.exists():
        file.touch()
    return str(file)


RECORDS = records()


def checked(check):
    """The records as the input of a first step: before any job starts, and in a dry run, `check`
    of the step's wildcards must find what the step will read.
    """

    def records_of_checked(wildcards):
        # No other command, as --report or --unlock, needs what only jobs read.
        if workflow.is_main_process and workflow.execution_settings is not None:
            try:
                check(wildcards)
            except UserError as error:
                sys.exit(f"error: {error}")
        return RECORDS

    return records_of_checked


def only_with(table, what):
    """No file, as an input of the step of a table that only some studies have: an error, before any
    job, where it is asked for in a study that has not."""

    def nothing(wildcards):
        if lack(registry.TABLES[table], STUDY, PUBLISHED_NAMES):
            sys.exit(f"error: this study has no {what}")
        return []

    return nothing


def refuse_rewritten():
    """End with an error if files of results are not what the workflow wrote, although dates are in
    order: steps would not be run again. Only files are read whose dates give cause."""
    found = [
        path for study in (RESULTS, f"results/{PUBLISHED}") for path in suspects(study)
    ]
    noted = Path(f"{RECORDS}.verified")
    seen = fingerprint(found)
    if not found or noted.is_file() and noted.read_text() == seen:
        return
    verification = "alignment_calibration.files.verification"
    done = subprocess.run(
        [sys.executable, "-m", verification, *found], stderr=subprocess.PIPE, text=True
    )
    if done.returncode:
        sys.exit(done.stderr.strip())
    noted.write_text(seen)


if workflow.is_main_process:
    refuse_rewritten()


def code(script, *by_name):
    """A digest of a script, of the modules of the package that it finds by name, and of all that
    these import. As a param it re-runs a step after an edit, and not after a touch.
    """
    modules = [PACKAGE / f"{module}.py" for module in by_name]
    return digest_of_code(WORKFLOW / "scripts" / f"{script}.py", *modules)


def origin(decides, given=None):
    """What the files of a step are made from as the config says now, for `files/origin.py`.

    `decides` is what of the config decides them in this step; `given` says for each file that the
    step reads, or for its folder, what the config says of that: see `config_of`.
    """
    given = given or {}
    digest = sha256(canonical_json([decides, given]).encode()).hexdigest()
    return canonical_json({"config": digest, "given": given})


@cache
def config_of(rule, **wildcards):
    """What the config says of the files of a rule, all steps before included, as a digest."""
    stated = getattr(rules, rule).params.origin
    if callable(stated):
        stated = stated(SimpleNamespace(**wildcards))
    return json.loads(stated)["config"]


def given(rule, place, **values):
    """What the config says of the files of a rule, for each of the values of its wildcards."""
    wildcards = [dict(zip(values, each)) for each in zip(*values.values())]
    return {
        f"{RESULTS}/{place.format(**each)}": config_of(rule, **each)
        for each in wildcards
    }


def given_questions(*models):
    """What the config says of the questions files of some models."""
    tasks, prompts = zip(*CELLS)
    found = {}
    for chat in {chat_of(STUDY["models"][model]) for model in models}:
        values = {"task": tasks, "prompt": prompts}
        if chat is not None:
            values["chat"] = [chat] * len(tasks)
        step = "questions" if chat is None else "chats"
        found |= given(step, question_place(chat), **values)
    return found


def given_confidences(models):
    return given("confidences", "confidences/{model}", model=models)


@cache
def aggregates():
    """The files of each step that makes them of all models or pairs, and what states their origin."""
    return [
        (list(step.output), json.loads(step.params.origin(None)))
        for step in workflow.rules
        if not step.wildcard_names and "origin" in step.params.keys()
        if any(file.endswith(".parquet") for file in step.output)
    ]


def given_aggregates():
    """What the config says of the files that are made of all models or pairs."""
    return {file: stated["config"] for files, stated in aggregates() for file in files}


def given_tidy(exhibits, study):
    """What the config says of the files that the figures or tables of a study read."""
    known = given_aggregates()
    return {file: known[file] for file in tidy_files(exhibits, study) if file in known}


def given_all():
    """What the config says of all files of results."""
    found = given_questions(*MODELS) | given_confidences(MODELS)
    # What they are made of: files of each model or pair.
    for _, stated in aggregates():
        found |= stated["given"]
    return found | given_aggregates()


def refuse_of_another_config(*files):
    """End with an error if files, or those in a folder of results, were made under another config."""
    verification = "alignment_calibration.files.verification"
    done = subprocess.run(
        [sys.executable, "-m", verification, "--origin", *files],
        input=origin(None, given_all()),
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        first, *others = done.stderr.strip().splitlines()
        sys.exit(first + and_others(len(others)))


def nothing_of_a_report_to_refuse(wildcards):
    """No file; an error if `--report` would show a study that is not finished, or that of another
    config: for a report Snakemake takes files as they are."""
    if not workflow.is_main_process or "--report" not in sys.argv:
        return []
    shown = [*rules.tables.output, *rules.figures.output, *rules.run_summary.output]
    if missing := [file for file in shown if not Path(file).exists()]:
        sys.exit(
            f"error: {missing[0]}: missing{and_others(len(missing) - 1)}; the same snakemake command "
            "without --report makes it"
        )
    refuse_of_another_config(
        *[file for file in given_aggregates() if Path(file).exists()]
    )
    return []


def config_slice(*keys):
    """The smallest part of the config a rule needs, as one string that changes only with it. A
    function, since Snakemake would fill in the braces of a text."""
    text = canonical_json({key: STUDY[key] for key in keys})
    return lambda wildcards: text


def dtype_of(model):
    """The number format a model is run in: its own, or the study's."""
    return study_config.dtype_of(STUDY, model)


def identity_slice(model):
    """What of a model's spec and the way it is scored decides its cells' identity."""
    spec = STUDY["models"][model]
    if not source_of(spec).scored:
        return canonical_json({"model": spec})
    settings = identity_settings(dtype_of(model), STUDY["scoring"]["backend"])
    return canonical_json({"model": spec, **settings})


def tidy_files(exhibits, study):
    """The files that the figures or tables of a study read, in the order of `reads_of`."""
    return [
        (
            PUBLISHED_CHANGES
            if name == AS_PUBLISHED
            else f"results/{study}/{name}.parquet"
        )
        for name in reads_of(exhibits, study)
    ]


def exhibit_code(script, exhibits, study):
    """The code of a script that makes the figures or tables of a study: it finds their modules,
    `report/{script}/{name}.py`, by name."""
    return code(
        script, *(f"report/{script}/{name}" for name in of_study(exhibits, study))
    )


# The formats of a table, each with what the report calls it, where it has it. (Of two values
# Snakemake makes a switch, which stands at first at the one that sorts first.)
SHOWN_AS = {"csv": "values (CSV)", "html": "page", "md": "", "tex": ""}


def table_outputs(study):
    """The files of a study's tables, in every format: the report shows the HTML, and gives the CSV."""
    files = []
    for table in of_study(TABLES, study):
        for suffix, shown_as in SHOWN_AS.items():
            file = f"results/{study}/tables/{table}.{suffix}"
            if shown_as:
                file = report(
                    file,
                    caption=f"../report/table_{table}.rst",
                    category="Tables",
                    labels={"table": table, "as": shown_as},
                )
            files.append(file)
    return files


def figure_pages(study):
    """A study's figures one by one: names, each with the values that it is made for."""
    methods = [
        method
        for method in STUDY["methods"]
        if any((pair, method) not in NO_CONTRASTS for pair in PAIRS)
    ]
    own = {"pair": PAIRS, "task": TASKS, "method": methods}
    made = pages(FIGURES, study, PUBLISHED_NAMES if study == PUBLISHED else own)
    return [page for page in made if page[1:] not in NO_CONTRASTS]


def figures_slice(study):
    """What decides a study's figures beside what they read, as one string."""
    reads = reads_of(FIGURES, study)
    return canonical_json(
        {
            "pages": figure_pages(study),
            "reads": reads,
            "notes": notes(study),
            "primary": STUDY["statistics"]["primary"],
        }
    )


def tables_slice(study):
    """What decides a study's tables beside what they read, as one string."""
    reads = reads_of(TABLES, study)
    return statistics_slice("primary", reads=reads, notes=notes(study))


def notes(study):
    """What every figure and table of a study says at its end: which methods some models lack."""
    return [] if study == PUBLISHED else absence_notes(UNREADABLE, CELLS)


def caption_templates(study):
    """The captions of a study's figures, without the numbers."""
    names = of_study(FIGURES, study)
    return [str(WORKFLOW / "report" / f"{name}.rst") for name in names]


def figure_outputs(study):
    """The files of a study's figures. The report shows the HTML, figure and caption, and beside it
    the caption; it looks for captions beside the rule, unless their paths are absolute.
    """
    outputs = {"pdf": [], "png": [], "caption": [], "html": []}
    for name, *values in figure_pages(study):
        figure = "/".join([name, *values])
        each = FIGURES[name].each
        methods = "".join(values[len(each) :]).split(registry.TOGETHER)
        # First and last, since the report's menu is narrow.
        part = " … ".join([*methods[:1], *methods[1:][-1:]])
        caption = f"results/{study}/captions/{figure}.rst"
        shown = report(
            f"results/{study}/captions/{figure}.html",
            caption=str(Path.cwd() / caption),
            category=name.capitalize() if each else "Figures",
            subcategory=values[0] if each else None,
            labels={
                "figure": f"{name}: {part}" if part else name,
                **dict(zip(each, values)),
            },
        )
        outputs["pdf"].append(f"figures/{study}/{figure}.pdf")
        outputs["png"].append(f"figures/{study}/{figure}.png")
        outputs["caption"].append(caption)
        outputs["html"].append(shown)
    return outputs


def files_of(model, *cells):
    """The local files that a model's numbers come from, in these cells or all."""
    spec = STUDY["models"][model]
    names = [
        name for task, prompt in cells or CELLS for name in STUDY["tasks"][task][prompt]
    ]
    return source_of(spec).files(spec, list(dict.fromkeys(names)))


def samples_slice(model, cells):
    """The sample files of some cells of a model, how much of them is taken, and from where in the
    config their questions come."""
    samples = STUDY["models"][model]["samples"]
    return canonical_json(
        [
            {
                "files": {
                    name: str(file)
                    for name, file in sample_files(
                        samples, STUDY["tasks"][task][prompt]
                    ).items()
                },
                "limit": STUDY["tasks"][task]["limit"],
                "prompt": prompt,
                "asked": (
                    f"tasks.{task}.{PROMPT_KEYS[prompt]}"
                    if SCORED
                    else f"models.{MODELS[0]}.samples"
                ),
            }
            for task, prompt in cells
        ]
    )


def check_model(wildcards):
    check_local(wildcards.model, STUDY["models"][wildcards.model])


def template_file(wildcards):
    """The file of a model's chat template, where its spec names one."""
    options = chat_options(STUDY["models"][wildcards.model])
    return [options["file"]] if "file" in options else []


def same_checkpoint_as(wildcards):
    """The JSON of the first model of the same checkpoint, so that this is hashed once."""
    spec = STUDY["models"][wildcards.model]
    first = next(
        model for model in MODELS if same_checkpoint(STUDY["models"][model], spec)
    )
    return [] if first == wildcards.model else f"{RESULTS}/models/{first}.json"


def questions_slice(wildcards):
    """What decides the questions of a task in one prompt; the template only if letters are asked
    for, so that editing it re-runs nothing else."""
    spec = STUDY["tasks"][wildcards.task]
    templates = TEMPLATES | STUDY["letters"]
    return canonical_json(
        {
            "names": spec[wildcards.prompt],
            "limit": spec["limit"],
            "num_fewshot": spec["num_fewshot"],
            "letters": (
                templates[spec["letters"]]
                if PROMPT_KEYS[wildcards.prompt] == "choice"
                else ""
            ),
            "data": spec["data"],
            "task_folders": STUDY["task_folders"],
        }
    )


def question_sources(wildcards):
    """Task YAMLs of ours and the user's, code that they name, and local data files. A missing file
    is left out: the step itself says so best."""
    spec = STUDY["tasks"][wildcards.task]
    patterns = [v for k, v in (spec["data"] or {}).items() if k.endswith("file")]
    files = [
        path
        for pattern in patterns
        for path in sorted(glob("*".join(map(escape, pattern.split("{subset}")))))
        if Path(path).is_file()
    ]
    try:
        return [*files, *LIBRARY.sources(spec[wildcards.prompt])]
    except UserError as error:
        sys.exit(f"error: {error}")


def check_task(wildcards):
    """Find a task and its local files. What was found is noted: to take groups of lm-eval apart
    takes seconds."""
    task, prompt = wildcards.task, wildcards.prompt
    noted = Path(f"{RECORDS}.tasks")
    found = noted.read_text().splitlines() if noted.is_file() else []
    asked = f"{fingerprint(question_sources(wildcards))} {questions_slice(wildcards)}"
    if asked not in found:
        spec = STUDY["tasks"][task]
        try:
            LIBRARY.check(spec[prompt], spec["data"])
        except UserError as error:
            raise UserError(f"tasks.{task}.{prompt}: {error}") from None
        with suppress(OSError):  # it may be looked at by who cannot write
            noted.write_text("".join(f"{line}\n" for line in [*found, asked]))


def statistics_slice(*keys, **more):
    """Some keys of `statistics`, and what else a rule needs of the config, as one string."""
    return canonical_json(
        {"statistics": {key: STUDY["statistics"][key] for key in keys}, **more}
    )


def of_pair(stage, folder="confidences"):
    """A file of one stage of a pair for each task, in the order of the tasks."""
    return lambda w: [
        f"{RESULTS}/{folder}/{CONTRASTED[w.pair][stage]}/{task}.parquet"
        for task in TASKS
    ]


def receipts(model):
    """The receipts of a model's cells, in the order of the cells: see `score`."""
    return [
        f"{RESULTS}/logits/{model}/{task}/{prompt}.receipt.json"
        for task, prompt in CELLS
    ]


def question_place(chat):
    """Where the questions are: as text, or as chats for chat templates."""
    form = "{prompt}" if chat is None else "{prompt}.{chat}"
    return f"questions/{{task}}/{form}.parquet"


def question_file(model, task, prompt):
    """The questions file of a model's cell."""
    chat = chat_of(STUDY["models"][model])
    place = question_place(chat).format(task=task, prompt=prompt, chat=chat)
    return f"{RESULTS}/{place}"


def question_files(model):
    """The questions files of a model's cells, in their order."""
    return [question_file(model, task, prompt) for task, prompt in CELLS]


def exported_files():
    """What of a study is published, each file once."""
    tidy = [*rules.tables.input.tidy, *rules.figures.input.tidy]
    files = [
        *expand(rules.models.output, model=MODELS),
        *(file for model in MODELS for file in question_files(model)),
        *(receipt for model in MODELS for receipt in receipts(model)),
        *expand(rules.confidences.output, model=MODELS),
        *rules.changes.output,
        *(rules.ladders.output if STEPS else []),
        *rules.explanations.output,
        *(
            file for file in tidy if file.startswith(RESULTS)
        ),  # what only some studies have
        *rules.multiverse.output,
        rules.run_summary.output.summary,
    ]
    return list(dict.fromkeys(files))


def model_json(stage):
    return lambda w: f"{RESULTS}/models/{STUDY['pairs'][w.pair][stage]}.json"


def gpus_of(model):
    return STUDY["models"][model]["gpus"]


def cpu_threads(wildcards, threads):
    """Threads of a score job that finds no GPU: those of its rule, or its share of the cores."""
    cores = (
        workflow.resource_settings.cores or 1
    )  # none is given with the jobs of a cluster
    limits = workflow.global_resources
    at_once = min(cores, limits["gpu"].value) if "gpu" in limits else cores
    return max(threads, cores // max(1, at_once))


def score_memory(wildcards, input, attempt):
    """`mem_mb` of a score job; not known before the model's checkpoint was found."""
    return memory_to_score(input.model) * attempt


def say(text, **more):
    """Words of the workflow's own, on the terminal and in the log of the run."""
    if text and workflow.is_main_process:
        logger.info(text, extra=more)


def files_of_run():
    """The files that the targets of this run stand on, and the targets."""
    return [output for job in workflow.dag.jobs for output in job.output]


def cells_to_make():
    """The receipts that this run's jobs are to make."""
    jobs = workflow.dag.needrun_jobs()
    made = [output for job in jobs for output in job.output]
    return [output for output in made if output.endswith(".receipt.json")]


def logs_of_unfinished():
    """The logs of all jobs that this run planned and did not finish."""
    return [log for job in workflow.dag.needrun_jobs() for log in job.log]


def remove_unfinished():
    """Remove the outputs of all jobs that this run planned and did not finish."""
    if workflow.is_main_process:
        for job in workflow.dag.needrun_jobs():
            for output in job.output:
                if Path(output).is_dir():
                    shutil.rmtree(output)
                else:
                    Path(output).unlink(missing_ok=True)
