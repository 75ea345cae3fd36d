# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A wrong clock is named as the reason where AWS has refused a call for its signature."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from ansible_collections.tableferry.aws.plugins.module_utils.core.signing.clock_off import why_refused
from ansible_collections.tableferry.aws.plugins.module_utils.glue.outcome import explain

AWS_TIME = 1_800_000_000
DATE = "Fri, 15 Jan 2027 08:00:00 GMT"


def refusal(code: str, date: str = DATE) -> ClientError:
    metadata = {"HTTPStatusCode": 400, "HTTPHeaders": {"date": date} if date else {}}
    return ClientError({"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": metadata}, "GetItem")  # type: ignore[arg-type]


@pytest.mark.parametrize(("off", "words"), [(1200, "20 minutes ahead of"), (-1200, "20 minutes behind")])
def test_a_clock_that_is_off_is_the_reason(off: float, words: str) -> None:
    error = why_refused(refusal("InvalidSignatureException"), lambda: AWS_TIME + off)
    assert error is not None and words in error.cause and "Set the controller's clock" in error.next_step


@pytest.mark.parametrize(
    ("error", "off"),
    [
        (refusal("InvalidSignatureException"), 180),
        (refusal("ExpiredToken", ""), 1200),
        (refusal("AccessDeniedException"), 1200),
        (refusal("InvalidSignatureException", "soon"), 1200),
        (OSError("no answer"), 1200),
    ],
)
def test_it_is_not_where_it_is_right_or_nothing_says_so(error: Exception, off: float) -> None:
    assert why_refused(error, lambda: AWS_TIME + off) is None


def test_verbs_say_so() -> None:
    assert type(explain(refusal("SignatureDoesNotMatch"))).__name__ == "ClockOff"  # this machine's clock is not AWS's
