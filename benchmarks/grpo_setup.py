"""What a step of benchmarks/grpo.py is made of: shapes, a policy of random weights, one prompt, real frames."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TOKENIZER = ROOT.parent / "shared/qwen_tokenizer"  # Qwen2.5-VL's own, if it lies beside the repository
CHAT = (  # what Qwen2.5-VL's own template writes for these messages, if the folder has none
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}{% if c['type'] == 'video' %}"
    "<|vision_start|><|video_pad|><|vision_end|>{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QUESTION = (
    "Taking into account all the actions performed by C, what can you deduce about the primary objective and focus "
    "within the video content?"
)
OPTIONS = (
    "C is cooking a meal, and moves between the stove and the table while the pan heats up.",
    "C is doing laundry, sorts the clothes by colour and folds what has dried already.",
    "C is cleaning the kitchen: the counter first, then the sink and at last the floor.",
    "C is washing the dishes with a sponge, rinses them and puts them on the rack.",
    "C is unpacking what was bought, and decides for each thing where it belongs.",
)


@dataclass(frozen=True)
class Shape:
    """A Qwen2.5-VL by its dimensions."""

    layers: int
    hidden: int
    heads: int
    key_value_heads: int
    intermediate: int
    vocabulary: int
    vision_layers: int
    vision_hidden: int
    vision_heads: int
    vision_intermediate: int


SHAPES = {
    "tiny": Shape(3, 96, 4, 2, 256, 512, 2, 48, 2, 96),
    "small": Shape(8, 448, 7, 1, 1536, 8192, 4, 160, 4, 320),  # 24 M in the language model
    "3b-thin": Shape(1, 256, 2, 1, 512, 151936, 1, 160, 4, 320),  # the 3B's tokenizer on a CPU, to try the code
    "3b": Shape(36, 2048, 16, 2, 11008, 151936, 32, 1280, 16, 3420),
}


@dataclass(frozen=True)
class Work:
    """One group: frames of height x width pixels, text tokens around them, G completions of `length` tokens."""

    frames: int
    height: int
    width: int
    text: int
    group: int
    length: int

    @property
    def video_tokens(self) -> int:
        """Tokens of the clip: pairs of frames, 28 x 28 pixels each."""
        return self.frames // 2 * (self.height // 28) * (self.width // 28)

    @property
    def prompt(self) -> int:
        """Tokens of the prompt."""
        return self.video_tokens + self.text


def load_tokenizer(shape: Shape) -> Any:
    """Qwen2.5-VL's own for the shapes that have its vocabulary, if it lies beside the repository; else None."""
    if shape.vocabulary != SHAPES["3b"].vocabulary or not TOKENIZER.is_dir():
        return None
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    tokenizer.chat_template = tokenizer.chat_template or CHAT
    return tokenizer


def build_policy(shape: Shape, device: str, dtype: Any) -> Any:
    """A policy of random weights, made on the device; the end token is never drawn, so that lengths are fixed."""
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    from pipeline.models.policy import Policy, VisionSettings, make_policy

    tokenizer = load_tokenizer(shape)
    names = ("video_pad", "image_pad", "vision_start", "vision_end", "im_end")
    ids = range(shape.vocabulary - 1, shape.vocabulary - 6, -1)
    if tokenizer is not None:
        ids = [tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in names]
    special = dict(zip(names, ids, strict=True))
    head = shape.hidden // shape.heads
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": shape.vocabulary,
            "hidden_size": shape.hidden,
            "intermediate_size": shape.intermediate,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.key_value_heads,
            "max_position_embeddings": 32768,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": [head // 8, head // 16 * 3, head // 2 - head // 8 - head // 16 * 3],
            },
            "tie_word_embeddings": True,
            "pad_token_id": 0,
            "eos_token_id": special["im_end"],
            "bos_token_id": None,
        },
        vision_config={
            "depth": shape.vision_layers,
            "hidden_size": shape.vision_hidden,
            "intermediate_size": shape.vision_intermediate,
            "num_heads": shape.vision_heads,
            "out_hidden_size": shape.hidden,
            "patch_size": 14,
            "window_size": 112,
            "fullatt_block_indexes": list(range(7, shape.vision_layers, 8)) or [shape.vision_layers - 1],
            "tokens_per_second": 2,
        },
        video_token_id=special["video_pad"],
        image_token_id=special["image_pad"],
        vision_start_token_id=special["vision_start"],
        vision_end_token_id=special["vision_end"],
        tie_word_embeddings=True,
    )
    config._attn_implementation = "sdpa"
    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    with torch.device(device):
        model = Qwen2_5_VLForConditionalGeneration(config)
    torch.set_default_dtype(torch.float32)
    model.model.visual.requires_grad_(False)
    never = tuple(special.values())
    if tokenizer is None:
        return Policy(
            model, None, VisionSettings(14, 2, 2), special["video_pad"], 0, (special["im_end"],), never, 32768, ""
        )
    policy = make_policy(model, tokenizer)
    return replace(policy, suppressed_token_ids=(*never, *policy.eos_token_ids))


@dataclass(frozen=True)
class Clip:
    """Frames as the frame store gives them; `pts_seconds` are those of EgoSchema's three minutes."""

    images: Any

    @property
    def pts_seconds(self) -> list[float]:
        """Midpoints of equal windows."""
        return [180 / len(self.images) * (i + 0.5) for i in range(len(self.images))]


def make_inputs(policy: Any, work: Work, frames: Any) -> Any:
    """The batch of one prompt: the full-scale prompt if there is a tokenizer, else random text around the clip."""
    import torch

    from pipeline.models.batch import ModelInputs
    from pipeline.models.inputs import encode_prompts, patchify, second_per_grid

    clip = Clip(frames)
    if policy.tokenizer is not None:
        inputs = encode_prompts(policy, [_messages(clip)], {"clip": clip})
        pixels = inputs.pixel_values_videos.to(next(policy.model.parameters()).dtype)
        return replace(inputs, pixel_values_videos=pixels).to(policy.device)
    text = torch.randint(1, 500, (work.text,), generator=torch.Generator().manual_seed(1))
    video = torch.full((work.video_tokens,), policy.video_token_id)
    ids = torch.cat([text[: work.text // 2], video, text[work.text // 2 :]])[None]
    patches, grid = patchify(frames, policy.vision)
    return ModelInputs(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        mm_token_type_ids=(ids == policy.video_token_id).long() * 2,
        pixel_values_videos=patches.to(next(policy.model.parameters()).dtype),
        video_grid_thw=grid[None],
        second_per_grid_ts=torch.tensor([second_per_grid(clip.pts_seconds, policy.vision)]),
        clip_ids=(("clip",),),
    ).to(policy.device)


def _messages(clip: Clip) -> list[dict[str, Any]]:
    """The reasoning prompt of profiles/full.yaml."""
    import yaml

    from pipeline.answers.prompts import build_messages, fill

    template = yaml.safe_load((ROOT / "profiles/full.yaml").read_text(encoding="utf-8"))["prompts"]["reasoning"]
    return build_messages(fill(template, QUESTION, OPTIONS, clip.pts_seconds, 0.0, 180.0), "clip")


def load_frames(work: Work) -> tuple[Any, float]:
    """Frames [T, H, W, 3] and the seconds of decoding them: a real clip if one lies beside, else noise."""
    import numpy as np

    clips = sorted((ROOT.parent / "shared/real_clips").glob("*.mp4"))
    if not clips:
        return np.random.default_rng(0).integers(0, 256, (work.frames, work.height, work.width, 3), dtype=np.uint8), 0.0
    import av

    started = time.process_time()
    with av.open(str(clips[0])) as container:
        every = max(1, (container.streams.video[0].frames or 300) // work.frames)
        pictures = []
        for number, frame in enumerate(container.decode(video=0)):
            if number % every == 0 and len(pictures) < work.frames:
                pictures.append(frame.to_ndarray(width=work.width, height=work.height, format="rgb24"))
    pictures += [pictures[-1]] * (work.frames - len(pictures))
    return np.stack(pictures), time.process_time() - started
