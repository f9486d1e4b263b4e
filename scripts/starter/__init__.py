"""Trains the starter bundles: an inference-free sparse encoder and a cross-encoder, on two CPU cores.

    pairs -> corpus -> teacher -> sparse training -> checkpoint folder -> bundle
                               -> reranker training -> checkpoint folder -> bundle

`python -m scripts.starter --help` lists the steps; `docs/training.md` is the recipe.
"""
