"""Texts to token ids without open_clip: BERT's word pieces, or any tokenizer.json, by the tokenizers library."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from filters.clip.towers import Tokens
from filters.users_faults import users_fault
from shards.errors import UsageError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CLS, SEP, PAD, UNK = "[CLS]", "[SEP]", "[PAD]", "[UNK]"


def load_tokenizer(
    folder: Path, context_length: int, pad_id: int = 0, lower_case: bool = True
) -> Callable[[Sequence[str]], Tokens]:
    """A function from texts to ids [n, context_length], filled up with `pad_id`; too long texts keep their last token.

    Reads tokenizer.json, or vocab.txt, a word piece a line. Raises UsageError where neither can be read.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise UsageError(f"scoring needs tokenizers, which cannot be imported ({error})") from error
    with users_fault(f"score.model: the tokenizer in {str(folder)!r} cannot be read", Exception):
        if (folder / "tokenizer.json").is_file():
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        else:
            tokenizer = _bert_tokenizer(_vocabulary(folder / "vocab.txt"), lower_case)
    tokenizer.no_padding()
    tokenizer.enable_truncation(context_length)

    def tokens(texts: Sequence[str]) -> Tokens:
        ids = np.full((len(texts), context_length), pad_id, np.int64)
        for row, encoding in zip(ids, tokenizer.encode_batch(list(texts)), strict=True):
            row[: len(encoding.ids)] = encoding.ids
        return ids

    return tokens


def _bert_tokenizer(vocabulary: dict[str, int], lower_case: bool) -> "Tokenizer":
    """BERT's: each Chinese character by itself, other words in their longest known pieces, between [CLS] and [SEP]."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import BertProcessing

    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token=UNK))
    tokenizer.normalizer = BertNormalizer(lowercase=lower_case)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = BertProcessing((SEP, vocabulary[SEP]), (CLS, vocabulary[CLS]))
    return tokenizer


def _vocabulary(path: Path) -> dict[str, int]:
    if not path.is_file():
        raise UsageError(f"score.model: {str(path.parent)!r} holds no tokenizer; put tokenizer.json or vocab.txt there")
    vocabulary = {piece: place for place, piece in enumerate(path.read_text(encoding="utf-8").splitlines())}
    missing = [piece for piece in (CLS, SEP, PAD, UNK) if piece not in vocabulary]
    if missing:
        raise UsageError(f"score.model: {str(path)!r} lacks {', '.join(missing)}: it should hold a word piece a line")
    return vocabulary
