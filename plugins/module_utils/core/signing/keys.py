# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The keys of one side as botocore asks for them: where they come from, whether anything can renew them, and what to do
when they cannot be had.

Credential helpers raise what they like: OSError for a credential_process that is not there, ValueError for one that
prints nothing, errors of getpass where no terminal is. All of it leaves here as CredentialsError.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .. import aws_errors, sdk
from ..errors import CredentialsError, FerryError
from . import clock_off, helper

# What botocore raises where it reads what a helper printed.
_UNREADABLE = (AttributeError, KeyError, TypeError, ValueError)

ADVISORY = "Run again afterwards: jobs already started are found and continued."


@dataclass(frozen=True)
class Origin:
    """Whose keys they are, for messages: ``side``, and the ``profile`` of the AWS configuration, "" without one."""

    side: str
    profile: str = ""

    def __str__(self) -> str:
        profile = f" (profile {self.profile})" if self.profile else ""
        return f"the {self.side} account{profile}"

    @property
    def advice(self) -> str:
        """What to look at when the keys do not work."""
        if self.profile:
            return f"Check the profile {self.profile}: aws sts get-caller-identity --profile {self.profile}"
        return f"Check profile, keys or role of {self.side}."

    def missing(self) -> CredentialsError:
        """The error where there are no keys at all."""
        return CredentialsError(
            f"There are no credentials for {self}.",
            f"Give {self.side} a profile, keys or a role_arn.",
            details={"code": "NoCredentialsError", "side": self.side, "profile": self.profile},
        )

    def failed(self, error: BaseException, *, can_pass: bool = False) -> CredentialsError:
        """The error for keys that could not be had because of ``error``, which is anything that a provider of botocore
        raises. ``can_pass``: they could be had before, and the provider may be able to give some again."""
        code = sdk.error_code(error) if isinstance(error, (sdk.ClientError, sdk.BotoCoreError)) else ""
        details: dict[str, Any] = {"code": code, "side": self.side, "profile": self.profile}
        if can_pass:
            away = code in aws_errors.PASSING - aws_errors.EXPIRED
            details |= {"session_ended": not away, "refusal": "passes"}
        kind = type(error).__name__
        # AWS quotes the signed headers where a signature is wrong, and a helper may print a key it did not like.
        text = "" if code in aws_errors.BAD_SIGNATURES else str(sdk.told(error)).strip().rstrip(".")
        if isinstance(error, _UNREADABLE):
            text = "what its helper printed cannot be read"
        return CredentialsError(
            f"The credentials of {self} cannot be had: {text or kind}{f' ({code or kind})' if text else ''}.",
            self._next_step(error, code),
            details=details,
        )

    def _next_step(self, error: BaseException, code: str) -> str:
        named = f" --profile {self.profile}" if self.profile else ""
        if code in aws_errors.LOGGED_OUT:
            command = "login" if code.startswith("Login") else "sso login"
            return f"Log in again (aws {command}{named}). {ADVISORY}"
        if code == "ConfigParseError":
            return "Correct that file: perhaps a section stands in it twice, or a line is none of name = value."
        if code == "ProfileNotFound":
            return f"Add the profile to ~/.aws/config of the user that runs Ansible, or correct profile of {self.side}."
        if isinstance(error, (OSError, *_UNREADABLE)) or code == "CredentialRetrievalError":
            whose = f"of the profile {self.profile}" if self.profile else "of the AWS configuration"
            return f"Run the credential_process {whose} by hand, as the user and with the PATH that Ansible has."
        return self.advice

    def ended(self, *, can_pass: bool = False) -> CredentialsError:
        """The error for keys of which AWS says that they have ended. ``can_pass``: something can renew them, later."""
        if can_pass:
            new = self.advice
        elif self.profile:
            new = f"Write new keys into the profile {self.profile}, or use one that can be renewed."
        else:
            new = "Give new keys, or a profile or role_arn that can be renewed."
        return CredentialsError(
            f"The session of {self} has ended{'' if can_pass else ', and nothing can renew its keys'}.",
            f"{new} {ADVISORY}",
            details={
                "code": "ExpiredToken",
                "side": self.side,
                "profile": self.profile,
                "session_ended": True,
                "refusal": "passes" if can_pass else "final",
            },
        )


def require_no_person(session: Any, origin: Origin) -> None:
    """Look at the profile of ``session`` and at those that it is assumed from; nothing is called.

    botocore asks for the code of an MFA device (``mfa_serial``) where such a profile assumes a role, and keeps the
    session in memory: each process would ask again, and none of ours has a terminal. Raises CredentialsError.
    """
    named = bool(session.instance_variables().get("profile"))
    if not named and os.environ.get("AWS_ACCESS_KEY_ID"):
        return  # botocore then never looks at the profile's role
    profiles: Mapping[str, Mapping[str, Any]] = session.full_config.get("profiles", {})
    name, seen = session.profile or "default", set[str]()
    while name in profiles and name not in seen:
        profile = profiles[name]
        has_keys = bool(seen) and "aws_access_key_id" in profile
        if "role_arn" not in profile or "web_identity_token_file" in profile or has_keys:
            return
        if "mfa_serial" in profile:
            raise CredentialsError(
                f"The profile {name} of {origin} asks a person for the code of an MFA device (mfa_serial).",
                f"Open a session first (aws configure export-credentials --profile {session.profile or name}), and give"
                f" its keys as access_key, secret_key and session_token, or use a profile without mfa_serial.",
                details={"code": "", "side": origin.side, "profile": name, "refusal": "final"},
            )
        seen.add(name)
        name = str(profile.get("source_profile", ""))


class SessionKeys:
    """Credentials as botocore uses them. What their provider raises is a CredentialsError of ``origin``.

    ``reload`` asks the provider anew: a file of keys may have been written since. What the user wrote as keys has none.
    """

    renewed_after = aws_errors.SESSION_ENDED

    def __init__(self, credentials: Any, origin: Origin, reload: Callable[[], Any] | None = None) -> None:
        self._credentials = credentials
        self._origin = origin
        self._reload = reload
        self._had = False  # whether there were keys once

    def __getattr__(self, name: str) -> Any:
        with self._explained():
            return getattr(self._credentials, name)

    def get_frozen_credentials(self) -> Any:
        """The keys valid now. Raises CredentialsError."""
        with self._explained():
            keys = self._credentials.get_frozen_credentials()
        self._had = True
        return keys

    def get_deferred_property(self, name: str) -> Callable[[], Any]:
        """As botocore's: reads ``name``, the account's id, when it is needed."""
        return lambda: getattr(self, name, None)

    @property
    def renewable(self) -> bool:
        """Whether a provider stands behind the keys that gives new ones before they end."""
        return isinstance(self._credentials, sdk.RefreshableCredentials)

    def renew_when_expired(
        self, request_dict: dict[str, Any], response: tuple[Any, Mapping[str, Any]] | None = None, **_event: Any
    ) -> int | None:
        """botocore's needs-retry handler: 0 has the request signed and sent again, once for a request.

        Raises CredentialsError where AWS says that the session has ended and there are no newer keys.
        """
        code = str(response[1].get("Error", {}).get("Code", "")) if response else ""
        if code not in self.renewed_after:
            return None
        if not request_dict["context"].get("tableferry_renewed"):
            request_dict["context"]["tableferry_renewed"] = True
            if self.renew():
                return 0
        if code in aws_errors.SESSION_ENDED:
            raise self.ended()
        return None

    def renew(self) -> bool:
        """Have new keys at the next use; False where there are none but these. Raises CredentialsError."""
        if self._reload is None:
            return False
        try:
            fresh = self._reload()
        except CredentialsError as error:
            if self.renewable:  # the provider gave some before
                error.details |= {"refusal": "passes", "session_ended": True}
            raise
        if fresh is None:
            return False
        before, self._credentials = self._credentials, fresh
        if self.renewable:
            return True
        names = ("access_key", "secret_key", "token")
        return any(getattr(before, name) != getattr(fresh, name) for name in names)

    def ended(self) -> CredentialsError:
        """The error for these keys when AWS says that they have ended: it can pass where something renews them."""
        return self._origin.ended(can_pass=self.renewable)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (FerryError, AttributeError):
            raise
        except Exception as error:
            can_pass = self.renewable and self._had
            raise clock_off.why_refused(error) or self._origin.failed(error, can_pass=can_pass) from error


class RoleKeys(SessionKeys):
    """A role's credentials: assumed at first use, again from 15 minutes before they end (botocore's advisory refresh),
    and when AWS says that they have ended all the same, as after a clock that was wrong or a machine that slept.

    ``assume`` raises CredentialsError where the keys it is assumed from have ended.
    """

    renewed_after = aws_errors.EXPIRED

    def __init__(self, assume: Callable[[], dict[str, str]], origin: Origin) -> None:
        def fresh() -> Any:
            return sdk.DeferredRefreshableCredentials(refresh_using=assume, method="assume-role")

        super().__init__(fresh(), origin, fresh)


class Provider:
    """Hands given credentials to a botocore session, in the place of its chain of providers."""

    def __init__(self, keys: SessionKeys) -> None:
        self._keys = keys

    def load_credentials(self) -> SessionKeys:
        """The credentials."""
        return self._keys


class Chain:
    """The chain of providers of a botocore session, whose failures are CredentialsErrors of ``origin``."""

    def __init__(self, session: Any, origin: Origin) -> None:
        helper.bound(session)
        self._chain = session.get_component("credential_provider")
        self._origin = origin

    def load_credentials(self) -> SessionKeys | None:
        """What the first provider gives that has any; None without one. Raises CredentialsError."""
        credentials = self._load()
        return SessionKeys(credentials, self._origin, self._load) if credentials else None

    def _load(self) -> Any:
        try:
            return self._chain.load_credentials()
        except Exception as error:
            raise self._origin.failed(error) from error
