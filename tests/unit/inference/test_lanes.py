"""Laws of the queue, as plain data: no thread, no clock."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import Lane
from sidecar.inference.calls import Call, Item
from sidecar.inference.lanes import MERGE_WASTE, SHARES, LaneQueue, Lanes

BUDGET = 256
LENGTHS = st.sampled_from([8, 16, 24, 32, 64, 128, 256, 512])


def call(lane: Lane = Lane.BULK) -> Call[int]:
    return Call.of([], lane=lane, deliver=lambda slot, row: None, settle=lambda error: None, deadline=None)


def item(tokens: int, slot: int = 0) -> Item:
    return Item(np.zeros(tokens, dtype=np.int32), slot=slot, tokens=tokens, second=tokens)


def drain(queue) -> list[list]:
    batches = []
    while batch := queue.take(BUDGET) if isinstance(queue, LaneQueue) else queue.take():
        batches.append(batch)
    return batches


def padded(batch) -> int:
    return len(batch) * max(entry.item.tokens for entry in batch)


@given(st.lists(st.lists(LENGTHS, max_size=20), max_size=8))
def test_every_item_runs_exactly_once_within_the_budget(calls):
    queue = LaneQueue()
    wanted: Counter = Counter()
    for lengths in calls:
        owner = call()
        for slot, length in enumerate(lengths):
            queue.add(owner, item(length, slot))
            wanted[(id(owner), slot, length)] += 1
        owner.backlog.append(item(8))  # keeps `owner` distinct and alive
    assert queue.tokens == sum(map(sum, calls))
    assert len(queue) == sum(map(len, calls))
    batches = drain(queue)
    got = Counter((id(entry.call), entry.item.slot, entry.item.tokens) for batch in batches for entry in batch)
    assert sum(got.values()) == sum(wanted.values())
    assert sorted((slot, tokens) for _, slot, tokens in got.elements()) == sorted(
        (slot, tokens) for _, slot, tokens in wanted.elements()
    )
    assert all(padded(batch) <= BUDGET or len(batch) == 1 for batch in batches)
    assert queue.tokens == len(queue) == 0


@given(st.lists(LENGTHS, min_size=1, max_size=60))
def test_little_padding_is_added(lengths):
    queue = LaneQueue()
    owner = call()
    for length in lengths:
        queue.add(owner, item(length))
    for batch in drain(queue):
        assert padded(batch) - sum(entry.item.tokens for entry in batch) <= MERGE_WASTE * len({*lengths})


@given(st.lists(st.tuples(st.booleans(), LENGTHS), max_size=60))
def test_discarding_a_call_takes_all_of_it_and_nothing_else(items):
    queue = LaneQueue()
    gone, stays = call(), call()
    for leaves, length in items:
        queue.add(gone if leaves else stays, item(length))
    queue.discard(gone)
    assert queue.tokens == sum(length for leaves, length in items if not leaves)
    assert all(entry.call is stays for batch in drain(queue) for entry in batch)


def test_similar_lengths_run_together():
    queue = LaneQueue()
    owner = call()
    for length in [8, 128] * 16:
        queue.add(owner, item(length))
    lengths = [{entry.item.tokens for entry in batch} for batch in drain(queue)]
    assert all(len(each) == 1 for each in lengths)
    assert len(lengths) == 9


def test_a_few_shorter_ones_are_taken_along():
    queue = LaneQueue()
    owner = call()
    for length in [32, 24, 16]:
        queue.add(owner, item(length))
    assert [len(batch) for batch in drain(queue)] == [3]


def test_a_single_item_longer_than_the_budget_runs_alone():
    queue = LaneQueue()
    owner = call()
    for length in [512, 512]:
        queue.add(owner, item(length))
    assert [len(batch) for batch in drain(queue)] == [1, 1]


def test_a_small_call_does_not_wait_for_the_whole_of_a_large_one():
    queue = LaneQueue()
    large, small = call(), call()
    for slot in range(1_000):
        queue.add(large, item(128, slot))
    queue.take(BUDGET)
    queue.add(small, item(8))
    batches = drain(queue)
    assert next(number for number, batch in enumerate(batches) if batch[0].call is small) <= 2


def test_calls_of_one_lane_share_it():
    queue = LaneQueue()
    calls = [call() for _ in range(4)]
    for owner in calls:
        for slot in range(100):
            queue.add(owner, item(64, slot))
    first = [entry for batch in drain(queue)[:25] for entry in batch]
    assert all(20 <= sum(entry.call is owner for entry in first) <= 30 for owner in calls)


def test_a_call_keeps_the_order_of_its_items():
    queue = LaneQueue()
    owner = call()
    for slot in range(20):
        queue.add(owner, item(64, slot))
    assert [entry.item.slot for batch in drain(queue) for entry in batch] == list(range(20))


def test_lanes_go_by_priority():
    lanes: Lanes[int] = Lanes(BUDGET)
    for lane in (Lane.BULK, Lane.RERANK, Lane.INTERACTIVE):
        lanes.add(call(lane), item(64))
    assert [batch[0].call.lane for batch in drain(lanes)] == [Lane.INTERACTIVE, Lane.RERANK, Lane.BULK]
    assert lanes.take() == []


def test_a_batch_never_mixes_lanes():
    lanes: Lanes[int] = Lanes(BUDGET)
    for lane in [Lane.INTERACTIVE, Lane.BULK] * 5:
        lanes.add(call(lane), item(16))
    assert all(len({entry.call.lane for entry in batch}) == 1 for batch in drain(lanes))


@pytest.mark.parametrize("length", [8, 64, 256])
def test_bulk_gets_its_share_however_much_arrives_above_it(length):
    lanes: Lanes[int] = Lanes(BUDGET)
    urgent, bulk = call(Lane.INTERACTIVE), call(Lane.BULK)
    for _ in range(400):
        lanes.add(bulk, item(256))
    ran = Counter()
    for _ in range(3_000):
        while lanes.tokens_of(Lane.INTERACTIVE) < BUDGET:
            lanes.add(urgent, item(length))
        batch = lanes.take()
        ran[batch[0].call.lane] += padded(batch)
    share = ran[Lane.BULK] / sum(ran.values())
    assert SHARES[Lane.BULK] * 0.85 <= share <= SHARES[Lane.BULK] * 1.1


def test_no_lane_starves_when_all_are_full():
    lanes: Lanes[int] = Lanes(BUDGET)
    owners = {lane: call(lane) for lane in Lane}
    ran = Counter()
    for _ in range(1_000):
        for lane, owner in owners.items():
            while lanes.tokens_of(lane) < BUDGET:
                lanes.add(owner, item(128))
        batch = lanes.take()
        ran[batch[0].call.lane] += padded(batch)
    shares = {lane: ran[lane] / sum(ran.values()) for lane in Lane}
    assert shares[Lane.BULK] > 0.07
    assert shares[Lane.RERANK] > 0.13
    assert shares[Lane.INTERACTIVE] > 0.6


def test_an_idle_lane_saves_nothing_up():
    lanes: Lanes[int] = Lanes(BUDGET)
    urgent, bulk = call(Lane.INTERACTIVE), call(Lane.BULK)
    lanes.add(bulk, item(8))
    for _ in range(100):
        lanes.add(urgent, item(256))
        lanes.take()
    lanes.discard(bulk)
    lanes.add(urgent, item(256))
    lanes.take()
    lanes.add(bulk, item(256))
    lanes.add(urgent, item(256))
    assert lanes.take()[0].call is urgent
