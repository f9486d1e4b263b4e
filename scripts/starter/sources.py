"""Where the training text comes from, and under which licences."""

from collections.abc import Iterable
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
