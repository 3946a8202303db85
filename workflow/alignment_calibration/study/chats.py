"""In which form the questions of a study reach a model: as text, or as a chat for its template.

Imported while Snakemake parses the workflow, so nothing heavy may be imported here.
"""

from collections.abc import Mapping
from typing import Any, Final

#: The forms of a chat, by name, and whether worked examples are turns of their own there
#: (lm-eval's `--fewshot_as_multiturn`) or stand with the question in one turn.
CHATS: Final = {"chat": False, "chat_multiturn": True}


def chat_of(spec: Mapping[str, Any]) -> str | None:
    """The name of the chat in which a model is asked; None if it is asked without a template.

    Args:
        spec: of the model, as the config has it.
    """
    if "chat_template" not in spec:
        return None
    multiturn = chat_options(spec).get("fewshot_as_multiturn", False)
    return next(name for name, turns in CHATS.items() if turns == multiturn)


def chat_options(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a model's spec says of its template; nothing where it says `true`, or has none."""
    said = spec.get("chat_template")
    return said if isinstance(said, Mapping) else {}
