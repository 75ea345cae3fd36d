# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps that leave items or attributes out, or move attributes: nothing of these looks into a value's content."""

from __future__ import annotations

from typing import Any

from ..digest import is_expired
from .conditions import implied, paths_of, read_condition
from .evaluating import evaluated
from .paths import Path, innermost_first, projections
from .step import Context, Run, Step
from .tokens import Misread
from .values import Item, Unfit, opened


def keep_if(options: Any, context: Context) -> Step:
    """Keeps items for which a condition holds."""
    if not isinstance(options, str):
        raise context.refuse(f"a condition is a text, not {options!r}")
    try:
        condition = read_condition(options, context.names, context.literals)
    except Misread as error:
        raise context.misread(options, error) from error
    for path in paths_of(condition):
        context.require_free(path.name, path.text)
    for name, kind in implied(condition).items():
        context.flow.learn(name, kind)
    reads = frozenset(path.name for path in paths_of(condition))
    return Step(context.number, context.kind, evaluated(condition), reads, only_leaves_out=True)


def drop_expired(options: Any, context: Context) -> Step:
    """Leaves out what had expired at the time of the data, as time to live takes it."""
    name = context.attribute(options)
    at = context.definition.at
    if at is None:
        raise context.refuse("the time of the data is not known", name, "Give the time of the export in epoch seconds.")

    def run(item: Item) -> bool:
        value = item.get(name)
        return value is None or not is_expired(opened(value).get("N", ""), at)

    return Step(context.number, context.kind, run, frozenset({name}), only_leaves_out=True)


def drop(options: Any, context: Context) -> Step:
    """Removes what is named."""
    paths = context.paths(options)
    for path in paths:
        if path.is_attribute:
            context.flow.drop(path.name)
        else:
            context.flow.change(path, lambda known: known)
    names = frozenset(path.name for path in paths)
    if all(path.is_attribute for path in paths):
        listed = tuple(names)

        def run(item: Item) -> bool:
            for name in listed:
                item.pop(name, None)
            return True
    else:
        ordered = innermost_first(paths)

        def run(item: Item) -> bool:
            for path in ordered:
                path.removed(item)
            return True

    return Step(context.number, context.kind, run, names, names)


def keep(options: Any, context: Context) -> Step:
    """Keeps what is named, and the key."""
    kept = projections(context.paths(options))
    keys = context.flow.key_names
    whole = {name for name, each in kept.items() if each.whole} | keys
    parts = {name: each for name, each in kept.items() if name not in whole}
    for name in parts:
        context.flow.ask(name, sure=False)
    context.flow.retain({*whole, *parts})

    def run(item: Item) -> bool:
        for name in [name for name in item if name not in whole]:
            value = item.pop(name)
            left = parts[name].of(opened(value)) if name in parts else None
            if left is not None:
                item[name] = left
        return True

    # It writes no key: what it leaves of the names in ``parts`` is a map or a list.
    return Step(context.number, context.kind, run, frozenset(parts), frozenset(parts))


def rename(options: Any, context: Context) -> Step:
    """Moves values as they are, out of maps and lists too, to attributes that are not there."""
    moves = [
        (context.path(path), context.attribute(name)) for path, name in context.mapping(options, "paths and names")
    ]
    context.require_apart([path for path, _name in moves])
    targets = [name for _path, name in moves]
    taken = {path.name for path, _name in moves if path.is_attribute}
    for name in targets:
        if targets.count(name) > 1:
            raise context.refuse("two values would get this name", name)
        known = context.flow.of(name)
        if known.sure and not known.checked and name not in taken:
            raise context.refuse("each item has an attribute of this name", name, "Drop or rename that one before.")
    context.flow.move(moves)
    names = frozenset(path.name for path, _name in moves)
    run = _renamed(next(iter(names)), targets[0]) if len(moves) == 1 and taken else _moved(moves)
    return Step(context.number, context.kind, run, names, names | frozenset(targets))


def _renamed(old: str, new: str) -> Run:
    """For one attribute, the usual case."""

    def run(item: Item) -> bool:
        value = item.pop(old, None)
        if value is not None:
            if new in item:
                raise Unfit(f"the item has {new} already")
            item[new] = value
        return True

    return run


def _moved(moves: list[tuple[Path, str]]) -> Run:
    ordered = innermost_first(path for path, _name in moves)

    def run(item: Item) -> bool:
        values = {path: path.removed(item) for path in ordered}
        for path, name in moves:
            if values[path] is None:
                continue
            if name in item:
                raise Unfit(f"the item has {name} already")
            item[name] = values[path]
        return True

    return run
