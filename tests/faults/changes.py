"""What an application does to an index while it is reconciled, in a process of its own.

`python -m tests.faults.changes URL INDEX DOCUMENTS SEED` does as many changes as each line of its standard input says,
and the rest at the end of it. The plan follows from the seed, so that the outcome is known without asking the process.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.request import ProxyHandler, Request, build_opener

import orjson

from sidecar.domain import JsonObject
from tests.support.bare import SUBJECTS, document

SHARE = 0.05
KINDS = ("replace", "text", "price", "delete")

PATIENT = "?retry_on_conflict=10"
"""As applications do that are not alone: reconcile may write between the two halves of a partial update."""


@dataclass(frozen=True)
class Change:
    """One change of one document; `replace` writes it whole, without vector and hash, `text` and `price` a part."""

    kind: str
    id: str
    text: str
    price: int

    def send(self, url: str, index: str) -> None:
        match self.kind:
            case "replace":
                call(url, "PUT", f"/{index}/_doc/{self.id}", {"text": self.text, "price": self.price})
            case "text":
                call(url, "POST", f"/{index}/_update/{self.id}{PATIENT}", {"doc": {"text": self.text}})
            case "price":
                call(url, "POST", f"/{index}/_update/{self.id}{PATIENT}", {"doc": {"price": self.price}})
            case "delete":
                call(url, "DELETE", f"/{index}/_doc/{self.id}", None)


def plan(documents: int, seed: int) -> list[Change]:
    """Changes of 5 % of the documents, about half of them changed twice; nothing follows a deletion."""
    chosen = random.Random(seed)
    numbers = chosen.sample(range(documents), max(len(KINDS), int(documents * SHARE)))
    first = [_change(KINDS[place % len(KINDS)], number, chosen) for place, number in enumerate(numbers)]
    again = [change for change in first if change.kind != "delete" and chosen.random() < 0.6]
    second = [_change(chosen.choice(KINDS), int(change.id[1:]), chosen) for change in again]
    chosen.shuffle(first)
    return first + second


def outcome(documents: int, changes: Sequence[Change]) -> dict[str, dict[str, object]]:
    """The documents that are there after all changes, by id."""
    left: dict[str, dict[str, object]] = {f"d{number}": dict(document(number)) for number in range(documents)}
    for change in changes:
        match change.kind:
            case "delete":
                del left[change.id]
            case "text":
                left[change.id]["text"] = change.text
            case "price":
                left[change.id]["price"] = change.price
            case "replace":
                left[change.id] = {"text": change.text, "price": change.price}
    return left


def call(url: str, method: str, path: str, body: JsonObject | None) -> None:
    data = None if body is None else orjson.dumps(body)
    request = Request(url + path, data, {"content-type": "application/json"}, method=method)
    with build_opener(ProxyHandler({})).open(request, timeout=120) as answer:
        answer.read()


def _change(kind: str, number: int, chosen: random.Random) -> Change:
    text = f"A changed {chosen.choice(SUBJECTS)} with {chosen.randrange(1000)} parts"
    return Change(kind, f"d{number}", text, 100 + chosen.randrange(900))


def main(url: str, index: str, documents: str, seed: str) -> None:
    left = plan(int(documents), int(seed))
    for line in sys.stdin:
        for _ in range(min(int(line), len(left))):
            left.pop(0).send(url, index)
    for change in left:
        change.send(url, index)


if __name__ == "__main__":
    main(*sys.argv[1:])
