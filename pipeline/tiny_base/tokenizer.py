"""The tiny base's tokenizer: whole words, with Qwen's special tokens and chat form.

A time such as `2.5` and an option's letter with its dot (`B.`) are one token each, so that a model this small can copy
the first and look up the second. Words it does not know become `<unk>`.
"""

from collections.abc import Iterable
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import PreTokenizer, Split
from transformers import PreTrainedTokenizerFast

from pipeline.records import LETTERS

END, PAD, UNKNOWN = "<|im_end|>", "<|endoftext|>", "<unk>"
SPECIAL = (PAD, "<|im_start|>", END, "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>", UNKNOWN)
TAGS = tuple(f"<{slash}{name}>" for name in ("think", "keyframes", "answer") for slash in ("", "/"))
_LONGEST_SECONDS = 20
_PIECE = Regex(r"\d+\.\d+|[A-E]\.(?=\s)|\w+|[^\w\s]")
_CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def split_words(text: str) -> list[str]:
    """The pieces of plain text that would become one token each.

    >>> split_words("0.5, 1.5 What? A. red object")
    ['0.5', ',', '1.5', 'What', '?', 'A.', 'red', 'object']
    """
    return [piece for piece, _ in _splitter().pre_tokenize_str(text)]


def _splitter() -> PreTokenizer:
    return Split(_PIECE, behavior="removed", invert=True)


def build_tokenizer(texts: Iterable[str]) -> Any:
    """A tokenizer that knows the words of `texts`, letters, one-decimal times below 20 s, tags and special tokens.

    Tags (`<think>` ...) are ordinary tokens, so that decoding keeps them; `save_pretrained` writes a plain
    `tokenizer.json` that `AutoTokenizer` loads.
    """
    words = {word for text in texts for word in split_words(text)}
    times = [f"{tenths / 10:.1f}" for tenths in range(10 * _LONGEST_SECONDS)]
    ordinary = ["user", "assistant", "system", ",", *LETTERS, *(f"{letter}." for letter in LETTERS), *times]
    vocabulary = list(dict.fromkeys([*SPECIAL, *TAGS, *ordinary, *sorted(words)]))
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = _splitter()
    tokenizer.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in SPECIAL])
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in TAGS])
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        unk_token=UNKNOWN,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = _CHAT_TEMPLATE
    return fast
