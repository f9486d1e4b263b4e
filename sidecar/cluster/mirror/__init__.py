"""An index that is kept as a copy of another one, with another model's vectors, while an alias stands for the one."""

from __future__ import annotations

from sidecar.cluster.mirror.copying import CopyRun
from sidecar.cluster.mirror.pair import Pair, Side, find_pair, require_pair
from sidecar.cluster.mirror.record import SECOND_INDEX_KEY, SecondIndexRecord

__all__ = ["SECOND_INDEX_KEY", "CopyRun", "Pair", "SecondIndexRecord", "Side", "find_pair", "require_pair"]
