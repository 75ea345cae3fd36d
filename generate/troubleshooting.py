# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the guide of all errors (``docs/docsite/rst/troubleshooting.rst``) from where they are raised.

Each type of ``core/errors.py`` is a section, with what its docstring says and its messages: cause and next step, as
they stand in the code. What a message fills in is shown by its name in angle brackets.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors

ROOT = Path(__file__).parents[1]
CODE = ROOT / "plugins/module_utils"
PAGE = ROOT / "docs/docsite/rst/troubleshooting.rst"
LABEL = "ansible_collections.tableferry.aws.docsite.troubleshooting"
# Where the facts of a docstring come from, which is not part of the repository.
_SOURCE = re.compile(r" \((?:design|aws\.md|found\.md|measured)\b[^)]*\)")

Names = Mapping[str, ast.expr]


@dataclass(frozen=True, order=True)
class Message:
    """A message as it stands in the code. The next step is empty where it depends on what AWS says."""

    cause: str
    next_step: str


def kinds() -> dict[str, type[errors.FerryError]]:
    """The types of errors that users see, by name, in the order of their file."""
    found = {name: kind for name, kind in vars(errors).items() if errors.is_known(name)}
    del found[errors.FerryError.__name__]
    return found


def placeholder(value: ast.expr) -> str:
    """What a message fills in, by its name: ``table.name`` is ``<name>``, ``in_words(WAIT)`` is ``<wait>``."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        given = [each for each in value.args if not isinstance(each, ast.Constant)]
        return placeholder(given[0] if given else value.func.value)
    if isinstance(value, ast.Call) and value.args:
        return placeholder(value.args[0])
    if isinstance(value, ast.Subscript):
        key = value.slice
        named = isinstance(key, ast.Constant) and isinstance(key.value, str)
        return f"<{key.value}>" if isinstance(key, ast.Constant) and named else placeholder(value.value)
    if isinstance(value, ast.GeneratorExp | ast.ListComp):
        return placeholder(value.generators[0].iter)
    name = value.attr if isinstance(value, ast.Attribute) else value.id if isinstance(value, ast.Name) else "..."
    return f"<{name.strip('_').replace('_', ' ').lower()}>"


def text_of(value: ast.expr, names: Names) -> str | None:
    """The text that an expression makes, or None where it is not written where the error is raised.

    ``names`` are the values of variables. Of two alternatives the first one counts.
    """
    if isinstance(value, ast.Constant):
        return value.value if isinstance(value.value, str) else None
    if isinstance(value, ast.Name) and value.id in names:
        return text_of(names[value.id], {name: each for name, each in names.items() if name != value.id})
    if isinstance(value, ast.IfExp):
        return text_of(value.body, names)
    if isinstance(value, ast.BoolOp):
        return next((text for text in (text_of(each, names) for each in value.values) if text), None)
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        both = (text_of(value.left, names), text_of(value.right, names))
        return None if None in both else "".join(filter(None, both))
    if isinstance(value, ast.JoinedStr):
        return "".join(_part(part, names) for part in value.values)
    return None


def _part(part: ast.expr, names: Names) -> str:
    if not isinstance(part, ast.FormattedValue):
        return text_of(part, names) or ""
    text = text_of(part.value, names)
    return placeholder(part.value) if text is None else text


def _assigned(body: Sequence[ast.stmt]) -> dict[str, ast.expr]:
    """The variables that statements set once."""
    found: dict[str, list[ast.expr]] = {}
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                found.setdefault(node.targets[0].id, []).append(node.value)
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def raised(code: str, known: Mapping[str, object]) -> Iterator[tuple[str, Message]]:
    """The errors that a module makes, with the name of their type, where the cause is written there."""
    module = ast.parse(code)
    constants = _assigned([each for each in module.body if isinstance(each, ast.Assign)])
    makers = {name: name for name in known}
    for function in ast.walk(module):
        if isinstance(function, ast.FunctionDef) and (kind := _made_by(function, known)):
            makers[function.name] = kind
    yield from _within(module, constants, makers)


def _made_by(function: ast.FunctionDef, known: Mapping[str, object]) -> str:
    """The type of the error that a function makes of the cause and the next step it is given; empty for another one."""
    given = [each.arg for each in function.args.args][:2]
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Call):
            words = [each.id for each in node.value.args[:2] if isinstance(each, ast.Name)]
            if len(words) == 2 and words == given and _called(node.value) in known:
                return _called(node.value)
    return ""


def _called(call: ast.Call) -> str:
    return str(getattr(call.func, "attr", getattr(call.func, "id", "")))


def _within(node: ast.AST, names: Names, makers: Mapping[str, str]) -> Iterator[tuple[str, Message]]:
    for child in ast.iter_child_nodes(node):
        inside = {**names, **_assigned(child.body)} if isinstance(child, ast.FunctionDef) else names
        if isinstance(child, ast.Call) and len(child.args) >= 2:
            cause, next_step = (re.sub(r"\s+", " ", text_of(each, inside) or "").strip() for each in child.args[:2])
            if cause and _called(child) in makers:
                yield makers[_called(child)], Message(cause, next_step)
        yield from _within(child, inside, makers)


def messages(root: Path = CODE) -> dict[str, list[Message]]:
    """All messages by the type of their error, sorted."""
    known = kinds()
    found: dict[str, set[Message]] = {name: set() for name in known}
    for path in sorted(root.rglob("*.py")):
        for name, message in raised(path.read_text(), known):
            found[name].add(message)
    return {name: sorted(each) for name, each in found.items()}


def escaped(text: str) -> str:
    """Plain text as reStructuredText."""
    return re.sub(r"([\\*`|_])", r"\\\1", text)


def described(kind: type[errors.FerryError]) -> str:
    """What the docstring of a type says to users."""
    words = re.sub(r"\s+", " ", (kind.__doc__ or "").strip())
    return _SOURCE.sub("", words)


INTRODUCTION = f""".. _{LABEL}:

Troubleshooting by error message
================================

.. Written by ``make generate`` from the errors in plugins/module_utils. Correct them there.

A table that fails says which one it is, the cause and the next step. ``ferry_error`` in the output, and the report,
name the type of the error: the headings of this page. Below each are its messages, with what they fill in by its name
in angle brackets; look for the words around it.

Messages name options of modules: :doc:`the page of variables </docs/variables>` says which variable sets which option.
*Refused* means that the table was not touched; *failed* that something went wrong on the way. In both cases the other
tables go on, and the same command run again goes on with this one. Errors of AWS end with the id of the request. With
``ferry_debug_calls: true`` all calls of a run are noted in a file in the folder of the report.

.. contents::
   :local:
   :depth: 1
"""


def page(found: Mapping[str, Sequence[Message]]) -> str:
    """The guide."""
    parts = [INTRODUCTION]
    for name, kind in sorted(kinds().items()):
        status = kind("", "").status
        parts.append(
            f".. _{LABEL}.{name}:\n\n{name}\n{'-' * len(name)}\n\n*{status.capitalize()}.* {described(kind)}\n"
        )
        for message in found[name]:
            next_step = escaped(message.next_step) or "the message says it; it depends on what was found."
            parts.append(f"{escaped(message.cause)}\n   *Next step:* {next_step}\n")
    return "\n".join(parts)


def main() -> None:
    """Bring the guide up to date."""
    PAGE.write_text(page(messages()))


if __name__ == "__main__":
    main()
