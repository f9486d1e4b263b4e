"""The worker: `python -m benchmarks.peers NAME --folder DIR --max-tokens N --batch N --threads N`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TextIO

from benchmarks.peers.base import Encoder, Options, Peer, Reranker

PEERS = {
    "torch-encoder": "sentence_transformers_encoder:TorchEncoder",
    "st-onnx-encoder": "sentence_transformers_encoder:OnnxEncoder",
    "fastembed": "fastembed_encoder:FastembedEncoder",
    "naive-encoder": "naive_encoder:NaiveEncoder",
    "bare-loop": "bare_loop:BareLoop",
    "torch-reranker": "sentence_transformers_reranker:TorchReranker",
    "st-onnx-reranker": "sentence_transformers_reranker:OnnxReranker",
    "flashrank": "flashrank_reranker:FlashRankReranker",
    "infinity": "infinity_reranker:InfinityReranker",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.peers", description=__doc__)
    parser.add_argument("name", choices=sorted(PEERS))
    parser.add_argument("--folder", required=True)
    parser.add_argument("--max-tokens", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    given = parser.parse_args()
    answers = _own_output()
    try:
        module, _, name = PEERS[given.name].partition(":")
        made = getattr(import_module(f"benchmarks.peers.{module}"), name)
        peer: Peer = made(Options(given.folder, given.max_tokens, given.batch, given.threads))
    except Exception as error:
        _say(answers, {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[:1]}"})
        raise
    _say(answers, {"versions": {package: _version(package) for package in peer.packages}})
    for line in sys.stdin:
        try:
            _say(answers, _answer(peer, json.loads(line)))
        except Exception as error:
            traceback.print_exc()
            _say(answers, {"error": f"{type(error).__name__}: {error}"})


def _answer(peer: Peer, request: dict[str, object]) -> dict[str, object]:
    texts = request.get("texts", [])
    if not isinstance(texts, list):
        raise TypeError("texts must be a list")
    if request["do"] == "encode" and isinstance(peer, Encoder):
        peer.prepare(texts)
        started = time.perf_counter()
        terms = peer.encode(texts)
        return {"seconds": time.perf_counter() - started, "terms": terms, **_memory()}
    if request["do"] == "rerank" and isinstance(peer, Reranker):
        query = str(request["query"])
        started = time.perf_counter()
        scores = peer.rerank(query, texts)
        return {"seconds": time.perf_counter() - started, "scores": scores, **_memory()}
    raise ValueError(f"this peer can't {request['do']}")


def _memory() -> dict[str, object]:
    """Peak resident memory of this process so far, in bytes."""
    with open("/proc/self/status", encoding="ascii") as status:
        lines = dict(line.split(":", 1) for line in status)
    return {"peak_bytes": int(lines["VmHWM"].split()[0]) * 1024}


def _own_output() -> TextIO:
    """Take standard output for the answers alone: what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _say(answers: TextIO, message: dict[str, object]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


if __name__ == "__main__":
    main()
