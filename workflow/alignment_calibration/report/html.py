"""Tables, figures and texts of the report as HTML that needs neither another file nor a script.

So tables cannot be sorted here, but their CSVs beside them can. DataTables (itables 2.9, offline)
was tried: 0.97 MB a page where pages have 6 to 134 kB, and "12.7 [3.2, 18.5]" sorts as text.
"""

from base64 import encodebytes
from pathlib import Path
from typing import Final

import jinja2
from docutils.core import publish_parts
from docutils.writers.html5_polyglot import Writer

from alignment_calibration.files.atomic import write_text
from alignment_calibration.report.tables.table import Bold, Table, visible

_ENVIRONMENT: Final = jinja2.Environment(
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=lambda value: visible(value) if type(value) in (str, Bold) else value,
)
_ENVIRONMENT.tests["bold"] = lambda field: isinstance(field, Bold)

#: A page, in which a table that is wider than the window scrolls by itself.
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{{ title }}</title>
<style>
body { font: 15px/1.45 sans-serif; margin: 1rem 1.5rem; color: #1e293b; }
h1 { font-size: 1.3rem; margin: 0 0 .6rem; }
p, li { max-width: 60rem; margin: .4rem 0; }
summary, .caption { font-weight: bold; margin: 1rem 0 .4rem; }
summary { cursor: pointer; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { background: #e2e8f0; vertical-align: bottom; }
th, td { padding: .2rem .7rem; text-align: left; white-space: nowrap; }
.text { white-space: normal; }
.number { text-align: right; }
figure { margin: 0; }
img { max-width: 100%; }
tbody tr:nth-child(even) { background: #f1f5f9; }
tbody tr:hover { background: #fef3c7; }
</style>
</head>
<body>
{% block body %}{% endblock %}
</body>
</html>
"""

_TABLE: Final = """\
{% extends "page" %}
{% macro rows(section) %}
<div class="wide"><table>
<thead><tr>
{% for field in section.header %}
<th class="{{ kind(section.align[loop.index0]) }}">{{ field }}</th>
{% endfor %}
</tr></thead>
<tbody>
{% for row in section.rows %}
<tr>
{% for field in row %}
<td class="{{ kind(section.align[loop.index0]) }}">
{%- if field is bold %}<b>{{ field }}</b>{% else %}{{ field }}{% endif %}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table></div>
{% endmacro %}
{% block body %}
<h1>{{ title }}</h1>
{% for section in sections[:1] %}
<p class="caption">{{ section.caption }}</p>
{{ rows(section) }}
{% endfor %}
{% for note in notes %}
<p>{{ note }}</p>
{% endfor %}
{% for section in sections[1:] %}
<details><summary>{{ section.caption }}</summary>
{{ rows(section) }}
</details>
{% endfor %}
{% endblock %}
"""

#: Where a PNG says how many pixels wide it is.
_WIDTH: Final = slice(16, 20)

#: Pixels of an image to one of the window: a figure of two columns fits beside Snakemake's menu.
_DENSITY: Final = 1.8

_TEXT: Final = """\
{% extends "page" %}
{% block body %}
<figure>
{% if image %}
<img alt="{{ title }}" width="{{ width }}" src="data:image/png;base64,
{{ image | safe }}">
{% endif %}
<figcaption>
{{ caption | safe }}
</figcaption>
</figure>
{% endblock %}
"""

_ENVIRONMENT.loader = jinja2.DictLoader({"page": _PAGE, "table": _TABLE, "text": _TEXT})


def table_html(table: Table) -> str:
    """A table as a page: its first section open, the others one click away."""
    return _ENVIRONMENT.get_template("table").render(
        title=table.title, notes=table.notes, sections=table.sections, kind=_kind
    )


def write_with_caption(
    output: str | Path, caption: str | Path, image: str | Path | None = None
) -> None:
    """Write a page of a caption, beneath its figure if it has one.

    Args:
        output: file to write.
        caption: file of reStructuredText, as from `write_caption`.
        image: PNG file.
    """
    text = publish_parts(
        Path(caption).read_text(encoding="utf-8"),
        writer=Writer(),
        settings_overrides={"raw_enabled": False, "file_insertion_enabled": False},
    )["body"]
    content = b"" if image is None else Path(image).read_bytes()
    page = _ENVIRONMENT.get_template("text").render(
        title=Path(output).stem,
        # In lines, since docutils refuses long ones.
        image=encodebytes(content).decode(),
        width=round(int.from_bytes(content[_WIDTH]) / _DENSITY),
        caption=text,
    )
    write_text(output, page)


def _kind(align: str) -> str:
    """The class of a column by its alignment (`Section`)."""
    return {"l": "name", "r": "number", "c": "name"}.get(align, "text")
