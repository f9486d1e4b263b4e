"""Students as checkpoint folders that sentence-transformers and transformers load as they are."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from scripts.starter.folding import Folding
from scripts.starter.recipe import FloorRecipe
from scripts.starter.student import SparseStudent

FOLDS, FLOOR = "folds.json", "lexical_floor.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def save_sparse(
    student: SparseStudent,
    folding: Folding,
    floor: FloorRecipe,
    average_length: float,
    tokenizer_folder: Path,
    folder: Path,
    max_tokens: int = 512,
) -> None:
    """A SparseEncoder folder: a router to inference-free queries and a BertForMaskedLM with max pooling.

    Beside it lies what sentence-transformers knows nothing of: which tokens are counted as which (`folds.json`), and
    the lexical floor (`lexical_floor.json`).
    """
    from sentence_transformers import SparseEncoder
    from sentence_transformers.base.modules import Router, Transformer
    from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling
    from transformers import AutoTokenizer

    body = folder.with_name(folder.name + ".body")
    student.close_columns(torch.ones(len(student.columns), dtype=torch.bool))
    _save_model(student.encoder, tokenizer_folder, body)
    tokenizer: Any = AutoTokenizer.from_pretrained(body)
    weights = torch.zeros(student.encoder.config.vocab_size)
    weights[student.columns.cpu()] = student.query_weights().detach().cpu()
    router = Router.for_query_document(
        query_modules=[SparseStaticEmbedding(tokenizer=tokenizer, weight=weights, frozen=True)],
        document_modules=[
            Transformer(str(body), transformer_task="fill-mask", max_seq_length=max_tokens),
            SpladePooling("max"),
        ],
    )
    _replace(folder)
    SparseEncoder(modules=[router], similarity_fn_name="dot").save(str(folder), create_model_card=False)
    vocabulary = tokenizer.convert_ids_to_tokens(list(range(len(weights))))
    table = {token: round(float(weight), 4) for token, weight in zip(vocabulary, weights, strict=True) if weight > 0}
    folds = folding.named(vocabulary)
    (folder / FOLDS).write_text(json.dumps(folds, ensure_ascii=False), encoding="utf-8")
    values = {
        "weight": floor.served,
        "k1": floor.k1,
        "b": floor.b,
        "average_length": round(average_length, 2),
    }
    (folder / FLOOR).write_text(json.dumps(values), encoding="utf-8")
    (folder / "query_weights.json").write_text(json.dumps(table, ensure_ascii=False), encoding="utf-8")
    shutil.rmtree(body)


def save_reranker(model: PreTrainedModel, tokenizer_folder: Path, folder: Path) -> None:
    """A transformers sequence-classification folder, as CrossEncoder loads it."""
    _save_model(model, tokenizer_folder, folder)


def _save_model(model: PreTrainedModel, tokenizer_folder: Path, folder: Path) -> None:
    _replace(folder)
    model.float().save_pretrained(folder)  # type: ignore[no-untyped-call]
    for name in TOKENIZER_FILES:
        if (tokenizer_folder / name).exists():
            shutil.copyfile(tokenizer_folder / name, folder / name)


def _replace(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
