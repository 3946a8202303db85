"""One look for all figures: sizes, fonts, colours, marks, names, and how a figure is written."""

import itertools
import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.files.atomic import atomic_path
from alignment_calibration.study.vocabulary import METHODS

#: Widths in inches of one column and of the whole text of a two-column paper on A4 (ACL's).
ONE_COLUMN = 3.03
TWO_COLUMNS = 6.30
#: Height in inches that a figure with its caption may take on a page.
PAGE_HEIGHT = 9.0

#: Mean width in inches of a letter of a heading.
_LETTER = 0.058

BASE_COLOUR, ALIGNED_COLOUR = sns.color_palette("colorblind")[0], sns.color_palette("colorblind")[3]
GREY = "0.45"
#: Ten shapes that differ in outline, so that pairs, and methods, can be told apart without colour.
_SHAPES = "osD^vPX<>h"
_METHOD_SHAPES = "os^DvPX<>h"

_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handletextpad": 0.3,
    "legend.columnspacing": 1.2,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.2,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.pad": 2,
    "ytick.major.pad": 2,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,  # text stays text, in fonts that publishers accept
    "axes.unicode_minus": True,
}

_TASKS = {
    "arc_challenge": "ARC-Challenge",
    "arc_easy": "ARC-Easy",
    "hellaswag": "HellaSwag",
    "medmcqa": "MedMCQA",
    "mmlu_humanities": "MMLU Humanities",
    "mmlu_other": "MMLU Other",
    "mmlu_social_sciences": "MMLU Social Sc.",
    "mmlu_stem": "MMLU STEM",
    "piqa": "PIQA",
    "sciq": "SciQ",
}


@contextmanager
def styled() -> Iterator[None]:
    """The settings of all figures, whatever the caller's matplotlib is set to."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def task_name(task: str) -> str:
    """A task's name as the literature writes it, or its slug with spaces."""
    return _TASKS.get(task, task.replace("_", " "))


def metric_name(metric: str) -> str:
    """A metric's name for an axis or a heading."""
    return METRICS[metric].label


def method_name(method: str) -> str:
    """A method's name for an axis or a heading."""
    return method.replace("_", ", ", 1).replace("_", " ")


def length(name: str) -> float:
    """About how many inches a name is long in a heading."""
    return _LETTER * len(name)


def in_lines(name: str, inches: float) -> str:
    """A name in as many lines as it takes not to be longer than some inches, words kept whole."""
    return textwrap.fill(name, max(1, int(inches / _LETTER)), break_long_words=False)


@dataclass(frozen=True)
class Mark:
    """How a pair is drawn: colour and, for print without colour, shape and filling."""

    colour: tuple[float, float, float]
    shape: str
    filled: bool

    @property
    def settings(self) -> dict[str, Any]:
        """Keyword arguments of matplotlib's line drawing functions."""
        face = self.colour if self.filled else "white"
        return {
            "color": self.colour,
            "marker": self.shape,
            "markerfacecolor": face,
            "markeredgecolor": self.colour,
            "markeredgewidth": 0.7,
        }


def pair_marks(pairs: Iterable[str]) -> dict[str, Mark]:
    """A mark for each pair (or task, or ladder), sorted by name; the first twenty differ."""
    return _marks(sorted(set(pairs), key=str.casefold), (0, 1, 2, 3, 4, 9, 5), _SHAPES)


def method_marks() -> dict[str, Mark]:
    """A mark for every method there is, so that a method looks the same in every study."""
    return _marks(METHODS, (0, 2, 3, 1, 4, 9, 5), _METHOD_SHAPES)


def _marks(names: Iterable[str], colours: Sequence[int], shapes: str) -> dict[str, Mark]:
    """Marks whose colours and shapes repeat after some, filled ones first.

    Args:
        colours: places in the palette, without its pink, grey and yellow, which are too light for
            thin lines.
    """
    palette = sns.color_palette("colorblind")
    return {
        name: Mark(
            colour=palette[colours[i % len(colours)]],
            shape=shapes[i % len(shapes)],
            filled=i // len(shapes) % 2 == 0,
        )
        for i, name in enumerate(names)
    }


def pair_legend(figure: Figure, marks: Mapping[str, Mark]) -> None:
    """The key of such marks, beneath the figure, in as many columns as fit its width."""
    handles = [
        Line2D([], [], linestyle="none", label=pair, **mark.settings)
        for pair, mark in marks.items()
    ]
    legend_beneath(figure, handles)


def legend_beneath(figure: Figure, *groups: Sequence[Artist]) -> None:
    """A key beneath the figure, in as many columns as fit its width; a group begins a new one."""
    longest = max(len(str(handle.get_label())) for group in groups for handle in group)
    fitting = max(len(groups), int(figure.get_figwidth() / (0.35 + 0.06 * longest)))
    rows = next(n for n in itertools.count(1) if sum(_columns(groups, n)) <= fitting)
    blank = Line2D([], [], linestyle="none", label=" ")
    cells = [
        handle
        for group, columns in zip(groups, _columns(groups, rows), strict=True)
        for handle in [*group, *[blank] * (columns * rows - len(group))]
    ]
    figure.legend(handles=cells, loc="outside lower center", ncols=sum(_columns(groups, rows)))


def _columns(groups: Iterable[Sequence[Artist]], rows: int) -> list[int]:
    """How many columns of so many rows each group fills."""
    return [math.ceil(len(group) / rows) for group in groups]


def first_shown(line: Iterable[Axes]) -> Axes:
    """The first panel of a line or column that was not left out (made invisible)."""
    return next(axes for axes in line if axes.get_visible())


def say(axes: Axes, message: str) -> None:
    """Put words where a panel has nothing to show."""
    axes.text(
        0.5, 0.5, message, transform=axes.transAxes, ha="center", va="center", color=GREY, wrap=True
    )


def in_words(message: str, width: float = ONE_COLUMN) -> Figure:
    """A figure that says why there is nothing to show."""
    with styled():
        figure = Figure(figsize=(width, 1.0), layout="constrained")
        axes = figure.add_subplot()
        axes.set_axis_off()
        say(axes, message)
        return figure


def write_figure(figure: Figure, pdf: str | Path, png: str | Path) -> None:
    """Write a figure as PDF and as PNG (300 dots per inch); no date, so same data, same bytes."""
    with styled():
        with atomic_path(pdf) as temporary:
            figure.savefig(temporary, format="pdf", metadata={"CreationDate": None})
        figure.set_layout_engine("none")  # laying out is work: the PNG takes the PDF's
        with atomic_path(png) as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": None})
