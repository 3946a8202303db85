"""Ladders: checkpoints of one lineage in the order of training. Their steps and wholes are pairs.

Imported while Snakemake parses the workflow, so nothing heavy may be imported here.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

Ladders = Mapping[str, Sequence[str]]

#: What joins a step's names to a slug: no slug of a config can contain it.
_JOINT: Final = "~"


def wholes_of(ladders: Ladders) -> dict[str, dict[str, str]]:
    """From the first model of each ladder to its last: a pair by the ladder's name."""
    return {name: {"base": members[0], "aligned": members[-1]} for name, members in ladders.items()}


def steps_of(ladders: Ladders) -> dict[str, dict[str, str]]:
    """The steps of each ladder: pairs from each model to the next."""
    return {
        _JOINT.join((name, base, aligned)): {"base": base, "aligned": aligned}
        for name, members in ladders.items()
        for base, aligned in pairwise(members)
    }


def with_steps(ladders: Ladders) -> dict[str, Sequence[str]]:
    """Those with more than one step: a ladder of two models is a pair and nothing else."""
    return {name: members for name, members in ladders.items() if len(members) > 2}


def shown_pair(slug: str) -> str:
    """A pair's name for people: that of a step says from which model to which."""
    name, *models = slug.split(_JOINT)
    return f"{name}: {' → '.join(models)}" if models else name


def unfit_ladders(config: Mapping[str, Any], suggest: Any) -> Iterator[str]:
    """What is wrong with the ladders of a config, a line each.

    Args:
        config: with `models`, `pairs` and `ladders`.
        suggest: gives the known name that a wrong one may stand for.
    """
    models = config["models"]
    wholes = wholes_of(config["ladders"])
    for name, members in config["ladders"].items():
        whole = wholes[name]
        where = f"ladders.{name}"
        if config["pairs"].get(name, whole) != whole:
            yield f"{where}: the name of another pair as well; choose another"
        unknown = [member for member in members if member not in models]
        for member in unknown:
            yield f"{where}: found {member!r}, which is not under models; {suggest(member, models)}"
        if unknown:
            continue
        seen: list[str] = []
        for member in members:
            for earlier in seen:
                if same_checkpoint(models[earlier], models[member]):
                    yield (
                        f"{where}: {earlier!r} and {member!r} are the same checkpoint; a ladder "
                        "has one for each stage of training"
                    )
            seen.append(member)
        longest = max(len(_JOINT.join((name, *step))) for step in pairwise(members))
        if longest > _LONGEST:
            yield (
                f"{where}: its name and those of two models make {longest} characters, too long "
                f"for the name of a file; allowed: {_LONGEST}"
            )


#: Characters of a step's slug: a file's name may have 255, of which temporary ones take some.
_LONGEST: Final = 200


def same_checkpoint(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the specs of two models name the same files; they may be run differently."""
    keys = ("path", "hub", "revision", "gguf_file", "trust_remote_code", "samples")
    return all(one.get(key) == other.get(key) for key in keys)
