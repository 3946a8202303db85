"""Pages of the report: HTML that needs neither another file nor a script."""

from typing import Final

import jinja2

from alignment_calibration.report.tables.table import Bold, Table, visible

_ENVIRONMENT: Final = jinja2.Environment(
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=lambda value: visible(value) if type(value) in (str, Bold) else value,
)
_ENVIRONMENT.tests["bold"] = lambda field: isinstance(field, Bold)

#: The head of a page, in which whatever is wider than the window scrolls by itself.
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{{ title }}</title>
<style>
body { font: 15px/1.45 sans-serif; margin: 1rem 1.5rem; color: #1e293b; }
h1 { font-size: 1.3rem; margin: 0 0 .6rem; }
p { max-width: 60rem; margin: .4rem 0; }
summary, .caption { font-weight: bold; margin: 1rem 0 .4rem; }
summary { cursor: pointer; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { background: #e2e8f0; vertical-align: bottom; }
th, td { padding: .2rem .7rem; text-align: left; white-space: nowrap; }
.text { white-space: normal; }
.number { text-align: right; }
tbody tr:nth-child(even) { background: #f1f5f9; }
tbody tr:hover { background: #fef3c7; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
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

_ENVIRONMENT.loader = jinja2.DictLoader({"page": _PAGE, "table": _TABLE})


def table_page(table: Table) -> str:
    """A table as a page: its first section open, the others one click away."""
    return _ENVIRONMENT.get_template("table").render(
        title=table.title, notes=table.notes, sections=table.sections, kind=_kind
    )


def _kind(align: str) -> str:
    """The class of a column by its alignment (`Section`)."""
    return {"l": "name", "r": "number", "c": "name"}.get(align, "text")
