# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the callers of both sides may do what planned migrations need: IAM is asked, nothing is tried.

IAM evaluates the policies of a user or a role, its boundary and the service control policies
(iam:SimulatePrincipalPolicy). Policies of resources, such as that of the staging bucket, are made by the run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import sdk
from ..account import Account, Side
from ..aws_errors import DENIED, NO_ENTITY, NOT_SIMULATED
from ..errors import FerryError
from ..plan.permitted import Looked, Permitted
from ..statements import ready_policies
from ..statements.ready_policies import Document, Grant
from .method import Method
from .options import MigrationOptions

MOST_TABLES = 3  # of each method, that a caller is asked about: policies name all tables of a run alike
PHASES = ("Prepare", "Move")  # what a migration does; comparisons, repairs and cleaning up are other playbooks
# The condition keys of the policies of docs/permissions: they are given where an action has them.
OF_OURS = frozenset({"iam:awsservicename", "iam:passedtoservice", "iam:policyarn", "kms:viaservice"})
SAMPLE = "tableferry0"  # stands for the asterisk in the name of a resource that does not exist yet
_ANY_KEY = ":key/*"  # keys whose ids nobody knows before the run: what is allowed for other keys says nothing


@dataclass(frozen=True)
class Policies:
    """What callers are to be allowed: for each method a policy of both sides, as ``docs/permissions`` has them, with
    their places; another one where its name has the engine too. ``method_of`` gives a method, or that of its end, by
    name, table and end."""

    documents: Mapping[str, Mapping[str, Document]]
    method_of: Callable[[str, str, str], Method]

    def ways(self, method: str, options: MigrationOptions) -> Iterator[str]:
        """The names of the policies that a table needs: one that ends with the jobs of another method needs what that
        one does."""
        name = f"{method}-{options.spark.engine}"
        yield name if name in self.documents else method
        own = self.method_of(method, options.table, "").kinds.keys()
        kinds = self.method_of(method, options.table, options.spark.end).kinds.keys() - own
        for other in self.documents:
            if "-" not in other and kinds and self.method_of(other, options.table, "").kinds.keys() & kinds:
                yield other


@dataclass
class _Caller:
    """What the caller of one side is to be allowed."""

    side: Side
    account: Account
    prepared: bool = False
    ways: dict[str, None] = field(default_factory=dict)
    methods: dict[str, int] = field(default_factory=dict)
    places: dict[str, list[str]] = field(default_factory=dict)
    tables: dict[str, None] = field(default_factory=dict)  # all of them, of which places has the first

    def add(self, place: str, *values: str) -> None:
        """Add values of a place, each once."""
        kept = self.places.setdefault(place, [])
        kept += [value for value in dict.fromkeys(values) if value not in kept]


@dataclass(frozen=True)
class Moved:
    """A table that is to be moved, by ``method``. ``records`` is the table of the records, "" for the usual one."""

    method: str
    options: MigrationOptions
    source: Account
    destination: Account
    prepared: bool
    records: str = ""


def permissions_of(policies: Policies, tables: Iterable[Moved]) -> tuple[Permitted, ...]:
    """What the callers of ``tables`` lack of ``policies``, each caller asked once."""
    callers: dict[tuple[Side, int], _Caller] = {}
    for table in tables:
        sides: tuple[tuple[Side, Account], ...] = (("source", table.source), ("destination", table.destination))
        for side, account in sides:
            _note(callers.setdefault((side, id(account)), _Caller(side, account)), table, policies)
    return tuple(_permitted(caller, policies) for caller in callers.values())


def _note(caller: _Caller, table: Moved, policies: Policies) -> None:
    """Add what one table needs."""
    options, method = table.options, table.method
    caller.prepared |= table.prepared
    caller.ways |= dict.fromkeys(policies.ways(method, options))
    name = options.table if caller.side == "source" else options.made_table
    caller.tables[name] = None
    caller.methods[method] = caller.methods.get(method, 0) + 1
    if caller.methods[method] > MOST_TABLES:
        return
    for word, account in (("SOURCE", table.source), ("DESTINATION", table.destination)):
        caller.add(word, account.account_id)
        caller.add(f"REGION:{word}", f"{account.region}:{account.account_id}")
    caller.add("REGION", caller.account.region)
    caller.add("TABLE", name)
    caller.add("table/tableferry", f"table/{table.records or 'tableferry'}")
    there = table.destination
    caller.add("BUCKET", options.bucket or f"tableferry-{there.account_id}-{there.region}")
    for word, account, vault in (
        ("SOURCE", table.source, options.backup.vault),
        ("DESTINATION", there, options.backup.destination_vault),
    ):
        place = f"{account.region}:{account.account_id}:backup-vault"
        caller.add(f"REGION:{word}:backup-vault:VAULT", f"{place}:{vault}")
    caller.add("STREAM", *(arn.rpartition("/")[2] for arn in options.kinesis_map.values()))
    own = (options.backup.role if caller.side == "source" else options.backup.restore_role, "AWSBackup-tableferry")
    _add_role(caller, *own)
    if caller.side == "destination":
        _add_role(caller, options.spark.role_arn, "tableferry-spark")


def _add_role(caller: _Caller, given: str, ours: str) -> None:
    caller.add(f"role/{ours}", f"role/{given.rpartition(':role/')[2]}" if given else f"role/{ours}")


def _permitted(caller: _Caller, policies: Policies) -> Permitted:
    account = caller.account
    blank = Permitted(caller.side, account.account_id, account.region, "", tuple(caller.methods), "failed")
    try:
        found = _Asked(account)
        for statement in _needed(caller, policies)["Statement"]:
            looked = found.ask(statement)
            if looked != "simulated":
                return _with(blank, caller=account.principal_arn, looked_at=looked)
    except FerryError:
        return blank
    policies_to_attach, every = _to_attach(found.missing, caller)
    return _with(
        blank,
        caller=account.principal_arn,
        looked_at="simulated",
        missing=tuple(sorted({action for action, _conditions, _resource in found.missing})),
        denied=tuple(sorted(found.denied)),
        unknown=tuple(sorted(found.unknown)) if found.missing else (),
        policies=tuple(policies_to_attach),
        every=every,
    )


def _to_attach(missing: set[Grant], caller: _Caller) -> tuple[list[Document], bool]:
    """The policies that allow what is ``missing`` for all tables of the caller, and whether they allow every table, as
    the names of all do not fit."""
    if not missing:
        return [], False
    asked = "|".join(map(re.escape, caller.places["TABLE"]))
    expression = re.compile(rf"(?<=:table/)(?:{asked})(?=/|$)")
    places = {(action, conditions, expression.sub("TABLE", resource)) for action, conditions, resource in missing}
    whole = ready_policies.document({"Lacking": places})
    made = ready_policies.parts(ready_policies.filled(whole, {"TABLE": list(caller.tables)}))
    if len(made) <= ready_policies.MOST:
        return made, False
    return ready_policies.parts(ready_policies.filled(whole, {"TABLE": "*"})), True


def _with(permitted: Permitted, **members: Any) -> Permitted:
    return Permitted(**{**vars(permitted), **members})


def _needed(caller: _Caller, policies: Policies) -> Document:
    """The policy that the caller needs for its tables, filled in."""
    documents = [policies.documents[way][caller.side] for way in caller.ways if way in policies.documents]
    phases = PHASES if caller.prepared else PHASES[1:]
    whole = ready_policies.together(documents, phases)
    partition = caller.account.partition
    domain = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
    places = {**caller.places, "REGION.amazonaws.com": f"{caller.account.region}.{domain}"}
    filled = ready_policies.filled(whole, places)
    return {
        **filled,
        "Statement": [
            {**each, "Resource": [_of(partition, arn) for arn in ready_policies.listed(each["Resource"])]}
            for each in filled["Statement"]
        ],
    }


def _of(partition: str, arn: str) -> str:
    return arn.replace("arn:aws:", f"arn:{partition}:", 1)


@dataclass
class _Asked:
    """What IAM said of one caller so far."""

    account: Account
    missing: set[Grant] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    def ask(self, statement: Mapping[str, Any]) -> Looked:
        """Ask whether the caller may do what ``statement`` allows. Raises what Account.ask does."""
        conditions: dict[str, str] = {}
        for pairs in statement.get("Condition", {}).values():
            conditions |= pairs
        resources = [arn for arn in statement["Resource"] if not arn.endswith(_ANY_KEY)]
        for named in ([arn for arn in resources if arn != "*"], [arn for arn in resources if arn == "*"]):
            if not named:
                continue
            looked = self._simulate(statement["Action"], named, conditions)
            if looked != "simulated":
                return looked
        return "simulated"

    def _simulate(self, actions: Sequence[str], resources: Sequence[str], conditions: Mapping[str, Any]) -> Looked:
        samples = {arn if arn == "*" else arn.replace("*", SAMPLE): arn for arn in resources}
        request: dict[str, Any] = {
            "PolicySourceArn": self.account.principal_arn,
            "ActionNames": list(actions),
            "ContextEntries": [
                {"ContextKeyName": key, "ContextKeyValues": ready_policies.listed(value), "ContextKeyType": "string"}
                for key, value in conditions.items()
            ],
        }
        if "*" not in samples:
            request["ResourceArns"] = list(samples)
        known = tuple(sorted((key, str(value)) for key, value in conditions.items()))
        while True:
            try:
                answer = self.account.client("iam").simulate_principal_policy(**request)
            except (sdk.ClientError, sdk.BotoCoreError) as error:
                code = sdk.error_code(error)
                if code in DENIED:
                    return "not_allowed"
                if code in NO_ENTITY | NOT_SIMULATED:
                    return "no_principal"
                raise self.account.explain(error, "asking IAM what the caller may") from error
            for result in answer["EvaluationResults"]:
                for resource, decision, keys in _decisions(result):
                    if decision != "allowed":
                        self._lacks(result["EvalActionName"], samples.get(resource, resource), decision, known)
                        self.unknown.update({key.lower() for key in keys} - OF_OURS)
            if not answer.get("IsTruncated"):
                return "simulated"
            request["Marker"] = answer["Marker"]

    def _lacks(self, action: str, resource: str, decision: str, conditions: tuple[tuple[str, str], ...]) -> None:
        self.missing.add((action, conditions, resource))
        if decision == "explicitDeny":
            self.denied.add(action)


def _decisions(result: Mapping[str, Any]) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Of one action each resource, the decision, and the condition keys without a value. An action has one result with
    all its resources in it; earlier it had one for each resource."""
    single = result.get("ResourceSpecificResults")
    if not single:
        yield result.get("EvalResourceName", "*"), result["EvalDecision"], result.get("MissingContextValues", ())
    for each in single or ():
        yield each["EvalResourceName"], each["EvalResourceDecision"], each.get("MissingContextValues", ())
