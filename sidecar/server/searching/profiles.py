"""The profiles that callers may name: the built-in ones and those of the operator's folder. Never a path of theirs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from sidecar.errors import ProfileInvalid, SettingsInvalid
from sidecar.search import BUILT_IN, Profile, read_profile

__all__ = ["profile_named", "served_profiles"]

SETTING = "search_profiles"

ENDINGS = (".yaml", ".yml")


def served_profiles(folder: Path | None) -> Mapping[str, Profile]:
    """Return the profiles by name; files of other endings, and hidden ones, are none.

    Raises SettingsInvalid where the folder can't be read or holds none, where a file is no profile, and where two
    profiles have one name.
    """
    if folder is None:
        return MappingProxyType(dict(BUILT_IN))
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix in ENDINGS and not path.name.startswith("."))
    except OSError as error:
        raise _refused(f"the folder {folder} can't be read: {error.strerror}.") from None
    if not files:
        raise _refused(f"the folder {folder} holds no file that ends in {' or '.join(ENDINGS)}.")
    found = dict(BUILT_IN)
    for path in files:
        try:
            profile = read_profile(path)
        except ProfileInvalid as error:
            raise _refused(error.message) from None
        if profile.name in found:
            raise _refused(f"{path} is called {profile.name}, and so is another profile: give it another `name`.")
        found[profile.name] = profile
    return MappingProxyType(found)


def profile_named(name: str, served: Mapping[str, Profile]) -> Profile:
    """Return the profile; raise ProfileInvalid, which says what there is and does not repeat the name."""
    found = served.get(name)
    if found is None:
        raise ProfileInvalid(f"No such profile. Served here: {', '.join(served)}.", field="profile")
    return found


def _refused(what: str) -> SettingsInvalid:
    return SettingsInvalid(f"Setting {SETTING}: {what}", field=SETTING)
