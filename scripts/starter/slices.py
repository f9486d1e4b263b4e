"""Robustness slices from held-out pairs: wordy, padded, inflected and far-away queries."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from scripts.starter.corpus import Corpus, sentences
from scripts.starter.folding import Folding

# None of these stands among the fillers of the training.
PADDINGS = (
    "good morning, i hope this message finds you well. would somebody be so kind as to point me to {} ? many thanks",
    "ok so i have been reading around for days and still do not get it: {} - does anyone here know more about it?",
    "search the archive and return whatever seems most useful with respect to the following request: {}",
    "for a presentation next week i would like to learn the basics. the subject is: {} . where should i begin?",
)
MOST = 400


@dataclass(frozen=True, slots=True)
class Slice:
    """Queries [Q] with one relevant document each: `labels` [Q] are positions among `documents`."""

    name: str
    documents: Sequence[str]
    queries: Sequence[str]
    labels: Sequence[int]


def held_out_slices(corpus: Corpus, folding: Folding, tokenizer: Tokenizer, seed: int) -> list[Slice]:
    """All slices over the held-out documents; deterministic."""
    rows = [position for position, row in enumerate(corpus.documents) if row.held_out]
    place = {row: index for index, row in enumerate(rows)}
    texts = [corpus.documents[row].text for row in rows]
    sources = [corpus.documents[row].source for row in rows]
    asked = [(query.text, place[query.document]) for query in corpus.queries if query.document in place]
    random = np.random.default_rng(seed)

    def of(name: str, chosen: Sequence[tuple[str, int]], documents: Sequence[str] = texts) -> Slice:
        drawn = [chosen[index] for index in sorted(random.permutation(len(chosen))[:MOST])]
        return Slice(name, documents, [text for text, _ in drawn], [label for _, label in drawn])

    long_squad = [one for one in asked if sources[one[1]] == "squad_sentences" and len(one[0].split()) >= 12]
    medical = [one for one in asked if sources[one[1]] == "medquad"]
    science = [one for one in asked if sources[one[1]].startswith(("scitldr", "scisummnet"))]
    padded = [(PADDINGS[index % len(PADDINGS)].format(text), label) for index, (text, label) in enumerate(asked)]
    inflect = Inflections(folding, tokenizer)
    inflected = [(changed, label) for text, label in asked if (changed := inflect.change(text)) != text]
    beheaded, paragraphs = _paragraphs(texts)
    return [
        of("all held-out questions", asked),
        of("long questions on Wikipedia (12 words and more)", long_squad),
        of("medical questions", medical),
        of("titles and summaries against abstracts", science),
        of("padded with polite filler", padded),
        of("other inflections of the words", inflected),
        of("whole paragraphs as queries", paragraphs, beheaded),
    ]


class Inflections:
    """Replaces words by another form of the same stem: "retrieved" for "retrieving"."""

    def __init__(self, folding: Folding, tokenizer: Tokenizer) -> None:
        forms: dict[int, list[str]] = {}
        for token, piece in sorted(tokenizer.get_vocab().items()):
            target = int(folding.canonical[piece])
            if target >= 0 and token.isalpha() and len(token) > 3:
                forms.setdefault(target, []).append(token)
        self._other = {
            word: group[(index + 1) % len(group)]
            for group in forms.values()
            if len(group) > 1
            for index, word in enumerate(group)
        }

    def change(self, text: str) -> str:
        """The text with each word that has another form replaced by one."""
        return " ".join(self._other.get(word, word) for word in text.lower().split())


def _paragraphs(texts: Sequence[str]) -> tuple[list[str], list[tuple[str, int]]]:
    """Documents without their second half, and that half as a query for the first: only of long documents."""
    documents, queries = [], []
    for index, text in enumerate(texts):
        parts = sentences(text)
        if len(text.split()) < 120 or len(parts) < 4:
            documents.append(text)
            continue
        half = len(parts) // 2
        documents.append(" ".join(parts[:half]))
        queries.append((" ".join(parts[half:]), index))
    return documents, queries
