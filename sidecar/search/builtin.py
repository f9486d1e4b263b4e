"""The profiles that need no file. Their numbers come from docs/decisions/search-defaults.md."""

from __future__ import annotations

from pathlib import Path

from sidecar.errors import ProfileInvalid
from sidecar.search.fusion import LinearFusion, ReciprocalRankFusion
from sidecar.search.lexical import Lexical
from sidecar.search.normalization import Normalization
from sidecar.search.profile import Profile, Sparse, read_profile
from sidecar.search.rerank import Rerank

__all__ = ["BUILT_IN", "load_profile"]

RERANKED = "+rerank"

COLLECTION_IDF = 0.7

_RERANK = Rerank(depth=50, weight=0.5)

_PLAIN = (
    Profile(name="lexical", retrievers=(Lexical(),)),
    Profile(name="sparse", retrievers=(Sparse(collection_idf=COLLECTION_IDF),)),
    Profile(
        name="hybrid",
        retrievers=(Lexical(weight=0.3), Sparse(weight=0.7, collection_idf=COLLECTION_IDF)),
        fusion=LinearFusion(normalization=Normalization.MIN_MAX),
    ),
    Profile(
        name="hybrid-rrf",
        retrievers=(Lexical(), Sparse(collection_idf=COLLECTION_IDF)),
        fusion=ReciprocalRankFusion(rank_constant=20),
    ),
)

BUILT_IN: dict[str, Profile] = {
    profile.name: profile
    for plain in _PLAIN
    for profile in (plain, plain.model_copy(update={"name": plain.name + RERANKED, "rerank": _RERANK}))
}
"""By name: `lexical`, `sparse`, `hybrid`, `hybrid-rrf`, and each with `+rerank`."""


def load_profile(name_or_path: str | Path) -> Profile:
    """Return the built-in profile of that name, or read a YAML file; raise ProfileInvalid if there is neither."""
    name = str(name_or_path)
    found = BUILT_IN.get(name)
    if found is not None:
        return found
    path = Path(name_or_path)
    if path.is_file():
        return read_profile(path)
    known = ", ".join(BUILT_IN)
    raise ProfileInvalid(f"No profile and no file is called {name!r}. Built-in profiles: {known}.", field="profile")
