# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An account with tables in memory: just as much of the control plane as settings need, and strict about it."""

from __future__ import annotations

import copy
import json
from types import SimpleNamespace

import pytest
from botocore import xform_name
from botocore.session import Session
from botocore.validate import validate_parameters

from ansible_collections.tableferry.aws.plugins.module_utils.core import sdk
from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec

_SESSION = Session()
_MODELS = {name: _SESSION.get_service_model(name) for name in ("dynamodb", "kms", "application-autoscaling")}
_OPERATIONS = {
    service: {xform_name(name): model.operation_model(name) for name in model.operation_names}
    for service, model in _MODELS.items()
}
ALONE = {"SSESpecification", "TableClass", "DeletionProtectionEnabled", "WarmThroughput", "StreamSpecification"}


def aws_error(code, message=""):
    return sdk.ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


class FakeAccount:
    """Answers like the account ``account_id``. ``errors`` maps an operation to the errors of its next calls."""

    partition = "aws"
    region = "eu-west-1"
    ask = Account.ask
    pages = Account.pages
    explain = Account.explain
    confirm = Account.confirm
    spec = AccountSpec("source", "eu-west-1")

    def __init__(self, side, account_id, table, **state):
        self.side, self.account_id = side, account_id
        self.tables = {table["TableName"]: SimpleNamespace(table=copy.deepcopy(table), busy=0, **self._state(state))}
        self.keys = {}
        self.targets, self.policies, self.actions = {}, {}, {}
        self.calls, self.errors = [], {}

    @staticmethod
    def _state(state):
        empty = {"tags": {}, "ttl": None, "pitr": None, "insights": {}, "kinesis": [], "policy": None}
        empty |= {"stream_tags": {}, "stream_policy": None}
        return copy.deepcopy({**empty, **state})

    def table_arn(self, name):
        return f"arn:aws:dynamodb:{self.region}:{self.account_id}:table/{name}"

    def client(self, service, region=None, *, retries=8):
        return _Client(self, service)

    def count(self, operation):
        return sum(1 for name, _ in self.calls if name == operation)

    # -- DynamoDB ----------------------------------------------------------------------------------------------------

    def _of(self, name):
        name = name.rpartition("/")[2]
        if name not in self.tables:
            raise aws_error("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")
        return self.tables[name]

    def describe_table(self, TableName):
        found = self._of(TableName)
        found.busy = max(found.busy - 1, 0)
        table = copy.deepcopy(found.table)
        table["TableStatus"] = "UPDATING" if found.busy else "ACTIVE"
        return {"Table": table}

    def update_table(self, TableName, **members):
        found = self._of(TableName)
        if found.busy:
            raise aws_error("ResourceInUseException", f"Table: {TableName} is in the process of being updated.")
        if len(members) > 1 and ALONE & set(members):
            raise aws_error("ValidationException", "must be the only operation in the request")
        if "OnDemandThroughput" in members and set(members) - {"OnDemandThroughput", "BillingMode"}:
            raise aws_error("ValidationException", "OnDemandThroughput can only be combined with BillingMode")
        for member, value in members.items():
            getattr(self, f"_set_{member}")(found.table, value)
        found.busy = 2
        return {"TableDescription": {}}

    def _set_AttributeDefinitions(self, table, value):
        known = {entry["AttributeName"] for entry in table["AttributeDefinitions"]}
        table["AttributeDefinitions"] += [entry for entry in value if entry["AttributeName"] not in known]

    def _set_BillingMode(self, table, value):
        table["BillingModeSummary"] = {"BillingMode": value}
        if value == "PAY_PER_REQUEST":
            zero = {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0}
            for part in (table, *table.get("GlobalSecondaryIndexes", [])):
                part["ProvisionedThroughput"] = zero

    def _set_ProvisionedThroughput(self, table, value):
        if table.get("ProvisionedThroughput") == value:
            raise aws_error("ValidationException", "The provisioned throughput for the table will not change.")
        table["ProvisionedThroughput"] = value

    def _set_OnDemandThroughput(self, table, value):
        table.setdefault("OnDemandThroughput", {}).update(value)

    def _set_WarmThroughput(self, table, value):
        table.setdefault("WarmThroughput", {}).update(value)

    def _set_TableClass(self, table, value):
        table["TableClassSummary"] = {"TableClass": value}

    def _set_DeletionProtectionEnabled(self, table, value):
        table["DeletionProtectionEnabled"] = value

    def _set_StreamSpecification(self, table, value):
        if table.get("StreamSpecification"):
            raise aws_error("ValidationException", "Table already has an enabled stream")
        table["StreamSpecification"] = value
        table["LatestStreamArn"] = table["TableArn"] + "/stream/new"

    def _set_SSESpecification(self, table, value):
        arn = value.get("KMSMasterKeyId", f"arn:aws:kms:{self.region}:{self.account_id}:key/aws")
        table["SSEDescription"] = {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": arn}

    def _set_GlobalSecondaryIndexUpdates(self, table, updates):
        indexes = table.setdefault("GlobalSecondaryIndexes", [])
        if sum("Create" in update for update in updates) > 1:
            raise aws_error("LimitExceededException", "Subscriber limit exceeded: Only 1 online index can be created")
        for update in updates:
            if "Create" in update:
                indexes.append({**update["Create"], "IndexStatus": "ACTIVE"})
                continue
            (action,) = update.values()
            (index,) = [entry for entry in indexes if entry["IndexName"] == action["IndexName"]]
            index.update({name: value for name, value in action.items() if name != "IndexName"})

    def _tags_of(self, arn):
        table = self._of(arn.partition("/stream/")[0])
        if "/stream/" not in arn:
            return table.tags
        if arn != table.table["LatestStreamArn"]:
            raise aws_error("ResourceNotFoundException", f"ResourceArn: {arn} not found")
        return table.stream_tags

    def list_tags_of_resource(self, ResourceArn, NextToken=None):
        tags = [{"Key": key, "Value": value} for key, value in sorted(self._tags_of(ResourceArn).items())]
        start = int(NextToken or 0)
        more = {"NextToken": str(start + 10)} if len(tags) > start + 10 else {}
        return {"Tags": tags[start : start + 10], **more}

    def tag_resource(self, ResourceArn, Tags):
        self._tags_of(ResourceArn).update({tag["Key"]: tag["Value"] for tag in Tags})
        return {}

    def describe_continuous_backups(self, TableName):
        days = self._of(TableName).pitr
        on = {"PointInTimeRecoveryStatus": "ENABLED", "RecoveryPeriodInDays": days}
        recovery = on if days else {"PointInTimeRecoveryStatus": "DISABLED"}
        return {
            "ContinuousBackupsDescription": {
                "ContinuousBackupsStatus": "ENABLED",
                "PointInTimeRecoveryDescription": recovery,
            }
        }

    def update_continuous_backups(self, TableName, PointInTimeRecoverySpecification):
        self._of(TableName).pitr = PointInTimeRecoverySpecification["RecoveryPeriodInDays"]
        return {}

    def describe_time_to_live(self, TableName):
        attribute = self._of(TableName).ttl
        on = {"TimeToLiveStatus": "ENABLED", "AttributeName": attribute}
        return {"TimeToLiveDescription": on if attribute else {"TimeToLiveStatus": "DISABLED"}}

    def update_time_to_live(self, TableName, TimeToLiveSpecification):
        if self._of(TableName).ttl:
            raise aws_error("ValidationException", "TimeToLive is already enabled")
        self._of(TableName).ttl = TimeToLiveSpecification["AttributeName"]
        return {}

    def list_contributor_insights(self, TableName, NextToken=None):
        if NextToken is None:
            return {"ContributorInsightsSummaries": [], "NextToken": "on"}
        return {
            "ContributorInsightsSummaries": [
                {"ContributorInsightsStatus": "ENABLED", "ContributorInsightsMode": mode}
                | ({"IndexName": index} if index else {})
                for index, mode in self._of(TableName).insights.items()
            ]
        }

    def update_contributor_insights(self, TableName, ContributorInsightsAction, ContributorInsightsMode, IndexName=""):
        self._of(TableName).insights[IndexName] = ContributorInsightsMode
        return {}

    def describe_contributor_insights(self, TableName, IndexName=""):
        return {"ContributorInsightsStatus": "ENABLED" if IndexName in self._of(TableName).insights else "DISABLED"}

    def describe_kinesis_streaming_destination(self, TableName):
        return {"KinesisDataStreamDestinations": copy.deepcopy(self._of(TableName).kinesis)}

    def enable_kinesis_streaming_destination(self, TableName, StreamArn, EnableKinesisStreamingConfiguration):
        good = StreamArn.endswith("stream/good")
        self._of(TableName).kinesis = [
            {"StreamArn": StreamArn, "DestinationStatus": "ACTIVE", **EnableKinesisStreamingConfiguration}
            if good
            else {
                "StreamArn": StreamArn,
                "DestinationStatus": "ENABLE_FAILED",
                "DestinationStatusDescription": "no way",
            }
        ]
        return {}

    def get_resource_policy(self, ResourceArn):
        table = self._of(ResourceArn.partition("/stream/")[0])
        policy = table.stream_policy if "/stream/" in ResourceArn else table.policy
        if not policy:
            raise aws_error("PolicyNotFoundException", "Resource-based policy not found")
        return {"Policy": json.dumps(policy), "RevisionId": "1"}

    def put_resource_policy(self, ResourceArn, Policy):
        table = self._of(ResourceArn.partition("/stream/")[0])
        setattr(table, "stream_policy" if "/stream/" in ResourceArn else "policy", json.loads(Policy))
        return {"RevisionId": "1"}

    # -- KMS and Application Auto Scaling ----------------------------------------------------------------------------

    def describe_key(self, KeyId):
        if KeyId not in self.keys:
            raise aws_error("NotFoundException", f"{KeyId} does not exist")
        return {"KeyMetadata": {"KeyId": "x", "Arn": self.keys[KeyId][0], "KeyManager": self.keys[KeyId][1]}}

    def describe_scalable_targets(self, ServiceNamespace, ResourceIds):
        return {"ScalableTargets": [entry for (resource, _), entry in self.targets.items() if resource in ResourceIds]}

    def describe_scaling_policies(self, ServiceNamespace, ResourceId):
        return {"ScalingPolicies": [entry for entry in self.policies.values() if entry["ResourceId"] == ResourceId]}

    def describe_scheduled_actions(self, ServiceNamespace, ResourceId):
        return {"ScheduledActions": [entry for entry in self.actions.values() if entry["ResourceId"] == ResourceId]}

    def register_scalable_target(self, **request):
        self.targets[request["ResourceId"], request["ScalableDimension"]] = request
        return {}

    def put_scaling_policy(self, **request):
        if (request["ResourceId"], request["ScalableDimension"]) not in self.targets:
            raise aws_error("ObjectNotFoundException", "No scalable target registered")
        self.policies[request["ResourceId"], request["ScalableDimension"], request["PolicyName"]] = request
        return {}

    def put_scheduled_action(self, **request):
        self.actions[request["ResourceId"], request["ScalableDimension"], request["ScheduledActionName"]] = request
        return {}


class _Client:
    def __init__(self, account, service):
        self._account, self._service = account, service
        self.meta = SimpleNamespace(service_model=_MODELS[service])

    def __getattr__(self, operation):
        model = _OPERATIONS[self._service][operation]

        def call(**parameters):
            validate_parameters(parameters, model.input_shape)
            self._account.calls.append((operation, parameters))
            if self._account.errors.get(operation):
                raise self._account.errors[operation].pop(0)
            return getattr(self._account, operation)(**parameters)

        return call


@pytest.fixture
def accounts():
    """(source, destination) with one table each: ``accounts(source_table, destination_table, **source_state)``."""

    def make(source_table, destination_table, **state):
        source = FakeAccount("source", "111111111111", source_table, **state)
        return source, FakeAccount("destination", "222222222222", destination_table)

    return make


@pytest.fixture
def described():
    """A DescribeTable answer's Table: ``described(account_id, name, **members)``."""

    def make(account_id="111111111111", name="orders", **members):
        return {
            "TableName": name,
            "TableArn": f"arn:aws:dynamodb:eu-west-1:{account_id}:table/{name}",
            "TableId": account_id,
            "TableStatus": "ACTIVE",
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "customer", "AttributeType": "S"},
            ],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
            **members,
        }

    return make
