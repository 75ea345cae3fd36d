# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The step python: a function of the user's makes of an item what it likes."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..answers import Raw, joined
from ..carried import REPLICATION_PREFIX
from .step import Context, Run, Step
from .values import Item, Unfit, Value, check, check_names, opened

ALL = "all"


def files_needed(steps: Iterable[Any]) -> list[str]:
    """The files of all steps python, by the names that these give them, without looking whether the steps are right."""
    options = [step["python"] for step in steps if isinstance(step, Mapping) and "python" in step]
    functions = (each.get("function") for each in options if isinstance(each, Mapping))
    return sorted({each.rpartition(":")[0] for each in functions if isinstance(each, str) and ":" in each})


def python(options: Any, context: Context) -> Step:
    """Calls a function with the named attributes, or all of them, in DynamoDB's JSON."""
    given = context.options(options, {"function", "attributes"}, {"function", "attributes", "several"})
    several = given.get("several", False)
    if not isinstance(several, bool):
        raise context.refuse(f"true or false is expected, not {several!r}", "several")
    function = _function(given["function"], context)
    if given["attributes"] == ALL:
        context.flow.ask_all()
        whole = context.number == 1
        run = _over_all(function, several, whole)
        return Step(context.number, context.kind, run, frozenset(), None, several, whole=whole)
    attributes = given["attributes"]
    if isinstance(attributes, str) or not isinstance(attributes, Sequence) or not attributes:
        raise context.refuse(f"a list of names is expected, or {ALL}, not {attributes!r}", "attributes")
    names = tuple(dict.fromkeys(context.attribute(each) for each in attributes))
    for name in names:
        context.flow.ask(name, sure=True)
    run = _over_named(function, names, several)
    return Step(context.number, context.kind, run, frozenset(names), frozenset(names), several)


# The function


def _function(named: Any, context: Context) -> Callable[[Item], Any]:
    """The function of ``FILE:NAME``."""
    file, colon, name = str(named).rpartition(":")
    if not (isinstance(named, str) and colon and file and name.isidentifier()):
        raise context.refuse(f"a function is named as FILE:FUNCTION, not {named!r}", "function")
    text = context.definition.files.get(file)
    if text is None:
        raise context.refuse("there is no such file", file, "Correct the file's name, or create it.")
    module = types.ModuleType("transform_functions")
    module.__file__ = file
    module.__dict__["print"] = _print
    try:
        exec(compile(text, file, "exec", dont_inherit=True), module.__dict__)
    except SyntaxError as error:
        place = f"{file}, line {error.lineno}, character {error.offset}"
        raise context.refuse(f"the file is not Python: {error.msg}", place, "Correct the file.") from error
    except (Exception, SystemExit) as error:
        cause = f"the file cannot be run: {type(error).__name__}: {error}"
        raise context.refuse(cause, _line(error, file), "Correct the file.") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise context.refuse(f"the file has no function {name}", file, "Correct the function's name, or define it.")
    return function  # type: ignore[no-any-return]


def _print(*values: object, file: Any = None, **options: Any) -> None:
    """What ``print`` is in the user's file: it writes where it is told to, else nowhere. Items would stand in Ansible's
    output, and in logs of Spark's workers."""
    if file is not None:
        print(*values, file=file, **options)  # pylint: disable=ansible-bad-function


def _line(error: BaseException, file: str) -> str:
    """The last line of the file that ran into the error."""
    line, frame = 0, error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == file:
            line = frame.tb_lineno
        frame = frame.tb_next
    return f"{file}, line {line}" if line else file


def _called(function: Callable[[Item], Any], given: Item) -> Any:
    try:
        return function(given)
    except (Exception, SystemExit) as error:  # whatever it is, the item stays behind, and the report says why
        file = function.__code__.co_filename if isinstance(function, types.FunctionType) else ""
        where = f", {_line(error, file)}" if file else ""
        raise Unfit(f"the function raised {type(error).__name__}{where}") from error


def _own(value: Any) -> Value:
    """The value decoded, for a function that may change it in place: an earlier function's may be of several items."""
    return opened(value if isinstance(value, Raw) else Raw(joined(value)))


# What it returns


def _over_all(function: Callable[[Item], Any], several: bool, whole: bool) -> Run:
    """``whole`` where the items come decoded, as those of a first step."""

    def run(item: Item) -> bool | list[Item]:
        replicated = REPLICATION_PREFIX in "\n".join(item)  # which Carried has taken out otherwise
        result = _called(function, item if whole else {name: _own(value) for name, value in item.items()})
        if result is None:
            return False
        if isinstance(result, dict):
            _check_item(result, replicated)
            if result is not item:
                item.clear()
                item.update(result)
            return True
        parts = _parts(result, several)
        for part in parts:
            _check_item(part, replicated)
        return [dict(part) for part in parts]

    return run


def _over_named(function: Callable[[Item], Any], names: tuple[str, ...], several: bool) -> Run:
    allowed = set(names)

    def run(item: Item) -> bool | list[Item]:
        result = _called(function, {name: _own(item[name]) for name in names if name in item})
        if result is None:
            return False
        parts = [result] if isinstance(result, dict) else _parts(result, several)
        for part in parts:
            if not part.keys() <= allowed:
                raise Unfit("the function returned an attribute that the step does not name")
            _check_item(part, replicated=False)
        for name in names:
            item.pop(name, None)
        if isinstance(result, dict):
            item.update(result)
            return True
        return [{**item, **part} for part in parts]

    return run


def _parts(result: Any, several: bool) -> list[Item]:
    if not isinstance(result, list):
        raise Unfit(f"the function returned {type(result).__name__}, neither attributes nor None")
    if not several:
        raise Unfit("the function returned a list, and the step does not have several: true")
    if not all(isinstance(part, dict) for part in result):
        raise Unfit("the function returned a list of something else than attributes")
    return result


def _check_item(item: Item, replicated: bool) -> None:
    """Raises Unfit unless DynamoDB takes the attributes; ``replicated`` where names of its own are allowed."""
    try:
        names = check_names(item)
    except Unfit as error:
        raise Unfit(f"the function returned what {error}") from error
    try:
        check(item.values())
    except Unfit:
        raise _wrong_value(item) from None
    if REPLICATION_PREFIX in names and not replicated and any(name.startswith(REPLICATION_PREFIX) for name in item):
        raise Unfit(f"the function returned an attribute that begins with {REPLICATION_PREFIX}")


def _wrong_value(item: Item) -> Unfit:
    """The error for the first attribute that DynamoDB does not take."""
    for name, value in item.items():
        try:
            check([value])
        except Unfit as error:
            return Unfit(f"the function returned {name}, which {error}")
    return Unfit("the function returned what DynamoDB does not take")
