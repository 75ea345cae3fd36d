# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments of calls checked by botocore's models, as botocore checks them.

Its own check takes a good part of the time of tests that call the lab in their process, and nearly all arguments are
right. So a check that is made once for each shape says that they are, and botocore is asked where it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ParamValidationError
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape
from botocore.utils import is_json_value_header
from botocore.validate import ParamValidator

Check = Callable[[Any], bool]

_VALIDATOR = ParamValidator()
_LISTS = (list, tuple)
_BLOBS = (bytes, bytearray, str)
_checks: dict[tuple[str, str], Check] = {}  # by service and shape


def check_arguments(arguments: Mapping[str, Any], operation: OperationModel) -> None:
    """Raise botocore's ParamValidationError where ``arguments`` do not fit the model of ``operation``."""
    shape = operation.input_shape
    if shape is None or surely_fits(operation.service_model.service_name, shape)(arguments):
        return
    report = _VALIDATOR.validate(arguments, shape)
    if report.has_errors():
        raise ParamValidationError(report=report.generate_report())


def surely_fits(service: str, shape: Shape) -> Check:
    """The check of values by ``shape``. False is no answer: botocore must be asked."""
    key = service, shape.name
    if not isinstance(shape, StructureShape | ListShape | MapShape):
        return _scalar(shape)  # not kept: where it stands counts too
    if key not in _checks:

        def itself(value: Any) -> bool:
            return _checks[key](value)

        _checks[key] = itself  # for what the shape contains
        _checks[key] = _container(service, shape)
    return _checks[key]


def _container(service: str, shape: StructureShape | ListShape | MapShape) -> Check:
    if isinstance(shape, StructureShape):
        return _structure(service, shape)
    if isinstance(shape, ListShape):
        least, member = _least(shape), surely_fits(service, shape.member)
        return lambda value: isinstance(value, _LISTS) and len(value) >= least and all(map(member, value))
    of_key, of_value = surely_fits(service, shape.key), surely_fits(service, shape.value)
    return lambda value: isinstance(value, dict) and all(map(of_key, value)) and all(map(of_value, value.values()))


def _structure(service: str, shape: StructureShape) -> Check:
    members = {name: surely_fits(service, member) for name, member in shape.members.items()}
    required = shape.metadata.get("required", [])
    is_union = shape.is_tagged_union

    def fits(value: Any) -> bool:
        if not isinstance(value, dict) or (is_union and len(value) != 1):
            return False
        for name in required:
            if name not in value:
                return False
        for name, each in value.items():
            check = members.get(name)
            if check is None or not check(each):
                return False
        return True

    return (lambda value: False) if shape.is_document_type else fits


def _scalar(shape: Shape) -> Check:
    least = _least(shape)
    if shape.type_name == "string" and not is_json_value_header(shape):
        return (lambda value: isinstance(value, str) and len(value) >= least) if least else _is_text
    if shape.type_name in ("integer", "long"):
        return lambda value: isinstance(value, int) and value >= least
    if shape.type_name == "boolean":
        return lambda value: isinstance(value, bool)
    if shape.type_name == "blob":
        return lambda value: isinstance(value, _BLOBS)
    return lambda value: False


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _least(shape: Shape) -> float:
    """The least length or value."""
    at_least = shape.metadata.get("min")
    if at_least is None:
        at_least = 1 if shape.serialization.get("hostLabel") else 0 if shape.type_name == "string" else float("-inf")
    return float(at_least)
