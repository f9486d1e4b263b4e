"""Document frequencies in a mapping's `_meta`."""

import gc
import math
import weakref

import hypothesis.strategies as st
import pytest
from hypothesis import given

from sidecar.engine import frequencies
from sidecar.engine.frequencies import FREQUENCIES_KEY, CollectionFrequencies, inverse_document_frequency
from sidecar.errors import IndexNotPrepared

FINGERPRINT = "a" * 64


def packed(counts, sampled=100):
    return CollectionFrequencies.of(
        counts, fingerprint=FINGERPRINT, documents=1_000, sampled=sampled, refreshed="2026-01-01T00:00:00+00:00"
    )


@given(st.dictionaries(st.integers(0, 2**31), st.integers(0, 2**31), max_size=200))
def test_what_is_packed_is_unpacked(counts):
    table = packed(counts)
    assert table.counts() == {term_id: count for term_id, count in counts.items() if count >= 2}
    again = CollectionFrequencies.parse("articles", table.to_mapping()[FREQUENCIES_KEY])
    assert again == table


def test_idf_is_that_of_bm25():
    table = packed({7: 40, 8: 100}, sampled=100)
    assert table.idf(7) == pytest.approx(math.log(1 + 60.5 / 40.5))
    assert table.idf(8) == pytest.approx(math.log(1 + 0.5 / 100.5))
    assert table.idf(9) == inverse_document_frequency(0, 100) > table.idf(7) > table.idf(8) > 0


def test_a_large_vocabulary_stays_small_in_the_cluster_state():
    table = packed({term_id: 2 + (term_id * 7919) % 900 for term_id in range(0, 30_522, 2)})
    assert len(table.table) < 60_000


@given(st.dictionaries(st.integers(0, 2**31), st.integers(2, 2**31), max_size=50), st.integers(0, 2**31))
def test_a_term_is_found_or_counts_for_nothing(counts, other):
    table = packed(counts)
    for term_id in {*counts, other}:
        assert table.idf(term_id) == inverse_document_frequency(counts.get(term_id, 0), 100)


def test_a_table_is_unpacked_once_however_many_there_are(monkeypatch):
    """One for each index that is searched: sixteen were remembered, and the seventeenth was unpacked for each query."""
    unpacked = []
    once = frequencies._unpacked
    monkeypatch.setattr(frequencies, "_unpacked", lambda table: unpacked.append(table) or once(table))
    tables = [packed({7: 2 + place, 9: 3}) for place in range(40)]
    for _ in range(3):
        assert len({table.idf(7) for table in tables}) == 40
        assert len({table.idf(9) for table in tables}) == 1
    assert sorted(unpacked) == sorted(table.table for table in tables)


def test_a_record_that_is_read_again_shares_its_table_and_the_last_one_takes_it_along():
    first = packed({7: 123_457})
    again = CollectionFrequencies.parse("articles", first.to_mapping()[FREQUENCIES_KEY])
    assert again == first
    assert again._terms is first._terms
    kept, name = weakref.ref(first._terms), first.table
    del first
    gc.collect()
    assert kept() is again._terms
    del again
    gc.collect()
    assert kept() is None
    assert name not in frequencies._UNPACKED


def test_an_index_that_was_never_counted():
    assert CollectionFrequencies.parse("articles", None) is None


@pytest.mark.parametrize(
    "change",
    [{"table": "no base64"}, {"table": "AAAA"}, {"version": 2}, {"sampled": 0}, {"more": 1}, {"fingerprint": "x"}],
)
def test_a_table_that_can_not_be_read(change):
    record = dict(packed({1: 2}).to_mapping()[FREQUENCIES_KEY]) | change
    with pytest.raises(IndexNotPrepared, match="sidecar frequencies --index articles"):
        CollectionFrequencies.parse("articles", record)
