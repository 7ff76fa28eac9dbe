"""Pooling of tokens: which of them are patches, for every kind of network."""

from types import SimpleNamespace

import pytest
import torch

from abaw.errors import InputError
from extract.networks.tokens import Tokens

PIXELS = torch.zeros(2, 3, 32, 32)  # 16 patches of 8 px


def pooled(pool, state, pixels=PIXELS, summary=None, mask=None, **config):
    tokens = Tokens("net", SimpleNamespace(**({"patch_size": 8} | config)))
    return tokens.pooled(pool, state, pixels, summary, mask)


def state_of(num_before, num_patches=16):
    """Tokens before the patches are 100, 101, ...; patches are 0, 1, ..."""
    values = torch.cat([100.0 + torch.arange(num_before), torch.arange(float(num_patches))])
    return values[None, :, None].expand(2, -1, 4)


@pytest.mark.parametrize(("num_before", "config"), [(1, {}), (2, {}), (5, {"num_register_tokens": 4})])
def test_the_mean_excludes_class_distillation_and_register_tokens(num_before, config):
    assert pooled("mean", state_of(num_before), **config)[0, 0] == 7.5
    assert pooled("cls", state_of(num_before), **config)[0, 0] == 100


def test_tokens_of_an_unknown_kind_are_refused():
    with pytest.raises(InputError, match="net has 3 tokens besides its 16 patches"):
        pooled("mean", state_of(3))


def test_without_a_class_token_all_tokens_are_averaged():
    assert pooled("mean", state_of(0))[0, 0] == 7.5
    with pytest.raises(InputError, match="net has no class token, its 16 tokens are patches: give pool=mean"):
        pooled("cls", state_of(0))


def test_merged_patches_are_averaged():
    assert pooled("mean", state_of(0, 4))[0, 0] == 1.5


def test_tubes_have_patches_in_time_and_space():
    pixels = torch.zeros(2, 4, 3, 32, 32)
    assert pooled("mean", state_of(0, 32), pixels, tubelet_size=2)[0, 0] == 15.5
    assert pooled("mean", state_of(1, 32), pixels, tubelet_size=[2, 8, 8])[0, 0] == 15.5


def test_masked_patches_are_not_averaged():
    mask = torch.zeros(2, 16)
    mask[:, :4] = 1
    assert pooled("mean", state_of(0), torch.zeros(2, 16, 192), mask=mask)[0, 0] == 1.5


def test_maps_are_averaged_over_space_and_have_no_class_token():
    state = torch.arange(2 * 5 * 3 * 3.0).reshape(2, 5, 3, 3)
    assert torch.allclose(pooled("mean", state), state.flatten(2).mean(2))
    with pytest.raises(InputError, match="net gives maps, which have no class token: give pool=mean"):
        pooled("cls", state)


def test_a_pooled_output_before_the_positions_of_a_map_is_a_class_token():
    state = state_of(1, 9)
    assert pooled("mean", state, summary=state[:, 0], patch_size=None)[0, 0] == 4
    assert pooled("mean", state, summary=state[:, 1], patch_size=None)[0, 0] == state[0, :, 0].mean()
