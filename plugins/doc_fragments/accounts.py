# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

# An account's own options. ``of`` and ``within`` say whose they are.
_ACCOUNT = r"""  {option}:
    description:
      - The account and Region {purpose}.
      - What it does not say is taken from the options of the same names that both sides share.
    type: dict
    suboptions:
      region:
        description:
          - The AWS Region{of}.
        type: str
      profile:
        description:
          - The profile of the AWS configuration files{of}.
          - Not together with keys.
        type: str
      access_key:
        description:
          - The AWS access key id{of}.
          - It needs a secret key beside it, and wins over C(AWS_*) in the environment.
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
          - Where to send the requests{of} instead of AWS's own endpoints.
        type: str
      role_arn:
        description:
          - The ARN of the role to assume{within};
            the profile, keys or environment are the caller.
          - The role is assumed again before its session ends, so that a wait may last longer than a session.
        type: str
      external_id:
        description:
          - The external id that the trust policy of the role asks for.
        type: str
      account_id:
        description:
          - The 12 digits of the account that the credentials must belong to.
          - Credentials of another account are refused, and AWS is not asked whose they are.
        type: str
"""
_SOURCE = _ACCOUNT.format(
    option="source",
    purpose="that the table comes from",
    of=" of the source account",
    within=" in the source account",
)
_DESTINATION = _ACCOUNT.format(
    option="destination",
    purpose="that the table goes to",
    of=" of the destination account",
    within=" in the destination account",
)
_ONE = _ACCOUNT.format(option="account", purpose="to open a session in", of="", within="")


class ModuleDocFragment:
    """How verbs reach an account: what both sides share, and each side's own."""

    DOCUMENTATION = r"""
options:
  region:
    description:
      - The AWS Region for each side that does not say its own.
    type: str
  profile:
    description:
      - The profile of the AWS configuration files for each side that does not say its own.
      - Not together with keys.
    type: str
  access_key:
    description:
      - The AWS access key id for each side that does not say its own.
      - It needs a secret key beside it, and wins over C(AWS_*) in the environment.
    type: str
  secret_key:
    description:
      - The AWS secret access key for each side that does not say its own.
    type: str
  session_token:
    description:
      - The session token that belongs to temporary keys.
    type: str
  endpoint_url:
    description:
      - Where to send requests instead of AWS's own endpoints, for each side that does not say its own.
    type: str
requirements:
  - python >= 3.11
  - boto3 >= 1.40
  - botocore >= 1.40
"""

    SOURCE = f"options:\n{_SOURCE}"

    DESTINATION = f"options:\n{_DESTINATION}"

    # For verbs that need both sides.
    BOTH = f"options:\n{_SOURCE}    required: true\n{_DESTINATION}    required: true\n"

    # For verbs that look at one account, whichever side it is.
    ACCOUNT = (
        f"options:\n{_ONE}"
        + r"""
    required: true
  side:
    description:
      - Which side of the migration the account is. It names the session of an assumed role, and the side in error
        messages.
    type: str
    choices: [source, destination]
    default: source
"""
    )
