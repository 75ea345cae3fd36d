# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""EMR on EC2: clusters, and steps that the lab's local Spark does for real. No instance is ever started."""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Mapping
from typing import Any

from lab.errors import AwsError
from lab.messages import AuthorizationRequest
from lab.request_log import StartedJob
from lab.rules import Rule, rule
from lab.services.emr_clusters import (
    ENDED,
    INSTANCES,
    OPEN,
    SERVICE,
    Cluster,
    ClusterLives,
    Step,
)  # fmt: skip
from lab.services.iam import IamService
from lab.services.managed_policies import EMR, LINKED_ROLES, add_linked_role, linked_path
from lab.services.paging import page
from lab.spark import emr_releases
from lab.world import Context, World

ROLES_NEEDED = rule(
    "emr-roles-needed",
    service="emr",
    says="RunJobFlow without JobFlowRole is ValidationException `InstanceProfile is required for creating cluster`, so "
    "it is without ServiceRole; an instance profile that does not exist, has no role or was made some seconds ago is "
    "`Invalid InstanceProfile: ..`",
    fact="rslifka/elasticity#84; aws/aws-cdk#8080; hashicorp/terraform-provider-aws#3027; of the service role the text "
    "is a guess",
    test="test_emr.py::test_a_cluster_needs_its_roles",
)
AUTHORIZED = rule(
    "emr-instance-profile-authorized",
    service="emr",
    says="An instance profile whose role is some seconds old, or does not trust ec2.amazonaws.com, is "
    "AccessDeniedException `Failed to authorize instance profile ..`",
    fact="hashicorp/terraform-provider-aws#3050 (of a new role); of the trust: a guess",
    test="test_emr.py::test_a_new_instance_profile_is_not_known_yet",
)
PASSED = rule(
    "emr-pass-role",
    service="emr",
    says="Who makes a cluster needs iam:PassRole on its service role for elasticmapreduce.amazonaws.com, and on the "
    "role of its instance profile for ec2.amazonaws.com",
    fact="Amazon EMR management guide, Allow users and groups to create and modify roles, and Using managed policies",
    test="test_emr.py::test_the_roles_are_passed",
)
LINKED = rule(
    "emr-linked-role",
    service="emr",
    says="The account's first cluster makes AWSServiceRoleForEMRCleanup: its caller needs iam:CreateServiceLinkedRole "
    "for elasticmapreduce.amazonaws.com",
    fact="Amazon EMR management guide, Using service-linked roles for cleanup",
    test="test_emr.py::test_the_roles_are_passed",
)
TAGGED = rule(
    "emr-tag-on-create",
    service="emr",
    says="A cluster made with tags needs elasticmapreduce:AddTags too",
    fact="Amazon EMR management guide, Example policies for tagging; whether without: none",
    test="test_emr.py::test_tags",
    confirmed=False,
)
INSTANCES_GIVEN = rule(
    "emr-instances-given",
    service="emr",
    says="A cluster has a master: by MasterInstanceType and InstanceCount, InstanceGroups or InstanceFleets, of which "
    "only one kind may be given",
    fact="botocore's service model emr; the text is a guess",
    test="test_emr.py::test_instances",
)
RANGES = rule(
    "emr-ranges",
    service="emr",
    says="IdleTimeout is 60 to 604,800 seconds, StepConcurrencyLevel 1 to 256; a step of a cluster with more than one "
    "at a time has the ActionOnFailure CONTINUE",
    fact="botocore's service model emr; the texts are a guess",
    test="test_emr.py::test_ranges",
)
RELEASES = rule(
    "emr-releases",
    service="emr",
    says="The lab has the releases emr-7.14.0 and emr-spark-8.1.0; another is `The supplied release label is invalid`",
    fact="the lab's own limit; the text is a guess",
    test="test_emr.py::test_ranges",
)
NO_TOKEN = rule(
    "emr-no-token",
    service="emr",
    says="RunJobFlow and AddJobFlowSteps have no token: sent twice they make two clusters, or two steps",
    fact="botocore's service model emr",
    test="test_emr.py::test_there_is_no_token",
)
STEPS_TAKEN = rule(
    "emr-steps-taken",
    service="emr",
    says="Steps are added to a STARTING, BOOTSTRAPPING, RUNNING or WAITING cluster; else ValidationException `A job "
    "flow that is shutting down, terminated, or finished may not be modified`",
    fact="botocore's service model emr; the text is a guess",
    test="test_emr.py::test_which_clusters_take_steps",
)
STEP_COUNT = rule(
    "emr-256-steps",
    service="emr",
    says="A cluster has at most 256 steps that have not ended",
    fact="gchq/sleeper#4434; the text: Yelp/mrjob, tests/mock_boto3/emr.py (botocore's model says 256 in all)",
    test="test_emr.py::test_256_steps",
)
STEP_SIZE = rule(
    "emr-step-characters",
    service="emr",
    says="The strings of a HadoopJarStep have at most 10,240 characters together",
    fact="botocore's service model emr, AddJobFlowSteps; the text is a guess",
    test="test_emr.py::test_10240_characters",
)
RUNTIME_ROLES = rule(
    "emr-runtime-roles",
    service="emr",
    says="A cluster whose security configuration has EnableApplicationScopedIAMRole needs ExecutionRoleArn for each "
    "step; another takes none (that RunJobFlow refuses StepExecutionRoleArn in the same way is a guess)",
    fact="awslabs/amazon-emr-cli#21; Amazon EMR management guide, Runtime roles for Amazon EMR steps",
    test="test_emr.py::test_runtime_roles_are_asked_for_or_refused",
)
STEPS_LISTED = rule(
    "emr-steps-listed",
    service="emr",
    says="ListSteps shows 50 steps a page, newest first unless StepIds (10 at most) or StepStates are given",
    fact="botocore's service model emr",
    test="test_emr.py::test_steps_are_listed",
)
CLUSTERS_LISTED = rule(
    "emr-clusters-listed",
    service="emr",
    says="ListClusters shows 50 clusters a page without their tags, by state and time of creation",
    fact="botocore's service model emr",
    test="test_emr.py::test_clusters_are_listed",
)
UNKNOWN = rule(
    "emr-unknown-ids",
    service="emr",
    says="An unknown cluster is InvalidRequestException `Cluster id '..' is not valid`, a step `Step id '..' is not "
    "valid`; AddJobFlowSteps and TerminateJobFlows say ValidationException `Specified job flow ID does not exist`",
    fact="aws/aws-cli#3099; apache/airflow#17636; raster-foundry/raster-foundry#352; of TerminateJobFlows a guess",
    test="test_emr.py::test_unknown_ids",
)
CANCELLED = rule(
    "emr-steps-cancelled",
    service="emr",
    says="CancelSteps takes pending and running steps (CANCEL_PENDING, then CANCELLED) and says FAILED of others",
    fact="botocore's service model emr; the reason's text is a guess",
    test="test_emr.py::test_steps_are_cancelled",
)
PROTECTED = rule(
    "emr-termination-protection",
    service="emr",
    says="A cluster with TerminationProtected is not terminated by TerminateJobFlows, which takes 10 at most",
    fact="botocore's service model emr; the text is a guess",
    test="test_emr.py::test_a_protected_cluster_is_not_terminated",
)

THROTTLED = rule(
    "emr-rates",
    service="emr",
    says="Each operation has a bucket per account and Region: 10 calls, refilled by 0.5 a second (DescribeCluster by "
    "1), 20 of ListClusters, 5 of those about tags, protection and security configurations; all together 25, refilled "
    "by 5; more is ThrottlingException `Rate exceeded`",
    fact="AWS general reference, Amazon EMR endpoints and quotas, by lists of Service Quotas' defaults; apache/airflow"
    "#34458",
    test="test_emr.py::test_rates",
)

MOST_STEPS, MOST_CHARACTERS, MOST_IDS, PAGE = 256, 10_240, 10, 50
# Calls at once and a second.
_RATES: Mapping[str, tuple[float, float]] = {
    "RunJobFlow": (10, 0.5), "TerminateJobFlows": (10, 0.5), "SetTerminationProtection": (5, 0.2),
    "DescribeCluster": (10, 1), "ListClusters": (20, 0.5), "AddJobFlowSteps": (10, 0.5), "DescribeStep": (10, 0.5),
    "ListSteps": (10, 0.5), "CancelSteps": (10, 0.5), "AddTags": (5, 0.5), "RemoveTags": (5, 0.5),
    "CreateSecurityConfiguration": (5, 0.5), "DescribeSecurityConfiguration": (5, 0.5),
    "DeleteSecurityConfiguration": (5, 0.5),
}  # fmt: skip
_ALL_RATES = (25.0, 5.0)
_LETTERS = string.ascii_uppercase + string.digits
_ON_CLUSTER = frozenset(
    {"DescribeCluster", "AddJobFlowSteps", "DescribeStep", "ListSteps", "CancelSteps", "AddTags", "RemoveTags"}
)
Shape = dict[str, Any]


class EmrService:
    """The service behind the gate."""

    name = "emr"
    locks_itself: frozenset[str] = frozenset()

    def __init__(self, world: World) -> None:
        self._world = world
        self._lives = ClusterLives(world)
        self._clusters: dict[str, Cluster] = {}
        self._security: dict[tuple[str, str, str], tuple[str, float]] = {}
        self._handlers: Mapping[str, Callable[[Context, Shape], Shape]] = {
            "RunJobFlow": self._run,
            "DescribeCluster": self._describe,
            "ListClusters": self._list,
            "TerminateJobFlows": self._terminate,
            "SetTerminationProtection": self._protect,
            "AddJobFlowSteps": self._add_steps,
            "DescribeStep": self._describe_step,
            "ListSteps": self._list_steps,
            "CancelSteps": self._cancel_steps,
            "AddTags": self._tag,
            "RemoveTags": self._untag,
            "CreateSecurityConfiguration": self._create_security,
            "DescribeSecurityConfiguration": self._describe_security,
            "DeleteSecurityConfiguration": self._delete_security,
        }

    # Permission

    def authorization(self, context: Context, operation: str, params: dict[str, Any]) -> list[AuthorizationRequest]:
        """``elasticmapreduce:<operation>`` on the clusters that the request names, and what a new one needs besides."""
        action = f"elasticmapreduce:{operation}"
        if operation in ("TerminateJobFlows", "SetTerminationProtection"):
            return [AuthorizationRequest(action, self._arn(context, each)) for each in params["JobFlowIds"]]
        if operation in _ON_CLUSTER:
            identifier = params.get("ClusterId") or params.get("JobFlowId") or params.get("ResourceId", "")
            role_arn = params.get("ExecutionRoleArn")
            conditions = {"elasticmapreduce:ExecutionRoleArn": role_arn} if role_arn else {}
            return [AuthorizationRequest(action, self._arn(context, identifier), conditions=conditions)]
        needed = [AuthorizationRequest(action, "*")]
        if operation == "RunJobFlow":
            needed += self._for_new_cluster(context, params)
        return needed

    @staticmethod
    def _arn(context: Context, identifier: str) -> str:
        return context.arn(f"cluster/{identifier}", "elasticmapreduce")

    def _for_new_cluster(self, context: Context, params: Shape) -> list[AuthorizationRequest]:
        prefix = f"arn:{self._world.accounts.partition(context.account_id)}:iam::{context.account_id}"
        needed = [AuthorizationRequest("elasticmapreduce:AddTags", "*")] if params.get("Tags") else []
        name, _ = LINKED_ROLES[EMR]
        if not self._has_linked_role(context):
            needed.append(
                AuthorizationRequest(
                    "iam:CreateServiceLinkedRole", f"{prefix}:role{linked_path(EMR)}{name}",
                    conditions={"iam:AWSServiceName": EMR}, refusal=_refused(LINKED),
                )
            )  # fmt: skip
        passed = []
        if service_role := params.get("ServiceRole"):
            known = self._world.identity.roles.get((context.account_id, service_role.rpartition("/")[2]))
            passed.append((known.arn if known is not None else f"{prefix}:role/{service_role}", SERVICE))
        profile = self._world.part(IamService).profile(context.account_id, _profile(params))
        if profile is not None and profile.role is not None:
            passed.append((profile.role.arn, INSTANCES))
        return needed + [
            AuthorizationRequest(
                "iam:PassRole", arn, conditions={"iam:PassedToService": service}, refusal=_refused(PASSED)
            )
            for arn, service in passed
        ]

    def _has_linked_role(self, context: Context) -> bool:
        return (context.account_id, LINKED_ROLES[EMR][0]) in self._world.identity.roles

    def handle(self, context: Context, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Do ``operation``; parameters and answer as boto3's."""
        handler = self._handlers.get(operation)
        if handler is None:
            raise AwsError("InvalidRequestException", f"The lab's EMR has no {operation}.")
        for family, (burst, rate) in (("all", _ALL_RATES), (operation, _RATES[operation])):
            if not self._world.throttles.admits(
                context.account_id, f"emr.{family}.{context.region}", burst=burst, per_second=rate
            ):
                raise THROTTLED.error("ThrottlingException", "Rate exceeded")
        return handler(context, params)

    # Clusters

    def _run(self, context: Context, params: Shape) -> Shape:
        if not params.get("JobFlowRole"):
            raise ROLES_NEEDED.error("ValidationException", "InstanceProfile is required for creating cluster.")
        if not params.get("ServiceRole"):
            raise ROLES_NEEDED.error("ValidationException", "ServiceRole is required for creating cluster.")
        profile = _profile(params)
        role = self._lives.role_of_profile(context.account_id, profile)
        if role is None:
            raise ROLES_NEEDED.error("ValidationException", f"Invalid InstanceProfile: {params['JobFlowRole']}.")
        if not self._lives.can_launch(role):
            raise AUTHORIZED.error("AccessDeniedException", f"Failed to authorize instance profile {profile}")
        self._check_cluster(context, params)
        steps = params.get("Steps", [])
        _check_steps(steps)
        if len(steps) > MOST_STEPS:
            raise STEP_COUNT.error("ValidationException", f"A job flow can have at most {MOST_STEPS} steps.")
        runtime_roles, step_role = self._has_runtime_roles(context, params), params.get("StepExecutionRoleArn", "")
        if step_role and not runtime_roles:
            raise _no_runtime_roles("StepExecutionRoleArn")
        if not self._has_linked_role(context):
            add_linked_role(self._world.identity, context.account_id, EMR)
        identifier = f"j-{self._letters()}"
        cluster = Cluster(
            identifier, context.account_id, context.region, self._arn(context, identifier), params, profile, role,
            self._world.clock.now(), {tag["Key"]: tag.get("Value", "") for tag in params.get("Tags", ())},
            runtime_roles=runtime_roles,
            protected=params["Instances"].get("TerminationProtected", False),
        )  # fmt: skip
        self._clusters[identifier] = cluster
        self._append(context, cluster, steps, step_role, params)
        self._lives.begin(cluster)
        return {"JobFlowId": identifier, "ClusterArn": cluster.arn}

    def _letters(self) -> str:
        return "".join(self._world.random.choices(_LETTERS, k=13))

    def _check_cluster(self, context: Context, params: Shape) -> None:
        label = params.get("ReleaseLabel", "")
        if label not in emr_releases.LABELS:
            raise RELEASES.error(
                "ValidationException",
                f"The supplied release label is invalid: {label}. The lab has {', '.join(emr_releases.LABELS)}.",
            )
        instances = params["Instances"]
        kinds = [kind for kind in ("MasterInstanceType", "InstanceGroups", "InstanceFleets") if instances.get(kind)]
        groups = instances.get("InstanceGroups", ())
        if len(kinds) != 1 or (groups and not any(each["InstanceRole"] == "MASTER" for each in groups)):
            raise INSTANCES_GIVEN.error(
                "ValidationException",
                "A master must be given by one of MasterInstanceType, InstanceGroups and InstanceFleets.",
            )
        level = params.get("StepConcurrencyLevel", 1)
        if not 1 <= level <= MOST_STEPS:
            raise RANGES.error("ValidationException", f"StepConcurrencyLevel must be between 1 and {MOST_STEPS}.")
        idle = (params.get("AutoTerminationPolicy") or {}).get("IdleTimeout", 60)
        if not 60 <= idle <= 604_800:
            raise RANGES.error("ValidationException", "IdleTimeout must be between 60 and 604800 seconds.")
        name = params.get("SecurityConfiguration")
        if name and (context.account_id, context.region, name) not in self._security:
            raise AwsError("ValidationException", f"Security configuration with name '{name}' does not exist.")

    def _has_runtime_roles(self, context: Context, params: Shape) -> bool:
        name = params.get("SecurityConfiguration")
        if not name:
            return False
        content = json.loads(self._security[context.account_id, context.region, name][0])
        iam = content.get("AuthorizationConfiguration", {}).get("IAMConfiguration", {})
        return bool(iam.get("EnableApplicationScopedIAMRole", False))

    def _own(self, context: Context, identifier: str, *, job_flow: bool = False) -> Cluster:
        cluster = self._clusters.get(identifier)
        if cluster is None or cluster.place != (context.account_id, context.region):
            if job_flow:
                raise UNKNOWN.error("ValidationException", "Specified job flow ID does not exist.")
            raise UNKNOWN.error("InvalidRequestException", f"Cluster id '{identifier}' is not valid.")
        return cluster

    def _describe(self, context: Context, params: Shape) -> Shape:
        cluster = self._own(context, params["ClusterId"])
        request, instances = cluster.request, cluster.request["Instances"]
        subnet = {"Ec2SubnetId": instances["Ec2SubnetId"]} if instances.get("Ec2SubnetId") else {}
        shown = _summary(cluster) | {
            "Ec2InstanceAttributes": {"IamInstanceProfile": cluster.profile, **subnet},
            "InstanceCollectionType": "INSTANCE_FLEET" if instances.get("InstanceFleets") else "INSTANCE_GROUP",
            "ReleaseLabel": request["ReleaseLabel"],
            "AutoTerminate": not cluster.keeps_alive,
            "TerminationProtected": cluster.protected,
            "VisibleToAllUsers": True,
            "Applications": request.get("Applications", []),
            "Tags": [{"Key": key, "Value": value} for key, value in cluster.tags.items()],
            "ServiceRole": request["ServiceRole"],
            "Configurations": request.get("Configurations", []),
            "StepConcurrencyLevel": request.get("StepConcurrencyLevel", 1),
        }
        for name in ("LogUri", "SecurityConfiguration"):
            if request.get(name):
                shown[name] = request[name]
        return {"Cluster": shown}

    def _list(self, context: Context, params: Shape) -> Shape:
        states = params.get("ClusterStates")
        shown = [
            _summary(each)
            for each in reversed(self._clusters.values())
            if each.place == (context.account_id, context.region)
            and (not states or each.state in states)
            and params.get("CreatedAfter", each.created_at) <= each.created_at
            and each.created_at <= params.get("CreatedBefore", each.created_at)
        ]
        return _listing("Clusters", shown, params)

    def _terminate(self, context: Context, params: Shape) -> Shape:
        if len(params["JobFlowIds"]) > MOST_IDS:
            raise PROTECTED.error("ValidationException", f"At most {MOST_IDS} job flows can be terminated at once.")
        clusters = [self._own(context, each, job_flow=True) for each in params["JobFlowIds"]]
        if any(each.protected and each.state not in ENDED for each in clusters):
            raise PROTECTED.error(
                "ValidationException", "Could not shut down one or more job flows since they are termination protected."
            )
        for each in clusters:
            self._lives.terminate(each, "USER_REQUEST", "Terminated by user request")
        return {}

    def _protect(self, context: Context, params: Shape) -> Shape:
        for each in params["JobFlowIds"]:
            self._own(context, each, job_flow=True).protected = params["TerminationProtected"]
        return {}

    # Steps

    def _add_steps(self, context: Context, params: Shape) -> Shape:
        cluster = self._own(context, params["JobFlowId"], job_flow=True)
        if cluster.state not in OPEN:
            raise STEPS_TAKEN.error(
                "ValidationException",
                "A job flow that is shutting down, terminated, or finished may not be modified.",
            )
        steps = params["Steps"]
        _check_steps(steps)
        if sum(each.active for each in cluster.steps) + len(steps) > MOST_STEPS:
            raise STEP_COUNT.error(
                "ValidationException",
                "Maximum number of active steps(State = 'Running', 'Pending' or 'Cancel_Pending') for cluster "
                "exceeded.",
            )
        role_arn = params.get("ExecutionRoleArn", "")
        if cluster.runtime_roles and not role_arn:
            raise RUNTIME_ROLES.error(
                "ValidationException",
                "Runtime roles are required for this cluster. Please specify the role using the ExecutionRoleArn "
                "parameter.",
            )
        if role_arn and not cluster.runtime_roles:
            raise _no_runtime_roles("ExecutionRoleArn")
        several = cluster.request.get("StepConcurrencyLevel", 1) > 1
        if several and any(each.get("ActionOnFailure", "CONTINUE") != "CONTINUE" for each in steps):
            raise RANGES.error("ValidationException", "ActionOnFailure must be CONTINUE for concurrent steps.")
        added = self._append(context, cluster, steps, role_arn, params)
        self._lives.go_on(cluster)
        return {"StepIds": [each.id for each in added]}

    def _append(
        self, context: Context, cluster: Cluster, steps: list[Shape], role_arn: str, params: Shape
    ) -> list[Step]:
        now, faults, log = self._world.clock.now(), self._world.faults, self._world.request_log
        added = [
            Step(
                f"s-{self._letters()}", each["Name"], each.get("ActionOnFailure", "CONTINUE"), each["HadoopJarStep"],
                role_arn, now, faults.take("job_failure", f"emr.{context.operation}", params, context.account_id),
            )
            for each in steps
        ]  # fmt: skip
        cluster.steps += added
        for each in added:
            log.add_job(StartedJob(now, "emr", context.account_id, context.region, cluster.arn, each.id))
        return added

    def _own_step(self, cluster: Cluster, identifier: str) -> Step:
        step = next((each for each in cluster.steps if each.id == identifier), None)
        if step is None:
            raise UNKNOWN.error("InvalidRequestException", f"Step id '{identifier}' is not valid.")
        return step

    def _describe_step(self, context: Context, params: Shape) -> Shape:
        step = self._own_step(self._own(context, params["ClusterId"]), params["StepId"])
        return {"Step": _step(step) | ({"ExecutionRoleArn": step.role_arn} if step.role_arn else {})}

    def _list_steps(self, context: Context, params: Shape) -> Shape:
        cluster = self._own(context, params["ClusterId"])
        identifiers, states = params.get("StepIds") or [], params.get("StepStates") or []
        if len(identifiers) > MOST_IDS:
            raise STEPS_LISTED.error("InvalidRequestException", f"At most {MOST_IDS} step ids can be given.")
        steps = [self._own_step(cluster, each) for each in identifiers] or list(cluster.steps)
        if states:
            steps = [each for each in steps if each.state in states]
        elif not identifiers:
            steps.reverse()
        return _listing("Steps", [_step(each) for each in steps], params)

    def _cancel_steps(self, context: Context, params: Shape) -> Shape:
        cluster = self._own(context, params["ClusterId"])
        if len(params["StepIds"]) > MOST_STEPS:
            raise CANCELLED.error("InvalidRequestException", f"At most {MOST_STEPS} steps can be cancelled at once.")
        answers = []
        for step in [self._own_step(cluster, each) for each in params["StepIds"]]:
            if self._lives.cancel(cluster, step):
                answers.append({"StepId": step.id, "Status": "SUBMITTED"})
            else:
                reason = f"Step is {step.state} and cannot be cancelled."
                answers.append({"StepId": step.id, "Status": "FAILED", "Reason": reason})
        return {"CancelStepsInfoList": answers}

    # Tags and security configurations

    def _tag(self, context: Context, params: Shape) -> Shape:
        cluster = self._own(context, params["ResourceId"])
        cluster.tags |= {tag["Key"]: tag.get("Value", "") for tag in params["Tags"]}
        return {}

    def _untag(self, context: Context, params: Shape) -> Shape:
        cluster = self._own(context, params["ResourceId"])
        for key in params["TagKeys"]:
            cluster.tags.pop(key, None)
        return {}

    def _create_security(self, context: Context, params: Shape) -> Shape:
        key = (context.account_id, context.region, params["Name"])
        if key in self._security:
            raise AwsError(
                "InvalidRequestException", f"Security configuration with name '{params['Name']}' already exists."
            )
        try:
            json.loads(params["SecurityConfiguration"])
        except ValueError:
            raise AwsError("InvalidRequestException", "The security configuration is not valid JSON.") from None
        now = self._world.clock.now()
        self._security[key] = (params["SecurityConfiguration"], now)
        return {"Name": params["Name"], "CreationDateTime": now}

    def _own_security(self, context: Context, params: Shape) -> tuple[str, str, str]:
        key = (context.account_id, context.region, params["Name"])
        if key not in self._security:
            raise AwsError(
                "InvalidRequestException", f"Security configuration with name '{params['Name']}' does not exist."
            )
        return key

    def _describe_security(self, context: Context, params: Shape) -> Shape:
        content, created_at = self._security[self._own_security(context, params)]
        return {"Name": params["Name"], "SecurityConfiguration": content, "CreationDateTime": created_at}

    def _delete_security(self, context: Context, params: Shape) -> Shape:
        del self._security[self._own_security(context, params)]
        return {}


def _refused(broken: Rule) -> Callable[[str], AwsError]:
    return lambda message: broken.error("AccessDeniedException", message)


def _profile(params: Shape) -> str:
    """The name of a request's instance profile, which may be given as an ARN."""
    return str(params.get("JobFlowRole", "")).rpartition("/")[2]


def _check_steps(steps: list[Shape]) -> None:
    for each in steps:
        config = each["HadoopJarStep"]
        texts = [config["Jar"], config.get("MainClass", ""), *config.get("Args", ())]
        for pair in config.get("Properties", ()):
            texts += [pair.get("Key", ""), pair.get("Value", "")]
        if sum(map(len, texts)) > MOST_CHARACTERS:
            raise STEP_SIZE.error(
                "ValidationException",
                f"The strings of HadoopJarStep of step {each['Name']} exceed {MOST_CHARACTERS} characters.",
            )


def _times(**moments: float) -> Shape:
    return {name: moment for name, moment in moments.items() if moment}


def _summary(cluster: Cluster) -> Shape:
    reason = {"Code": cluster.code, "Message": cluster.message} if cluster.code else {}
    return {
        "Id": cluster.id,
        "Name": cluster.request["Name"],
        "ClusterArn": cluster.arn,
        "Status": {
            "State": cluster.state,
            "StateChangeReason": reason,
            "Timeline": _times(
                CreationDateTime=cluster.created_at, ReadyDateTime=cluster.ready_at, EndDateTime=cluster.ended_at
            ),
        },
    }


def _step(step: Step) -> Shape:
    config = step.config
    status: Shape = {
        "State": step.state,
        "StateChangeReason": {},
        "Timeline": _times(CreationDateTime=step.created_at, StartDateTime=step.started_at, EndDateTime=step.ended_at),
    }
    if step.state == "FAILED":
        status["FailureDetails"] = {"Reason": "Unknown Error.", "Message": step.reason}
        if step.log:
            status["FailureDetails"]["LogFile"] = step.log
    elif step.reason:
        status["StateChangeReason"] = {"Message": step.reason}
    return {
        "Id": step.id,
        "Name": step.name,
        "Config": {
            "Jar": config["Jar"],
            "Properties": {each["Key"]: each.get("Value", "") for each in config.get("Properties", ())},
            "Args": list(config.get("Args", ())),
            **({"MainClass": config["MainClass"]} if config.get("MainClass") else {}),
        },
        "ActionOnFailure": step.action,
        "Status": status,
    }


def _no_runtime_roles(parameter: str) -> AwsError:
    text = f"Runtime roles are not supported on this cluster. Please remove the {parameter} parameter."
    return RUNTIME_ROLES.error("ValidationException", text)


def _listing(member: str, items: list[Shape], params: Shape) -> Shape:
    shown, token = page(items, PAGE, params.get("Marker"), code="InvalidRequestException")
    return {member: shown, **({"Marker": token} if token else {})}
