# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import botocore.exceptions
import pytest
from botocore.awsrequest import AWSResponse
from botocore.hooks import HierarchicalEmitter

from ansible_collections.tableferry.aws.plugins.module_utils.core import account as account_module
from ansible_collections.tableferry.aws.plugins.module_utils.core import sdk
from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec
from ansible_collections.tableferry.aws.plugins.module_utils.core.aws_errors import is_away, is_passing
from ansible_collections.tableferry.aws.plugins.module_utils.core.data_plane import endpoint_of
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    AccessDenied,
    CredentialsError,
    FerryError,
    InvalidInput,
    ServiceError,
    WrongAccount,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.probe import signature_expired
from ansible_collections.tableferry.aws.plugins.module_utils.core.signing import helper

KEYS = {"access_key": "AKIDEXAMPLE", "secret_key": "wJalr", "region": "eu-west-1"}
ROLE = "arn:aws:iam::222222222222:role/team/ferry"


class Body(BytesIO):
    """As urllib3's responses are read."""

    def stream(self):
        yield self.read()


class FakeSts:
    """Answers as STS would; ``lifetime`` seconds are what a session lasts."""

    def __init__(self, arn="arn:aws:iam::111111111111:user/admin", lifetime=3600, error=None):
        self.arn, self.lifetime, self.error = arn, lifetime, error
        self.requests = []
        self.meta = SimpleNamespace(events=HierarchicalEmitter())

    def get_caller_identity(self):
        self.requests.append("GetCallerIdentity")
        if self.error:
            raise self.error
        return {"Account": self.arn.split(":")[4], "Arn": self.arn}

    def assume_role(self, **request):
        self.requests.append(request)
        if self.error:
            raise self.error
        number = len(self.requests)
        return {
            "Credentials": {
                "AccessKeyId": f"ASIA{number}",
                "SecretAccessKey": "secret",
                "SessionToken": f"token{number}",
                "Expiration": datetime.now(UTC) + timedelta(seconds=self.lifetime),
            }
        }

    def get_role(self, RoleName):
        if self.error:
            raise self.error
        return {"Role": {"Arn": f"arn:aws:iam::111111111111:role/path/{RoleName}"}}


@pytest.fixture
def fake_sts(monkeypatch):
    def use(**options):
        fake = FakeSts(**options)
        real = account_module._make_client

        def make(session, spec, service, region, retries=8):
            return fake if service in ("sts", "iam") else real(session, spec, service, region, retries)

        monkeypatch.setattr(account_module, "_make_client", make)
        return fake

    return use


def denied(code="AccessDenied"):
    return sdk.ClientError({"Error": {"Code": code, "Message": "not authorized"}}, "AssumeRole")


def account(**mapping):
    return Account(AccountSpec.from_mapping("source", {**KEYS, **mapping}))


@pytest.mark.parametrize(
    ("mapping", "word"),
    [
        ({**KEYS, "regoin": "x"}, "regoin"),
        ({"profile": "legacy"}, "region"),
        ({"region": "eu-west-1", "access_key": "A"}, "secret_key"),
        ({"region": "eu-west-1", "secret_key": "A"}, "access_key"),
        ({"region": "eu-west-1", "session_token": "A"}, "session_token"),
        ({**KEYS, "profile": "legacy"}, "profile"),
        ({**KEYS, "external_id": "x"}, "external_id"),
        ({**KEYS, "role_arn": "arn:aws:iam::2222:role/ferry"}, "role_arn"),
        ({**KEYS, "role_arn": "arn:aws:iam::222222222222:user/ferry"}, "role_arn"),
        ({**KEYS, "access_key": 5}, "access_key"),
        (["profile"], "mapping"),
    ],
)
def test_malformed_specs_are_refused_with_the_word_that_is_wrong(mapping, word):
    with pytest.raises(InvalidInput, match=word) as refused:
        AccountSpec.from_mapping("destination", mapping)
    assert "destination" in str(refused.value)
    assert "wJalr" not in str(refused.value)


def test_empty_values_count_as_not_given():
    spec = AccountSpec.from_mapping("source", {**KEYS, "profile": "", "role_arn": None})
    assert spec.profile == spec.role_arn == ""


def test_secrets_are_not_in_the_representation():
    spec = AccountSpec.from_mapping(
        "source", {**KEYS, "session_token": "tok3n", "role_arn": ROLE, "external_id": "x1d"}
    )
    assert not any(secret in repr(spec) for secret in ("AKIDEXAMPLE", "wJalr", "tok3n", "x1d"))


@pytest.mark.parametrize(
    ("region", "partition"), [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
def test_partition_follows_the_region(region, partition, fake_sts):
    fake_sts()
    side = account(region=region)
    assert side.partition == partition
    assert side.table_arn("orders") == f"arn:{partition}:dynamodb:{region}:111111111111:table/orders"
    assert side.table_arn("arn:aws:dynamodb:x:1:table/t") == "arn:aws:dynamodb:x:1:table/t"


def test_unknown_region_and_foreign_partition_are_refused():
    with pytest.raises(InvalidInput, match="nowhere"):
        account(region="nowhere")
    with pytest.raises(InvalidInput, match="aws-cn"):
        account(region="cn-north-1", role_arn=ROLE)


def test_written_keys_win_over_the_environment(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FROMENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "env")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "envtoken")
    monkeypatch.setenv("AWS_PROFILE", "does-not-exist")
    keys = account().temporary_credentials()
    assert (keys.access_key, keys.session_token) == ("AKIDEXAMPLE", "")
    assert account().client("dynamodb").meta.region_name == "eu-west-1"


def test_a_profile_of_the_environment_that_is_not_there_does_no_harm_to_warming(monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "does-not-exist")
    monkeypatch.setattr(sdk, "_LOADER_SESSION", [])
    sdk.warm(["sts"])
    assert sdk.shared_session().get_scoped_config() == {}


def test_a_configuration_that_cannot_be_read_is_told_by_the_side_that_reads_it(profiles, monkeypatch):
    """A profile that stands twice: warming is no place to fail, Ansible takes that for a bug of its own."""
    profiles("[profile legacy]\nregion = eu-west-1\n[profile legacy]\n")
    monkeypatch.setattr(sdk, "_LOADER_SESSION", [])
    sdk.warm(["sts"])
    with pytest.raises(CredentialsError, match="Unable to parse config file") as refused:
        of_profile()
    assert "Correct that file" in refused.value.next_step
    assert not is_passing(refused.value)


def test_profile_wins_over_the_environment(monkeypatch, tmp_path):
    (tmp_path / "credentials").write_text(
        "[legacy]\naws_access_key_id = FROMPROFILE\naws_secret_access_key = x\n", encoding="utf-8"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FROMENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "env")
    side = Account(AccountSpec.from_mapping("source", {"profile": "legacy", "region": "eu-west-1"}))
    assert side.temporary_credentials().access_key == "FROMPROFILE"
    chain = Account(AccountSpec.from_mapping("source", {"region": "eu-west-1"}))
    assert chain.temporary_credentials().access_key == "FROMENV"
    with pytest.raises(CredentialsError, match="profile"):
        Account(AccountSpec.from_mapping("source", {"profile": "missing", "region": "eu-west-1"}))


def test_role_is_assumed_at_first_use_and_its_account_known_without_a_call(fake_sts):
    sts = fake_sts()
    side = account(role_arn=ROLE, external_id="shared")
    assert (side.account_id, side.principal_arn, sts.requests) == ("222222222222", ROLE, [])
    assert side.temporary_credentials().access_key == "ASIA1"
    assert side.temporary_credentials().session_token == "token1"
    (request,) = sts.requests
    assert (request["RoleArn"], request["ExternalId"]) == (ROLE, "shared")


@pytest.mark.parametrize(("lifetime", "calls"), [(890, 3), (910, 1)])
def test_role_is_assumed_again_fifteen_minutes_before_its_session_ends(fake_sts, lifetime, calls):
    sts = fake_sts(lifetime=lifetime)
    side = account(role_arn=ROLE)
    for _ in range(3):
        side.temporary_credentials()
    assert len(sts.requests) == calls


def test_role_that_cannot_be_assumed_is_named(fake_sts):
    fake_sts(error=denied())
    with pytest.raises(CredentialsError, match=ROLE) as failed:
        account(role_arn=ROLE).client("dynamodb").list_tables()
    assert "trust policy" in failed.value.next_step


@pytest.mark.parametrize(
    ("caller", "principal"),
    [
        ("arn:aws:iam::111111111111:user/a/admin", "arn:aws:iam::111111111111:user/a/admin"),
        ("arn:aws:iam::111111111111:root", "arn:aws:iam::111111111111:root"),
        ("arn:aws:sts::111111111111:assumed-role/ferry/me", "arn:aws:iam::111111111111:role/path/ferry"),
    ],
)
def test_principal_is_the_iam_arn_of_the_caller(fake_sts, caller, principal):
    fake_sts(arn=caller)
    assert account().principal_arn == principal


def test_role_path_is_empty_when_iam_does_not_say(fake_sts):
    sts = fake_sts(arn="arn:aws:sts::111111111111:assumed-role/ferry/me")
    side = account()
    assert side.caller_arn
    sts.error = denied()
    assert side.principal_arn == "arn:aws:iam::111111111111:role/ferry"


def test_who_the_caller_is_costs_one_call(fake_sts):
    sts = fake_sts()
    side = account()
    assert (side.account_id, side.caller_arn, side.principal_arn)[0] == "111111111111"
    assert sts.requests == ["GetCallerIdentity"]


def test_wrong_keys_are_a_credentials_error(fake_sts):
    fake_sts(error=denied("InvalidClientTokenId"))
    with pytest.raises(CredentialsError, match="source"):
        _ = account().account_id


@pytest.mark.parametrize("url", ["http://10.0.0.7:8000", "http://dynamodb.internal", "http://127.0.0.1.example.com"])
def test_c10_an_endpoint_without_tls_on_another_host_is_refused(url):
    with pytest.raises(InvalidInput, match="has no TLS"):
        account(endpoint_url=url).client("dynamodb")


@pytest.mark.parametrize("url", ["http://localhost:8000", "http://[::1]:8000", "https://dynamodb.internal"])
def test_c10_an_endpoint_with_tls_or_of_this_machine_is_used(url):
    assert account(endpoint_url=url).client("dynamodb").meta.endpoint_url == url


def test_clients_are_cached_and_carry_endpoint_and_retries():
    side = account(endpoint_url="http://127.0.0.1:9")
    client = side.client("s3")
    assert client is side.client("s3")
    assert client is not side.client("s3", "us-east-1")
    assert client.meta.endpoint_url == "http://127.0.0.1:9"
    assert client.meta.config.retries["total_max_attempts"] == 9
    assert side.client("s3", retries=0).meta.config.retries["total_max_attempts"] == 1
    assert "tableferry" in client.meta.config.user_agent_extra
    assert client.meta.config.s3 == {"addressing_style": "path"}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AccessDeniedException", AccessDenied),
        ("ExpiredTokenException", CredentialsError),
        ("InternalServerError", ServiceError),
    ],
)
def test_explain_chooses_the_error_by_code_and_names_the_table(code, kind):
    found = account().explain(denied(code), "describing the table orders", "orders")
    assert type(found) is kind
    assert str(found).startswith("orders: ")
    assert found.details["code"] == code


def test_an_error_of_the_sdk_names_the_request():
    answer = {
        "Error": {"Code": "AccessDenied", "Message": "Not you."},
        "ResponseMetadata": {"RequestId": "A1B2", "HTTPStatusCode": 403},
    }
    error = sdk.ClientError(answer, "DescribeTable")
    found = account().explain(error, "describing the table orders", "orders")
    assert "request A1B2" in str(found)
    assert found.details["request_id"] == "A1B2"
    assert sdk.told(error) == "Not you (request A1B2)"


def test_what_botocore_refuses_is_the_fault_of_an_option():
    wrong = botocore.exceptions.ParamValidationError(report="Invalid type for parameter Tags")
    error = account().explain(wrong, "tagging the table orders", "orders")
    assert isinstance(error, InvalidInput)
    assert "Tags" in error.cause
    assert error.next_step == "Correct the option named."


def test_the_text_of_a_signature_error_is_kept_back():
    answer = {"Error": {"Code": "SignatureDoesNotMatch", "Message": "x-amz-security-token:TOKEN"}}
    error = sdk.ClientError(answer, "GetCallerIdentity")
    assert "TOKEN" not in str(account().explain(error, "asking"))


QUOTED = "The signature does not match.\n\nThe Canonical String was\n'POST\nx-amz-security-token:TOKEN\n'"


@pytest.mark.parametrize("text", [QUOTED, "x-amz-security-token:TOKEN", "Headers X-Amz-Security-Token:TOKEN\nmore"])
def test_c8_no_text_of_aws_carries_the_session_token(monkeypatch, text):
    """Not where a role is assumed either, which has words of its own."""
    error = sdk.ClientError({"Error": {"Code": "SignatureDoesNotMatch", "Message": text}}, "AssumeRole")
    assert "TOKEN" not in sdk.error_message(error) and text.startswith(sdk.error_message(error))

    class Sts:
        def assume_role(self, **_request):
            raise error

    monkeypatch.setattr(account_module, "_make_client", lambda *_how, **_more: Sts())
    with pytest.raises(CredentialsError) as refused:
        account(role_arn=ROLE).temporary_credentials()
    assert "cannot be assumed" in str(refused.value) and "TOKEN" not in str(refused.value)


def test_no_credentials_at_all(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    side = Account(AccountSpec.from_mapping("source", {"region": "eu-west-1"}))
    with pytest.raises(CredentialsError, match="no credentials"):
        side.temporary_credentials()
    for ask in (lambda: side.account_id, lambda: side.client("dynamodb"), side.renewed_credentials):
        with pytest.raises(CredentialsError, match="no credentials for the source account") as failed:
            ask()
        assert not is_passing(failed.value)


@pytest.mark.parametrize(
    ("code", "again"), [("ExpiredTokenException", 0), ("AccessDeniedException", None), (None, None)]
)
def test_an_expired_role_is_renewed_once_for_a_request(fake_sts, code, again):
    sts = fake_sts()
    role = account(role_arn=ROLE)._role
    role.get_frozen_credentials()
    request, response = {"context": {}}, (None, {"Error": {"Code": code}}) if code else None
    assert role.renew_when_expired(request_dict=request, response=response, attempts=1) == again
    if code == "ExpiredTokenException":
        with pytest.raises(CredentialsError, match="session of the source account has ended") as ended:
            role.renew_when_expired(request_dict=request, response=response, attempts=2)
        assert is_passing(ended.value)
    else:
        assert role.renew_when_expired(request_dict=request, response=response, attempts=2) is None
    role.get_frozen_credentials()
    assert len(sts.requests) == (1 if again is None else 2)


def test_the_account_that_the_credentials_must_belong_to() -> None:
    spec = AccountSpec.from_mapping("source", {"region": "eu-west-1", "account_id": 111111111111})
    assert Account(spec).account_id == "111111111111"
    with pytest.raises(WrongAccount, match=r"222222222222, not to 111111111111\. Correct"):
        Account(spec).confirm("222222222222")
    Account(spec).confirm("111111111111")


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"account_id": "1234"}, "is not 12 digits"),
        ({"account_id": "111111111111", "role_arn": "arn:aws:iam::222222222222:role/ferry"}, "is not a role of"),
    ],
)
def test_an_account_id_that_cannot_be(given: dict[str, str], cause: str) -> None:
    with pytest.raises(InvalidInput, match=cause):
        AccountSpec.from_mapping("source", {"region": "eu-west-1", **given})


class Pages:
    """A service whose list call gives two pages of three entries; ``error`` is what every call answers instead."""

    def __init__(self, error: str = "") -> None:
        self.error, self.requests = error, []

    def list_exports(self, **request):
        self.requests.append(request)
        if self.error:
            raise sdk.ClientError({"Error": {"Code": self.error, "Message": "no"}}, "ListExports")
        return {"Found": [3]} if "NextToken" in request else {"Found": [1, 2], "NextToken": "more"}


@pytest.fixture
def listing(monkeypatch):
    """An account with the Pages that its clients are, and the retries these were asked for with."""

    def make(error=""):
        account, pages, asked_for = Account(AccountSpec.from_mapping("source", KEYS)), Pages(error), []

        def client(service, *, retries):
            asked_for.append((service, retries))
            return pages

        monkeypatch.setattr(account, "client", client)
        return account, pages, asked_for

    return make


def test_one_call(listing):
    account, pages, asked_for = listing()
    assert account.ask("dynamodb", "list_exports", "listing", retries=0, MaxResults=1)["Found"] == [1, 2]
    assert (pages.requests, asked_for) == ([{"MaxResults": 1}], [("dynamodb", 0)])


def test_what_is_missing_is_none_and_the_rest_is_explained(listing):
    account, _, _ = listing("AccessDeniedException")
    assert account.ask("dynamodb", "list_exports", "listing", missing={"AccessDeniedException"}) is None
    with pytest.raises(AccessDenied, match="refused listing") as denied:
        account.ask("dynamodb", "list_exports", "listing", "orders", missing={"ResourceNotFoundException"})
    assert denied.value.table == "orders"
    with pytest.raises(AccessDenied, match="refused listing"):
        next(account.pages("dynamodb", "list_exports", "Found", "listing"))


def test_pages_are_asked_for_one_after_another(listing):
    account, pages, _ = listing()
    entries = account.pages("dynamodb", "list_exports", "Found", "listing", MaxResults=2)
    assert [next(entries), next(entries)] == [1, 2]
    assert pages.requests == [{"MaxResults": 2}]
    assert list(entries) == [3]
    assert pages.requests[1:] == [{"MaxResults": 2, "NextToken": "more"}]


class TestTime:
    """AWS's time goes by the Date of its answers, and what is young by AWS's time."""

    DATE = "Fri, 15 Jan 2027 08:00:00 GMT"

    def test_every_answer_tells_it(self) -> None:
        account = Account(AccountSpec("source", "eu-west-1", access_key="AKIDEXAMPLE", secret_key="secret"))
        client = account.client("dynamodb", retries=0)
        response = AWSResponse("https://aws", 200, {"date": self.DATE}, Body(b"{}"))
        client.meta.events.register_last("before-send.dynamodb", lambda **_event: response)
        client.list_tables()
        assert abs(account.now().timestamp() - 1_800_000_000) < 60

    @pytest.mark.parametrize(("age", "most", "young"), [(50, 100, True), (160, 100, False), (0, 0, False)])
    def test_what_is_young(self, age: int, most: int, young: bool) -> None:
        account = Account(AccountSpec("source", "eu-west-1"))
        account.note_date(self.DATE)
        assert account.is_young(datetime.fromtimestamp(1_800_000_000 - age, UTC), most) is young
        account.note_date("soon")  # a header that cannot be read says nothing
        assert account.is_young(datetime.fromtimestamp(1_800_000_000 - age, UTC), most) is young

    def test_nothing_that_has_no_date_is(self) -> None:
        assert not Account(AccountSpec("source", "eu-west-1")).is_young(None, 100)


# H9 to H12 of the accounts: what a profile says, what its helpers throw, which keys can be renewed


@pytest.fixture
def profiles(monkeypatch, tmp_path):
    """Writes a configuration of the AWS SDKs, and no other is read."""
    for name in [name for name in os.environ if name.startswith("AWS_")] + ["REQUESTS_CA_BUNDLE"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # where tokens of SSO are kept
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))

    def write(config, credentials=""):
        (tmp_path / "config").write_text(config, encoding="utf-8")
        (tmp_path / "credentials").write_text(credentials, encoding="utf-8")
        return tmp_path

    return write


def of_profile(profile="legacy", region="us-east-1", side="source", **more):
    return Account(AccountSpec.from_mapping(side, {"profile": profile, "region": region, **more}))


KEYS_OF_PROFILE = "[legacy]\naws_access_key_id = AKIALEGACY\naws_secret_access_key = x\n"


@pytest.mark.parametrize("role", [{}, {"role_arn": ROLE}], ids=["profile", "role"])
def test_h9_what_a_profile_says_about_endpoints_holds_for_a_role_too(profiles, monkeypatch, role):
    folder = profiles(
        "[profile legacy]\nendpoint_url = https://all.example\nservices = mine\n"
        "[services mine]\ns3 =\n  endpoint_url = https://s3.example\n",
        KEYS_OF_PROFILE,
    )
    side = of_profile(**role)
    assert side.client("dynamodb").meta.endpoint_url == "https://all.example"
    assert side.client("s3").meta.endpoint_url == "https://s3.example"
    assert of_profile(endpoint_url="http://127.0.0.1:9", **role).client("s3").meta.endpoint_url == "http://127.0.0.1:9"
    profiles(f"[profile legacy]\nuse_fips_endpoint = true\nca_bundle = {folder}/ca.pem\n", KEYS_OF_PROFILE)
    client = of_profile(**role).client("dynamodb")
    assert client.meta.endpoint_url == "https://dynamodb-fips.us-east-1.amazonaws.com"
    assert client._endpoint.http_session._verify == f"{folder}/ca.pem"
    there = of_profile(**role)
    monkeypatch.setattr(
        there.client("dynamodb"), "generate_presigned_url", lambda *_, **__: "https://a.example/?signed"
    )
    assert endpoint_of(there, "orders").ca_bundle == f"{folder}/ca.pem"
    profiles("[profile legacy]\nuse_dualstack_endpoint = true\n", KEYS_OF_PROFILE)
    assert of_profile(**role).client("dynamodb").meta.endpoint_url == "https://dynamodb.us-east-1.api.aws"


@pytest.mark.parametrize(
    ("settings", "name", "url"),
    [
        ("", "orders", "https://dynamodb.us-east-1.amazonaws.com"),
        ("aws_account_id = 111122223333", "orders", "https://111122223333.ddb.us-east-1.amazonaws.com"),
        (
            "account_id_endpoint_mode = required\naws_account_id = 111122223333",
            "orders",
            "https://111122223333.ddb.us-east-1.amazonaws.com",
        ),
        (
            "account_id_endpoint_mode = required",
            "arn:aws:dynamodb:us-east-1:444455556666:table/orders",
            "https://444455556666.ddb.us-east-1.amazonaws.com",
        ),
        (
            "account_id_endpoint_mode = disabled\naws_account_id = 111122223333",
            "orders",
            "https://dynamodb.us-east-1.amazonaws.com",
        ),
        ("endpoint_url = http://127.0.0.1:9/\naws_account_id = 1", "orders", "http://127.0.0.1:9"),
        ("use_fips_endpoint = true", "orders", "https://dynamodb-fips.us-east-1.amazonaws.com"),
    ],
)
def test_g13_items_move_by_the_endpoint_that_botocore_resolves(profiles, settings, name, url):
    mode, _, account_id = settings.partition("aws_account_id")
    identity = f"aws_account_id{account_id}\n" if account_id else ""
    profiles(f"[profile legacy]\n{mode}\n", KEYS_OF_PROFILE + identity)
    assert endpoint_of(of_profile(), name).url == url


def test_g13_no_items_move_without_the_account_id_that_endpoints_require(profiles):
    profiles("[profile legacy]\naccount_id_endpoint_mode = required\n", KEYS_OF_PROFILE)
    with pytest.raises(FerryError, match="AccountIdEndpointMode is required"):
        endpoint_of(of_profile(), "orders")


def test_h9_the_role_is_assumed_with_the_keys_and_at_the_endpoint_of_its_profile(profiles, monkeypatch):
    profiles("[profile legacy]\nendpoint_url = http://127.0.0.1:9\n[default]\nendpoint_url = https://no.example\n")
    asked = []
    real = account_module._make_client

    def make(session, spec, service, region, *more, **options):
        client = real(session, spec, service, region, *more, **options)
        asked.append((service, client.meta.endpoint_url, session.get_credentials().access_key))
        raise sdk.ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "AssumeRole")

    profiles("[profile legacy]\nendpoint_url = http://127.0.0.1:9\n", KEYS_OF_PROFILE)
    side = of_profile(role_arn=ROLE)
    monkeypatch.setattr(account_module, "_make_client", make)
    with pytest.raises(CredentialsError, match="cannot be assumed"):
        side.temporary_credentials()
    assert asked == [("sts", "http://127.0.0.1:9", "AKIALEGACY")]


@pytest.mark.parametrize("role", [{}, {"role_arn": ROLE}], ids=["profile", "role"])
def test_h9_other_modules_get_what_a_profile_says_about_endpoints_by_the_environment(profiles, monkeypatch, role):
    profiles(
        "[profile legacy]\nendpoint_url = https://all.example\nservices = mine\nuse_fips_endpoint = true\n"
        "ca_bundle = /etc/ca.pem\n"
        "[services mine]\ncloudwatch_logs =\n  endpoint_url = https://logs.example\nsts =\n  other = 1\n",
        KEYS_OF_PROFILE,
    )
    said = of_profile(**role).environment
    assert said == {
        "AWS_ENDPOINT_URL": "https://all.example",
        "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": "https://logs.example",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_CA_BUNDLE": "/etc/ca.pem",
    }
    del said["AWS_USE_FIPS_ENDPOINT"]  # botocore refuses it beside an endpoint
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    keys = Account(AccountSpec.from_mapping("source", {**KEYS}))
    assert keys.client("logs").meta.endpoint_url == "https://logs.example"
    assert keys.client("iam").meta.endpoint_url == "https://all.example"
    assert of_profile(**role).environment == {"AWS_USE_FIPS_ENDPOINT": "true"}


def test_h9_no_profile_says_nothing(profiles):
    profiles("[profile legacy]\nendpoint_url = https://all.example\n")
    assert Account(AccountSpec.from_mapping("source", KEYS)).environment == {}


BASE = "[profile base]\naws_access_key_id = A\naws_secret_access_key = x\n"
MFA = "role_arn = arn:aws:iam::111111111111:role/team\nmfa_serial = arn:aws:iam::111111111111:mfa/ada\n"


@pytest.mark.parametrize(
    "config",
    [
        f"[profile legacy]\n{MFA}source_profile = base\n{BASE}",
        "[profile legacy]\nrole_arn = arn:aws:iam::111111111111:role/second\nsource_profile = first\n"
        f"[profile first]\n{MFA}source_profile = base\n{BASE}",
    ],
    ids=["itself", "the one it is assumed from"],
)
def test_h10_a_profile_that_would_ask_a_person_is_refused_before_anything_starts(profiles, config):
    profiles(config)
    with pytest.raises(
        CredentialsError, match=r"asks a person for the code of an MFA device \(mfa_serial\)"
    ) as refused:
        of_profile()
    assert "export-credentials --profile legacy" in refused.value.next_step
    assert refused.value.details["side"] == "source"
    assert not is_passing(refused.value)


def test_h10_an_mfa_device_that_nobody_is_asked_for_is_no_matter(profiles, monkeypatch):
    config = f"[profile legacy]\n{MFA}source_profile = legacy\n"
    profiles("[profile legacy]\nmfa_serial = arn:aws:iam::111111111111:mfa/ada\n", KEYS_OF_PROFILE)
    assert of_profile().temporary_credentials().access_key == "AKIALEGACY"
    profiles(config.replace("profile legacy", "default").replace("= legacy", "= default"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FROMENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    assert Account(AccountSpec.from_mapping("source", {"region": "eu-west-1"})).temporary_credentials().access_key == (
        "FROMENV"
    )


SSO = (
    "[profile legacy]\nsso_session = corp\nsso_account_id = 111111111111\nsso_role_name = ferry\n"
    "[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.awsapps.com/start\n"
)


@pytest.mark.parametrize(
    ("config", "advice"),
    [
        ("[profile legacy]\ncredential_process = /no/such/helper\n", "credential_process of the profile legacy"),
        ("[profile legacy]\ncredential_process = false\n", "credential_process of the profile legacy"),
        ("[profile legacy]\ncredential_process = echo nonsense\n", "credential_process of the profile legacy"),
        (
            "[profile legacy]\ncredential_process = echo '{\"Version\": 1}'\n",
            "credential_process of the profile legacy",
        ),
        ("[profile legacy]\ncredential_process = 'unclosed\n", "credential_process of the profile legacy"),
        (SSO, "aws sso login --profile legacy"),
        ("[profile legacy]\nrole_arn = arn:aws:iam::111111111111:role/x\nsource_profile = gone\n", "profile legacy"),
        ("[profile legacy]\nrole_arn = arn:aws:iam::111111111111:role/x\ncredential_source = Ec2\n", "profile legacy"),
        ("[profile legacy]\naws_access_key_id = A\n", "profile legacy"),
    ],
    ids=["no helper", "it fails", "no json", "no keys", "bad quotes", "logged out", "no source", "no metadata", "half"],
)
@pytest.mark.parametrize("role", [{}, {"role_arn": ROLE}], ids=["profile", "role"])
def test_h10_whatever_a_credential_helper_throws_is_one_error(profiles, config, advice, role):
    profiles(config)
    for ask in (
        lambda side: side.client("dynamodb").list_tables(),
        lambda side: side.caller_arn,
        lambda side: side.temporary_credentials(),
        lambda side: side.renewed_credentials(),
    ):
        with pytest.raises(CredentialsError) as failed:
            ask(of_profile(side="destination", **role))
        assert "the destination account (profile legacy)" in failed.value.cause
        assert (failed.value.details["side"], failed.value.details["profile"]) == ("destination", "legacy")
        assert advice in failed.value.next_step
        assert not is_passing(failed.value)


def test_h10_what_a_helper_prints_is_not_repeated(profiles):
    profiles("[profile legacy]\ncredential_process = echo topsecret\n")
    with pytest.raises(CredentialsError) as failed:
        of_profile().temporary_credentials()
    assert "topsecret" not in str(failed.value)


@pytest.fixture
def script(tmp_path):
    """Makes a helper of the lines of a shell script; its path."""

    def make(*lines):
        path = tmp_path / "helper"
        path.write_text("\n".join(["#!/bin/sh", *lines, ""]), encoding="utf-8")
        path.chmod(0o700)
        return path

    return make


BY_HELPER = "[profile legacy]\ncredential_process = {0}\n"
FROM_HELPER = "[profile legacy]\nrole_arn = arn:aws:iam::111111111111:role/x\nsource_profile = base\n" + (
    "[profile base]\ncredential_process = {0}\n"
)


@pytest.mark.parametrize("config", [BY_HELPER, FROM_HELPER], ids=["itself", "the one it is assumed from"])
def test_what_a_helper_writes_to_stderr_is_not_repeated(profiles, script, config, capfd, caplog):
    profiles(config.format(script("echo topsecret >&2", "exit 3")))
    with pytest.raises(CredentialsError) as failed:
        of_profile().temporary_credentials()
    assert "exit status 3; what it writes to stderr is not shown" in failed.value.cause
    assert "the source account (profile legacy)" in failed.value.cause
    assert "by hand" in failed.value.next_step
    assert "topsecret" not in f"{failed.value} {failed.value.details} {capfd.readouterr()} {caplog.text}"


@pytest.mark.parametrize("config", [BY_HELPER, FROM_HELPER], ids=["itself", "the one it is assumed from"])
def test_a_helper_that_hangs_is_given_up_with_all_that_it_has_started(profiles, script, config, tmp_path, monkeypatch):
    monkeypatch.setattr(helper, "SECONDS", 1.0)
    profiles(config.format(script("echo topsecret >&2", f"sleep 1000 & echo $! > {tmp_path}/child", "wait")))
    with pytest.raises(CredentialsError) as failed:
        of_profile(side="destination").temporary_credentials()
    assert "The credentials of the destination account (profile legacy) cannot be had" in failed.value.cause
    assert "did not end within 1 seconds" in failed.value.cause
    assert "by hand" in failed.value.next_step
    assert "topsecret" not in str(failed.value)
    assert not is_passing(failed.value)
    child = tmp_path / "child"
    if child.exists():  # the shell may have been ended before
        patience = time.monotonic() + 60
        while runs(child.read_text().strip()):
            assert time.monotonic() < patience
            time.sleep(0.01)


def runs(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_keys_that_a_helper_is_to_renew_leave_its_stderr_out_of_the_log(profiles, script, caplog, capfd):
    """botocore logs why a renewal failed, with the error's words; without a handler Python prints that."""
    end = (datetime.now(UTC) + timedelta(minutes=12)).isoformat()  # to be renewed, and good for as long
    keys = f'{{"Version": 1, "AccessKeyId": "FIRST", "SecretAccessKey": "x", "Expiration": "{end}"}}'
    path = script(f"echo '{keys}'")
    profiles(BY_HELPER.format(path))
    side = of_profile()
    credentials = side._session.get_credentials()
    assert credentials.access_key == "FIRST"
    script("echo topsecret >&2", "exit 3")
    assert side.temporary_credentials().access_key == "FIRST"
    assert "exit status 3" in caplog.text
    assert "topsecret" not in f"{caplog.text} {capfd.readouterr()}"


def test_the_list_that_a_helper_printed_is_what_cannot_be_read(profiles):
    profiles("[profile legacy]\ncredential_process = echo []\n")
    with pytest.raises(CredentialsError, match="what its helper printed cannot be read") as failed:
        of_profile().temporary_credentials()
    assert "credential_process of the profile legacy" in failed.value.next_step


class SentBody:
    """The body of an answer, as botocore reads it."""

    def __init__(self, text):
        self.text = text

    def stream(self, *_size, **_options):
        yield self.text.encode()


ENDED = '{"__type": "com.amazon.coral.service#ExpiredTokenException", "message": "has expired"}'
ENDED_XML = "<ErrorResponse><Error><Code>ExpiredToken</Code><Message>has expired</Message></Error></ErrorResponse>"


def answers_ended(client, works_with="", text=ENDED):
    """Have AWS answer ``client`` that the session has ended, unless it signs with the key ``works_with``; returns the
    requests that come."""
    sent = []

    def answer(request, **_event):
        sent.append(request)
        works = works_with and works_with in str(request.headers["Authorization"])
        return AWSResponse(request.url, 200 if works else 400, {}, SentBody("{}" if works else text))

    client.meta.events.register("before-send", answer)
    return sent


@pytest.mark.parametrize(
    "given", [{**KEYS, "session_token": "t"}, {"profile": "legacy", "region": "eu-west-1"}], ids=["keys", "profile"]
)
def test_h12_keys_that_nothing_can_renew_and_that_have_ended_are_final_at_once(profiles, given):
    profiles("", KEYS_OF_PROFILE)
    side = Account(AccountSpec.from_mapping("destination", given))
    sent = answers_ended(side.client("dynamodb"))
    with pytest.raises(CredentialsError, match="nothing can renew its keys") as failed:
        side.ask("dynamodb", "list_tables", "listing tables")
    assert len(sent) == 1
    assert "the destination account" in failed.value.cause
    assert not is_passing(failed.value)
    assert not is_away(failed.value)


def test_h12_keys_of_a_file_that_was_written_since_are_taken(profiles):
    profiles("", KEYS_OF_PROFILE)
    side = of_profile()
    sent = answers_ended(side.client("dynamodb"), works_with="AKIANEW")
    profiles("", KEYS_OF_PROFILE.replace("AKIALEGACY", "AKIANEW"))
    side.client("dynamodb").list_tables()
    assert len(sent) == 2
    assert side.temporary_credentials().access_key == "AKIANEW"


def test_h12_a_provider_that_gave_keys_with_an_end_is_asked_anew_and_may_recover(profiles):
    end = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    keys = f'{{"Version": 1, "AccessKeyId": "FIRST", "SecretAccessKey": "x", "Expiration": "{end}"}}'
    folder = profiles("")
    profiles(f"[profile legacy]\ncredential_process = cat {folder}/keys\n")
    (folder / "keys").write_text(keys, encoding="utf-8")
    side = of_profile()
    sent = answers_ended(side.client("dynamodb"), works_with="SECOND")
    with pytest.raises(CredentialsError, match="has ended") as failed:
        side.client("dynamodb").list_tables()
    assert (len(sent), is_passing(failed.value)) == (2, True)
    (folder / "keys").write_text("", encoding="utf-8")
    with pytest.raises(CredentialsError) as failed:
        side.client("dynamodb").list_tables()
    assert (len(sent), is_passing(failed.value), failed.value.details["session_ended"]) == (3, True, True)
    (folder / "keys").write_text(keys.replace("FIRST", "SECOND"), encoding="utf-8")
    side.client("dynamodb").list_tables()
    assert len(sent) == 5


def test_h12_a_role_that_is_assumed_from_ended_keys_is_final_at_once(monkeypatch):
    side = account(role_arn=ROLE)
    real = account_module._make_client

    def make(*given, **options):
        client = real(*given, **options)
        answers_ended(client, text=ENDED_XML)
        return client

    monkeypatch.setattr(account_module, "_make_client", make)
    with pytest.raises(CredentialsError, match="nothing can renew its keys") as failed:
        side.client("dynamodb").list_tables()
    assert not is_passing(failed.value)


def test_h12_a_session_that_has_ended_says_nothing_about_old_signatures():
    client = sdk.new_session().create_client(
        "dynamodb",
        region_name="eu-west-1",
        aws_access_key_id="A",
        aws_secret_access_key="x",
        config=sdk.Config(retries={"total_max_attempts": 1}),
    )
    answers_ended(client, text=ENDED.replace("has expired", "The security token included in the request is expired"))
    with pytest.raises(FerryError):
        signature_expired(client, "tableferry", 1)
