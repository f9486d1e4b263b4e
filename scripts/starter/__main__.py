"""Train the starter bundles, step by step or all at once.

prepare, sparse, reranker, publish (export, ingredients, slices, cards), evaluate (on a real OpenSearch),
precisions (fp32 against int8), ablation (short runs without each ingredient), cards.
"""

import argparse
import logging
from dataclasses import replace
from pathlib import Path

import torch

from scripts.starter import publish, steps
from scripts.starter.recipe import RerankerRecipe, SparseRecipe
from scripts.starter.workspace import Workspace

STEPS = ("all", "prepare", "sparse", "reranker", "publish", "evaluate", "precisions", "ablation", "cards")

log = logging.getLogger("train-starter")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="train-starter", description=__doc__)
    parser.add_argument("step", nargs="?", default="all", choices=STEPS)
    parser.add_argument("--work", type=Path, default=Path("build/starter"), help="caches, checkpoints and results")
    parser.add_argument("--pairs", type=Path, default=Path("build/pairs"), help="training pairs")
    parser.add_argument("--collections", type=Path, default=Path("build/collections"), help="judged collections")
    parser.add_argument("--models", type=Path, default=Path("models"), help="where the bundles go")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda")
    parser.add_argument("--sparse-steps", type=int, default=SparseRecipe().steps)
    parser.add_argument("--reranker-steps", type=int, default=RerankerRecipe().steps)
    parser.add_argument("--ablation-steps", type=int, default=200)
    return parser


def main() -> None:
    """Run the steps that were asked for."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    log.info(steps.space_needed(arguments.work))
    work = Workspace(arguments.work, arguments.pairs, log.info, torch.device(arguments.device))
    wanted = STEPS[1:-1] if arguments.step == "all" else (arguments.step,)
    steps.prepare(work)
    if "sparse" in wanted:
        steps.train_sparse(work, replace(SparseRecipe(), steps=arguments.sparse_steps))
    if "reranker" in wanted:
        steps.train_reranker(work, replace(RerankerRecipe(), steps=arguments.reranker_steps))
    if "publish" in wanted:
        publish.publish(work, arguments.collections, arguments.models)
    if "evaluate" in wanted:
        publish.evaluate(work, arguments.collections, arguments.models)
    if "precisions" in wanted:
        publish.compare_precisions(work, arguments.collections, arguments.models)
    if "ablation" in wanted:
        publish.compare_ingredients(work, arguments.collections, arguments.models, arguments.ablation_steps)
    if "cards" in wanted:
        publish.write_cards(work, arguments.models)


if __name__ == "__main__":
    main()
