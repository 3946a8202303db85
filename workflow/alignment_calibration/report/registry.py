"""Every figure and table: what it reads, and of which study it is made.

The module of a figure or table is found by its name: `figures/{name}.py` with `draw(*frames)` and
`numbers(*frames)` (what its caption, `workflow/report/{name}.rst`, says of the run), or
`tables/{name}.py` with `table(*frames)` (caption: `workflow/report/table_{name}.rst`). The frames
are those that its entry reads, in that order.

Imported while Snakemake parses the workflow, so nothing heavy may be imported here.
"""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

#: The study of the published numbers. (No config may use its name.)
PUBLISHED: Final = "published"

#: What is read beside the tidy files of a study: the published changes as they were printed.
AS_PUBLISHED: Final = "as_published"

#: A study of more pairs than these does not show them one by one: as many marks can be told apart.
MOST_PAIRS: Final = 20

#: Most methods that stand side by side in one figure, and most of the marks that they have there
#: on one line together (a mark per pair or per task, whichever are more), in figures whose `beside`
#: says so. Of a study with more, such a figure is made in parts, each of some of the methods.
MOST_METHODS: Final = 4
MOST_MARKS: Final = 36

#: What is read of every study that has an exhibit of not all of its pairs: it says which they are.
CHANGES: Final = "changes"

#: Between the names of the methods that one part shows.
TOGETHER: Final = "+"

#: What becomes of a figure or table where pairs are that many: it shows `all`, since it does not
#: grow with them; those with the `largest` changes (`tidy.head_of`); the `first` ranks; or it is
#: made of `none` such study, or of such studies `only`.
OfMany = Literal["all", "largest", "first", "none", "only"]


@dataclass(frozen=True)
class Exhibit:
    """A figure or a table.

    Attributes:
        reads: tidy files by name (`contract.TIDY`, or AS_PUBLISHED).
        optional: those of them that it does without (it is given None) in the published study,
            where there are no resamples.
        own: whether it is made of the config's study.
        published: whether it is made of the published study.
        needs: section of the config without which the study has nothing to show there.
        each: columns of what it reads; it is made once for every combination of their values, from
            the rows that have them.
        primary: whether it shows the primary analysis first (`study.settings.Primary`, given to its
            functions as the keyword `primary`).
        any_of: sets of methods and metrics, of which a study must have one whole.
        pairs: the fewest that it can show.
        of_many: what it shows of a study of more than MOST_PAIRS pairs.
        beside: what stands side by side in it and so limits its width: "methods", in panels as wide
            as any; or the "marks" of their panels; if empty, it has room for all there are.
    """

    reads: tuple[str, ...]
    optional: tuple[str, ...] = ()
    own: bool = True
    published: bool = False
    needs: str = ""
    each: tuple[str, ...] = ()
    primary: bool = False
    any_of: tuple[tuple[str, ...], ...] = ()
    pairs: int = 1
    of_many: OfMany = "all"
    beside: Literal["", "methods", "marks"] = ""

    @property
    def of_some(self) -> bool:
        """Whether it shows only some pairs of a study of more than MOST_PAIRS (`tidy.head_of`)."""
        return self.of_many in ("largest", "first")

    def fits(self, pairs: int) -> bool:
        """Whether it is made of a study of so many pairs, if that has the numbers."""
        return self.of_many != ("none" if pairs > MOST_PAIRS else "only")

    def parts(self, pairs: int, tasks: int, methods: Sequence[str]) -> list[str]:
        """The methods of each of its parts, joined by TOGETHER; none if it is made in one."""
        marks = max(min(pairs, MOST_PAIRS), tasks)
        most = {
            "": len(methods),
            "methods": MOST_METHODS,
            "marks": max(1, min(MOST_METHODS, MOST_MARKS // marks)),
        }[self.beside]
        if len(methods) <= most:
            return []
        # As even as can be: five methods are three and two, not four and one.
        number = -(-len(methods) // most)
        size, larger = divmod(len(methods), number)
        rest = iter(methods)
        return [
            TOGETHER.join(itertools.islice(rest, size + (part < larger))) for part in range(number)
        ]


FIGURES: Final = {
    "headline": Exhibit(("alignment_effects", "multiverse"), primary=True),
    "figure1": Exhibit(
        ("changes",),
        published=True,
        any_of=(("ece", "continuation_sum"), ("ece", "choice")),
        of_many="none",
    ),
    "figure2": Exhibit(
        ("changes",),
        published=True,
        any_of=(
            ("ece", "continuation_sum"),
            ("sce_ovr", "continuation_sum"),
            ("sce_ovr", "continuation_min"),
            ("sce_ovr", "choice"),
        ),
        of_many="none",
    ),
    "figure2_sce": Exhibit(
        ("changes",), any_of=(("sce_ovr",), ("sce",)), of_many="none", beside="marks"
    ),
    "lineages": Exhibit(("pair_effects", "metrics"), primary=True, of_many="only"),
    "distribution": Exhibit(
        ("changes",),
        any_of=(("ece",), ("sce_ovr",), ("sce",), ("accuracy",)),
        of_many="only",
        beside="methods",
    ),
    "ranks": Exhibit(
        ("changes", "rank_probabilities"),
        optional=("rank_probabilities",),
        published=True,
        any_of=(("ece",), ("sce_ovr",)),
        pairs=2,
        of_many="largest",
        beside="methods",
    ),
    "accuracy_calibration": Exhibit(
        ("changes",),
        published=True,
        any_of=(("accuracy", "ece"), ("accuracy", "sce_ovr"), ("accuracy", "sce")),
        of_many="none",
        beside="marks",
    ),
    "ladders": Exhibit(("stages",), needs="ladders", beside="methods"),
    "map_parts": Exhibit(
        ("map_parts", "map_effects"), primary=True, of_many="largest", beside="marks"
    ),
    "temperature": Exhibit(("remedies",), any_of=(("ece",),), of_many="largest", beside="marks"),
    "multiverse": Exhibit(("multiverse",)),
    "sce_audit": Exhibit(("sce_audit",), beside="methods"),
    "sce_audit_published": Exhibit(("audit",), own=False, published=True),
    "reliability": Exhibit(("reliability", "metrics"), each=("pair", "method"), of_many="none"),
    "option_order": Exhibit(
        ("option_order",), each=("pair",), any_of=(("choice_cyclic",),), of_many="none"
    ),
}

TABLES: Final = {
    "headline": Exhibit(
        ("alignment_effects", "pair_effects", "map_effects"), primary=True, of_many="largest"
    ),
    "changes": Exhibit(("changes",), published=True, primary=True, of_many="largest"),
    "ranks": Exhibit(
        ("changes", "rank_agreement", "rank_correlations"),
        published=True,
        primary=True,
        pairs=2,
        of_many="first",
    ),
    "claims": Exhibit(
        ("changes", "rank_agreement", "estimates", "rates_by_method"),
        optional=("estimates", "rates_by_method"),
        published=True,
        any_of=(
            ("ece", "continuation_sum"),
            *itertools.product(
                ("sce_ovr", "sce"), ("continuation_sum", "continuation_min", "choice")
            ),
        ),
    ),
    "ladders": Exhibit(("trends", "steps"), needs="ladders", primary=True),
    "models": Exhibit(("metrics",), primary=True, of_many="largest"),
    "map_parts": Exhibit(("map_parts", "map_effects"), primary=True, of_many="largest"),
    "decomposition": Exhibit(("decomposition",), primary=True, of_many="largest"),
    "remedies": Exhibit(
        ("remedies",), primary=True, any_of=(("ece",), ("sce",)), of_many="largest"
    ),
    "option_order": Exhibit(("option_order",), any_of=(("choice_cyclic",),), of_many="largest"),
    "letter_parts": Exhibit(
        ("letter_parts",), any_of=(("choice", "choice_raw"),), of_many="largest"
    ),
    "comparison": Exhibit(("changes", AS_PUBLISHED)),
    "table_1": Exhibit(("changes",), own=False, published=True),
    "audit": Exhibit(("audit", "changes"), own=False, published=True),
    "recovered": Exhibit(("changes",), own=False, published=True),
    "audit_ranks": Exhibit((AS_PUBLISHED,), own=False, published=True),
}


#: What is known of the published study where nothing heavy may be imported: its names, by column.
Names = Mapping[str, Collection[str]]


def of_config(
    exhibits: Mapping[str, Exhibit], config: Mapping[str, Any], published: Names
) -> dict[str, Exhibit]:
    """Those that can be made of a study with this config, or of the published one, by name."""
    pairs = len(config["pairs"])
    can = {
        name: replace(each, own=each.own and each.fits(pairs) and not lack(each, config, published))
        for name, each in exhibits.items()
    }
    return {name: each for name, each in can.items() if each.own or each.published}


def lack(exhibit: Exhibit, config: Mapping[str, Any], published: Names) -> str:
    """Why a study with this config has no numbers for an exhibit; empty if it has some.

    Args:
        config: all of it, defaults filled in.
        published: names of the published study, by the columns `pair` and `task`.
    """
    measured = {*config["methods"], *config["metrics"]}
    if exhibit.needs and not config[exhibit.needs]:
        return f"no {exhibit.needs}"
    if exhibit.any_of and not any(measured.issuperset(names) for names in exhibit.any_of):
        return "without " + ", or ".join(" and ".join(names) for names in exhibit.any_of)
    if len(config["pairs"]) < exhibit.pairs:
        return f"fewer than {exhibit.pairs} pairs"
    if AS_PUBLISHED in exhibit.reads and any(
        config[section].keys().isdisjoint(published[column])
        for section, column in {"pairs": "pair", "tasks": "task"}.items()
    ):
        return "no pair and task of the published study"
    return ""


def left_out(config: Mapping[str, Any], published: Names) -> list[str]:
    """Sentences that list what a study has no numbers for, and what it has too many pairs for."""
    kinds = {"table": TABLES, "figure": FIGURES}
    reasons = {
        (kind, name): lack(each, config, published)
        for kind, exhibits in kinds.items()
        for name, each in exhibits.items()
        if each.own and each.of_many != "only"
    }
    named = dict.fromkeys(
        # Without its kind where nothing of that name is made.
        f"{'' if all(reasons.get((k, name), True) for k in kinds) else f'the {kind} '}"
        f"{name} ({reason})"
        for (kind, name), reason in reasons.items()
        if reason
    )
    pairs = len(config["pairs"])
    crowded = [
        name
        for name, each in FIGURES.items()
        if reasons.get(("figure", name)) == "" and not each.fits(pairs)
    ]
    instead = [name for name, each in FIGURES.items() if each.of_many == "only"]
    sentences = []
    if named:
        sentences.append(f"Left out, since this study has no numbers for them: {', '.join(named)}.")
    if crowded:
        sentences.append(
            f"Figures left out, since {pairs} pairs are too many to be shown one by one: "
            f"{', '.join(crowded)}; in their place: {', '.join(instead)}."
        )
    return sentences


def of_study(exhibits: Mapping[str, Exhibit], study: str) -> dict[str, Exhibit]:
    """Those that are made of a study, by name."""
    return {
        name: exhibit
        for name, exhibit in exhibits.items()
        if (exhibit.published if study == PUBLISHED else exhibit.own)
    }


def reads_of(exhibits: Mapping[str, Exhibit], study: str) -> list[str]:
    """What those that are made of a study read there, and what says which pairs, each once."""
    made = of_study(exhibits, study).values()
    reads = dict.fromkeys(
        name
        for exhibit in made
        for name in exhibit.reads
        if not (study == PUBLISHED and name in exhibit.optional)
    )
    if any(exhibit.of_some for exhibit in made):
        reads[CHANGES] = None
    return list(reads)


def pages(
    exhibits: Mapping[str, Exhibit], study: str, values: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, ...]]:
    """The figures or tables of a study one by one: a name, then the values of its `each`.

    Of one that is made in parts, the name and the methods of a part, joined by TOGETHER.

    Args:
        values: those that the study has for the columns `pair`, `task` and `method`.
    """
    for name, exhibit in of_study(exhibits, study).items():
        parts = exhibit.parts(len(values["pair"]), len(values["task"]), values["method"])
        chosen = [*(values[column] for column in exhibit.each), *([parts] if parts else [])]
        for one in itertools.product(*chosen):
            yield (name, *one)
