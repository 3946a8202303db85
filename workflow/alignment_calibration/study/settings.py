"""The `statistics` of a study, typed: each step takes the part that it reads.

    Settings.of(slice["statistics"])
    Primary.of(slice["statistics"]["primary"])

makes one from the params slice of a rule; the config's schema has checked the values. A key that
the slice lacks is an error of the rule, never a silent default.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self


@dataclass(frozen=True)
class _OfSlice:
    @classmethod
    def of(cls, statistics: Mapping[str, Any]) -> Self:
        """The fields of this class among the keys of `statistics`.

        Raises:
            KeyError: naming the first key that is missing.
        """
        return cls(**{field.name: statistics[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Settings(_OfSlice):
    """What the binned metrics leave open.

    Attributes:
        bins: number of bins.
        tace_threshold: probabilities at or below it are left out of `tace`.
    """

    bins: int
    tace_threshold: float


@dataclass(frozen=True)
class Primary(_OfSlice):
    """The one analysis that answers a study's question; all others are secondary.

    Attributes:
        metric, method: by name; both are measured by the study.
    """

    metric: str
    method: str

    def holds(self, rows: Any) -> Any:
        """Which rows are of the primary analysis.

        Args:
            rows: a frame with columns `metric` and `method`, or one row: a mapping with these keys.

        Returns:
            A series of booleans, or a boolean.
        """
        return (rows["metric"] == self.metric) & (rows["method"] == self.method)


#: What is primary where a config does not say (and the study measures it).
USUAL: Final = Primary(metric="ece", method="choice")


@dataclass(frozen=True)
class Resampling(_OfSlice):
    """Bootstrap resamples of the questions.

    Attributes:
        seed: each task draws its own from it.
        resamples: how many.
        resample: what is drawn: `questions`, `within_groups` (as many of each group), or `groups`.
    """

    seed: int
    resamples: int
    resample: str = "questions"


@dataclass(frozen=True)
class Permuting(_OfSlice):
    """Permutations of the paired test of a change.

    Attributes:
        seed: each task draws its own from it.
        permutations: how many.
    """

    seed: int
    permutations: int
