# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A table whose items steps change on the way: what the user chose, and what the table is then.

choices = choices_of(steps, folders=(playbook_dir,))
shape, left = transformed(definition, choices)
copy_items(source, destination, CopyOptions(transform=definition_for(choices, definition, at)))
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..change import NotCarried
from ..errors import InvalidTransform
from ..items.answers import KeyAttribute
from ..items.private_files import expanded, in_words
from ..items.transform.compiled import Followed, Transform, compiled, followed
from ..items.transform.definition import Definition, invalid
from ..items.transform.functions import files_needed
from ..items.transform.hashing import salts_needed
from ..items.transform.schemas import KeySchema, schemas_of
from .definition import Shape, TableDefinition

TransformErrors = Literal["fail", "skip"]
OnCollision = Literal["refuse", "any"]

_ANY_SALT = b"any"  # where only keys are looked at, which the salt does not change
_SALT_DIGITS = 4  # of a salt's digest: a changed salt is seen, and a guessed one is not confirmed
_KEY_PARTS = ("partition", "sort")
_ENVIRONMENT = "env:"


@dataclass(frozen=True)
class TransformChoices:
    """What the user chose for changing a table's items. JSON-safe, and no secret is in it.

    ``names`` are those behind ``#alias``, ``values`` those behind ``:alias``. ``destination_key`` has ``partition`` and
    ``sort``, each an attribute with its type. ``files`` has for each file with functions, by the name that a step gives
    it, its ``path`` and its ``sha256`` when the run began. ``show_values``: a preview may show what is in items.
    ``without_indexes`` are those that the table is copied without, whose keys items need not have.
    """

    steps: Sequence[Mapping[str, Any]]
    names: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    errors: TransformErrors = "fail"
    on_collision: OnCollision = "refuse"
    destination_key: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    show_values: bool = False
    without_indexes: Sequence[str] = ()


def choices_of(
    steps: Sequence[Mapping[str, Any]],
    *,
    names: Mapping[str, str] | None = None,
    values: Mapping[str, Any] | None = None,
    errors: TransformErrors = "fail",
    on_collision: OnCollision = "refuse",
    destination_key: Mapping[str, Any] | None = None,
    show_values: bool = False,
    folders: Iterable[str] = (),
    without_indexes: Sequence[str] = (),
) -> TransformChoices | None:
    """What the user wrote, with the files as they are now; None without steps.

    A relative file is looked for in ``folders``, one after the other. Raises InvalidTransform, naming the step, for
    files that cannot be read, and for names, values or a key without steps.
    """
    if not steps:
        given = {"transform_names": names, "transform_values": values, "destination_key": destination_key}
        idle = [name for name, value in given.items() if value]
        if idle:
            raise invalid(0, "", f"{idle[0]} is set, and there are no steps", "Give transform, or leave it out.")
        return None
    places = tuple(folders)
    return TransformChoices(
        _plain(steps),
        _plain(names or {}),
        _plain(values or {}),
        errors,
        on_collision,
        _given_key(destination_key or {}),
        {name: _file(name, steps, places) for name in files_needed(steps)},
        show_values,
        list(without_indexes),
    )


def _plain(value: Any) -> Any:
    """``value`` of plain types, which travel to other processes: playbooks have texts and containers of their own."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, str):
        return str(value)
    listed = isinstance(value, Sequence) and not isinstance(value, bytes)
    return [_plain(inner) for inner in value] if listed else value


def choices_from(data: Mapping[str, Any] | None) -> TransformChoices | None:
    """The choices of ``asdict``'s data. Raises TypeError for anything else."""
    return TransformChoices(**data) if data else None


def _given_key(given: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The key ``{partition: {name: type}, sort: {name: type}}``. Raises InvalidTransform for anything else."""
    for part, attribute in given.items():
        if part not in _KEY_PARTS or not isinstance(attribute, Mapping) or len(attribute) != 1:
            raise _no_key()
    if given and "partition" not in given:
        raise _no_key()
    return {part: {str(name): str(kind) for name, kind in given[part].items()} for part in _KEY_PARTS if part in given}


def _no_key() -> InvalidTransform:
    return invalid(
        0,
        "",
        "destination_key is a partition key and possibly a sort key, each one attribute with its type",
        "Write it as {partition: {tenant: S}, sort: {id: N}}.",
        "destination_key",
    )


# Files and salts


def _file(name: str, steps: Iterable[Any], folders: tuple[str, ...]) -> dict[str, str]:
    reason = "there is no such file"
    for place in dict.fromkeys(folders) if folders else ("",):
        try:
            path = expanded(name)
            path = path if path.is_absolute() else Path(place).absolute() / path
            return {"path": str(path), "sha256": _digest(path.read_bytes())}
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            reason = f"the file cannot be read: {in_words(error)}"
            break
    number = next((at for at, step in enumerate(steps, 1) if name in files_needed([step])), 0)
    looked = "" if Path(name).is_absolute() or not folders else f" It was looked for in {', '.join(folders)}."
    raise invalid(number, "python", reason, f"Correct the file's name, or create it.{looked}", name)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _texts(choices: TransformChoices) -> dict[str, str]:
    """The files' texts. Raises InvalidTransform for one that is not as it was when the run began."""
    texts = {}
    for name, file in choices.files.items():
        number = next((at for at, step in enumerate(choices.steps, 1) if name in files_needed([step])), 0)
        try:
            content = Path(file["path"]).read_bytes()
            texts[name] = content.decode()
        except (OSError, UnicodeDecodeError) as error:
            why = in_words(error) if isinstance(error, OSError) else "it is not in UTF-8"
            cause = f"the file cannot be read: {why}"
            raise invalid(number, "python", cause, "Correct the file, then run again.", name) from error
        if _digest(content) != file["sha256"]:
            raise invalid(
                number,
                "python",
                "the file was changed while the run went on",
                "Leave it as it is, then run again: a table has items of one function only.",
                name,
            )
    return texts


def salts_of(choices: TransformChoices) -> dict[str, bytes]:
    """The salts by the names that steps give them; one that is not set is not among them, and its step refused."""
    found = {}
    for name in salts_needed(choices.steps):
        salt = os.environ.get(name.removeprefix(_ENVIRONMENT), "") if name.startswith(_ENVIRONMENT) else ""
        if salt:
            found[name] = salt.encode("utf-8", "surrogateescape")
    return found


# For the data plane


def definition_for(choices: TransformChoices, table: TableDefinition, at: float | None) -> Definition:
    """The definition for the items of the source ``table``.

    ``at`` is the time of the data in epoch seconds, by which items expire. Salts are read from this process's
    environment, files from its disk. Raises InvalidTransform for a file that was changed since the start.
    """
    table = table.without_indexes(choices.without_indexes)
    return _definition(choices, table, at, salts_of(choices), _texts(choices))


def require_transform(choices: TransformChoices, table: TableDefinition) -> Transform:
    """The transform as it will run, compiled. Raises InvalidTransform, naming the step and the table."""
    try:
        return compiled(definition_for(choices, table, 0.0))
    except InvalidTransform as error:
        raise error.for_table(table.name) from error


def may_be_refused(choices: TransformChoices | None, table: TableDefinition) -> bool:
    """Whether all items must be looked at before the copy of ``table`` is made: steps do not keep their keys apart
    provably, and those that get one key are to be refused. Raises as ``require_transform``."""
    refuses = choices is not None and choices.on_collision == "refuse"
    return refuses and choices is not None and not require_transform(choices, table).keys.apart


def _definition(
    choices: TransformChoices,
    table: TableDefinition,
    at: float | None,
    salts: Mapping[str, bytes],
    files: Mapping[str, str],
) -> Definition:
    key = {part: _attributes(choices.destination_key.get(part, {})) for part in _KEY_PARTS}
    return Definition(
        choices.steps,
        schemas_of(table.to_dict()),
        choices.names,
        choices.values,
        at,
        salts,
        files,
        KeySchema(key["partition"], key["sort"]) if choices.destination_key else None,
    )


def _attributes(named: Mapping[str, str]) -> tuple[KeyAttribute, ...]:
    return tuple(KeyAttribute(name, kind) for name, kind in named.items())


def fingerprint(choices: TransformChoices, definition: Definition) -> str:
    """16 hexadecimal digits that tell this transform from others; they say nothing about the salts.

    A salt counts by four digits of a digest: 65,536 salts have the same, so that none can be confirmed. Which items are
    skipped, what becomes of collisions, and where the files are, make no other transform.
    """
    content: dict[str, Any] = {
        "steps": list(choices.steps),
        "names": sorted(choices.names.items()),
        "values": sorted(choices.values.items()),
        "key": sorted(choices.destination_key.items()),
        "files": sorted((name, file["sha256"]) for name, file in choices.files.items()),
    }
    salts = {
        name: hmac.new(salt, b"tableferry transform", hashlib.sha256).hexdigest()[:_SALT_DIGITS]
        for name, salt in definition.salts.items()
    }
    # Without sort_keys: the entries of a step are taken in their order.
    text = json.dumps([content, sorted(salts.items())], default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# The table


def made_shape(
    definition: TableDefinition, transform: TransformChoices | None, without: Collection[str]
) -> TableDefinition:
    """The table to create for the source table ``definition``, without those indexes. Raises what ``transformed``
    does."""
    return transformed(definition, transform)[0].without_indexes(tuple(without))


def transformed(
    definition: TableDefinition, choices: TransformChoices | None
) -> tuple[TableDefinition, tuple[NotCarried, ...]]:
    """The table that the source ``definition`` becomes, and the indexes that it loses, with the reasons.

    Key attributes, indexes and projections follow the steps. Needs no salt, and runs no function. Raises
    InvalidTransform.
    """
    if choices is None:
        return definition, ()
    shaping = _shaping(choices, definition)
    keys = compiled(shaping).keys
    lost = dict(keys.lost)
    names = _other_names(definition)
    others = followed(shaping, names) if names else {}
    vector_indexes = []
    for vector_index in definition.vector_indexes:
        moved, reason = _vector_index(vector_index, others)
        if reason:
            lost[vector_index["IndexName"]] = reason
        else:
            vector_indexes.append(moved)
    schemas = keys.destination
    raw = {
        **definition.raw,
        "KeySchema": _key_schema(schemas.table),
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": kind}
            for name, kind in {
                attribute.name: attribute.type for _index, schema in schemas for attribute in schema.attributes
            }.items()
        ],
        "VectorIndexes": vector_indexes,
    }
    defined = {entry["AttributeName"] for entry in raw["AttributeDefinitions"]}
    for entry in definition.attribute_definitions:  # those that vector indexes use
        now = others.get(entry["AttributeName"])
        if now is not None and now.name in _searched(vector_indexes) and now.name not in defined:
            raw["AttributeDefinitions"].append({**entry, "AttributeName": now.name})
    for member in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        raw[member] = [
            {
                **index,
                "KeySchema": _key_schema(schemas.indexes[index["IndexName"]]),
                "Projection": _projection(
                    index.get("Projection", {}), others, schemas.table, schemas.indexes[index["IndexName"]]
                ),
            }
            for index in definition.raw.get(member) or ()
            if index["IndexName"] in schemas.indexes
        ]
    left = tuple(NotCarried(f"{_kind_of(definition, name)}.{name}", reason) for name, reason in lost.items())
    return TableDefinition.from_dict({name: value for name, value in raw.items() if value != []}), left


def key_heads(choices: TransformChoices | None, table: TableDefinition) -> dict[str, str]:
    """The constant texts that attributes of the destination's key begin with in every item, by their names; of no
    transform none. Needs no salt. Raises InvalidTransform."""
    if choices is None:
        return {}
    return dict(compiled(_shaping(choices, table)).keys.heads)


def time_to_live_after(definition: TableDefinition, choices: TransformChoices, attribute: str) -> tuple[str, str]:
    """The attribute that ``attribute``, the source's time to live, is in the copy; or "" and why there is none."""
    now = followed(_shaping(choices, definition), [attribute])[attribute]
    if not now.name:
        return "", f"a step drops its attribute {attribute}"
    if now.doubtful:
        return "", f"its attribute {attribute} was renamed to {now.name}, and another value has its name now"
    if now.kind not in ("", "N"):
        return "", f"a step makes another type than N of its attribute {attribute}"
    return now.name, ""


def _shaping(choices: TransformChoices, table: TableDefinition) -> Definition:
    """The definition with which only keys can be looked at: any salt, and functions that do nothing."""
    salts = dict.fromkeys(salts_needed(choices.steps), _ANY_SALT)
    functions: dict[str, list[str]] = {}
    for step in choices.steps:
        options = step.get("python") if isinstance(step, Mapping) else None
        named = options.get("function") if isinstance(options, Mapping) else None
        if isinstance(named, str) and files_needed([step]):
            file, _colon, function = named.rpartition(":")
            functions.setdefault(file, []).append(function)
    files = {
        file: "".join(f"def {name}(item):\n    return item\n" for name in names if name.isidentifier())
        for file, names in functions.items()
    }
    return _definition(choices, table, 0.0, salts, files)


def _key_schema(schema: KeySchema) -> list[Shape]:
    parts = (("HASH", schema.partition), ("RANGE", schema.sort))
    return [{"AttributeName": each.name, "KeyType": kind} for kind, attributes in parts for each in attributes]


def _other_names(definition: TableDefinition) -> list[str]:
    """The attributes that are named by projections and by vector indexes."""
    indexes = (*definition.global_secondary_indexes, *definition.local_secondary_indexes)
    names = [name for index in indexes for name in index.projection.get("NonKeyAttributes", ())]
    for index in definition.vector_indexes:
        names += _vector_names(index)
        names += index.get("Projection", {}).get("NonKeyAttributes", ())
    return list(dict.fromkeys(names))


def _projection(projection: Mapping[str, Any], others: Mapping[str, Followed], *keys: KeySchema) -> Shape:
    """The projection with the names that its attributes have now; key attributes are projected anyway."""
    if not projection.get("NonKeyAttributes"):
        return dict(projection)
    in_key = {attribute.name for key in keys for attribute in key.attributes}
    named = dict.fromkeys(others[name].name for name in projection["NonKeyAttributes"])
    left = [name for name in named if name and name not in in_key]
    return {"ProjectionType": "INCLUDE", "NonKeyAttributes": left} if left else {"ProjectionType": "KEYS_ONLY"}


def _vector_names(index: Mapping[str, Any]) -> list[str]:
    return [index["VectorAttribute"]["AttributeName"], *(key["AttributeName"] for key in index.get("SearchSchema", ()))]


def _vector_index(index: Shape, others: Mapping[str, Followed]) -> tuple[Shape, str]:
    """A vector index with the names that its attributes have now, or why it is lost."""
    for name in _vector_names(index):
        if not others[name].name:
            return {}, f"a step drops its attribute {name}"
    moved = {**index, "VectorAttribute": _renamed(index["VectorAttribute"], others)}
    if index.get("SearchSchema"):
        moved["SearchSchema"] = [_renamed(key, others) for key in index["SearchSchema"]]
    if index.get("Projection"):
        moved["Projection"] = _projection(index["Projection"], others)
    return moved, ""


def _renamed(entry: Mapping[str, Any], others: Mapping[str, Followed]) -> Shape:
    return {**entry, "AttributeName": others[entry["AttributeName"]].name}


def _searched(indexes: Iterable[Shape]) -> set[str]:
    """The attributes by which vector indexes are searched."""
    return {key["AttributeName"] for index in indexes for key in index.get("SearchSchema", ())}


def _kind_of(definition: TableDefinition, name: str) -> str:
    """The setting that carries the index ``name``."""
    if any(index.name == name for index in definition.local_secondary_indexes):
        return "local_secondary_indexes"
    if definition.index(name) is None:
        return "vector_indexes"
    return "global_secondary_indexes"
