"""Train the starter bundles: prepare, sparse, reranker, publish (export, measure, write the cards), or all."""

import argparse
import logging
from dataclasses import replace
from pathlib import Path

import torch

from scripts.starter import publish, steps
from scripts.starter.recipe import RerankerRecipe, SparseRecipe
from scripts.starter.workspace import Workspace

log = logging.getLogger("train-starter")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="train-starter", description=__doc__)
    parser.add_argument("step", nargs="?", default="all", choices=["all", "prepare", "sparse", "reranker", "publish"])
    parser.add_argument("--work", type=Path, default=Path("build/starter"), help="caches, checkpoints and results")
    parser.add_argument("--pairs", type=Path, default=Path("../shared/training/pairs"), help="training pairs")
    parser.add_argument("--collections", type=Path, default=Path("../shared/collections"), help="judged collections")
    parser.add_argument("--models", type=Path, default=Path("models"), help="where the bundles go")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda")
    parser.add_argument("--sparse-steps", type=int, default=SparseRecipe().steps)
    parser.add_argument("--reranker-steps", type=int, default=RerankerRecipe().steps)
    return parser


def main() -> None:
    """Run the steps that were asked for."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    log.info(steps.space_needed(arguments.work))
    work = Workspace(arguments.work, arguments.pairs, log.info, torch.device(arguments.device))
    steps.prepare(work)
    if arguments.step in ("all", "sparse"):
        steps.train_sparse(work, replace(SparseRecipe(), steps=arguments.sparse_steps))
    if arguments.step in ("all", "reranker"):
        steps.train_reranker(work, replace(RerankerRecipe(), steps=arguments.reranker_steps))
    if arguments.step in ("all", "publish"):
        publish.publish(work, arguments.collections, arguments.models, reranker=work.reranker_folder.exists())


if __name__ == "__main__":
    main()
