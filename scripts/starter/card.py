"""Model cards: what a starter bundle was trained on, how, and what it was measured to score."""

from collections.abc import Iterable, Mapping
from itertools import groupby

# Source file (or its prefix up to an underscore and a star) -> what it is, licence.
SOURCES = {
    "cia_factbook": ("The World Factbook", "CC0-1.0"),
    "covid_*": ("COVID-QA and COVID FAQ", "Apache-2.0"),
    "digitalgov": ("Digital.gov", "public domain"),
    "ethereum_eips": ("Ethereum Improvement Proposals", "CC0-1.0"),
    "evidence_inference_prompts": ("Evidence Inference", "CC BY / CC0-1.0"),
    "medquad": ("MedQuAD", "CC BY 4.0"),
    "misc_tech_docs": ("documentation of open-source Python projects", "Apache-2.0 / BSD / MIT"),
    "ms_cpp_docs": ("Microsoft C++ documentation", "CC BY 4.0"),
    "opensearch_docs": ("OpenSearch documentation", "Apache-2.0"),
    "owasp_*": ("OWASP Cheat Sheets and Web Security Testing Guide", "CC BY-SA 4.0"),
    "php_manual": ("PHP manual", "CC BY 3.0"),
    "pmc_rct_*": ("open-access trial papers of PubMed Central", "CC BY / CC0-1.0"),
    "policyqa": ("PolicyQA", "MIT"),
    "powershell_docs": ("PowerShell documentation", "CC BY 4.0"),
    "python_peps": ("Python Enhancement Proposals", "public domain"),
    "rustsec_advisories": ("RustSec advisories", "CC0-1.0"),
    "scisummnet_*": ("ScisummNet", "CC BY 4.0"),
    "scitldr": ("SciTLDR", "Apache-2.0"),
    "se_*": ("Stack Exchange sites", "CC BY-SA"),
    "squad_sentences": ("SQuAD, by sentence", "CC BY-SA"),
    "strategyqa_facts": ("StrategyQA", "MIT"),
    "tldr_pages": ("tldr pages", "CC BY 4.0"),
    "wikipedia_movies": ("Wikipedia, films", "CC BY-SA"),
}

BASE = "sentence-transformers/all-MiniLM-L6-v2"

Figures = Mapping[str, Mapping[str, float]]


def describe_source(name: str) -> tuple[str, str]:
    """What a source file holds and its licence; a source nobody described must not be trained on silently."""
    for pattern, description in SOURCES.items():
        if name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1])):
            return description
    raise ValueError(f"describe the source {name!r} and its licence in SOURCES first")


def source_table(documents: Iterable[str]) -> str:
    """Passages by source, as Markdown; `documents` are the source of each passage."""
    described = sorted(describe_source(source) for source in documents)
    rows = ["| source | licence | passages |", "|---|---|---|"]
    rows.extend(f"| {text} | {licence} | {len(list(group)):,} |" for (text, licence), group in groupby(described))
    return "\n".join(rows)


def figure_table(figures: Figures, columns: Mapping[str, str]) -> str:
    """nDCG@10 by collection and their mean, as Markdown; `columns` maps a figure's name to its heading."""
    rows = [f"| | {' | '.join(columns.values())} |", "|---" * (len(columns) + 1) + "|"]
    for name, values in figures.items():
        rows.append(f"| {name} | {' | '.join(_shown(values[column], column) for column in columns)} |")
    means = {column: sum(values[column] for values in figures.values()) / len(figures) for column in columns}
    rows.append(f"| mean | {' | '.join(_shown(means[column], column) for column in columns)} |")
    return "\n".join(rows)


def _shown(value: float, column: str) -> str:
    return f"{value:.0f}" if column == "terms" else f"{value:.3f}".lstrip("0")


def sparse_card(name: str, documents: Iterable[str], trained: str, figures: Figures) -> str:
    """README.md of the sparse encoder."""
    columns = {"bm25": "BM25", "sparse": "this model", "hybrid": "BM25 + this model", "terms": "terms per document"}
    return f"""# {name}

An inference-free learned-sparse encoder for English: documents go through the graph, queries need only the tokenizer
and the table `query_weights.json`. It comes with splade-sidecar so that everything works on the first day; a larger
published model ranks better.

- Licence: Apache-2.0
- Base: [{BASE}](https://huggingface.co/{BASE}) (Apache-2.0), 6 layers of 384
- Documents: word pieces, max pooling, log(1 + relu), weights under a tenth of the largest dropped
- Queries: each distinct word piece with its weight: the training passages' IDF, adjusted in training
- int8 graph

## Training

{trained} Teacher: the cosine of {BASE} and BM25 over English stems, standardised and added.
The recipe is in the project's `docs/training.md`, in one command.

{source_table(documents)}

## Scores

nDCG@10 of the int8 bundle, documents as title + text cut to the model's length, exact dot products. BM25: English
stems and stop words, k1 1.2, b 0.75. BM25 + this model: min-max over the first 100 of each, added.
None of these collections was trained on.

{figure_table(figures, columns)}

## Limits

- English only; a document is read to 512 tokens, and training saw at most 288.
- Trained for under an hour on two CPU cores: alone it is no replacement for BM25. Combine the two.
- Rare names that the tokenizer splits into pieces are matched by their pieces.
- The table of query weights is frozen; a narrow collection gains from blending in its own document frequencies.
"""


def reranker_card(name: str, documents: Iterable[str], trained: str, figures: Figures) -> str:
    """README.md of the cross-encoder."""
    columns = {
        "bm25": "BM25",
        "bm25_reranked": "BM25, reranked",
        "hybrid": "BM25 + sparse",
        "hybrid_reranked": "BM25 + sparse, reranked",
    }
    return f"""# {name}

A small cross-encoder for English: it reads query and document together and gives one score, a sigmoid of its logit.
It comes with splade-sidecar so that everything works on the first day; a larger published model ranks better.

- Licence: Apache-2.0
- Base: [{BASE}](https://huggingface.co/{BASE}) (Apache-2.0), 6 layers of 384
- Input: [CLS] query [SEP] document [SEP] with token types
- int8 graph

## Training

{trained} Teacher: the cosine of {BASE} and BM25 over English stems, standardised and added; and the
labels of the pairs. The recipe is in the project's `docs/training.md`, in one command.

{source_table(documents)}

## Scores

nDCG@10 of the int8 bundle, the first 20 reranked, half of its min-max score and half of the first stage's. "sparse" is
splade-sidecar-starter-sparse-v1. None of these collections was trained on.

{figure_table(figures, columns)}

## Limits

- English only; training saw pairs of at most 256 tokens.
- Meant to be interpolated with the first stage, not to replace its order.
- Its scores are comparable within a query; as probabilities they are rough.
"""
