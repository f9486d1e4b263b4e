"""Pooling, the first head, and what the student hands over."""

import numpy as np
import torch
from scipy.sparse import csr_matrix

from scripts.starter.head import initialise_head, ridge
from scripts.starter.pooling import active_terms, pruned_terms, without_padding
from scripts.starter.vectors import encode_documents, pruned, reciprocal_rank
from tests.unit.starter.conftest import CPU, Miniature


def dense_pooling(hidden: torch.Tensor, mask: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    logits = (hidden @ weight.T + bias).masked_fill(mask[:, :, None] == 0, -torch.inf)
    return torch.log1p(torch.relu(logits)).amax(dim=1)


def test_pooling_and_its_gradients_equal_those_of_the_whole_tensor() -> None:
    torch.manual_seed(0)
    hidden, weight, bias = torch.randn(3, 5, 16), torch.randn(50, 16), torch.randn(50)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0]])
    results = []
    for function in (active_terms, dense_pooling):
        leaves = [tensor.clone().requires_grad_() for tensor in (hidden, weight, bias)]
        # Values that bfloat16 holds exactly: otherwise near-ties may pick another token.
        with torch.no_grad():
            for leaf in leaves:
                leaf.copy_((leaf * 4).round() / 4)
        pooled = function(leaves[0], mask, leaves[1], leaves[2])
        (pooled * torch.arange(150.0).view(3, 50)).sum().backward()
        results.append((pooled.detach(), [leaf.grad for leaf in leaves]))
    (pooled, gradients), (expected, wanted) = results
    torch.testing.assert_close(pooled, expected, rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(gradients[2], wanted[2], rtol=2e-2, atol=0.5)
    assert (pooled > 0).float().mean() < 1


def test_padding_never_adds_a_term() -> None:
    hidden = torch.randn(1, 4, 8)
    mask = torch.tensor([[1, 1, 0, 0]])
    assert torch.equal(without_padding(hidden, mask)[0, 2:], hidden[0, :1].expand(2, 8))


def test_pruning_counts_from_the_largest_weight() -> None:
    documents = torch.tensor([[2.0, 0.2, 0.19, 0.0], [0.0, 0.0, 0.0, 0.0]])
    assert pruned_terms(documents, 0.1).tolist() == [2, 0]


def test_ridge_recovers_a_linear_map() -> None:
    torch.manual_seed(1)
    inputs, wanted = torch.randn(500, 6) + 3, torch.randn(6, 4)
    solution, centre = ridge(inputs, (inputs - inputs.mean(dim=0)) @ wanted, torch.ones(500), strength=1e-6)
    torch.testing.assert_close(solution, wanted, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(centre, inputs.mean(dim=0))


def test_the_first_head_gives_documents_their_own_terms(miniature: Miniature) -> None:
    student = miniature.student()
    with torch.no_grad():
        student.encoder.bert.embeddings.word_embeddings.weight.mul_(20)
    rows = np.arange(len(miniature.documents))
    initialise_head(student, miniature.documents, miniature.folding, rows, CPU, active=9.0)
    with torch.no_grad():
        ids, mask = miniature.documents.batch(rows, 64, CPU)
        vectors = student.learned(ids, mask)
    own = torch.from_numpy(miniature.texts.documents.present(rows).toarray()).bool()
    held = (vectors > 0).float()
    assert held[own].mean() > 3 * held[~own].mean()
    assert vectors[own].mean() > 5 * vectors[~own].mean()


def test_vectors_come_back_in_the_order_of_the_rows(miniature: Miniature) -> None:
    student = miniature.student()
    rows = np.asarray([7, 2, 30, 11])
    together = encode_documents(student, miniature.documents, rows, 64, CPU).toarray()
    alone = [encode_documents(student, miniature.documents, rows[i : i + 1], 64, CPU).toarray() for i in range(4)]
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=0.05, atol=0.02)


def test_pruned_vectors_keep_what_is_near_the_largest() -> None:
    vectors = csr_matrix(np.asarray([[4.0, 1.0, 0.3], [0.0, 0.0, 0.0]], dtype=np.float32))
    assert pruned(vectors, 0.2).toarray().tolist() == [[4.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    assert vectors.nnz == 3, "the argument stays as it was"


def test_scores_are_those_of_the_query_weights(miniature: Miniature) -> None:
    student = miniature.student()
    documents = torch.rand(3, len(miniature.folding.columns))
    present = torch.zeros(1, len(miniature.folding.columns))
    present[0, [2, 5]] = 1.0
    weights = student.query_weights().detach()
    expected = weights[2] * documents[:, 2] + weights[5] * documents[:, 5]
    torch.testing.assert_close(student.scores(present, documents).detach()[0], expected)


def test_ties_count_against_the_reciprocal_rank() -> None:
    scores = np.asarray([[3.0, 1.0, 2.0], [1.0, 1.0, 1.0]], dtype=np.float32)
    assert reciprocal_rank(scores, np.asarray([2, 0])) == np.float32((1 / 2 + 1 / 3) / 2)


def test_a_closed_column_never_enters_a_vector(miniature: Miniature) -> None:
    student = miniature.student()
    ids, mask = miniature.documents.batch(np.arange(8), 32, torch.device("cpu"))
    torch.nn.init.constant_(student.encoder.cls.predictions.decoder.bias, 3.0)
    asked = torch.arange(len(student.columns)) % 2 == 0
    assert (student.learned(ids, mask)[:, ~asked] > 0).all()
    student.close_columns(asked)
    closed = student.learned(ids, mask)
    assert (closed[:, ~asked] == 0).all()
    assert (closed[:, asked] > 0).all()
    outside = torch.ones(len(student.encoder.cls.predictions.decoder.bias), dtype=torch.bool)
    outside[student.columns] = False
    assert (student.encoder.cls.predictions.decoder.bias[outside] < -1e3).all()
