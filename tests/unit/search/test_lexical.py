"""The lexical retriever as it stands in a profile, and the query that it becomes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.errors import ProfileInvalid
from sidecar.search import Lexical, MatchType, Profile
from sidecar.search.lexical import MAX_FIELDS, MAX_SPELLINGS
from sidecar.search.text import MAX_WORDS, few_words, words_in

NAMES = st.from_regex(r"[a-z][a-z_]{0,8}(\.[a-z]{1,5})?", fullmatch=True)
BOOSTS = st.sampled_from(["", "^3", "^0.5", "^1000", "^.25"])
FIELDS = st.lists(NAMES, max_size=MAX_FIELDS, unique=True).flatmap(
    lambda names: st.tuples(*(BOOSTS.map(lambda boost, name=name: name + boost) for name in names))
)
TEXTS = st.text() | st.lists(st.sampled_from(["wolf", "river", "snow", "水"]), max_size=2_500).map(" ".join)


@st.composite
def retrievers(draw: st.DrawFn) -> Lexical:
    """Any that a profile may have."""
    fields = draw(FIELDS)
    kind = draw(st.sampled_from(MatchType)) if fields else MatchType.BEST_FIELDS
    strict = kind is MatchType.PHRASE
    minimum = None if strict else draw(st.sampled_from([None, "2", "-1", "75%", "-25%", "2<75%", "2<-25% 9<-3"]))
    return Lexical(
        fields=fields,
        type=kind,
        tie_breaker=draw(st.none() | st.floats(0.0, 1.0)) if fields else None,
        operator="or" if strict or minimum is not None else draw(st.sampled_from(["or", "and"])),
        minimum_should_match=minimum,
        fuzziness=None
        if kind in (MatchType.PHRASE, MatchType.CROSS_FIELDS)
        else draw(st.sampled_from([None, "0", "1", "2", "AUTO", "AUTO:3,6"])),
    )


@given(TEXTS, st.sampled_from([1.0, 0.4]), st.integers(1, MAX_WORDS))
def test_what_names_no_fields_is_the_query_that_it_always_was(text: str, boost: float, clauses: int) -> None:
    wanted = {"query": few_words(text, clauses)}
    if boost != 1.0:
        wanted["boost"] = boost
    query = Lexical().query(text, "content", boost=boost, clauses=clauses)
    assert query == {"match": {"content": wanted}}
    assert list(query["match"]["content"]) == list(wanted)


@pytest.mark.parametrize(
    ("settings", "query"),
    [
        (
            {"fields": ["title^3", "text"]},
            {"multi_match": {"query": "a wolf", "fields": ["title^3", "text"], "type": "best_fields"}},
        ),
        (
            {"fields": ["title", "tags"], "type": "cross_fields", "operator": "and", "tie_breaker": 0.3},
            {
                "multi_match": {
                    "query": "a wolf",
                    "fields": ["title", "tags"],
                    "type": "cross_fields",
                    "tie_breaker": 0.3,
                    "operator": "and",
                }
            },
        ),
        (
            {"fields": ["title.english"], "type": "most_fields", "minimum_should_match": 2},
            {
                "multi_match": {
                    "query": "a wolf",
                    "fields": ["title.english"],
                    "type": "most_fields",
                    "minimum_should_match": "2",
                }
            },
        ),
        (
            {"fields": ["title", "text"], "type": "phrase"},
            {"multi_match": {"query": "a wolf", "fields": ["title", "text"], "type": "phrase"}},
        ),
        (
            {"fields": ["title"], "fuzziness": "AUTO"},
            {
                "multi_match": {
                    "query": "a wolf",
                    "fields": ["title"],
                    "type": "best_fields",
                    "fuzziness": "AUTO",
                    "max_expansions": 50,
                }
            },
        ),
        (
            {"minimum_should_match": "2<75%", "fuzziness": 1},
            {
                "match": {
                    "content": {
                        "query": "a wolf",
                        "minimum_should_match": "2<75%",
                        "fuzziness": "1",
                        "max_expansions": 50,
                    }
                }
            },
        ),
        ({"operator": "and"}, {"match": {"content": {"query": "a wolf", "operator": "and"}}}),
    ],
)
def test_a_profile_becomes_the_clusters_own_query(settings: dict[str, object], query: dict[str, object]) -> None:
    profile = Profile.parse({"name": "x", "retrievers": [{"kind": "lexical", **settings}]})
    assert profile.lexical is not None
    assert profile.lexical.query("a wolf", "content") == query
    ((kind, clause),) = profile.lexical.query("a wolf", "content", boost=0.4).items()
    assert (clause if kind == "multi_match" else clause["content"])["boost"] == 0.4


@given(retrievers(), TEXTS, st.integers(MAX_FIELDS, MAX_WORDS))
@example(Lexical(fields=("a", "b", "c"), fuzziness="AUTO"), "wolf " * 2_000, MAX_WORDS)
def test_no_query_has_more_clauses_than_it_was_given(retriever: Lexical, text: str, clauses: int) -> None:
    ((kind, clause),) = retriever.query(text, "content", clauses=clauses).items()
    clause = clause if kind == "multi_match" else clause["content"]
    if retriever.type is MatchType.PHRASE:
        assert clause["query"] == text
        return
    each = max(1, len(retriever.fields)) * clause.get("max_expansions", 1)
    assert words_in(clause["query"]) * each <= clauses
    assert clause["query"] == text or len(text.split()) > 1 or words_in(text) > 1
    assert 1 <= clause.get("max_expansions", 1) <= MAX_SPELLINGS
    if clauses == MAX_WORDS:
        assert words_in(clause["query"]) * each <= max(retriever.clauses(text), 0)


@given(retrievers())
def test_a_retriever_survives_a_round_trip(retriever: Lexical) -> None:
    profile = Profile(name="x", retrievers=(retriever,))
    assert Profile.parse(profile.model_dump(mode="json")) == profile
    assert [f"{name}" for name in retriever.field_names] == [field.split("^")[0] for field in retriever.fields]


def test_words_beyond_the_clauses_are_left_out_and_each_is_kept_once() -> None:
    text = " ".join(f"w{number} w{number}" for number in range(600))
    three = Lexical(fields=("title^3", "text", "tags"))
    assert three.query(text, "content")["multi_match"]["query"].split() == [f"w{number}" for number in range(333)]
    assert Lexical(fields=("title",)).query("w " * MAX_WORDS, "content")["multi_match"]["query"] == "w " * MAX_WORDS


def test_the_more_words_the_fewer_spellings() -> None:
    def expansions(words: int) -> int:
        text = " ".join(f"w{number}" for number in range(words))
        return Lexical(fields=("a", "b"), fuzziness="AUTO").query(text, "content")["multi_match"]["max_expansions"]

    assert [expansions(words) for words in (0, 1, 10, 11, 100, 5_000)] == [50, 50, 50, 45, 5, 1]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"fields": ["title*"]}, "fields.0: must be a field's name, or name^boost, without wildcards"),
        ({"fields": ["title^"]}, "fields.0: must be a field's name, or name^boost"),
        ({"fields": ["title^-1"]}, "fields.0: must be a field's name, or name^boost"),
        ({"fields": ["text", ""]}, "fields.1: must be a field's name"),
        ({"fields": ["title^0"]}, "fields.0: a boost must be greater than 0 and at most 1000"),
        ({"fields": ["title^1001"]}, "fields.0: a boost must be greater than 0 and at most 1000"),
        ({"fields": "title"}, "fields: must be a list"),
        ({"fields": [{"title": 3}]}, "fields.0: must be a string"),
        ({"fields": [f"f{number}" for number in range(MAX_FIELDS + 1)]}, "fields: must have at most 16 items"),
        ({"fields": ["title", "title^3"]}, "each of the fields may be named once"),
        ({"fields": ["title"], "type": "combined_fields"}, "type: must be 'best_fields', 'most_fields'"),
        ({"type": "most_fields"}, "type and tie_breaker say how several fields are searched: name them in `fields`"),
        ({"tie_breaker": 0.3}, "name them in `fields`"),
        ({"fields": ["title"], "tie_breaker": 1.5}, "tie_breaker: must be less than or equal to 1"),
        ({"fields": ["title"], "tie_breaker": float("nan")}, "tie_breaker: "),
        ({"operator": "AND"}, "operator: must be 'or' or 'and'"),
        ({"minimum_should_match": "most"}, "minimum_should_match: must be a number of words"),
        ({"minimum_should_match": "120%"}, "minimum_should_match: must be a number of words"),
        ({"minimum_should_match": "2<75% 9"}, "minimum_should_match: must be a number of words"),
        ({"minimum_should_match": 0.75}, "minimum_should_match: must be a string"),
        ({"minimum_should_match": True}, "minimum_should_match: "),
        ({"minimum_should_match": 2, "operator": "and"}, "leave minimum_should_match out"),
        ({"fields": ["a"], "type": "phrase", "operator": "and"}, "a phrase has all its words"),
        ({"fields": ["a"], "type": "phrase", "minimum_should_match": 1}, "a phrase has all its words"),
        ({"fields": ["a"], "type": "phrase", "fuzziness": 1}, "clusters know no fuzziness with type: phrase"),
        ({"fields": ["a"], "type": "cross_fields", "fuzziness": 1}, "no fuzziness with type: cross_fields"),
        ({"fuzziness": 3}, "fuzziness: must be AUTO, AUTO:low,high, or 0 to 2 edits"),
        ({"fuzziness": "auto"}, "fuzziness: must be AUTO"),
        ({"fuzziness": "AUTO:6,3"}, "fuzziness: must be AUTO"),
        ({"feilds": ["a"]}, "unknown key (did you mean `fields`?)"),
    ],
)
def test_what_a_cluster_would_refuse_or_ignore_is_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ProfileInvalid) as caught:
        Profile.parse({"name": "x", "retrievers": [{"kind": "lexical", **settings}]})
    assert said in caught.value.message
    assert caught.value.field is not None
    assert caught.value.field.startswith("retrievers.0")


@pytest.mark.parametrize("minimum", [0, 3, "3", -1, "75%", "-25%", "100%", "3<90%", "2<-25% 9<-3", "0<1"])
def test_every_form_of_minimum_should_match(minimum: object) -> None:
    profile = Profile.parse({"name": "x", "retrievers": [{"kind": "lexical", "minimum_should_match": minimum}]})
    assert profile.lexical is not None
    assert profile.lexical.minimum_should_match == str(minimum)
