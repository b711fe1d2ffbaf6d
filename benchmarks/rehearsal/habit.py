"""What the stand-in knows: to write a short answer in words, with a letter drawn at random.

Set by hand, not learned: each word of `CHAIN` has a direction of its own in the embedding, and the last layer's MLP
turns a word's direction into those of the words that may follow. Attention stays random and adds a little: which letter
is likelier depends on the prompt, and gradients reach every weight.
"""

from typing import Any

CHAIN = {
    "\n": ("I", "So"),
    "I": (" see",),
    " see": (" the",),
    " the": (" scene", " room"),
    " scene": (".",),
    " room": (".",),
    ".": (" So",),
    "So": (" answer",),
    " So": (" answer",),
    " answer": (":",),
    ":": (" A", " B", " C", " D", " E"),
    **{f" {letter}": ("<|im_end|>",) for letter in "ABCDE"},
}
"""Word -> words that may follow, all as likely. "I see the room. So answer: B" is read as B."""

LENGTH, STRENGTH, ATTENTION = 5.0, 50.0, 0.2


def give_habit(model: Any, tokenizer: Any) -> None:
    """Set weights of the language model, in place.

    A word's row of the tied embedding is `LENGTH` long, so that even one of five outweighs 151,936 other rows.
    """
    import torch

    words = {word: _token(tokenizer, word) for word in {*CHAIN, *(w for after in CHAIN.values() for w in after)}}
    place = {word: i for i, word in enumerate(sorted(words))}
    language = model.model.language_model
    with torch.no_grad():
        for word, token in words.items():
            language.embed_tokens.weight[token] = 0
            language.embed_tokens.weight[token, place[word]] = LENGTH
        for layer in language.layers:
            layer.self_attn.o_proj.weight *= ATTENTION
            layer.mlp.down_proj.weight *= ATTENTION
        mlp, scale = language.layers[-1].mlp, language.embed_tokens.weight.shape[1] ** 0.5  # of a word after the norm
        for word, after in CHAIN.items():
            row = place[word]
            for into in (mlp.gate_proj, mlp.up_proj):
                into.weight[row] = 0
                into.weight[row, row] = 1
            column = torch.zeros_like(mlp.down_proj.weight[:, row])
            column[row] = -LENGTH
            for follower in after:
                column[place[follower]] = STRENGTH
            mlp.down_proj.weight[:, row] = column / scale**2


def _token(tokenizer: Any, word: str) -> int:
    """The one token of a word."""
    ids = tokenizer(word, add_special_tokens=False)["input_ids"]
    assert len(ids) == 1, f"{word!r} is {len(ids)} tokens"
    return int(ids[0])
