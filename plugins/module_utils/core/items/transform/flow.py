# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known of an item's attributes after each step, without an item: which key the destination gets by that.

A step tells what it does to names; the flow follows the key attributes, of the table and of its indexes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from .paths import Path
from .schemas import TableSchemas
from .values import SCALARS, SETS

UNLIMITED = 1 << 62
MIXED = "one of two types"
_NO_KEYS: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Known:
    """What is known of one attribute.

    ``kind`` is its type where it is there, "" for any, MIXED for one of two. ``sure``: every item has it; ``absent``:
    none. ``checked``: a function wrote it, so only the items show what it is. ``keys`` are the source's key attributes
    that it is made of, None where it is made of other attributes too. ``apart`` are those of them that can be told from
    it: other values make another one. ``most`` is how many bytes it has at most, where it is not empty; ``head`` the
    constant text that it begins with, "" for none; ``step`` the last step that wrote it, ``kind_by`` the one by which
    it has its type, ``sure_by`` the one by which it is there or possibly is not.
    """

    kind: str = ""
    sure: bool = False
    absent: bool = False
    checked: bool = False
    keys: frozenset[str] | None = None
    apart: frozenset[str] = _NO_KEYS
    most: int = UNLIMITED
    head: str = ""
    step: int = 0
    kind_by: int = 0
    sure_by: int = 0


UNKNOWN = Known()


def _absent_by(step: int) -> Known:
    return Known(absent=True, keys=_NO_KEYS, step=step, kind_by=step, sure_by=step)


def constant_of(kind: str, head: str = "") -> Known:
    """What is known of a constant, which is ``head`` where it is a text."""
    return Known(kind, sure=True, keys=_NO_KEYS, head=head)


class Flow:
    """The attributes after the steps so far. ``where`` has for each key attribute of the source its name now, None
    where it was dropped; ``doubtful`` those that were renamed and whose name was then written again, with the step that
    did it."""

    def __init__(self, source: TableSchemas, destination_names: Iterable[str] = (), others: Iterable[str] = ()) -> None:
        """``others`` are attributes that are followed too, and are no keys."""
        self.where: dict[str, str | None] = {}
        self.doubtful: dict[str, int] = {}
        self._given = frozenset(destination_names)
        self._known: dict[str, Known] = {}
        self._other = UNKNOWN
        self.step = 0
        self._table = tuple(attribute.name for attribute in source.table.attributes)
        for _index, schema in source:
            for attribute, most in schema.limits:
                self.where[attribute.name] = attribute.name
                before = self._known.get(attribute.name)
                limit = min(most, before.most) if before else most
                self._known[attribute.name] = Known(attribute.type, most=limit)
        for attribute, most in source.table.limits:
            name = frozenset({attribute.name})
            known = self._known[attribute.name]
            self._known[attribute.name] = replace(known, sure=True, keys=name, apart=name, most=min(most, known.most))
        for other in others:
            self.where.setdefault(other, other)

    def of(self, name: str) -> Known:
        """What is known of the attribute."""
        return self._known.get(name, self._other)

    def at(self, path: Path) -> Known:
        """What is known of what stands at ``path``."""
        return self.of(path.name) if path.is_attribute else UNKNOWN

    @property
    def key_names(self) -> set[str]:
        """The names that the table's key attributes have now, and those of the destination's key."""
        return {now for name in self._table if (now := self.where[name]) is not None} | self._given

    # What steps do

    def learn(self, name: str, kind: str) -> None:
        """Each item has the attribute, of this type where it is not ""."""
        known = self.of(name)
        self._known[name] = replace(
            known, sure=True, absent=False, kind=kind if known.kind in ("", MIXED) and kind else known.kind
        )

    def write(self, name: str, known: Known) -> None:
        """The step leaves ``known``, another value than before, under this name."""
        self._leave(name, replace(known, kind_by=self.step, sure_by=self.step))

    def _leave(self, name: str, known: Known) -> None:
        self._known[name] = replace(known, step=self.step)
        if name not in self.where or name in self.where.values():  # a key attribute stands there, and stays one
            return
        if self.where[name] is None:
            self.where[name] = name
        else:
            self.doubtful.setdefault(name, self.step)

    def change(self, path: Path, made: Callable[[Known], Known]) -> None:
        """The step makes another value of what stands at ``path``."""
        known = self.of(path.name)
        if known.absent:
            return
        after = made(known) if path.is_attribute else replace(known, apart=_NO_KEYS, keys=None, head="")
        self._leave(path.name, self._compared(after, known))

    def _compared(self, known: Known, before: Known) -> Known:
        """``known`` of a value that was ``before``: of what is as it was, the step that made it so stays."""
        alike = known.kind == before.kind or {known.kind, before.kind} <= SETS.keys()  # neither is a key's
        kind_by = before.kind_by if alike else self.step
        return replace(known, kind_by=kind_by, sure_by=before.sure_by if known.sure == before.sure else self.step)

    def drop(self, name: str) -> None:
        """No item has the attribute any more."""
        self._known[name] = _absent_by(self.step)
        self.doubtful.pop(name, None)
        for key, now in self.where.items():
            if now == name:
                self.where[key] = None

    def move(self, moves: Iterable[tuple[Path, str]]) -> None:
        """All at once, what stands at each path becomes the attribute of the name."""
        moved = [(path.name if path.is_attribute else "", name, self.at(path)) for path, name in moves]
        followed = {now for now in self.where.values() if now}
        targets = {old: name for old, name, _known in moved if old}
        where = {key: targets.get(now, now) if now else now for key, now in self.where.items()}
        for old in targets:
            self.drop(old)
        self.where = where
        for old, name, moving in moved:
            if moving.absent:
                continue
            known = moving if moving.sure else _either(moving, self.of(name))  # what is missing is not moved
            if old in followed:
                self._known[name] = replace(self._compared(known, moving), step=self.step)
            else:
                self.write(name, known)

    def retain(self, names: Iterable[str]) -> None:
        """Only these are left."""
        left = set(names)
        for name in {*self._known, *(now for now in self.where.values() if now)} - left:
            self.drop(name)
        for name in left:
            self._known.setdefault(name, self._other)
        self._other = _absent_by(self.step)

    def ask(self, name: str, sure: bool) -> None:
        """A function makes of the attribute what it likes; ``sure`` where the items will show that it is there."""
        self.write(name, Known(sure=sure, checked=True))

    def ask_all(self) -> None:
        """A function makes of the item what it likes. Key attributes are taken to stay where they are."""
        self._other = Known(sure=True, checked=True, step=self.step, kind_by=self.step, sure_by=self.step)
        self._known = dict.fromkeys(self._known, self._other)


def _either(one: Known, other: Known) -> Known:
    """What is known of an attribute that is one or the other."""
    if other.absent:
        return one
    differ = one.kind and other.kind and one.kind != other.kind
    kind = MIXED if differ else one.kind if one.kind == other.kind else ""
    return Known(
        kind, sure=one.sure or other.sure, checked=one.checked or other.checked, most=max(one.most, other.most)
    )


def changed(known: Known, kind: str, *, apart: bool = False, most: int = UNLIMITED) -> Known:
    """``known`` after a change to the type ``kind``; ``apart`` where it makes two values of two."""
    kept = known.apart if apart and known.kind in SCALARS else _NO_KEYS
    return replace(known, kind=kind, apart=kept, most=most, head="")
