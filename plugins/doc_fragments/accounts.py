# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

# The options of one account. ``of`` and ``within`` name the account.
_ACCOUNT = r"""  {option}:
    description:
      - The account and Region {purpose}.
      - Options that are not set here are taken from the options of the same names for both sides.
    type: dict
    suboptions:
      region:
        description:
          - The AWS Region{of}.
        type: str
      profile:
        description:
          - The profile of the AWS configuration files{of}.
          - Mutually exclusive with keys.
        type: str
      access_key:
        description:
          - The AWS access key ID{of}.
          - It requires the secret key, and takes precedence over C(AWS_*) in the environment.
        type: str
      secret_key:
        description:
          - The AWS secret access key{of}.
        type: str
      session_token:
        description:
          - The session token that belongs to temporary keys.
        type: str
      endpoint_url:
        description:
          - The endpoint for requests{of}, instead of that of AWS.
        type: str
      role_arn:
        description:
          - The ARN of the role to assume{within};
            the caller is given by the profile, keys or environment.
          - The role is assumed again before its session expires, so that a wait may last longer than a session.
        type: str
      external_id:
        description:
          - The external ID that the trust policy of the role requires.
        type: str
      account_id:
        description:
          - The ID of the account that the credentials must belong to, 12 digits.
          - Credentials of another account are refused, and the account is not looked up at AWS.
        type: str
      tags:
        description:
          - Tags for what is created in the account besides copies of tables, such as buckets, keys, roles,
            vaults, backups and the record table. A copy gets the tags of its source table.
          - They are set when it is created; what is there already is not changed.
        type: dict
      call_log:
        description:
          - A file on the controller that gets a line of JSON when a call to the account is sent, and another one
            when it is answered, with service, operation, table, HTTP status, ID of the request and milliseconds, to
            look into faults.
          - It has no contents of requests and answers, and no credentials.
        type: path
"""
_SOURCE = _ACCOUNT.format(
    option="source",
    purpose="of the source table",
    of=" of the source account",
    within=" in the source account",
)
_DESTINATION = _ACCOUNT.format(
    option="destination",
    purpose="of the destination table",
    of=" of the destination account",
    within=" in the destination account",
)
_ONE = _ACCOUNT.format(option="account", purpose="to open a session in", of="", within="")


class ModuleDocFragment:
    """Accounts and credentials: the options for both sides, and those of each side."""

    DOCUMENTATION = r"""
options:
  region:
    description:
      - The AWS Region, for a side without its own.
    type: str
  profile:
    description:
      - The profile of the AWS configuration files, for a side without its own.
      - Mutually exclusive with keys.
    type: str
  access_key:
    description:
      - The AWS access key ID, for a side without its own.
      - It requires the secret key, and takes precedence over C(AWS_*) in the environment.
    type: str
  secret_key:
    description:
      - The AWS secret access key, for a side without its own.
    type: str
  session_token:
    description:
      - The session token that belongs to temporary keys.
    type: str
  endpoint_url:
    description:
      - The endpoint for requests, instead of that of AWS, for a side without its own.
    type: str
requirements:
  - python >= 3.11
  - boto3 >= 1.40
  - botocore >= 1.40
"""

    # Annotated: the sanity test takes plain assignments for literal texts.
    SOURCE: str = f"options:\n{_SOURCE}"

    DESTINATION: str = f"options:\n{_DESTINATION}"

    # For verbs that need both sides.
    BOTH: str = f"options:\n{_SOURCE}    required: true\n{_DESTINATION}    required: true\n"

    # For verbs that use one account, source or destination.
    ACCOUNT: str = (
        f"options:\n{_ONE}"
        + r"""
    required: true
  side:
    description:
      - Whether the account is the source or the destination of the migration. It is used in the session name of an
        assumed role and in error messages.
    type: str
    choices: [source, destination]
    default: source
"""
    )
