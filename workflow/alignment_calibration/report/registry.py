"""Every figure and table: what it reads, and of which study it is made.

The module of a figure or table is found by its name: `figures/{name}.py` with `draw(*frames)` and
`numbers(*frames)` (what its caption, `workflow/report/{name}.rst`, says of the run), or
`tables/{name}.py` with `table(*frames)` (caption: `workflow/report/table_{name}.rst`). The frames
are those that its entry reads, in that order.

Imported while Snakemake parses the workflow, so nothing heavy may be imported here.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

#: The study of the published numbers. (No config may use its name.)
PUBLISHED: Final = "published"

#: What is read beside the tidy files of a study: the published changes as they were printed.
AS_PUBLISHED: Final = "as_published"


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
        methods: those that a study must have for it to be made.
    """

    reads: tuple[str, ...]
    optional: tuple[str, ...] = ()
    own: bool = True
    published: bool = False
    needs: str = ""
    each: tuple[str, ...] = ()
    primary: bool = False
    methods: tuple[str, ...] = ()


FIGURES: Final = {
    "headline": Exhibit(("alignment_effects",), primary=True),
    "figure1": Exhibit(("changes",), published=True),
    "figure2": Exhibit(("changes",), published=True),
    "figure2_sce": Exhibit(("changes",)),
    "ranks": Exhibit(
        ("changes", "rank_probabilities"), optional=("rank_probabilities",), published=True
    ),
    "accuracy_calibration": Exhibit(("changes",), published=True),
    "ladders": Exhibit(("stages",), needs="ladders"),
    "map_parts": Exhibit(("map_parts", "map_effects"), primary=True),
    "temperature": Exhibit(("remedies",)),
    "multiverse": Exhibit(("multiverse",)),
    "sce_audit": Exhibit(("sce_audit",)),
    "sce_audit_published": Exhibit(("audit",), own=False, published=True),
    "reliability": Exhibit(("reliability", "metrics"), each=("pair", "method")),
    "option_order": Exhibit(("option_order",), each=("pair",), methods=("choice_cyclic",)),
}

TABLES: Final = {
    "headline": Exhibit(("alignment_effects", "pair_effects", "map_effects"), primary=True),
    "changes": Exhibit(("changes",), published=True, primary=True),
    "ranks": Exhibit(("changes", "rank_agreement", "rank_correlations"), published=True),
    "claims": Exhibit(
        ("changes", "rank_agreement", "estimates", "rates_by_method"),
        optional=("estimates", "rates_by_method"),
        published=True,
    ),
    "ladders": Exhibit(("trends", "steps"), needs="ladders"),
    "models": Exhibit(("metrics",), primary=True),
    "map_parts": Exhibit(("map_parts", "map_effects")),
    "decomposition": Exhibit(("decomposition",)),
    "remedies": Exhibit(("remedies",)),
    "option_order": Exhibit(("option_order",), methods=("choice_cyclic",)),
    "letter_parts": Exhibit(("letter_parts",), methods=("choice", "choice_raw")),
    "comparison": Exhibit(("changes", AS_PUBLISHED)),
    "table_1": Exhibit(("changes",), own=False, published=True),
    "audit": Exhibit(("audit", "changes"), own=False, published=True),
    "recovered": Exhibit(("changes",), own=False, published=True),
    "audit_ranks": Exhibit((AS_PUBLISHED,), own=False, published=True),
}


def of_config(exhibits: Mapping[str, Exhibit], config: Mapping[str, Any]) -> dict[str, Exhibit]:
    """Those that can be made of a study with this config, by name."""
    return {
        name: each
        for name, each in exhibits.items()
        if set(each.methods) <= set(config["methods"]) and (not each.needs or config[each.needs])
    }


def of_study(exhibits: Mapping[str, Exhibit], study: str) -> dict[str, Exhibit]:
    """Those that are made of a study, by name."""
    return {
        name: exhibit
        for name, exhibit in exhibits.items()
        if (exhibit.published if study == PUBLISHED else exhibit.own)
    }


def reads_of(exhibits: Mapping[str, Exhibit], study: str) -> list[str]:
    """What those that are made of a study read there, each once."""
    reads = dict.fromkeys(
        name
        for exhibit in of_study(exhibits, study).values()
        for name in exhibit.reads
        if not (study == PUBLISHED and name in exhibit.optional)
    )
    return list(reads)


def pages(
    exhibits: Mapping[str, Exhibit], study: str, values: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, ...]]:
    """The figures or tables of a study one by one: a name, then the values of its `each`.

    Args:
        values: those that the study has for every column that an entry's `each` names.
    """
    for name, exhibit in of_study(exhibits, study).items():
        for chosen in itertools.product(*(values[column] for column in exhibit.each)):
            yield (name, *chosen)
