"""``python -m tools.api_docs``: write ``docs/api.md`` from the docstrings of ``harness.api``."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

from harness import api

PAGE = Path(__file__).parent.parent / "docs" / "api.md"
HEAD = "<!-- Written by `python -m tools.api_docs` from the docstrings of harness/api.py. -->"


def page() -> str:
    """The text of the page."""
    names = sorted(api.__all__, key=list(vars(api)).index)
    functions = [name for name in names if inspect.isfunction(getattr(api, name))]
    types = [name for name in names if name not in functions]
    parts = [
        HEAD,
        "# The Python interface",
        markdown(inspect.getdoc(api)),
        "`docs/examples/notebook.py` is an example from an evaluation to a comparison, which the tests run.",
        "## Functions",
        *(part for name in functions for part in (f"### {name}", signature(name), documented(name))),
        "## Types and errors",
        "\n".join(f"- `{name}` (`{place(name)}`): {first_sentence(name)}" for name in types),
    ]
    return "\n\n".join(parts) + "\n"


def signature(name: str) -> str:
    """The definition of a function, without its body, as a code block."""
    source = inspect.getsource(api)
    nodes = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    defined = [node for node in nodes if node.name == name][-1]  # after the overloads
    lines = source.splitlines()[defined.lineno - 1 : defined.body[0].lineno - 1]
    return "```py\n" + "\n".join(lines).removeprefix("def ").removesuffix(":") + "\n```"


def documented(name: str) -> str:
    """The docstring of a function as Markdown. Raises ValueError: there is none."""
    text = inspect.getdoc(getattr(api, name))
    if not text:
        raise ValueError(f"harness.api.{name} has no docstring")
    return markdown(text)


def place(name: str) -> str:
    """The file in which a type is defined."""
    module: str = getattr(api, name).__module__
    return module.replace(".", "/") + ".py"


def first_sentence(name: str) -> str:
    """The first line of a type's docstring."""
    return markdown((getattr(api, name).__doc__ or "").strip().partition("\n")[0])


def markdown(docstring: str | None) -> str:
    """A docstring as Markdown: ``literals`` become `literals`, indented blocks become code."""
    blocks = []
    for block in re.split(r"\n\n+", docstring or ""):
        if block.startswith("    "):
            blocks.append(f"```python\n{inspect.cleandoc(block)}\n```")
        else:
            blocks.append(re.sub(r"``(.+?)``", r"`\1`", block).replace("::", ":"))
    return re.sub(r"```\n\n```python\n", "\n", "\n\n".join(blocks))


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
