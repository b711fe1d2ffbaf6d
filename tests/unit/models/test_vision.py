"""Cached vision features: the tower's own, kept by content, bounded, and never stale on disk."""

from pathlib import Path

import torch

from pipeline.models.inputs import patchify
from pipeline.models.vision import FeatureCache, encode_clip, tower_digest
from tests.support.random_policy import make_clip, make_random_policy


def test_features_are_the_towers() -> None:
    policy, clip = make_random_policy(), make_clip(1)
    patches, grid = patchify(clip.images, policy.vision)
    with torch.no_grad():
        expected = policy.model.model.visual(patches, grid_thw=grid[None], return_dict=True).pooler_output
    assert torch.equal(encode_clip(policy, clip), expected)
    assert expected.shape == (16, 32)


def test_equal_frames_are_encoded_once() -> None:
    cache = FeatureCache(make_random_policy(), 1)
    first, again = cache.get(make_clip(1)), cache.get(make_clip(1))
    assert torch.equal(first, again)
    assert (cache.held.hits, cache.held.misses) == (1, 1)


def test_memory_is_bounded_by_dropping_the_least_recent() -> None:
    cache = FeatureCache(make_random_policy(), 2 * 16 * 32 * 4 / 1e6)  # two clips
    for seed in (1, 2, 1, 3):
        cache.get(make_clip(seed))
    assert 0 < cache.held.bytes <= cache.held.max_bytes
    misses = cache.held.misses
    cache.get(make_clip(1))
    assert cache.held.misses == misses
    cache.get(make_clip(2))
    assert cache.held.misses == misses + 1


def test_the_store_on_disk_serves_another_process_and_no_other_tower(tmp_path: Path) -> None:
    policy, clip = make_random_policy(), make_clip(1)
    written = FeatureCache(policy, 1, tmp_path).get(clip)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert len(names) == 1
    assert torch.equal(FeatureCache(policy, 1, tmp_path).get(clip), written)
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    other = make_random_policy(seed=1)
    assert tower_digest(other) != tower_digest(policy)
    assert not torch.equal(FeatureCache(other, 1, tmp_path).get(clip), written)
    assert len(list(tmp_path.iterdir())) == 2


def test_features_of_another_precision_are_others(tmp_path: Path) -> None:
    """A run in float32 must not take what one under autocast left on disk, or in memory."""
    policy, clip = make_random_policy(), make_clip(1)
    with torch.autocast("cpu", torch.bfloat16):
        coarse = FeatureCache(policy, 1, tmp_path).get(clip)
    cache = FeatureCache(policy, 1, tmp_path)
    assert torch.equal(cache.get(clip), encode_clip(policy, clip))
    assert not torch.equal(cache.get(clip), coarse.float())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(cache.get(clip), coarse)
    assert len(list(tmp_path.iterdir())) == 2
