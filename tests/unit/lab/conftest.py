# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lab with its own services and a small table service, for the tests of the gate."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from lab.assembly import build_world
from lab.errors import AwsError
from lab.identity import AccessKey
from lab.messages import AuthorizationRequest, HttpRequest, HttpResponse
from lab.server import LabServer
from lab.world import Context, World

SOURCE, DESTINATION = "111111111111", "222222222222"


class EchoTables:
    """Stands for DynamoDB: knows one table, and keeps what it was asked."""

    name = "dynamodb"
    locks_itself = frozenset({"Scan"})

    def __init__(self) -> None:
        self.asked: list[tuple[Context, dict[str, Any]]] = []

    def authorization(self, context: Context, operation: str, params: dict[str, Any]) -> list[AuthorizationRequest]:
        name = params.get("TableName", "*")
        return [AuthorizationRequest(f"dynamodb:{operation}", context.arn(f"table/{name}"))]

    def handle(self, context: Context, operation: str, params: dict[str, Any]) -> dict[str, Any] | bytes:
        self.asked.append((context, params))
        if params.get("TableName") == "missing":
            raise AwsError("ResourceNotFoundException", "Requested resource not found: Table: missing not found")
        if params.get("TableName") == "broken":
            raise RuntimeError("a fault of the lab")
        if operation == "Scan":
            return b'{"Items":[{"pk":{"B":"AAE="}}],"Count":1,"ScannedCount":1}'
        return {"Table": {"TableName": params.get("TableName", ""), "CreationDateTime": 1.5, "ItemCount": 3}}


class EchoObjects:
    """Stands for S3: answers with what it was sent."""

    name = "s3"
    locks_itself: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.asked: list[tuple[Context, HttpRequest]] = []

    def authorization(self, context: Context, operation: str, params: dict[str, Any]) -> list[AuthorizationRequest]:
        return []

    def handle(self, context: Context, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        return {}

    def handle_http(self, context: Context, request: HttpRequest) -> HttpResponse:
        self.asked.append((context, request))
        key = request.bucket_and_key[1]
        if key == "missing":
            raise AwsError("NoSuchKey", "The specified key does not exist.", 404, Key=key)
        if key == "streamed":
            return HttpResponse(200, {}, iter([b"a" * 70000, b"", b"b"]))
        if request.method in ("PUT", "HEAD"):
            return HttpResponse(200, {"ETag": '"0"'})
        return HttpResponse(200, {}, request.path.encode() if key else b"<ListBucketResult/>")


class Lab:
    """A world, its server, and clients for its accounts."""

    def __init__(self, world: World, server: LabServer) -> None:
        self.world = world
        self.server = server
        self.tables = EchoTables()
        self.objects = EchoObjects()
        world.services |= {"dynamodb": self.tables, "s3": self.objects}
        for account in (SOURCE, DESTINATION):
            world.accounts.add(account)
        self.source = world.identity.add_administrator(SOURCE)
        self.destination = world.identity.add_administrator(DESTINATION)

    def client(self, service: str, key: AccessKey | dict[str, Any] | None = None, **config: Any) -> Any:
        """A boto3 client with a key of the lab, or with the Credentials of an STS answer; it does not retry."""
        if isinstance(key, dict):
            secrets = (key["AccessKeyId"], key["SecretAccessKey"], key["SessionToken"])
        else:
            key = key or self.source
            secrets = (key.id, key.secret, None)
        return boto3.client(
            service,
            endpoint_url=self.server.endpoint_url,
            region_name="eu-west-1",
            aws_access_key_id=secrets[0],
            aws_secret_access_key=secrets[1],
            aws_session_token=secrets[2],
            config=Config(retries={"max_attempts": 0}, **config),
        )

    def user(self, name: str, *statements: dict[str, Any], account: str = SOURCE) -> AccessKey:
        """A user with these statements as its only policy."""
        user = self.world.identity.add_user(account, name)
        if statements:
            user.inline["only"] = self.policy(*statements)
        return self.world.identity.add_access_key(account, name)

    @staticmethod
    def policy(*statements: dict[str, Any]) -> str:
        """A policy document of these statements."""
        return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.fixture
def gate_lab() -> Iterator[Lab]:
    world = build_world(["lab.services.sts.StsService", "lab.services.iam.IamService"])
    with LabServer(world) as server:
        yield Lab(world, server)
    world.close()


@pytest.fixture
def refused() -> Callable[..., tuple[str, int]]:
    """Calls and returns the error's code and HTTP status."""

    def call(function: Callable[..., Any], **params: Any) -> tuple[str, int]:
        with pytest.raises(ClientError) as failure:
            function(**params)
        response: Any = failure.value.response
        return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]

    return call


@pytest.fixture
def world() -> Iterator[World]:
    made = World(scale=0.5)
    yield made
    made.close()
