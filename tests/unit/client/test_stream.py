"""How long a stream leaves a sidecar alone before it looks for it again."""

from __future__ import annotations

from sidecar.client._stream import FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS, backoff_seconds


def test_waits_double_up_to_a_limit_however_often_a_sidecar_was_away() -> None:
    waits = [backoff_seconds(failures) for failures in range(1, 2_000)]
    assert waits[:3] == [FIRST_BACKOFF_SECONDS, 2 * FIRST_BACKOFF_SECONDS, 4 * FIRST_BACKOFF_SECONDS]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_BACKOFF_SECONDS
