"""One frozen `Settings`: command-line flag = environment variable (`SIDECAR_…`) = YAML key.

Precedence: flag, environment, YAML file (`--config FILE` or `SIDECAR_CONFIG`), default.
"""

from __future__ import annotations

from sidecar.settings.loading import READ_ELSEWHERE, load_settings, unread_variables
from sidecar.settings.model import PREFIX, Settings
from sidecar.settings.values import LOOPBACK, Provider

__all__ = ["LOOPBACK", "PREFIX", "READ_ELSEWHERE", "Provider", "Settings", "load_settings", "unread_variables"]
