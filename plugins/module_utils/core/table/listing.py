# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of an account and Region, those of them that a user wants, and what is known of each as plain data."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from ..account import Account
from ..aws_errors import NO_RESOURCE
from ..errors import AccessDenied, CredentialsError, FerryError, InvalidInput, MissingTable, TableUnusable
from .definition import Index, Shape, TableDefinition
from .ownership import read_tags

PAGE = 100  # names in an answer of ListTables (measured/import-export-table)
# Calls per second of one account and Region. DescribeTable was never refused at the rate of one connection, nor was
# ListTagsOfResource (measured/more 10); AWS names 10 a second for the latter (API reference), and others call it too.
DESCRIBE_RATE = 50.0
TAGS_RATE = 10.0
STEP = 100  # tables between two lines of progress

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Wish:
    """Which tables a user wants; what is empty or None asks for nothing.

    Names and values of tags are shell patterns, or regular expressions after a ``~``, which match the whole text.
    A table has to match one of ``include`` and none of ``exclude``, the pattern of each key in ``include_tags`` and of
    none in ``exclude_tags``. Sizes are bytes as DescribeTable counts them, up to 6 hours old (aws.md G).
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    include_tags: Mapping[str, str] = field(default_factory=dict)
    exclude_tags: Mapping[str, str] = field(default_factory=dict)
    min_bytes: int | None = None
    max_bytes: int | None = None
    billing_mode: str = ""

    @property
    def needs_tags(self) -> bool:
        """Whether tags decide."""
        return bool(self.include_tags or self.exclude_tags)

    def check(self) -> None:
        """Raises InvalidInput for a pattern that is no regular expression, and sizes that nothing can have."""
        for pattern in (*self.include, *self.exclude, *self.include_tags.values(), *self.exclude_tags.values()):
            try:
                matches(pattern, "")
            except re.error as error:
                raise InvalidInput(
                    f"The pattern {pattern} is not a regular expression: {error}.",
                    "Correct it, or leave out the ~ to have it taken as a shell pattern.",
                ) from error
        if self.min_bytes is not None and self.max_bytes is not None and self.min_bytes > self.max_bytes:
            raise InvalidInput("min_size is more than max_size: no table has such a size.", "Correct one of them.")

    def takes_name(self, name: str) -> bool:
        """Whether a table of this name is wanted, as far as the name goes."""
        included = not self.include or any(matches(pattern, name) for pattern in self.include)
        return included and not any(matches(pattern, name) for pattern in self.exclude)

    def takes_table(self, definition: TableDefinition) -> bool:
        """Whether its size and billing mode are wanted."""
        return (
            (self.min_bytes is None or definition.size_bytes >= self.min_bytes)
            and (self.max_bytes is None or definition.size_bytes <= self.max_bytes)
            and self.billing_mode in ("", definition.billing_mode)
        )

    def takes_tags(self, tags: Mapping[str, str]) -> bool:
        """Whether these tags are wanted."""
        wanted = all(key in tags and matches(pattern, tags[key]) for key, pattern in self.include_tags.items())
        left_out = any(key in tags and matches(pattern, tags[key]) for key, pattern in self.exclude_tags.items())
        return wanted and not left_out


@dataclass(frozen=True)
class TableListing:
    """The wanted tables of one account and Region: their facts, and what the user should know."""

    tables: tuple[Shape, ...]
    warnings: tuple[str, ...] = ()


class Pace:
    """At most ``rate`` calls per second, evenly. ``sleep`` and ``clock`` are given by the account and by tests."""

    def __init__(
        self, rate: float, sleep: Callable[[float], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._gap, self._sleep, self._clock = 1 / rate, sleep, clock
        self._next = clock()

    def wait(self) -> None:
        """Wait until the next call may go."""
        now = self._clock()
        if self._next > now:
            self._sleep(self._next - now)
        self._next = max(self._next, now) + self._gap


def matches(pattern: str, text: str) -> bool:
    """Whether ``text`` is as ``pattern`` says; case counts. Raises re.error."""
    return bool(re.fullmatch(pattern[1:], text)) if pattern.startswith("~") else fnmatchcase(text, pattern)


def table_names(account: Account) -> Iterator[str]:
    """The names of all tables of the account's Region, page by page. Raises what Account.explain gives."""
    start, doing = "", f"listing the tables of {account.region}"
    while True:
        page = (
            account.ask("dynamodb", "list_tables", doing, Limit=PAGE, ExclusiveStartTableName=start)
            if start
            else account.ask("dynamodb", "list_tables", doing, Limit=PAGE)
        )
        yield from page.get("TableNames", ())
        start = page.get("LastEvaluatedTableName", "")
        if not start:
            return


def list_tables(account: Account, wish: Wish, progress: Progress, *, tags: bool = False) -> TableListing:
    """The tables of the account's Region that ``wish`` takes; with ``tags`` theirs too, or where the wish needs them.

    Tables that are being deleted, or are gone when they are described, are left out. Without the permission for tags
    the tables come without, and a warning says so. Raises AccessDenied where tags decide, CredentialsError also in a
    Region that is not enabled, WrongAccount, ServiceError, and as ``Wish.check``.
    """
    wish.check()
    try:
        everything = list(table_names(account))
    except CredentialsError as error:
        raise off(error, account.region) from error
    names = [name for name in everything if wish.takes_name(name)]
    progress(f"{account.region}: {len(everything)} tables, {len(names)} of them by name")
    reader = _Reader(account, wish, tags or wish.needs_tags)
    tables: list[Shape] = []
    for count, name in enumerate(names, 1):
        facts = reader.read(name)
        if facts is not None:
            tables.append(facts)
        if count % STEP == 0 or count == len(names):
            progress(f"{account.region}: {count} of {len(names)} tables described, {len(tables)} wanted")
    for name in reader.left_out:
        progress(f"{account.region}: {name} is being deleted, or gone, and left out")
    return TableListing(tuple(tables), tuple(reader.warnings))


def off(error: CredentialsError, region: str) -> CredentialsError:
    """``error`` of the first call to a Region: AWS knows no credentials in one that is not enabled for the account."""
    return CredentialsError(
        error.cause,
        f"{error.next_step} If they work in other Regions, {region} is not enabled for the account: enable it, or take"
        " it out of regions.",
        details=error.details,
    )


class _Reader:
    """Reads one table after the other."""

    def __init__(self, account: Account, wish: Wish, tags: bool) -> None:
        self._account, self._wish, self._tags = account, wish, tags
        self._describing = Pace(DESCRIBE_RATE, account.sleep)
        self._tagging = Pace(TAGS_RATE, account.sleep)
        self.warnings: list[str] = []
        self.left_out: list[str] = []

    def read(self, name: str) -> Shape | None:
        """The facts of the table; None where it is not wanted, or gone."""
        self._describing.wait()
        try:
            definition = TableDefinition.read(self._account, name)
        except MissingTable:
            definition = None
        if definition is None or definition.status == "DELETING":
            self.left_out.append(name)
            return None
        if not self._wish.takes_table(definition):
            return None
        if not self._tags:
            return facts_of(definition)
        tags = self._read_tags(definition)
        if tags is None:
            return facts_of(definition) if not self._tags else None
        return facts_of(definition, tags) if self._wish.takes_tags(tags) else None

    def _read_tags(self, definition: TableDefinition) -> dict[str, str] | None:
        """The tags, None where they cannot be read: the table is gone, or we may not, and then never ask again."""
        self._tagging.wait()
        try:
            return read_tags(self._account, definition.arn, table=definition.name)
        except TableUnusable:
            self.left_out.append(definition.name)
        except AccessDenied as denied:
            if self._wish.needs_tags:
                raise AccessDenied(
                    denied.cause,
                    f"{denied.next_step} include_tags and exclude_tags need it: without them no tags are read.",
                    table=definition.name,
                    details=denied.details,
                ) from denied
            self._tags = False
            self.warnings.append(f"The tables of {self._account.region} come without their tags. {denied}")
        except FerryError as error:
            if error.details.get("code") not in NO_RESOURCE:
                raise
            self.left_out.append(definition.name)
        return None


def facts_of(definition: TableDefinition, tags: Mapping[str, str] | None = None) -> Shape:
    """What an inventory shows of a table, as JSON-safe data; without ``tags`` where they were not read."""
    facts: Shape = {
        "name": definition.name,
        "arn": definition.arn,
        "id": definition.table_id,
        "account_id": definition.account_id,
        "region": definition.region,
        "status": definition.status,
        "item_count": definition.item_count,
        "size_bytes": definition.size_bytes,
        "billing_mode": definition.billing_mode,
        "table_class": definition.table_class,
        "key": list(definition.key_attributes),
        "global_indexes": _indexes(definition.global_secondary_indexes),
        "local_indexes": _indexes(definition.local_secondary_indexes),
        "stream": (definition.stream or {}).get("StreamViewType", ""),
        "kms_key_arn": definition.kms_key_arn,
        "deletion_protection": definition.deletion_protection,
        "replicas": [replica.get("RegionName", "") for replica in definition.replicas],
    }
    return facts if tags is None else {**facts, "tags": dict(tags)}


def _indexes(indexes: Iterable[Index]) -> list[str]:
    return [index.name for index in indexes]


def host_names(tables: Sequence[Shape], taken: Iterable[str], *, regions: bool, accounts: bool) -> list[str]:
    """A name for the host of each table: the table's, with ``regions`` its Region after it, with ``accounts`` its
    account too.

    It depends on the settings alone and not on which tables there are, so that ``--limit`` and ``host_vars`` go on to
    mean the same table. A name that is ``taken``, such as localhost, or which begins as an option does, gets
    ``table_`` before it.
    """
    plain = [
        ".".join([table["name"], *([table["region"]] * regions), *([table["account_id"]] * accounts)])
        for table in tables
    ]
    reserved, others = set(taken), set(plain)
    names = []
    for name in plain:
        safe = name
        while safe in reserved or safe.startswith("-") or (safe != name and safe in others):
            safe = f"table_{safe}"
        names.append(safe)
        others.add(safe)
    return names


def without_duplicates(listings: Iterable[TableListing]) -> list[TableListing]:
    """The listings with each table once: two sources may be one account."""
    seen: set[str] = set()
    made = []
    for listing in listings:
        tables = tuple(table for table in listing.tables if table["arn"] not in seen)
        seen |= {table["arn"] for table in tables}
        made.append(replace(listing, tables=tables))
    return made
