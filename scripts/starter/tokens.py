"""Word pieces of many texts, tokenised once and kept flat."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

CLS, SEP = "[CLS]", "[SEP]"


class TokenTable:
    """Token ids of texts without special tokens, which are put around them only when a batch is cut.

    `flat` [tokens] and `starts` [texts + 1]: text i is flat[starts[i]:starts[i + 1]].
    """

    def __init__(self, texts: Sequence[str], tokenizer: Tokenizer, longest: int = 510) -> None:
        rows = [encoding.ids[:longest] for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False)]
        self.lengths = np.asarray([len(row) for row in rows], dtype=np.int64)
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)])
        self.flat = np.asarray([piece for row in rows for piece in row], dtype=np.int32)
        self.first, self.last = _special(tokenizer, CLS), _special(tokenizer, SEP)

    def __len__(self) -> int:
        return len(self.lengths)

    def pieces(self, row: int) -> NDArray[np.int32]:
        """The token ids of one text."""
        return self.flat[self.starts[row] : self.starts[row + 1]]

    def batch(
        self, rows: NDArray[np.int64], max_tokens: int, device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Padded ids and mask [len(rows), longest], both int64, [CLS] and [SEP] counted in `max_tokens`."""
        kept = np.minimum(self.lengths[rows], max_tokens - 2)
        ids = np.zeros((len(rows), int(kept.max()) + 2), dtype=np.int64)
        for line, (row, size) in enumerate(zip(rows, kept, strict=True)):
            ids[line, 0] = self.first
            ids[line, 1 : size + 1] = self.pieces(row)[:size]
            ids[line, size + 1] = self.last
        mask = np.arange(ids.shape[1])[None, :] < (kept + 2)[:, None]
        return torch.from_numpy(ids).to(device), torch.from_numpy(mask.astype(np.int64)).to(device)


def open_tokenizer(folder: Path) -> Tokenizer:
    """The folder's tokenizer.json with truncation and padding off."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _special(tokenizer: Tokenizer, token: str) -> int:
    found = tokenizer.token_to_id(token)
    if found is None:
        raise ValueError(f"the tokenizer has no {token}; only BERT-like ones are supported")
    return found


class PairTable:
    """Query-document pairs of two token tables as cross-encoder inputs."""

    def __init__(self, queries: TokenTable, documents: TokenTable, query_tokens: int = 48) -> None:
        self._queries, self._documents, self._query_tokens = queries, documents, query_tokens

    def lengths(self, queries: NDArray[np.int64], documents: NDArray[np.int64]) -> NDArray[np.int64]:
        """Word pieces of each pair before it is cut."""
        return np.minimum(self._queries.lengths[queries], self._query_tokens) + self._documents.lengths[documents]

    def batch(
        self, queries: NDArray[np.int64], documents: NDArray[np.int64], max_tokens: int, device: torch.device
    ) -> dict[str, torch.Tensor]:
        """[CLS] query [SEP] document [SEP], token types 0 and 1; only the document is cut to `max_tokens`.

        `input_ids`, `attention_mask` and `token_type_ids`, each [pairs, longest] int64.
        """
        rows, starts = [], []
        for query, document in zip(queries, documents, strict=True):
            asked = self._queries.pieces(int(query))[: self._query_tokens].tolist()
            room = max_tokens - 3 - len(asked)
            found = self._documents.pieces(int(document))[:room].tolist()
            first, last = self._queries.first, self._queries.last
            rows.append([first, *asked, last, *found, last])
            starts.append(len(asked) + 2)
        longest = max(map(len, rows))
        ids = np.asarray([row + [0] * (longest - len(row)) for row in rows], dtype=np.int64)
        position = np.arange(longest)[None, :]
        mask = position < np.asarray([len(row) for row in rows])[:, None]
        types = (position >= np.asarray(starts)[:, None]) & mask
        arrays = {"input_ids": ids, "attention_mask": mask.astype(np.int64), "token_type_ids": types.astype(np.int64)}
        return {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
