# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""XML as S3 speaks it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from xml.etree import ElementTree

from lab.errors import AwsError

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
# A value is text, or the (name, value) pairs of nested elements.
Value = str | int | Iterable[tuple[str, "Value"]]


def timestamp(seconds: float) -> str:
    """Epoch seconds as S3 writes them in XML."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def document(root: str, content: Value) -> bytes:
    """An XML document of S3's namespace."""
    element = ElementTree.Element(root, {"xmlns": NAMESPACE})
    _fill(element, content)
    written: bytes = ElementTree.tostring(element, encoding="utf-8", xml_declaration=True)
    return written


def _fill(element: ElementTree.Element, content: Value) -> None:
    if isinstance(content, str | int):
        element.text = str(content)
        return
    for name, value in content:
        _fill(ElementTree.SubElement(element, name), value)


def parse(body: bytes) -> ElementTree.Element:
    """The root of a document as sent, its namespaces taken off; AwsError MalformedXML."""
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        message = "The XML you provided was not well-formed or did not validate against our published schema"
        raise AwsError("MalformedXML", message, 400) from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def text_in(body: bytes | None, tag: str) -> str:
    """Text of the first element called ``tag`` in a stored document; empty where there is none."""
    return (parse(body).findtext(f".//{tag}") or "").strip() if body else ""
