import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.inference.content_cache import CacheFigures, ContentCache, content_key


def test_the_least_recently_used_goes_first():
    cache: ContentCache[str] = ContentCache(40)
    for name in "abcd":
        cache.put(name.encode(), name, 10)
    assert cache.get(b"a") == "a"
    cache.put(b"e", "e", 10)
    assert cache.get(b"b") is None
    assert [cache.get(name.encode()) for name in "acde"] == ["a", "c", "d", "e"]
    assert cache.figures() == CacheFigures(hits=5, misses=1, used=40)


def test_a_value_that_is_put_again_takes_its_place_once():
    cache: ContentCache[int] = ContentCache(100)
    cache.put(b"a", 1, 20)
    cache.put(b"a", 2, 5)
    assert cache.get(b"a") == 2
    assert cache.figures().used == 5


def test_a_huge_value_does_not_push_the_others_out():
    cache: ContentCache[int] = ContentCache(100)
    cache.put(b"small", 1, 10)
    cache.put(b"huge", 2, 26)
    assert cache.get(b"huge") is None
    assert cache.get(b"small") == 1


def test_a_capacity_of_nothing_keeps_nothing():
    cache: ContentCache[int] = ContentCache(0)
    assert not cache
    cache.put(b"a", 1, 1)
    assert cache.get(b"a") is None
    assert cache.figures().used == 0


def test_even_the_smallest_capacity_keeps_something():
    cache: ContentCache[int] = ContentCache(1)
    cache.put(b"a", 1, 1)
    cache.put(b"b", 2, 1)
    assert (cache.get(b"a"), cache.get(b"b")) == (None, 2)


@given(
    st.integers(0, 50),
    st.lists(st.tuples(st.booleans(), st.sampled_from([b"a", b"b", b"c", b"d"]), st.integers(0, 20)), max_size=60),
)
def test_never_more_than_the_capacity_and_never_another_value(capacity, steps):
    cache: ContentCache[int] = ContentCache(capacity)
    last: dict[bytes, int] = {}
    for number, (reading, key, cost) in enumerate(steps):
        if reading:
            found = cache.get(key)
            assert found is None or found == last[key]
        else:
            cache.put(key, number, cost)
            if cache.get(key) == number:
                last[key] = number
        assert 0 <= cache.figures().used <= capacity


def test_threads_share_it():
    cache: ContentCache[int] = ContentCache(1_000)

    def work(start: int) -> None:
        for number in range(2_000):
            key = ((start + number) % 150).to_bytes(2, "little")
            cache.put(key, number, 10)
            cache.get(key)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    figures = cache.figures()
    assert figures.used <= 1_000
    assert figures.hits + figures.misses == 8_000


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_keys_are_equal_for_equal_texts_only(one, other):
    assert (content_key(*one) == content_key(*other)) == (one == other)


@pytest.mark.parametrize(("one", "other"), [(("ab", "c"), ("a", "bc")), (("a",), ("a", "")), (("é",), ("e\u0301",))])
def test_keys_know_where_a_text_ends(one, other):
    assert content_key(*one) != content_key(*other)
