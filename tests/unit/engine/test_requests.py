"""What an engine is asked, and what of its answers is refused. No engine runs here."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from pipeline.engine.requests import make_request, read_answer
from pipeline.errors import ItemError, ModelError
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampling
from tests.support.random_policy import ask, make_clip, make_random_policy

CLIP = make_clip(0, frames=5, spacing=2.0)
SAMPLING = Sampling(7, temperature=0.9, top_p=0.8)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return make_random_policy()


def test_frames_arrive_pixel_by_pixel_with_their_rate(policy: Policy) -> None:
    asked = make_request(policy, ask("what is taken ?", "a"), {"a": CLIP}, SAMPLING, 3, "s", 512)
    url = asked.body["messages"][0]["content"][0]["video_url"]["url"]
    pictures = [Image.open(io.BytesIO(base64.b64decode(part))) for part in url.partition("base64,")[2].split(",")]
    np.testing.assert_array_equal(np.stack([np.asarray(picture) for picture in pictures]), CLIP.images)
    assert asked.body["media_io_kwargs"] == {"video": {"fps": 0.5, "num_frames": -1}}
    assert asked.prompt_ids.count(policy.video_token_id) == policy.vision.video_tokens(5, 16, 32)


def test_sampling_stop_and_suppressed_tokens_are_ours(policy: Policy) -> None:
    bodies = [make_request(policy, ask("what"), {}, SAMPLING, 3, seed, 512).body for seed in ("s", "s", "t")]
    assert (bodies[0]["n"], bodies[0]["max_tokens"], bodies[0]["temperature"], bodies[0]["top_p"]) == (3, 7, 0.9, 0.8)
    assert bodies[0]["stop_token_ids"] == list(policy.eos_token_ids)
    assert set(bodies[0]["logit_bias"]) == {str(token) for token in policy.suppressed_token_ids}
    assert bodies[0]["seed"] == bodies[1]["seed"] != bodies[2]["seed"]
    assert "media_io_kwargs" not in bodies[0]


def test_a_prompt_beyond_the_engines_context_is_refused_by_name(policy: Policy) -> None:
    with pytest.raises(
        ItemError, match=r"prompt_too_long: \d+ tokens \+ 7 to write, machine.engine.max_model_len is 9"
    ):
        make_request(policy, ask("what is taken ?", "a"), {"a": CLIP}, SAMPLING, 1, "s", 9)


def answer(prompt_ids: list[int], *choices: list[int]) -> dict[str, object]:
    rows = [
        {"index": i, "token_ids": ids, "logprobs": {"content": [{"logprob": -0.5 * (k + 1)} for k in range(len(ids))]}}
        for i, ids in enumerate(choices)
    ]
    return {"prompt_token_ids": prompt_ids, "choices": rows[::-1]}


def test_answers_come_in_order_with_scores_and_version(policy: Policy) -> None:
    asked = make_request(policy, ask("what"), {}, SAMPLING, 2, "s", 512)
    end = policy.eos_token_ids[0]
    first, second = read_answer(policy, asked, answer(asked.prompt_ids, [9, end], [10]), "12")
    assert (first.token_ids, first.finished, first.log_probabilities) == ((9, end), True, (-0.5, -1.0))
    assert (second.token_ids, second.finished, second.version) == ((10,), False, "12")


def test_other_prompt_tokens_than_ours_stop(policy: Policy) -> None:
    asked = make_request(policy, ask("what is taken ?", "a"), {"a": CLIP}, SAMPLING, 1, "s", 512)
    resized = [*asked.prompt_ids[:6], policy.video_token_id, *asked.prompt_ids[6:]]
    with pytest.raises(ModelError, match=r"they differ from token \d+ on .*size of the frames"):
        read_answer(policy, asked, answer(resized, [9]), "12")
