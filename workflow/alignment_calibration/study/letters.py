"""The letters prompt: a question with its options listed under letters, which continue it.

Imported while Snakemake parses the workflow, so nothing heavy may be imported here.
"""

from collections.abc import Mapping
from typing import Any, Final

LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

#: Letters prompts after Yang et al. 2024 (arXiv 2308.13111): `block` as in the authors' later
#: library, `line` as in the paper's own code. Jinja over `question`, `options` and `letters`.
TEMPLATES: Final = {
    "block": (
        "Return the label of the correct answer for the question below.\n\n"
        "Question: {{ question }}\nChoices:\n"
        "{% for option in options %}{{ letters[loop.index0] }}) {{ option }}\n{% endfor %}Answer:"
    ),
    "line": (
        "Select one of the choices that answers the following question: {{ question }} Choices:"
        "{% for option in options %} {{ letters[loop.index0] }}. {{ option }}.{% endfor %} Answer:"
    ),
}


def letters_prompt(expressions: Mapping[str, str], template: str) -> dict[str, Any]:
    """The fields of an lm-eval task that put a question with its options listed under letters.

    Args:
        expressions: Jinja expressions over a document: `question`, a text, and `options`, a list.
        template: Jinja text over `question`, `options` and `letters`.
    """
    question, options = expressions["question"], expressions["options"]
    arguments = f"({question}), ({options}), {LETTERS!r}"
    return {
        "doc_to_text": (
            "{% macro letters_prompt(question, options, letters) %}"
            + template
            + "{% endmacro %}{{ letters_prompt("
            + arguments
            + ") }}"
        ),
        "doc_to_choice": f"{{{{ {LETTERS!r}[:({options}) | length] | list }}}}",
        "target_delimiter": " ",
    }
