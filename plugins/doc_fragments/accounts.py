# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

_SHARED = """
  {name}region:
    description:
      - The AWS Region{of}.
    type: str
  {name}profile:
    description:
      - The profile of the AWS configuration files{of}.
      - Not together with keys.
    type: str
  {name}access_key:
    description:
      - The AWS access key id{of}.
      - It needs a secret key beside it, and wins over C(AWS_*) in the environment.
    type: str
  {name}secret_key:
    description:
      - The AWS secret access key{of}.
    type: str
  {name}session_token:
    description:
      - The session token that belongs to temporary keys.
    type: str
  {name}endpoint_url:
    description:
      - Where to send the requests{of} instead of AWS's own endpoints.
    type: str
"""

_ROLE = """
  role_arn:
    description:
      - The ARN of the role to assume{of}, with the profile, keys or environment as the caller.
      - The role is assumed again before its session ends, so that a wait may last longer than a session.
    type: str
  external_id:
    description:
      - The external id that the trust policy of the role asks for.
    type: str
"""


def _indented(text: str, width: int) -> str:
    return "".join(f"{' ' * width}{line}\n" if line else "\n" for line in text.splitlines())


def _side(name: str, what: str) -> str:
    """The documentation of one account option with its suboptions."""
    of = f" of the {name} account" if name != "account" else ""
    suboptions = _indented((_SHARED.format(name="", of=of) + _ROLE.format(of=of)).strip("\n"), 4)
    return f"""
options:
  {name}:
    description:
      - {what}
      - What it does not say is taken from the options of the same names that both sides share.
    type: dict
    suboptions:
{suboptions}"""


class ModuleDocFragment:
    """How verbs reach an account: what both sides share, and each side's own."""

    DOCUMENTATION = f"""
options:
{_SHARED.format(name="", of=" for each side that does not say its own").strip(chr(10))}
requirements:
  - Python >= 3.11
  - boto3 >= 1.40
  - botocore >= 1.40
"""

    SOURCE = _side("source", "The account and Region that the table comes from.")
    DESTINATION = _side("destination", "The account and Region that the table goes to.")
    ACCOUNT = _side("account", "The account and Region to open a session in.")
