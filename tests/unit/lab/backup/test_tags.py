# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tags."""

from __future__ import annotations

from typing import Any

from lab.backup import tags


def test_tags_of_own_resources(company: Any) -> None:
    source, arn = company.source, company.source.vault_arn
    source.backup("TagResource", ResourceArn=arn, Tags={"a": "1", "b": "2"})
    source.backup("TagResource", ResourceArn=arn, Tags={"b": "3"})
    source.backup("UntagResource", ResourceArn=arn, TagKeyList=["a", "never"])
    assert source.backup("ListTags", ResourceArn=arn)["Tags"] == {"b": "3"}
    point = company.point()
    source.backup("TagResource", ResourceArn=point, Tags={"tableferry:migration": "default"})
    assert source.backup("ListTags", ResourceArn=point)["Tags"] == {"tableferry:migration": "default"}
    for wrong in ({"aws:x": ""}, {str(number): "" for number in range(51)}):
        source.denied(tags.OWN, "InvalidParameterValueException", "50", "TagResource", ResourceArn=arn, Tags=wrong)
    company.destination.denied(tags.OWN, "ResourceNotFoundException", point, "ListTags", ResourceArn=point)
