# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a verb to the result that Ansible prints: the only place that turns errors into failures."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ..core import aws_errors, errors, sdk
from ..core.signing import clock_off
from .interruption import interruptible
from .spec import Progress, Verb


class SdkMissing(errors.FerryError):
    """boto3 or botocore cannot be imported by the Python that runs the verb."""


def explain(error: BaseException) -> errors.FerryError:
    """An error of the SDK that the core did not explain, in words for the user.

    AWS quotes the signed headers, the session token among them, in the text of a signature error: the texts of
    credential errors are therefore not passed on.
    """
    code = sdk.error_code(error)
    operation = str(getattr(error, "operation_name", ""))
    details = {"code": code, "operation": operation}
    if isinstance(error, sdk.ClientError):
        details["request_id"] = number = sdk.request_id(error)
        text = f"{operation} answered {code}: {sdk.told(error)}."
        if code in aws_errors.BAD_CREDENTIALS:
            off = clock_off.why_refused(error)
            if off is not None:
                return off
            return errors.CredentialsError(
                f"AWS does not accept the credentials ({operation} answered {aws_errors.reason(code, '', number)}).",
                "Renew the credentials of that account, and check the clock of this machine.",
                details=details,
            )
        refusal = aws_errors.refusal_of(error)
        details |= refusal.details
        if code in aws_errors.DENIED:
            return errors.AccessDenied(
                text,
                refusal.next_step
                or "Grant this permission to this principal; the README of each role lists the permissions it needs.",
                details=details,
            )
        if refusal.waits:
            return errors.ServiceError(
                text, "Run again in a few minutes: running jobs are found and continued.", details=details
            )
        step = refusal.next_step or "Fix the cause AWS reports, then run again."
        return errors.ServiceError(text, step, details=details)
    if code in aws_errors.NO_CREDENTIALS:
        return errors.CredentialsError(
            f"No usable AWS credentials were found ({code}: {error}).",
            "Set a profile, an access_key with its secret_key, or a role_arn, or log in again.",
            details=details,
        )
    if code in aws_errors.BAD_REGION:
        return errors.InvalidInput(
            f"The Region is missing or malformed ({error}).", "Set the option region.", details=details
        )
    if code == "ParamValidationError":
        cause = f"AWS does not accept the value of an option ({str(error).rstrip('.')})."
        return errors.InvalidInput(cause, "Correct this option.", details=details)
    return errors.ServiceError(
        f"AWS could not be reached ({code}: {str(error).rstrip('.')}).",
        "Check the region, the endpoint_url, and this machine's network and proxy, then run again.",
        details=details,
    )


def failure(error: errors.FerryError) -> dict[str, Any]:
    """The result of a task that failed with ``error``."""
    return {
        "failed": True,
        "msg": str(error),
        "ferry_status": error.status,
        "ferry_error": type(error).__name__,
        "table": error.table,
        "cause": error.cause,
        "next_step": error.next_step,
        "details": error.details,
    }


def outcome(verb: Verb, params: dict[str, Any], *, check_mode: bool, diff: bool, progress: Progress) -> dict[str, Any]:
    """Run ``verb`` with validated ``params``: its result, or the failure with the next step. Never raises for AWS."""
    table = str(params.get("name") or "") if verb.names_table else ""
    if sdk.SDK_ERROR:
        missing = SdkMissing(
            missing_required_lib("boto3 and botocore"),
            "Install boto3 for this Python, or set ansible_python_interpreter to one that has it.",
            table=table,
            details={"import_error": sdk.SDK_ERROR},
        )
        return failure(missing)
    try:
        with interruptible():
            result = verb.run(params, check_mode, progress)
    except errors.FerryError as error:
        return failure(error.for_table(table))
    except (sdk.BotoCoreError, sdk.ClientError) as error:
        return failure(explain(error).for_table(table))
    if not diff:
        result.pop("diff", None)
    return result


def run_module(verb: Verb) -> None:
    """Run ``verb`` as a module."""
    module = AnsibleModule(argument_spec=verb.spec, supports_check_mode=True, **verb.rules)
    result = outcome(
        verb, dict(module.params), check_mode=module.check_mode, diff=module._diff, progress=lambda line: None
    )
    if verb.hands_out_credentials and "credentials" in result:
        # Masking the requested credentials would return asterisks; the task sets no_log.
        module.no_log_values.difference_update(result["credentials"].values())
    for warning in result.pop("warnings", ()):
        module.warn(warning)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)
