"""What of searching the settings ask for, checked before anything is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from sidecar.domain import JsonObject
from sidecar.search import Profile
from sidecar.server.searching.access import ClusterAccess
from sidecar.server.searching.allowed import AllowedIndices
from sidecar.server.searching.profiles import served_profiles
from sidecar.settings import Settings

__all__ = ["SearchPlan"]


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """The cluster, the indices and profiles that callers may name, whether bodies of theirs are run, and the limit."""

    access: ClusterAccess
    allowed: AllowedIndices
    profiles: Mapping[str, Profile]
    bodies: bool
    limit: int

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Return the plan; None where no cluster is set. Raises SettingsInvalid."""
        if settings.search_engine is None:
            return None
        return cls(
            access=ClusterAccess.of(settings),
            allowed=AllowedIndices.of(settings.search_indices),
            profiles=served_profiles(settings.search_profiles),
            bodies=settings.search_bodies,
            limit=settings.max_searches,
        )

    def facts(self) -> JsonObject:
        """Return what is searchable, for the log and `/buildinfo`: no credentials, and no user."""
        return {
            "engine": self.access.shown,
            "indices": list(self.allowed.patterns),
            "profiles": list(self.profiles),
            "bodies": self.bodies,
        }
