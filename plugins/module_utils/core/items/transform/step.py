# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a step is once it is compiled, and what it is compiled with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..carried import REPLICATION_PREFIX
from .conditions import Literals
from .definition import Definition, invalid
from .flow import Flow
from .paths import Names, Path, whole_path
from .tokens import Misread
from .values import Item, Unfit, Value, opened

# Changes the item in place. False: the item is left out; a list: these items take its place. Raises Unfit.
Run: TypeAlias = "Callable[[Item], bool | list[Item]]"
CORRECT = "Correct the step in transform."


@dataclass(frozen=True)
class Step:
    """A compiled step.

    ``reads`` and ``writes`` are names of attributes, ``writes`` None for all. ``several``: it may make more than one
    item of one. ``only_leaves_out``: it changes nothing of the items that it leaves. ``whole``: it is the
    first step, and takes items with all their values decoded, each of its own.
    """

    number: int
    kind: str
    run: Run
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] | None = frozenset()
    several: bool = False
    only_leaves_out: bool = False
    whole: bool = False


class Context:
    """What the steps share while they are compiled, and which of them it is."""

    def __init__(self, definition: Definition, flow: Flow, values: Mapping[str, Value]) -> None:
        self.definition = definition
        self.flow = flow
        self.names = Names(definition.names)
        self.literals = Literals(values)
        self.number = 0
        self.kind = ""

    def begin(self, number: int, kind: str) -> None:
        """The next step."""
        self.number = self.flow.step = number
        self.kind = kind

    def refuse(self, cause: str, place: str = "", next_step: str = CORRECT) -> Exception:
        """The error for this step."""
        return invalid(self.number, self.kind, cause, next_step, place)

    def misread(self, text: str, error: Misread) -> Exception:
        """The error for a text that cannot be read."""
        return self.refuse(f"{error.cause}, at character {error.at + 1}", f"{text!r}")

    def path(self, text: Any) -> Path:
        """The document path ``text``."""
        if not isinstance(text, str):
            raise self.refuse(f"a path is a text, not {text!r}")
        try:
            path = whole_path(text, self.names)
        except Misread as error:
            raise self.misread(text, error) from error
        self.require_free(path.name, text)
        return path

    def paths(self, texts: Any, apart: bool = False) -> list[Path]:
        """Paths, one or a list; where they must be ``apart``, none of them is a part of another one."""
        listed = [texts] if isinstance(texts, str) else texts
        if not isinstance(listed, Sequence) or not listed:
            raise self.refuse(f"paths are expected, not {texts!r}")
        paths = [self.path(text) for text in listed]
        if apart:
            self.require_apart(paths)
        return paths

    def attribute(self, text: Any) -> str:
        """The attribute's name that ``text`` is: no path into it."""
        path = self.path(text)
        if not path.is_attribute:
            raise self.refuse(
                "a name is expected, not a path",
                str(text),
                "Name an attribute; one with such signs in its name by an alias of transform_names.",
            )
        return path.name

    def mapping(self, options: Any, of: str) -> list[tuple[Any, Any]]:
        """The options of a step that are a mapping with entries."""
        if not isinstance(options, Mapping) or not options:
            raise self.refuse(f"a mapping of {of} is expected, not {options!r}")
        return list(options.items())

    def options(self, given: Any, required: set[str], allowed: set[str]) -> Mapping[str, Any]:
        """Named options of a step."""
        if not isinstance(given, Mapping):
            raise self.refuse(f"options are expected, not {given!r}")
        unknown = sorted(map(str, set(given) - allowed))
        if unknown:
            raise self.refuse(f"there is no option of that name; there are {', '.join(sorted(allowed))}", unknown[0])
        missing = sorted(required - set(given))
        if missing:
            raise self.refuse("the option is missing", missing[0])
        return given

    def require_apart(self, paths: Sequence[Path]) -> None:
        """Refuse paths of which one is a part of another one: then their order would matter."""
        for at, path in enumerate(paths):
            for other in paths[:at]:
                if path.overlaps(other):
                    raise self.refuse(f"it is named twice, by {other} too", str(path), "Name it once, or in two steps.")

    def require_free(self, name: str, text: str) -> None:
        """Refuse the names that DynamoDB keeps for replication."""
        if name.startswith(REPLICATION_PREFIX):
            raise self.refuse(
                f"names that begin with {REPLICATION_PREFIX} are DynamoDB's own",
                text if text == name else f"{text} ({name})",
                "Leave it out: such attributes do not travel.",
            )


def changing(changes: Sequence[tuple[Path, Callable[[Value], Value]]]) -> Run:
    """What changes values that are there, each by its function, which gives the same object where nothing changes."""

    listed = [("" if len(path.parts) > 1 else path.name, path, change) for path, change in changes]

    def run(item: Item) -> bool:
        for name, path, change in listed:
            try:
                if not name:
                    path.change(item, change)
                    continue
                value = item.get(name)
                if value is not None:
                    value = opened(value)
                    made = change(value)
                    if made is not value:
                        item[name] = made
            except Unfit as error:
                raise Unfit(f"{path} {error}") from error
        return True

    return run
