"""What a network's own blocks receive and give, by hooks on its modules: hidden states without the library's list."""

from operator import attrgetter


def hidden_states(model, blocks, norm, *args, **inputs):
    """The input of the first block, and the output of each; the last one through the module ``norm`` where given.

    ``blocks`` and ``norm`` are dotted names inside ``model``. Normalisations get random weights first, so that none is
    close to the identity.
    """
    import torch

    states, hooks = [], []
    chain = attrgetter(blocks)(model)
    hooks.append(
        chain[0].register_forward_pre_hook(
            lambda module, args, kwargs: states.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
        )
    )
    for block in chain:
        hooks.append(
            block.register_forward_hook(
                lambda module, args, made: states.append(made[0] if isinstance(made, tuple) else made)
            )
        )
    with torch.inference_mode():
        model(*args, **inputs)
        for hook in hooks:
            hook.remove()
        if norm is not None:
            states[-1] = attrgetter(norm)(model)(states[-1])
    return states


def scramble_norms(model):
    """Gives all layer norms random weights, so that none is close to the identity."""
    import torch

    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm) and module.elementwise_affine:
            torch.nn.init.uniform_(module.weight, 0.5, 2.0)
            torch.nn.init.uniform_(module.bias, -1.0, 1.0)
