"""Model cards: what a starter bundle was trained on, how, and what it was measured to score."""

from collections.abc import Iterable

from scripts.starter.export import RERANKER_CALIBRATION, SPARSE_CALIBRATION
from scripts.starter.measured import Curve, Figures, Measured
from scripts.starter.sources import source_table
from scripts.starter.tables import ablation_table, across, curve_table, on_opensearch, precisions
from scripts.starter.variants import ANALYSED, SHIPPED

BASE = "sentence-transformers/all-MiniLM-L6-v2"


def sparse_card(name: str, documents: Iterable[str], curve: Curve, found: Measured) -> str:
    """README.md of the sparse encoder."""
    tests = _tests(found.collections)
    cost = {
        "terms per document": {name: f"{value:.0f}" for name, value in found.terms.items()},
        "query FLOPS": {name: f"{value:.2f}" for name, value in found.flops.items()},
    }
    costs = [f"| | {' | '.join(found.terms)} |", "|---" * (len(found.terms) + 1) + "|"]
    costs += [f"| {title} | {' | '.join(values.values())} |" for title, values in cost.items()]
    return f"""# {name}

An inference-free learned-sparse encoder for English: documents go through the graph, queries need only the tokenizer
and the table `query_weights.json`. It comes with splade-sidecar, so that a cluster without access to a model hub has
one; a larger published model ranks better.

- Licence: Apache-2.0
- Base: [{BASE}](https://huggingface.co/{BASE}) (Apache-2.0), 6 layers of 384
- Vocabulary: word pieces folded by English stem (`folds.json`); function words and punctuation are no terms
- Documents: max pooling, log(1 + relu), plus the lexical floor: BM25's saturation of the document's own terms, over its
  whole length; weights under a tenth of the largest dropped
- Queries: each term with its weight, times √n where the query has it n times: IDF on a broad corpus, adjusted in
  training, and blended with the index's own document frequencies where they were counted (`sidecar frequencies`)
- int8 graph; its weights are rounded by their inputs on {SPARSE_CALIBRATION} training passages of every source

## Use

`sidecar serve` serves it by default, `sidecar models inspect {name}` shows its manifest. An index that it encoded takes
queries of no other model.

## Scores

nDCG@10 on a real OpenSearch 3.8 through `sidecar evaluate`; lexical is its own BM25 (`english` analyzer, defaults).
None of these collections was trained on. The floor's weight was chosen on dev splits, but looked at in the first place
because `time` had been seen to suffer under a lighter one (docs/training.md).

{on_opensearch(found, reranked=False)}

## What each ingredient is worth

nDCG@10 of the int8 bundle with exact dot products, documents as title + text. Choices were made on the dev splits.
*Learned*: what the graph gives. *Floor*: BM25's saturation of the document's own terms. *Adapted IDF*: the bundle's
query weights, blended with the collection's document frequencies.

{across(found.collections, mean_of=tests)}

What that costs. Query FLOPS: the mean number of products of a query and a document.

{chr(10).join(costs)}

### Trained without it

{ablation_table(found.ablation)}

## Robustness

MRR@10 on {len(found.slices)} slices of held-out training pairs, each against the held-out passages. BM25 has English
stems and stop words. Pages are held out whole, but from the same sources as the training pairs.

{across(found.slices)}

## fp32 against int8

nDCG@10 as above, shipped variant.

{precisions(found.quantization)}

## Training

{_trained(curve)}.
Teacher: the cosine of {BASE} and BM25 over English stems, standardised and added.
The recipe is in the project's `docs/training.md`, in one command.
Values are means of the {curve[0]["step"]} steps before.

{curve_table(curve, {"divergence": "divergence", "terms": "terms per document in the batch"})}

{source_table(documents)}

## Limits

- English only; the encoder reads 512 tokens at once, longer documents in overlapping windows; training saw at most 288.
- Rare names that the tokenizer splits into pieces are matched by their pieces.
- sentence-transformers loads the checkpoint, but knows neither folds nor floor, and counts a repeated query word once.
"""


def neural_card(name: str, found: Measured) -> str:
    """README.md of the bundle with neural queries."""
    chosen = {"inference-free queries": SHIPPED, "neural queries": "neural queries", "BM25": ANALYSED}
    figures = {
        collection: {title: values[variant] for title, variant in chosen.items()}
        for collection, values in found.collections.items()
    }
    return f"""# {name}

The encoder of splade-sidecar-starter-sparse-v1, its graph byte for byte, on both sides: queries go through the model
too and are expanded. It is here to be compared with the inference-free bundle on your own data; a query costs one
inference, and no IDF of the collection is needed.

- Licence: Apache-2.0
- Training, sources, vocabulary and document vectors: see splade-sidecar-starter-sparse-v1

## Use

`sidecar serve --models {name},splade-sidecar-starter-reranker-v1`. It is not served by default.

## Scores

nDCG@10 with exact dot products.

{across(figures, mean_of=_tests(figures))}

## Limits

- Trained for inference-free queries first: one step in four also saw a few neural queries.
- English only; queries are read to 512 tokens, longer documents in overlapping windows.
"""


def reranker_card(name: str, documents: Iterable[str], curve: Curve, found: Measured) -> str:
    """README.md of the cross-encoder."""
    calibration = found.calibration
    return f"""# {name}

A small cross-encoder for English: it reads query and document together and gives one score, a sigmoid of its logit.
It comes with splade-sidecar, so that a cluster without access to a model hub has one; a larger published model ranks
better.

- Licence: Apache-2.0
- Base: [{BASE}](https://huggingface.co/{BASE}) (Apache-2.0), 6 layers of 384
- Input: [CLS] query [SEP] document [SEP] with token types
- int8 graph; its weights are rounded by their inputs on {RERANKER_CALIBRATION} training passages of every source

## Use

`sidecar serve` serves it by default, and profiles that end in `+rerank` ask it.

## Scores

nDCG@10 on a real OpenSearch 3.8 through `sidecar evaluate`; hybrid+rerank scores the first 100 of hybrid, half of its
min-max score and half of the first stage's.
None of these collections was trained on. The floor's weight was chosen on dev splits, but looked at again because
`time` had been seen to suffer under a lighter one (docs/training.md).

{on_opensearch(found, reranked=True)}

## Calibration

Platt scaling on half of {int(2 * calibration["pairs"]):,} pairs of held-out questions with their passage and the first
stage's best others; on the other half the expected calibration error (15 bins) is
{calibration["error after"]:.3f} ({calibration["error before"]:.3f} before scaling), and the passage comes first in
{calibration["label first"]:.0%} of the lists. A score is the probability of being the one relevant passage among such
neighbours; where several documents are relevant, or none, it is off.

## fp32 against int8

nDCG@10 of `hybrid+rerank` with exact scores of the first stage: its first 50, half of each stage.

{precisions(found.reranked)}

## Training

{_trained(curve)}.

- Candidates: the sparse encoder's own first stage and, as lexical traps, BM25's; questions whose passage BM25 does not
  find first come first.
- Teacher: the cosine of {BASE} and BM25 over English stems, standardised and added; and the labels of
  the pairs.

The recipe is in the project's `docs/training.md`, in one command.
Values are means of the {curve[0]["step"]} steps before.

{curve_table(curve, {"divergence": "divergence", "label first": "label first of 8"})}

{source_table(documents)}

## Limits

- English only; training saw pairs of at most 256 tokens.
- Meant to be interpolated with the first stage, not to replace its order.
"""


def _tests(figures: Figures) -> list[str]:
    return [name for name in figures if name.endswith("/test")]


def _trained(curve: Curve) -> str:
    return f"{curve[-1]['step']:,} steps, to a divergence from the teacher of {curve[-1]['divergence']:.2f}"
