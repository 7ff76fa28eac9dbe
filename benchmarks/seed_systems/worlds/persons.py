"""The world of LiMAML's claims: persons who differ in how their faces show what they feel, and models for it.

Written for benchmarks/seed_systems/limaml.py and tests/faithful/test_limaml.py.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from abaw.configs.optional_sections import AdaptationConfig
from abaw.metrics import concordance
from fusion.adaptation.inner_loop import AdaptiveModel, adapt
from fusion.base import FusionInput, FusionModel
from fusion.models import FUSION_MODELS

DIM = 16  # features of a frame
NUM_SUPPORT, NUM_QUERY = 10, 20  # frames of a person in training
SERIES_FPS, CORRELATION_S, DRIFT = 10, 2.0, 0.5  # of the world in time
PERSONS = 25  # in a step of training
OUTER_RATE = 2e-3  # of Adam
SETTINGS = AdaptationConfig(steps=3, rate=0.3, num_support=NUM_SUPPORT)


@dataclass(frozen=True)
class World:
    """y = tanh(w0 x + z1 u1 x + z2 u2 x + 0.6 z0) + noise of 0.1, with z of each person; x, z standard normal."""

    weights: Tensor  # w0, u1, u2 (3 dim)

    @classmethod
    def draw(cls, seed: int) -> "World":
        return cls(torch.randn(3, DIM, generator=torch.Generator().manual_seed(seed)) / DIM**0.5)

    def sample(self, num_persons: int, num_frames: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Features (person frame dim) and values (person frame)."""
        x = torch.randn(num_persons, num_frames, DIM, generator=generator)
        z = torch.randn(num_persons, 3, generator=generator)
        noise = 0.1 * torch.randn(num_persons, num_frames, generator=generator)
        return x, self._values(x, z) + noise

    def sample_in_time(self, num_persons: int, num_frames: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """As ``sample``, at ``SERIES_FPS`` frames a second: x and a drift added to y are alike in near frames."""
        series = _series(num_persons, num_frames, DIM + 1, generator)
        z = torch.randn(num_persons, 3, generator=generator)
        noise = 0.1 * torch.randn(num_persons, num_frames, generator=generator)
        return series[..., :DIM], self._values(series[..., :DIM], z) + DRIFT * series[..., DIM] + noise

    def _values(self, x: Tensor, z: Tensor) -> Tensor:
        base, first, second = (x @ self.weights.T).unbind(-1)
        return torch.tanh(base + z[:, 1:2] * first + z[:, 2:3] * second + 0.6 * z[:, :1])


def _series(num_persons: int, num_frames: int, dim: int, generator: torch.Generator) -> Tensor:
    """Standard normal AR(1) processes (person frame dim), whose correlation falls to 1/e in ``CORRELATION_S``."""
    keep = math.exp(-1 / (SERIES_FPS * CORRELATION_S))
    shocks = torch.randn(num_frames, num_persons, dim, generator=generator) * (1 - keep**2) ** 0.5
    states = [torch.randn(num_persons, dim, generator=generator)]
    for shock in shocks[1:]:
        states.append(keep * states[-1] + shock)
    return torch.stack(states, 1)


class Network(nn.Module):
    """A fusion model with a linear head of one value."""

    def __init__(self, model: FusionModel) -> None:
        super().__init__()
        self.model, self.head = model, nn.Linear(model.hidden_dim, 1)

    def forward(self, inputs: FusionInput) -> Tensor:
        """Values (person frame)."""
        return self.head(self.model(inputs).hidden)[..., 0]

    def adapted(
        self, x: Tensor, y: Tensor, settings: AdaptationConfig, *, is_training: bool
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The vectors of persons adapted to these frames of theirs, and the parameters that give them."""
        assert isinstance(self.model, AdaptiveModel)
        found = adapt(
            self.model,
            lambda inputs: {"y": self(inputs)},
            as_input(x),
            torch.arange(len(x)),
            lambda raw: (raw["y"] - y).square().mean(1).sum(),
            settings,
            is_training=is_training,
        )
        return found.vectors, found.parameters


def as_input(x: Tensor, vectors: Tensor | None = None) -> FusionInput:
    """Frames (person frame dim) as windows of one modality, a window a person."""
    persons, frames, _ = x.shape
    times_s = (torch.arange(frames, dtype=torch.float64) / 25).expand(persons, -1)
    observed = torch.ones(persons, frames, dtype=torch.bool)
    return FusionInput({"face": x}, {"face": observed}, times_s, torch.full((persons,), frames), vectors=vectors)


def build(seed: int, *, is_adaptive: bool = True, dim: int = DIM) -> Network:
    """LiMAML around a perceptron without context, or that perceptron alone: the global model."""
    torch.manual_seed(seed)
    size = {"hidden_dim": 64, "num_layers": 2, "dropout": 0.0}
    if is_adaptive:
        return Network(FUSION_MODELS.build("limaml", dims={"face": dim}, inner="concat", **size))
    return Network(FUSION_MODELS.build("concat", dims={"face": dim}, **size))


def train(world: World, seed: int, num_steps: int, settings: AdaptationConfig | None = SETTINGS) -> Network:
    """A network trained on ever new persons; without ``settings`` the global model."""
    generator = torch.Generator().manual_seed(seed)
    network = build(seed, is_adaptive=settings is not None).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=OUTER_RATE)
    for _ in range(num_steps):
        x, y = world.sample(PERSONS, NUM_SUPPORT + NUM_QUERY, generator)
        vectors = None
        if settings is not None:
            vectors, _ = network.adapted(x[:, :NUM_SUPPORT], y[:, :NUM_SUPPORT], settings, is_training=True)
        loss = (network(as_input(x[:, NUM_SUPPORT:], vectors)) - y[:, NUM_SUPPORT:]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


@dataclass(frozen=True)
class Measured:
    """Mean squared error and concordance over all frames of all unseen persons."""

    mse: float
    ccc: float

    @classmethod
    def of(cls, prediction: Tensor, y: Tensor) -> "Measured":
        return cls(
            float((prediction - y).square().mean()), concordance(prediction.flatten().numpy(), y.flatten().numpy())
        )

    def __str__(self) -> str:
        return f"{self.mse:.3f} ({self.ccc:.3f})"


def unseen(world: World, num_persons: int = 300, num_frames: int = 100) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Support and query of unseen persons: x and y of both."""
    x, y = world.sample(num_persons, NUM_SUPPORT + num_frames, torch.Generator().manual_seed(9999))
    return x[:, :NUM_SUPPORT], y[:, :NUM_SUPPORT], x[:, NUM_SUPPORT:], y[:, NUM_SUPPORT:]


def measure(network: Network, world: World, settings: AdaptationConfig | None) -> Measured:
    """On unseen persons, adapted to 10 frames each; without ``settings`` without adaptation."""
    x, y, query, truth = unseen(world)
    vectors = None
    if settings is not None:
        vectors, _ = network.adapted(x, y, settings, is_training=False)
    with torch.no_grad():
        return Measured.of(network(as_input(query, vectors)), truth)


def measure_fine_tuned(network: Network, world: World, rate: float, num_steps: int = 10) -> Measured:
    """The rival: all parameters of the global model, by gradient descent on the 10 frames of each person."""
    x, y, query, truth = unseen(world)
    start = {name: each.detach() for name, each in network.named_parameters()}
    tuned = {name: each.expand(len(x), *each.shape).clone() for name, each in start.items()}

    def predict(own: Mapping[str, Tensor], frames: Tensor) -> Tensor:
        return torch.func.functional_call(network, dict(own), (as_input(frames[None]),))[0]

    def loss(own: Mapping[str, Tensor], frames: Tensor, values: Tensor) -> Tensor:
        return (predict(own, frames) - values).square().mean()

    slopes: Callable[..., Mapping[str, Tensor]] = torch.vmap(torch.func.grad(loss))
    for _ in range(num_steps):
        found = slopes(tuned, x, y)
        tuned = {name: each - rate * found[name] for name, each in tuned.items()}
    with torch.no_grad():
        return Measured.of(torch.vmap(predict)(tuned, query), truth)


def by_gap(network: Network, world: World, settings: AdaptationConfig, gaps_s: Sequence[float]) -> list[Measured]:
    """In the world in time: adapted to 10 frames of one second, measured on the second that begins ``gap_s`` later."""
    last = round((1 + max(gaps_s) + 1) * SERIES_FPS)
    x, y = world.sample_in_time(1000, last, torch.Generator().manual_seed(77))
    support = slice(0, NUM_SUPPORT)
    vectors, _ = network.adapted(x[:, support], y[:, support], settings, is_training=False)
    found = []
    for gap_s in gaps_s:
        start = NUM_SUPPORT + round(gap_s * SERIES_FPS)
        query = slice(start, start + SERIES_FPS)
        with torch.no_grad():
            found.append(Measured.of(network(as_input(x[:, query], vectors)), y[:, query]))
    return found


def outer_slopes(*, first_order: bool) -> tuple[float, float]:
    """The slope of the loss through the inner loop in a random direction of all parameters, in float64: the gradient's,
    and that of finite differences."""
    settings = SETTINGS.model_copy(update={"first_order": first_order})
    torch.manual_seed(0)
    model = FUSION_MODELS.build("limaml", dims={"face": 4}, inner="bigru", hidden_dim=6, dropout=0.0)
    network = Network(model).double().train()
    x, y = torch.randn(3, 12, 4, dtype=torch.float64), torch.randn(3, 12, dtype=torch.float64)

    def loss() -> Tensor:
        vectors, _ = network.adapted(x[:, :5], y[:, :5], settings, is_training=True)
        return (network(as_input(x[:, 5:], vectors)) - y[:, 5:]).square().mean()

    parameters = list(network.parameters())
    directions = [torch.randn_like(each) for each in parameters]
    gradients = torch.autograd.grad(loss(), parameters)
    slope = sum(float((gradient * each).sum()) for gradient, each in zip(gradients, directions, strict=True))
    values, step = [], 1e-6
    for sign in (1, -2):
        with torch.no_grad():
            for parameter, each in zip(parameters, directions, strict=True):
                parameter += sign * step * each
        values.append(float(loss().detach()))
    return slope, (values[0] - values[1]) / (2 * step)


def stored_difference(network: Network, world: World) -> float:
    """The largest difference between a prediction with a stored vector and that of the network with the adapted
    parameters in it, over ten persons."""
    x, y, query, _ = (each[:10] for each in unseen(world, 10))
    vectors, parameters = network.adapted(x, y, SETTINGS, is_training=False)
    stored = torch.from_numpy(vectors.numpy().copy())
    adapted, largest = copy.deepcopy(network), 0.0
    for person in range(10):
        block = adapted.model.person_block
        assert isinstance(block, nn.Module)
        block.load_state_dict({name: each[person].detach() for name, each in parameters.items()})
        with torch.no_grad():
            one = query[person : person + 1]
            with_vector = network(as_input(one, stored[person : person + 1]))
            largest = max(largest, float((with_vector - adapted(as_input(one))).abs().max()))
    return largest


def influence(network: Network, world: World) -> float:
    """How much a person's vector changes where the labels of all others of the batch are others."""
    x, y, _, _ = unseen(world, 10)
    others = torch.cat([y[:1], -5 * y[1:]])
    first, second = (network.adapted(x, each, SETTINGS, is_training=False)[0][0] for each in (y, others))
    return float((first - second).abs().max())


def unadapted_difference(network: Network, world: World) -> float:
    """How far predictions without a step, or with steps of rate 0, are from those without a vector."""
    x, y, query, _ = unseen(world, 10)
    largest = 0.0
    for changes in ({"steps": 0}, {"rate": 0.0}):
        vectors, _ = network.adapted(x, y, SETTINGS.model_copy(update=changes), is_training=False)
        with torch.no_grad():
            largest = max(largest, float((network(as_input(query, vectors)) - network(as_input(query))).abs().max()))
    return largest


def sinusoid(num_steps: int, seed: int = 0) -> dict[int, float]:
    """MAML's sinusoid (Finn et al. 2017), by updates of all parameters: mean squared error after 0, 1, 5, 10 steps.

    It tests that updates with second derivatives reach the published errors; LiMAML adapts fewer parameters.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    layers = nn.Sequential(nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1))
    optimizer = torch.optim.Adam(layers.parameters(), lr=1e-3)

    def loss(own: Mapping[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return (torch.func.functional_call(layers, dict(own), (x,)) - y).square().mean()

    def tuned(own: Mapping[str, Tensor], x: Tensor, y: Tensor, steps: int) -> Mapping[str, Tensor]:
        for _ in range(steps):
            slopes = torch.func.grad(loss)(own, x, y)
            own = {name: each - 0.01 * slopes[name] for name, each in own.items()}
        return own

    def tasks(num: int) -> tuple[Tensor, Tensor]:
        amplitude = 0.1 + 4.9 * torch.rand(num, 1, 1, generator=generator)
        phase = math.pi * torch.rand(num, 1, 1, generator=generator)
        x = 10 * torch.rand(num, 20, 1, generator=generator) - 5
        return x, amplitude * torch.sin(x - phase)

    def after(x: Tensor, y: Tensor, steps: int) -> Tensor:
        own = dict(layers.named_parameters())
        return torch.vmap(lambda a, b: loss(tuned(own, a[:10], b[:10], steps), a[10:], b[10:]))(x, y).mean()

    for _ in range(num_steps):
        optimizer.zero_grad()
        after(*tasks(25), 1).backward()
        optimizer.step()
    x, y = tasks(1000)
    with torch.no_grad():
        return {steps: float(after(x, y, steps)) for steps in (0, 1, 5, 10)}
