# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verb migration_report."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from ...core import sdk
from ...core.account import Account
from ...core.errors import FerryError, ReportNotWritten
from ...core.exports.report_copy import copy_report
from ...core.exports.staging import BucketMissing, StagingBucket
from ...core.items import private_files
from ...core.plan.handed_on import is_packed, unpack
from ...core.record import lease, process
from ...core.report import adoption, text
from ...core.report import folder as folders
from ...core.report.document import Document, WrittenBy, artifact, document, left_out, part_of, runs_of, with_part
from ...core.report.planned import is_plan, with_plan
from ..accounts import Accounts
from ..outcome import explain
from ..spec import SHARED_OPTIONS, Progress, Verb, account_option

PARTS = {"migration": "migrate", "comparison": "verify", "cleanup": "cleanup"}  # and the playbooks that find them out
SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    "tables": {"type": "list", "elements": "dict", "required": True},
    "part": {"type": "str", "choices": list(PARTS), "default": "migration"},
    "lines": {"type": "list", "elements": "str"},
    "others": {"type": "list", "elements": "str", "default": []},
    "earlier_runs": {"type": "list", "elements": "str"},
    "changes": {"type": "list", "elements": "str", "default": []},
    "dir": {"type": "path"},
    "plan": {"type": "str"},
    "iac": {"type": "list", "elements": "str", "choices": list(adoption.WAYS), "default": []},
    "call_logs": {"type": "list", "elements": "str", "default": []},
    "places": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "destination": account_option(),
            "bucket": {"type": "str"},
            "kms_key_arn": {"type": "str", "no_log": False},
        },
    },
    "try_only": {"type": "bool", "default": False},
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Show the rows as one table, or the ``lines`` that others have made of them, then write them; in check mode they
    are only shown. With ``try_only`` only try whether they can be written, and say which runs the report names already:
    what others add is a run's beside this one. Raises ReportNotWritten then.

    Shown first, and what cannot be written or copied is told: it changes nothing in how the tables ended.
    """
    if params["try_only"]:
        return {"changed": False, "lines": [], "runs": _try(params["dir"])}
    rows, lines = params["tables"], params["lines"]
    if lines is None:
        lines = [*params["changes"], *text.overview(rows, check_mode, bool(params["dir"]))]
    for line in lines:
        progress(line)
    found = _found(params)
    iac: dict[str, str] = {}
    result = {"changed": any(row.get("changed") for row in rows), "lines": lines, "report": "", "copies": []}
    if params["dir"] and not check_mode:
        try:
            folder = folders.place(params["dir"])
            with folders.held(folder, lambda: progress(f"Another run writes the report in {folder}: waiting.")):
                former = folders.former(folder)
                found = _found(params, former)
                more = _adopted(params, found)
                files = folders.files_of(found)
                folders.write(folder, {**more, **files})
                folders.remove_stale(folder, found)
                iac = folders.adopted(folder, found)
            lines = [*lines, *_told_of(left_out(former, found), progress)]
            result["report"] = str(folder / (folders.PAGE if folders.PAGE in files else folders.MARKDOWN))
        except OSError as error:
            result["warnings"] = [f"{_not_written(params['dir'], error).cause} It is shown above."]
        said = [result["report"]] if result["report"] else []
        for uri, words in _copied(params, found, iac):
            result["copies"] += [uri] if uri else []
            said.append(words)
        if said:
            progress(f"report: {'; '.join(said)}")
            result["lines"] = [*lines, f"report: {'; '.join(said)}"]
    if logs := ", ".join(dict.fromkeys(params["call_logs"])):
        progress(f"calls: {logs}")
        result["lines"] = [*result["lines"], f"calls: {logs}"]
    handed = artifact(found, result["report"], result["copies"])
    # As set_stats hands it on, without a task of its own.
    stats = {"data": {"tableferry_report": handed}, "per_host": False, "aggregate": False}
    return {**result, "artifact": handed, "ansible_stats": stats}


def _told_of(names: Sequence[str], progress: Progress) -> list[str]:
    """That tables of ``names`` have left the report, which is shown; nothing where there are none."""
    if not names:
        return []
    which = text.first_of(names, text.MOST_NAMES)
    line = f"left the report, as they were not moved and are no longer in the inventory: {which}"
    progress(line)
    return [line]


def _found(params: Mapping[str, Any], former: Mapping[str, Any] | None = None) -> Document:
    part = params["part"]
    by = lease.run_id(process.describe(process.playbook()))
    written = WrittenBy(by, PARTS[part], datetime.now(UTC).isoformat(timespec="seconds"))
    if part == "migration":
        plan = _plan(params["plan"])
        rows = with_plan(params["tables"], plan) if plan else params["tables"]
        return document(rows, written, former, params["others"], params["earlier_runs"])
    return with_part(former, part, params["tables"], written)


def _adopted(params: Mapping[str, Any], found: Document) -> dict[str, str]:
    """The files for infrastructure as code, by their paths in the report's folder; ``found`` tells of them."""
    accounts, files = Accounts(params), dict[str, str]()
    done = set[tuple[str, str]]()
    for place in params["places"] if params["iac"] and params["part"] == "migration" else ():
        if not place["destination"]:
            continue
        try:
            account = accounts.get("destination", place["destination"])
            if (where := (account.account_id, account.region)) in done:
                continue
            done.add(where)
            mine = [entry for entry in found["tables"] if entry["status"] == "migrated" and _of_account(account)(entry)]
            names = list(dict.fromkeys(entry["destination"]["table"] for entry in mine))
            made, told = adoption.adopt(account, adoption.read_tables(account, names), params["iac"])
        except (FerryError, sdk.BotoCoreError, sdk.ClientError) as error:
            made, told = {}, adoption.nothing(f"No files were made for a destination: {_known(error)}")
        files |= made
        if told["ways"] or told["left"]:
            known = [each for each in found["adoption"] if not _same_place(each, told)]
            found["adoption"] = [*known, told]
    return files


def _same_place(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(one["account_id"]) and all(one[name] == other[name] for name in ("account_id", "region"))


def _plan(path: str | None) -> Mapping[str, Any] | None:
    """The plan in the file ``path``, or the one that it is as a packed text; None where there is none that can be read:
    the report is written without it."""
    with suppress(OSError, ValueError, FerryError):
        if path and is_packed(path):
            found = unpack(path)
            return found if is_plan(found) else None
        found = json.loads(private_files.expanded(path).read_text(encoding="utf-8")) if path else None
        return found if is_plan(found) else None
    return None


def _known(error: Exception) -> FerryError:
    return error if isinstance(error, FerryError) else explain(error)


def _copied(params: Mapping[str, Any], found: Document, adopted: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """A copy in the bucket of each destination, of its own tables alone: where it is and what is told of it, "" and why
    there is none."""
    accounts = Accounts(params)
    for place in params["places"]:
        if not place["bucket"] or not place["destination"]:
            continue
        name = place["bucket"]
        try:
            account = accounts.get("destination", place["destination"])
            bucket = StagingBucket(account, name, account.account_id, place.get("kms_key_arn") or "")
            own = part_of(found, _of_account(account))
            here = f"{adoption.FOLDER}/{account.account_id}-{account.region}/"
            more = {name: each for name, each in adopted.items() if name.startswith(here)}
            uri = copy_report(bucket, found["run"], {**folders.files_of(own), **more})
            yield uri, uri
        except BucketMissing:
            yield "", f"it is on this machine only: there is no bucket {name}."
        except (FerryError, sdk.BotoCoreError, sdk.ClientError) as error:
            yield "", f"it is on this machine only. {_known(error)}"


def _of_account(account: Account) -> Callable[[Mapping[str, Any]], bool]:
    where = (account.account_id, account.region)
    return lambda entry: (entry["destination"]["account_id"], entry["destination"]["region"]) == where


def _try(path: str | None) -> list[str]:
    if not path:
        return []
    try:
        folder = folders.place(path)
        folders.require_writable(folder)
        return sorted(runs_of(folders.former(folder)))
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: str, error: OSError) -> ReportNotWritten:
    return ReportNotWritten(
        f"The report cannot be written to the folder {path}: {private_files.in_words(error)}.",
        "Nothing was started. Set dir to a folder that can be written to.",
    )


VERB = Verb("migration_report", SPEC, run, services=("application-autoscaling", "dynamodb", "kms", "s3", "sts"))
