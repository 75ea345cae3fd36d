# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a profile says beside its keys."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from ..errors import InvalidInput

_SETTINGS = {
    "use_fips_endpoint": "AWS_USE_FIPS_ENDPOINT",
    "use_dualstack_endpoint": "AWS_USE_DUALSTACK_ENDPOINT",
    "ca_bundle": "AWS_CA_BUNDLE",
}
_URL = "AWS_ENDPOINT_URL"


def endpoint_environment(session: Any, environment: Mapping[str, str]) -> dict[str, str]:
    """The endpoints, their kind and the certificates that the profile of botocore's ``session`` names, as the
    environment variables of the SDKs; not those that ``environment`` sets itself, which count before a profile."""
    profile = session.get_scoped_config()
    found = {name: str(profile[option]) for option, name in _SETTINGS.items() if profile.get(option)}
    if _URL not in environment and not session.get_config_variable("ignore_configured_endpoint_urls"):
        found |= dict(_urls(session, profile))
    return {name: value for name, value in found.items() if name not in environment}


def _urls(session: Any, profile: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if profile.get("endpoint_url"):
        yield _URL, str(profile["endpoint_url"])
    services = session.full_config.get("services", {}).get(profile.get("services", ""), {})
    for service, settings in services.items():
        if isinstance(settings, Mapping) and settings.get("endpoint_url"):
            yield f"{_URL}_{service.upper()}", str(settings["endpoint_url"])


def require_encrypted(side: str, url: str) -> None:
    """Raises InvalidInput for an endpoint without TLS on another host: keys and items would go there in clear."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "http" or host == "localhost" or host.endswith(".localhost"):
        return
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise InvalidInput(
            f"The endpoint {url} of the {side} account has no TLS and is not this machine.", "Use https:// there."
        )
