# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Spark jobs leave in the destination account, removed when no table needs it: jobs of AWS Glue, applications of
EMR Serverless, what was delivered into the bucket, and the role. Only what carries our tag is touched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ...account import Account
from ...aws_errors import NO_ENTITY, NO_GLUE_JOB, NO_RESOURCE
from ...change import Change, NotCarried
from ...errors import AccessDenied
from ...exports.staging import BucketMissing, StagingBucket
from ...statements.caller_policy import InlinePolicy, write_inline
from ...statements.marks import is_marked
from ...statements.policy_documents import Policy
from ...statements.role import tags_of
from ...statements.role_policy import change_of, inline_of
from ...statements.users import Users
from .access import SparkAccess, inline_name, narrowed, uses
from .delivery import folder_of
from .engine import MIGRATION_TAG, NAME
from .glue import job_arn
from .permissions import ROLE

SDK_SERVICES = ("glue", "emr-serverless")  # of the engines that keep something
_AT_REST = ("CREATED", "STOPPED")  # an application that can be deleted; others stop by themselves
_HERE = ("CREATING", "STARTING", "STARTED", "STOPPING", *_AT_REST)


@dataclass(frozen=True)
class RemovalPlan:
    """What goes. ``policy`` is the role's of this Region, None where the role is not ours or has none; ``role``: with
    it the role itself goes. ``left`` is what stays although nobody needs it, with the reason."""

    account: Account = field(repr=False)
    access: SparkAccess
    jobs: tuple[str, ...] = ()
    applications: tuple[str, ...] = ()
    objects: tuple[str, ...] = field(default=(), repr=False)
    policy: InlinePolicy | None = None
    role: bool = False
    changes: tuple[Change, ...] = ()
    left: tuple[NotCarried, ...] = ()


def plan_removal(account: Account, access: SparkAccess, users: Users) -> RemovalPlan:
    """What of it would go if the tables left now; reads only. Raises StagingBucketUnusable, AccessDenied,
    CredentialsError, PolicyNotReadable, ServiceError."""
    counted = uses(account, access)
    jobs = tuple(_jobs(account, access.migration_id))
    applications, busy = _applications(account, access.migration_id)
    objects = tuple(_objects(account, access))
    policy, role = (None, False) if access.given_role else _role(account)
    changes = []
    if (jobs or applications) and not users.needed(counted["jobs"]):
        changes += [Change(f"job {name} of AWS Glue", {}, None, "destructive") for name in jobs]
        changes += [Change(f"application {id_} of EMR Serverless", {}, None, "destructive") for id_ in applications]
    if objects and not users.needed(counted["objects"]):
        there = {"objects": len(objects)}
        changes.append(Change(f"s3://{access.bucket}/{folder_of(account)}", there, None, "destructive"))
    if policy is not None and not users.needed(counted["role"]):
        what = f"role {ROLE}" if role else policy.what
        changes.append(Change(what, {}, None, "destructive"))
    elif policy is not None:
        before = policy.read()
        changes += change_of(policy, before, narrowed(account, before, access.tables, users.needing(counted["role"])))
    left = tuple(
        NotCarried(f"application {id_} of EMR Serverless", "it is in use, and stops 15 minutes after; clean up again")
        for id_ in busy
    )
    return RemovalPlan(account, access, jobs, applications, objects, policy, role, tuple(changes), left)


def apply_removal(plan: RemovalPlan, users: Users) -> tuple[NotCarried, ...]:
    """Carry ``plan`` out. What other tables need stays: ``users`` decide. What stays although nobody needs it. Raises
    what ``plan_removal`` raises."""
    account, counted = plan.account, uses(plan.account, plan.access)
    with users.leave(counted["jobs"], there=bool(plan.jobs or plan.applications)) as nobody_else:
        if nobody_else:
            for name in plan.jobs:
                account.ask("glue", "delete_job", f"deleting the job {name}", JobName=name)
            for id_ in plan.applications:
                doing = f"deleting the application {id_}"
                account.ask("emr-serverless", "delete_application", doing, missing=NO_RESOURCE, applicationId=id_)
    with users.leave(counted["objects"], there=bool(plan.objects)) as nobody_else:
        if nobody_else and plan.objects:
            _bucket(account, plan.access).delete(plan.objects)
    if plan.access.given_role:
        return plan.left
    with users.leave(counted["role"], there=plan.policy is not None) as nobody_else:
        if nobody_else and plan.policy is not None:
            plan.policy.delete()
            if _is_bare(account):
                account.ask("iam", "delete_role", f"deleting the role {ROLE}", missing=NO_ENTITY, RoleName=ROLE)
    return plan.left if nobody_else else (*plan.left, *_narrow(plan, users, counted["role"]))


def _narrow(plan: RemovalPlan, users: Users, counted: str) -> Iterator[NotCarried]:
    """Take the tables that have left out of the role's policy, which others need: what could not be.

    The users are read again with the policy each time: who has begun to use it meanwhile was counted before it wrote
    its tables there, so that they come back should our writing have crossed theirs.
    """
    if plan.policy is None:
        return

    def make(found: Policy, every: bool) -> Policy:
        needing = None if every else users.needing(counted)
        return narrowed(plan.account, found, plan.access.tables, needing) if found else found

    try:
        write_inline(plan.policy, make, "Let the policy be as it is.", plan.account.sleep)
    except AccessDenied as denied:
        yield NotCarried(plan.policy.what, f"it names tables that were cleaned up: {denied.cause}")


def _bucket(account: Account, access: SparkAccess) -> StagingBucket:
    return StagingBucket(account, access.bucket, account.account_id)


def _jobs(account: Account, migration_id: str) -> Iterator[str]:
    """The jobs of the migration. Who may not list them has made none."""
    doing, begin = "listing the jobs of AWS Glue", f"{NAME}-{migration_id}-"
    try:
        names = [job["Name"] for job in account.pages("glue", "get_jobs", "Jobs", doing)]
    except AccessDenied:
        return
    for name in names:
        if name.startswith(begin):
            answer = account.ask(
                "glue",
                "get_tags",
                f"reading the tags of {name}",
                missing=NO_GLUE_JOB,
                ResourceArn=job_arn(account, name),
            )
            if (answer or {}).get("Tags", {}).get(MIGRATION_TAG) == migration_id:
                yield name


def _applications(account: Account, migration_id: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ids of the migration's applications: those that can be deleted, and those in use."""
    doing = "listing the applications of EMR Serverless"
    at_rest: list[str] = []
    busy: list[str] = []
    try:
        listed = list(account.pages("emr-serverless", "list_applications", "applications", doing, states=list(_HERE)))
    except AccessDenied:
        return (), ()
    for each in listed:
        if not each.get("name", "").startswith(f"{NAME}-"):
            continue
        looking = f"reading the tags of the application {each['id']}"
        answer = account.ask("emr-serverless", "list_tags_for_resource", looking, resourceArn=each["arn"])
        if answer.get("tags", {}).get(MIGRATION_TAG) == migration_id:
            (at_rest if each["state"] in _AT_REST else busy).append(each["id"])
    return tuple(at_rest), tuple(busy)


def _objects(account: Account, access: SparkAccess) -> Iterator[str]:
    try:
        yield from (each.key for each in _bucket(account, access).objects(folder_of(account)))
    except BucketMissing:
        return


def _role(account: Account) -> tuple[InlinePolicy | None, bool]:
    """The policy of this Region in our role, and whether nothing else is in the role."""
    doing = f"looking at the role {ROLE}"
    if account.ask("iam", "get_role", doing, missing=NO_ENTITY, RoleName=ROLE) is None:
        return None, False
    if not is_marked(tags_of(account, ROLE)):
        return None, False
    policy = inline_of(account, ROLE, inline_name(account))
    if not policy.read():
        return None, False
    return policy, _is_bare(account, inline_name(account))


def _is_bare(account: Account, besides: str = "") -> bool:
    """Whether no policy is in the role, ``besides`` one: another Region's, or what somebody has added."""
    doing = f"listing the policies of the role {ROLE}"
    inline = account.ask("iam", "list_role_policies", doing, RoleName=ROLE)["PolicyNames"]
    attached = account.ask("iam", "list_attached_role_policies", doing, RoleName=ROLE)["AttachedPolicies"]
    return not set(inline) - {besides} and not attached
