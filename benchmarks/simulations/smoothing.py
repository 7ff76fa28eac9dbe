"""What class weights and label smoothing together teach: macro-F1 of the optimum of the loss, not of a training.

Frames of eight classes with the frequencies of Aff-Wild2's expressions. The features of a class are normal around a
mean of its own, so that the true probabilities of a frame are known. For each loss, the logits of every frame that
minimise its expectation under these probabilities are computed; macro-F1 of their largest is the best that a network
trained with this loss can reach. The weights are those of `abaw/configs/expr.yaml`. Writes smoothing.json and
smoothing.md in results/simulations. About a minute on a CPU core.

    python -m benchmarks.simulations.smoothing [--seeds 1 2 3]
"""

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from abaw.configs.file import read_config
from abaw.dataset.names import EXPRESSIONS
from abaw.files import write_json
from abaw.metrics import count_classes, f1
from abaw.results.runs import commit, versions
from abaw.tasks import TASKS

# of the labelled frames of training and validation, in the order of EXPRESSIONS
FREQUENCIES = np.array([0.300, 0.027, 0.019, 0.020, 0.148, 0.121, 0.049, 0.317])
SEPARATIONS = {"low": 0.75, "middle": 1.0, "high": 1.5}  # distance of a mean from 0, in standard deviations
NUM_CLASSES = len(EXPRESSIONS)
RESULTS = Path(__file__).resolve().parent.parent / "results" / "simulations"

Loss = Callable[[Tensor, Tensor], Tensor]  # logits and probabilities of frames, both (frames classes) -> a scalar


def losses(weights: list[float], smoothing: float) -> dict[str, Loss]:
    """The losses that are compared, as expectations over the classes of each frame."""

    def of_task(class_weights: list[float], label_smoothing: float) -> Loss:
        settings = {"class_weights": class_weights, "label_smoothing": label_smoothing}
        # the task of own classes takes a share of every class
        task = TASKS.build("classes", class_names=EXPRESSIONS, level="frame", **settings)

        def loss(logits: Tensor, probabilities: Tensor) -> Tensor:
            target = torch.cat([probabilities.argmax(-1, keepdim=True), probabilities], dim=-1)
            return task.loss(logits[None], target[None], torch.ones(1, len(logits), dtype=torch.bool))

        return loss

    def of_torch(logits: Tensor, probabilities: Tensor) -> Tensor:
        return cross_entropy(logits, probabilities, weight=torch.tensor(weights), label_smoothing=smoothing)

    return {
        "neither": of_task([1.0] * NUM_CLASSES, 0.0),
        "weights": of_task(weights, 0.0),
        "both, as torch combines them": of_torch,
        "both, as they are here": of_task(weights, smoothing),
    }


def minimise(loss: Loss, probabilities: Tensor) -> Tensor:
    """The probabilities (frames classes) of the logits of each frame at which the loss is smallest."""
    logits = torch.zeros_like(probabilities).requires_grad_()
    # the loss is a mean over frames; scaled, so that the gradient of one frame is not below the tolerance
    optimizer = torch.optim.LBFGS([logits], max_iter=300, tolerance_change=1e-12, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        total = len(probabilities) * loss(logits, probabilities)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(closure)
    return logits.detach().softmax(-1)


def draw(seed: int, separation: float, num: int) -> tuple[np.ndarray, Tensor]:
    """The class of each frame, and its true probability of every class."""
    rng = np.random.default_rng(seed)
    classes = rng.choice(NUM_CLASSES, num, p=FREQUENCIES / FREQUENCIES.sum())
    features = rng.normal(size=(num, NUM_CLASSES)) + separation * np.eye(NUM_CLASSES)[classes]
    logits = torch.tensor(separation * features + np.log(FREQUENCIES), dtype=torch.float32)
    return classes, logits.softmax(-1)


def macro_f1(predicted: np.ndarray, classes: np.ndarray) -> float:
    return float(f1(count_classes(predicted, classes, NUM_CLASSES)).mean())


def table(scores: dict[str, dict[str, list[float]]], of_neutral: dict[str, list[float]]) -> str:
    """A row for each loss: mean macro-F1 over the seeds at each separation, and the optimum for a Neutral frame."""
    lines = [f"| loss | {' | '.join(scores)} | optimum for a Neutral frame |", "|---" * (len(scores) + 2) + "|"]
    for name, optimum in of_neutral.items():
        cells = [f"{statistics.mean(by_loss[name]):.3f}" for by_loss in scores.values()]
        second = max(range(1, NUM_CLASSES), key=lambda label: optimum[label])
        cells.append(f"Neutral {optimum[0]:.3f}, {EXPRESSIONS[second]} {optimum[second]:.3f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--frames", type=int, default=50_000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    made_by = commit()  # before the results are written, which change the tree
    settings = read_config("expr").values["tasks"]["expr"]
    weights = settings["class_weights"]
    compared = losses(weights, 0.1)
    scores: dict[str, dict[str, list[float]]] = {word: {name: [] for name in compared} for word in SEPARATIONS}
    for word, separation in SEPARATIONS.items():
        for seed in arguments.seeds:
            classes, probabilities = draw(seed, separation, arguments.frames)
            for name, loss in compared.items():
                predicted = minimise(loss, probabilities).argmax(-1).numpy()
                scores[word][name].append(macro_f1(predicted, classes))
    # a frame that is certainly Neutral beside one of every other class
    of_neutral = {name: minimise(loss, torch.eye(NUM_CLASSES))[0].tolist() for name, loss in compared.items()}
    facts = {"commit": made_by, "versions": versions(), "seeds": arguments.seeds, "frames": arguments.frames}
    found = {"separations": SEPARATIONS, "class_weights": weights, "macro_f1": scores, "optimum_neutral": of_neutral}
    write_json(arguments.out / "smoothing.json", {**facts, **found})
    words = ", ".join(f"{word} {separation:g}" for word, separation in SEPARATIONS.items())
    text = (
        f"Macro-F1 of the optimum of each loss on {arguments.frames} simulated frames of eight classes, mean over the "
        f"seeds {', '.join(map(str, arguments.seeds))}, commit {made_by}. Separation of the classes, in standard "
        f"deviations of their features: {words}. Class weights of the config expr, smoothing 0.1.\n\n"
        f"{table(scores, of_neutral)}\n"
    )
    (arguments.out / "smoothing.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
