# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One side of a migration: whose credentials, which partition and Region, and the clients made from them."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Literal, overload

from . import aws_errors, denials, sdk
from .errors import AccessDenied, CredentialsError, FerryError, InvalidInput, ServiceError, WrongAccount
from .signing import call_log, clock_off
from .signing.configuration import endpoint_environment, require_encrypted
from .signing.keys import Chain, Origin, Provider, RoleKeys, SessionKeys, require_no_person
from .signing.own_tags import OwnTags, own_tags

Side = Literal["source", "destination"]

USER_AGENT = "tableferry"
RETRIES = 8
ROLE_SESSION_SECONDS = 3600  # role chaining allows no more (aws.md J)
SESSION_NAME_LENGTH = 64  # STS API reference, AssumeRole
_ROLE_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):iam::(?P<account>\d{12}):role/(?P<path>(?:[!-.0-~]+/)*)[\w+=,.@-]+"
)
_ASSUMED_ROLE_ARN = re.compile(r"arn:(?P<partition>[^:]+):sts::(?P<account>\d{12}):assumed-role/(?P<role>[^/]+)/.+")


@dataclass(frozen=True)
class AccountSpec:
    """How to reach one account: what the user wrote under ``source`` or ``destination``.

    Base credentials are ``profile``, or ``access_key`` with ``secret_key`` (and ``session_token``), or else what
    botocore finds by itself; ``role_arn`` is assumed from them. What is written here wins over ``AWS_*`` variables.
    ``account_id`` says whose they must be: it saves asking STS, and the first ARN that AWS answers with is held to it.
    """

    side: Side
    region: str
    profile: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    role_arn: str = ""
    external_id: str = field(default="", repr=False)
    endpoint_url: str = ""
    account_id: str = ""
    tags: OwnTags = ()  # of what is made there besides copies
    call_log: str = ""  # the file that each call is noted in

    @classmethod
    def from_mapping(cls, side: Side, mapping: Mapping[str, Any]) -> AccountSpec:
        """The spec from a user's mapping; None and "" mean not given.

        Raises InvalidInput for unknown keys, values that are no text, mixed or incomplete credentials, a missing
        Region, a malformed role ARN.
        """

        def refuse(cause: str, next_step: str) -> InvalidInput:
            return InvalidInput(f"The {side} account's settings are wrong: {cause}", next_step)

        known = {item.name for item in fields(cls)} - {"side"}
        if not isinstance(mapping, Mapping):
            raise refuse("they are not a mapping.", f"Write them as a mapping with {', '.join(sorted(known))}.")
        unknown = sorted(set(map(str, mapping)) - known)
        if unknown:
            raise refuse(f"unknown keys {', '.join(unknown)}.", f"Use only {', '.join(sorted(known))}.")
        given = {key: value for key, value in mapping.items() if value not in (None, "")}
        if isinstance(given.get("account_id"), int):
            given["account_id"] = f"{given['account_id']:012d}"
        tags = own_tags(given.pop("tags", {}), refuse)
        for key, value in given.items():
            if not isinstance(value, str):
                raise refuse(f"{key} is not text.", f"Write {key} as a quoted string.")
        spec = cls(side=side, tags=tags, **{"region": "", **given})
        if not spec.region:
            raise refuse("region is missing.", f"Set region for the {side} account, for example eu-west-1.")
        if bool(spec.access_key) != bool(spec.secret_key):
            raise refuse("access_key and secret_key belong together.", "Give both or neither.")
        if spec.session_token and not spec.access_key:
            raise refuse("session_token without access_key.", "Give access_key and secret_key too.")
        if spec.profile and spec.access_key:
            raise refuse("profile and access_key are both given.", "Give one of them.")
        if spec.external_id and not spec.role_arn:
            raise refuse("external_id without role_arn.", "Give role_arn too, or drop external_id.")
        if spec.role_arn and not _ROLE_ARN.fullmatch(spec.role_arn):
            raise refuse(
                f"role_arn {spec.role_arn!r} is not the ARN of an IAM role.",
                "Write it as arn:aws:iam::<12 digits>:role/<name>.",
            )
        if spec.account_id and not re.fullmatch(r"\d{12}", spec.account_id):
            raise refuse(f"account_id {spec.account_id!r} is not 12 digits.", "Write it as a quoted string.")
        if spec.account_id and spec.role_arn and spec.role_arn.split(":")[4] != spec.account_id:
            raise refuse(f"role_arn is not a role of account_id {spec.account_id}.", "Correct one of them.")
        return spec


@dataclass(frozen=True)
class Credentials:
    """Keys valid now, for passing on to amazon.aws modules."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


class Account:
    """One side of a migration. Making one costs no call; clients are cached and safe to use from many threads."""

    _ahead = 0.0  # seconds by which this machine's clock is ahead of AWS's, as its last answer showed

    def __init__(self, spec: AccountSpec, work: str = "") -> None:
        """``work``, the migration and the run, is part of the name of a role's session, by which CloudTrail tells them
        apart. Raises InvalidInput when the Region is unknown or lies in another partition than the role."""
        self.spec, self._work = spec, work
        self.side: Side = spec.side
        self.call_log = call_log.begun(spec.call_log, spec.side)
        self.region = spec.region
        self._lock = threading.RLock()
        self._clients: dict[tuple[str, str, int], Any] = {}
        self._watchers: list[Callable[[Any], None]] = []
        self._role: RoleKeys | None = None
        try:
            self._session = _base_session(spec, self._origin)
            self.partition: str = self._session.get_partition_for_region(spec.region)
        except sdk.BotoCoreError as error:
            if sdk.error_code(error) in aws_errors.NO_CREDENTIALS:
                raise self.explain(error, "reading the profile") from error
            raise InvalidInput(
                f"The Region {spec.region!r} of the {spec.side} account is unknown.",
                "Set region to a Region's code, for example eu-west-1.",
            ) from error
        if spec.role_arn:
            if spec.role_arn.split(":")[1] != self.partition:
                raise InvalidInput(
                    f"The {spec.side} role {spec.role_arn} is not in the partition {self.partition} of {spec.region}.",
                    "Give a role and a Region of one partition.",
                )
            # Who assumes the role, and what the profile says about endpoints, stand in the same profile.
            self._role = RoleKeys(self._assume_role(self._session), self._origin)
            self._session = _use(_configured_session(spec), self._role)

    def __repr__(self) -> str:
        return f"Account({self.side}, {self.region})"

    @cached_property
    def account_id(self) -> str:
        """The account's 12 digits; without a call when a role or the id is given. Raises CredentialsError."""
        if self.spec.role_arn:
            return self.spec.role_arn.split(":")[4]
        return self.spec.account_id or str(self._identity["Account"])

    @cached_property
    def caller_arn(self) -> str:
        """The ARN that STS reports for these credentials (``assumed-role/..`` for roles). Raises CredentialsError."""
        return str(self._identity["Arn"])

    @cached_property
    def principal_arn(self) -> str:
        """The IAM ARN to name in policies: the role's for assumed roles, with its path.

        STS leaves the path of a role out, a policy needs it: IAM is asked, and when it does not answer the role is
        taken to have none. Raises CredentialsError.
        """
        if self.spec.role_arn:
            return self.spec.role_arn
        assumed = _ASSUMED_ROLE_ARN.fullmatch(self.caller_arn)
        if not assumed:
            return self.caller_arn
        try:
            return str(self.client("iam").get_role(RoleName=assumed["role"])["Role"]["Arn"])
        except (sdk.ClientError, sdk.BotoCoreError):
            return f"arn:{assumed['partition']}:iam::{assumed['account']}:role/{assumed['role']}"

    @property
    def tags(self) -> dict[str, str]:
        """The tags of ``AccountSpec``."""
        return dict(self.spec.tags)

    @property
    def ca_bundle(self) -> str:
        """The file of certificates that the environment or the profile names, "" without one."""
        return str(self._session.get_config_variable("ca_bundle") or "")

    @property
    def environment(self) -> dict[str, str]:
        """What the profile says about endpoints and certificates as environment variables of the SDKs, for others that
        get ``temporary_credentials``; without what this process's own environment decides."""
        return endpoint_environment(self._session, os.environ)

    def client(self, service: str, region: str | None = None, *, retries: int = RETRIES) -> Any:
        """The botocore client of ``service``, made at first use. ``region`` only where it is not the account's.

        botocore sleeps between its ``retries``, for LimitExceededException too: callers which wait by themselves ask
        for a client with 0.
        """
        key = (service, region or self.region, retries)
        with self._lock:
            if key not in self._clients:
                client = self._made(_make_client(self._session, self.spec, *key))
                for watch in self._watchers:
                    watch(client)
                self._clients[key] = client
            return self._clients[key]

    def watch_clients(self, watch: Callable[[Any], None]) -> None:
        """Have ``watch`` called with every client of ``client``, those made already too: it registers its handlers."""
        with self._lock:
            self._watchers.append(watch)
            for client in self._clients.values():
                watch(client)

    def own_client(self, service: str, *, connect_timeout: float, read_timeout: float, attempts: int) -> Any:
        """A client of ``service`` for one user alone, which gives up sooner and which nobody watches.

        ``connect_timeout`` and ``read_timeout`` are seconds, ``attempts`` counts the first one too.
        """
        config = sdk.Config(
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            retries={"mode": "standard", "total_max_attempts": attempts},
        )
        with self._lock:
            return self._made(_make_client(self._session, self.spec, service, self.region, config=config))

    def _made(self, client: Any) -> Any:
        client.meta.events.register_first("response-received", self._answered)
        return client

    def _answered(self, response_dict: Mapping[str, Any] | None = None, **_event: Any) -> None:
        self.note_date((response_dict or {}).get("headers", {}).get("date", ""))

    def sleep(self, seconds: float) -> None:
        """Wait until AWS's time is ``seconds`` later."""
        time.sleep(seconds)

    def note_date(self, date: str) -> None:
        """Learn AWS's time from the Date header of an answer that has just come."""
        moment = clock_off.http_date(date)
        if moment is not None:
            self._ahead = datetime.now(UTC).timestamp() - moment

    def now(self) -> datetime:
        """AWS's time, by its last answer: at most that one's way and a second behind. This machine's before any."""
        return datetime.now(UTC) - timedelta(seconds=self._ahead)

    def is_young(self, ended: datetime | None, max_age: int) -> bool:
        """Whether what AWS has ``ended`` did so no longer than ``max_age`` seconds ago; nothing is young for 0.

        By AWS's time: this machine's clock may be off by more than that.
        """
        return ended is not None and max_age > 0 and self.now() - ended <= timedelta(seconds=max_age)

    def confirm(self, account_id: str) -> None:
        """Hold what AWS answered to the ``account_id`` that the user gave. Raises WrongAccount."""
        if self.spec.account_id not in ("", account_id):
            raise WrongAccount(
                f"The {self.side} credentials belong to account {account_id}, not to {self.spec.account_id}.",
                f"Correct the credentials or account_id of the {self.side} side.",
                details={"side": self.side, "account_id": account_id},
            )

    def table_arn(self, name: str) -> str:
        """The ARN of the table ``name`` in this account and Region; an ARN stays as it is."""
        return (
            name
            if name.startswith("arn:")
            else (f"arn:{self.partition}:dynamodb:{self.region}:{self.account_id}:table/{name}")
        )

    def temporary_credentials(self) -> Credentials:
        """The keys valid now; a role's are at least 10 minutes from their end. Raises CredentialsError."""
        try:
            credentials = self._session.get_credentials()
            if credentials is None:
                raise self._origin.missing()
            keys = credentials.get_frozen_credentials()
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            raise self.explain(error, "reading the credentials") from error
        return Credentials(str(keys.access_key), str(keys.secret_key), keys.token or "")

    def renewed_credentials(self) -> Credentials:
        """As ``temporary_credentials``, of a role that was assumed again or a provider that was asked anew; the same
        where nothing can renew them. Raises CredentialsError."""
        keys = self._session.get_credentials()
        if keys is not None:
            keys.renew()
        return self.temporary_credentials()

    @overload
    def ask(
        self,
        service: str,
        operation: str,
        doing: str,
        table: str = "",
        *,
        missing: Collection[str],
        retries: int = RETRIES,
        **params: Any,
    ) -> dict[str, Any] | None: ...

    @overload
    def ask(
        self, service: str, operation: str, doing: str, table: str = "", *, retries: int = RETRIES, **params: Any
    ) -> dict[str, Any]: ...

    def ask(
        self,
        service: str,
        operation: str,
        doing: str,
        table: str = "",
        *,
        missing: Collection[str] = (),
        retries: int = RETRIES,
        **params: Any,
    ) -> dict[str, Any] | None:
        """The answer of one call: of ``operation`` (in botocore's snake case) with ``params``.

        ``doing`` and ``table`` are for messages, as in ``explain``; ``retries`` as in ``client``. None where AWS
        answers one of the codes ``missing``. Raises what ``explain`` gives.
        """
        try:
            answer: dict[str, Any] = getattr(self.client(service, retries=retries), operation)(**params)
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            if sdk.error_code(error) in missing:
                return None
            raise self.explain(error, doing, table) from error
        return answer

    def pages(
        self, service: str, operation: str, member: str, doing: str, table: str = "", **params: Any
    ) -> Iterator[dict[str, Any]]:
        """The entries of a list call that continues by NextToken (nextToken in AWS RAM), all its pages, each asked for
        when it is needed.

        ``member`` is the answer's list; the rest is as in ``ask``. Raises what ``explain`` gives.
        """
        while True:
            page = self.ask(service, operation, doing, table, **params)
            yield from page.get(member, ())
            token = next((name for name in ("NextToken", "nextToken") if page.get(name)), "")
            if not token:
                return
            params[token] = page[token]

    def explain(self, error: Exception, doing: str, table: str = "") -> FerryError:
        """``error`` of a call (ClientError, BotoCoreError) as one of ours; ``doing`` completes "AWS refused ..."."""
        code, message, number = sdk.error_code(error), sdk.error_message(error), sdk.request_id(error)
        refusal, reason = aws_errors.refusal_of(error), aws_errors.reason(code, message, number)
        details = {"code": code, "side": self.side, "region": self.region, "request_id": number, **refusal.details}
        if isinstance(error, FerryError):
            return error.for_table(table) if table else error
        off = clock_off.why_refused(error)
        if off is not None:
            return off.for_table(table) if table else off
        if code in aws_errors.NO_CREDENTIALS:
            return self._origin.failed(error).for_table(table)
        if code in aws_errors.BAD_CREDENTIALS:
            return CredentialsError(
                f"The credentials of {self._origin} do not work: {reason}.",
                self._origin.advice,
                table=table,
                details={**details, "profile": self.spec.profile},
            )
        if code in aws_errors.DENIED:
            return AccessDenied(
                f"The {self.side} account refused {doing}: {reason}.",
                refusal.next_step or denials.allow(self.side, message),
                table=table,
                details=details,
            )
        if code == "ParamValidationError":
            return InvalidInput(
                f"{doing[:1].upper()}{doing[1:]} was not sent: {reason}.",
                "Correct the option named.",
                table=table,
                details=details,
            )
        return ServiceError(
            f"{doing[:1].upper()}{doing[1:]} failed in the {self.side} account ({self.region}): {reason}.",
            refusal.next_step or "Run again: jobs already started are found and continued.",
            table=table,
            details=details,
        )

    @property
    def _origin(self) -> Origin:
        return Origin(self.side, self.spec.profile)

    @cached_property
    def _identity(self) -> Mapping[str, Any]:
        identity = self.ask("sts", "get_caller_identity", "asking who the caller is")
        self.confirm(str(identity["Account"]))
        return identity

    def _assume_role(self, base: sdk.Session) -> Callable[[], dict[str, str]]:
        """What assumes the role, in the form that botocore refreshes credentials with."""
        spec = self.spec

        def assume() -> dict[str, str]:
            request = {
                "RoleArn": spec.role_arn,
                "RoleSessionName": "-".join(filter(None, (USER_AGENT, spec.side, self._work)))[:SESSION_NAME_LENGTH],
                "DurationSeconds": ROLE_SESSION_SECONDS,
            }
            if spec.external_id:
                request["ExternalId"] = spec.external_id
            try:
                keys = _make_client(base, spec, "sts", spec.region).assume_role(**request)["Credentials"]
            except (sdk.ClientError, sdk.BotoCoreError) as error:
                off = clock_off.why_refused(error)
                if off is not None:
                    raise off from error
                raise CredentialsError(
                    f"The {spec.side} role {spec.role_arn} cannot be assumed: {sdk.told(error)}"
                    f" ({sdk.error_code(error)}).",
                    "Check the base credentials, that the role's trust policy names them, and external_id.",
                    details={
                        "code": sdk.error_code(error),
                        "role_arn": spec.role_arn,
                        "side": spec.side,
                        "profile": spec.profile,
                    },
                ) from error
            return {
                "access_key": keys["AccessKeyId"],
                "secret_key": keys["SecretAccessKey"],
                "token": keys["SessionToken"],
                "expiry_time": keys["Expiration"].isoformat(),
            }

        return assume


def _configured_session(spec: AccountSpec) -> sdk.Session:
    """A session with what the profile says about endpoints and certificates; written keys have none but the default.

    Raises botocore's ProfileNotFound.
    """
    session = sdk.new_session(spec.profile or None)
    if spec.access_key:
        sdk.ignore_profile_of_environment(session)
    session.get_scoped_config()  # raises ProfileNotFound now rather than at the first call
    return session


def _use(session: sdk.Session, keys: SessionKeys) -> sdk.Session:
    """``session`` with just these keys: no chain is walked."""
    session.register_component("credential_provider", Provider(keys))
    return session


def _base_session(spec: AccountSpec, origin: Origin) -> sdk.Session:
    """A session with the credentials that the user gave, or that botocore finds."""
    session = _configured_session(spec)
    if spec.access_key:
        given = sdk.Credentials(spec.access_key, spec.secret_key, spec.session_token or None)
        return _use(session, SessionKeys(given, origin))
    require_no_person(session, origin)
    session.register_component("credential_provider", Chain(session, origin))
    return session


def _make_client(
    session: sdk.Session, spec: AccountSpec, service: str, region: str, retries: int = RETRIES, config: Any = None
) -> Any:
    usual = sdk.Config(
        retries={"mode": "standard", "max_attempts": retries},
        user_agent_extra=USER_AGENT,
        connect_timeout=10,
        read_timeout=60,
        tcp_keepalive=True,
        max_pool_connections=32,
        # Another host than AWS's rarely answers to one name per bucket.
        s3={"addressing_style": "path"} if spec.endpoint_url else None,
    )
    client = session.create_client(
        service,
        region_name=region,
        endpoint_url=spec.endpoint_url or None,
        config=usual.merge(config) if config else usual,
    )
    require_encrypted(spec.side, client.meta.endpoint_url)
    keys = session.get_credentials()
    if keys is None:
        raise Origin(spec.side, spec.profile).missing()
    client.meta.events.register("needs-retry", keys.renew_when_expired)
    call_log.watch(call_log.at(spec.call_log, spec.side), client)
    return client
