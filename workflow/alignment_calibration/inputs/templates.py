"""Jinja templates within limits; lm-eval's, in a sandbox as well.

A template in a config or a task YAML is data from somewhere: as lm-eval fills it, it could run any
code, never end, or fill the memory.
"""

import contextlib
import resource
import signal
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.defaults import DEFAULT_NAMESPACE
from jinja2.sandbox import SandboxedEnvironment

#: Processor time in seconds, memory in bytes and length of the text that filling a template once
#: may take; prompts take milliseconds and some kilobytes.
SECONDS = 2.0
MEMORY = 1 << 30
CHARACTERS = 1_000_000


class TemplateError(Exception):
    """A template took more than it may, or put nothing where a value should be."""


class _TooSlow(BaseException):
    """Raised by a timer. No Exception: those that come while it computes constants, Jinja drops."""


class _Template(jinja2.Template):
    def render(self, *args: Any, **kwargs: Any) -> str:
        with limits():
            text = super().render(*args, **kwargs)
        if len(text) > CHARACTERS:
            raise TemplateError(f"the text has {len(text)} characters; allowed: {CHARACTERS}")
        return text


class _Sandbox(SandboxedEnvironment):
    template_class = _Template

    def from_string(self, source: Any, *args: Any, **kwargs: Any) -> jinja2.Template:
        with limits():  # Jinja computes constant expressions here
            return super().from_string(source, *args, **kwargs)


def _not_null(value: Any) -> Any:
    """What a template puts into the text: Jinja would write None, word for word."""
    if value is None:
        raise TemplateError("a value is null")
    return value


def prepare_templates() -> None:
    """Make lm-eval fill its templates in a sandbox, within limits, and keep them compiled: lm-eval
    compiles a task's texts anew for every document, which takes most of the time of this step.
    """
    import lm_eval.utils

    env = lm_eval.utils.env
    if isinstance(env, _Sandbox):
        return
    sandbox = _Sandbox(
        loader=env.loader, undefined=env.undefined, keep_trailing_newline=True, finalize=_not_null
    )
    sandbox.filters = env.filters
    sandbox.from_string = lru_cache(maxsize=100)(sandbox.from_string)  # type: ignore
    lm_eval.utils.env = sandbox


#: Names that mean something in a template without a column of that name.
_OF_JINJA = {*DEFAULT_NAMESPACE, "loop", "caller", "varargs", "kwargs", "self", "super"}


def columns_in(text: str) -> set[str]:
    """The columns that a field of a task reads: it is one's name, or a template with names.

    Read off the syntax alone: `jinja2.meta` computes constant expressions, as large as they are.
    """
    if text.isidentifier():
        return {text}
    try:
        names = list(jinja2.Environment().parse(text).find_all(nodes.Name))
    except (jinja2.TemplateError, RecursionError):
        return set()
    made = {name.name for name in names if name.ctx != "load"}
    return {name.name for name in names} - made - _OF_JINJA


def _too_slow(signum: int, frame: Any) -> None:
    raise _TooSlow


@contextlib.contextmanager
def limits() -> Iterator[None]:
    """Limits of processor time and memory of the block, in which a template is compiled or filled.

    The first timer raises an error; the second ends the process, should the first find Python in a
    computation that does not look up.

    Raises:
        TemplateError: after `SECONDS` of processor time.
    """
    signal.signal(signal.SIGPROF, _too_slow)
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_memory_limit(soft), hard))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_VIRTUAL, 6 * SECONDS)
    try:
        yield
    except _TooSlow:
        raise TemplateError(f"it takes more than {SECONDS:g} s") from None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _memory_limit(before: int) -> int:
    """Bytes of data that the process may have: what it has now and `MEMORY`; the limit that it had
    `before` where that is lower, or where nobody (macOS) would keep another one.
    """
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            pages = int(stream.read().split()[5])
    except OSError:
        return before
    limit = pages * resource.getpagesize() + MEMORY
    return limit if before == resource.RLIM_INFINITY else min(limit, before)
