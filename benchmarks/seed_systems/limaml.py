"""LiMAML: what is measured of the adaptation to persons. About ten minutes on two cores, without the speakers.

    python -m benchmarks.seed_systems.limaml [--speakers DATA STORE] [--sinusoid]

``--speakers``: RAVDESS, as a data set file and a store with ge2e and egemaps (see ``worlds/speakers``).
``--sinusoid``: MAML's own experiment too, which takes minutes.
"""

import argparse
import statistics
from collections.abc import Sequence
from functools import partial

from benchmarks.seed_systems.rows import Claim, Section, write_section
from benchmarks.seed_systems.worlds import speakers
from benchmarks.seed_systems.worlds.persons import (
    SETTINGS,
    Measured,
    World,
    by_gap,
    influence,
    measure,
    measure_fine_tuned,
    outer_slopes,
    sinusoid,
    stored_difference,
    train,
    unadapted_difference,
)

SEEDS = (0, 1)
NUM_STEPS = 1500
GAPS_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
TUNING_RATES = (0.01, 0.03, 0.1, 0.3)
TEXT = """LiMAML (Wang et al. 2024, arXiv 2403.00803) adapts a recommender to each member by a small meta block, whose
output is stored as a vector. Here the entity is a person: a clip or, where a data set names groups, a group of clips.
The model `limaml` wraps another one, which reads the person's vector as one more modality; gradient descent on a few
labelled frames changes the parameters of the meta block alone, and what is kept of it are 8 numbers (`abaw
personalise`, `abaw predict --subjects`). Training goes through these updates, with second derivatives (`adaptation`
in configs). Scores of subject-adapted tables are a protocol of their own: frames whose labels were used, and those
within the gap, are left out, and no challenge file, ensemble or fit takes such tables.

It departs from the paper in what the meta block gets: learned constants and, as an option, mean and deviation of the
person's features. The paper's members have features and a learned embedding each; a person who was never seen has
neither. The paper's rates, sizes and numbers of steps are not known; those here are ours.

The world of the table: y = tanh(w0 x + z1 u1 x + z2 u2 x + 0.6 z0) + 0.1 noise, with 16 features and z standard
normal for each person; adaptation by 10 frames and steps of rate 0.3; 1500 steps of training with 25 persons; 300
unseen persons with 100 frames. Figures are MSE (CCC). The scale of w0, u1 and u2, standard normal over 4, is ours.
The column "paper" has the figures of a first implementation of this world, because the paper's own are not published.

On real speakers (RAVDESS) adaptation gains over the same model without it, but 3 steps give no more than the
perceptron without persons: training for adaptation costs as much as these labels return."""


def measure_world() -> list[Claim]:
    """The claims on the world of persons, of every seed."""
    found: dict[str, list[Measured]] = {}
    exact, same, apart, gaps = [], [], [], []
    first_order: list[Measured] = []
    for seed in SEEDS:
        world = World.draw(seed)
        plain, adaptive = train(world, seed, NUM_STEPS, None), train(world, seed, NUM_STEPS)
        rows = {"global": measure(plain, world, None), "unadapted": measure(adaptive, world, None)}
        tuned = [measure_fine_tuned(plain, world, rate) for rate in TUNING_RATES]
        rows["tuned"] = min(tuned, key=lambda each: each.mse)
        for steps in (1, 3, 10):
            rows[str(steps)] = measure(adaptive, world, SETTINGS.model_copy(update={"steps": steps}))
        for name, each in rows.items():
            found.setdefault(name, []).append(each)
        exact.append(stored_difference(adaptive, world))
        same.append(unadapted_difference(adaptive, world))
        apart.append(influence(adaptive, world))
        gaps.append([each.ccc for each in by_gap(adaptive, world, SETTINGS, GAPS_S)])
        if seed == SEEDS[0]:
            shortcut = SETTINGS.model_copy(update={"first_order": True})
            first_order.append(measure(train(world, seed, NUM_STEPS, shortcut), world, SETTINGS))
            whole = by_gap(adaptive, world, SETTINGS.model_copy(update={"steps": 0}), GAPS_S)
            unadapted_gaps = [each.ccc for each in whole]
    words = {name: " / ".join(map(str, each)) for name, each in found.items()}
    three, base = found["3"], found["global"]
    by_mse = [a.mse / b.mse for a, b in zip(three, base, strict=True)]
    loss = [a.mse / b.mse - 1 for a, b in zip(found["unadapted"], base, strict=True)]
    curve = [statistics.mean(each[i] for each in gaps) for i in range(len(GAPS_S))]
    return [
        Claim(
            "Prediction with a stored vector against the adapted network: largest difference",
            "",
            f"{max(exact):g}",
            "0",
            max(exact) == 0,
        ),
        Claim(
            "No step, or steps of rate 0, against no adaptation: largest difference",
            "",
            f"{max(same):g}",
            "0",
            max(same) == 0,
        ),
        Claim(
            "A person's vector where the labels of all other persons change: largest difference",
            "",
            f"{max(apart):g}",
            "0",
            max(apart) == 0,
        ),
        Claim("Global model without persons, seeds 0 / 1", ".447 (.352) / .449 (.355)", words["global"], "", None),
        Claim(
            "Rival: all parameters of the global model, tuned by 10 steps of the best of four rates",
            ".387 / .389",
            words["tuned"],
            "above 3 steps of LiMAML",
            all(a.mse > b.mse for a, b in zip(found["tuned"], three, strict=True)),
        ),
        Claim(
            "LiMAML without adaptation",
            ".520 / .479",
            words["unadapted"],
            "MSE within 20 % of the global model's",
            all(abs(each) <= 0.2 for each in loss),
        ),
        Claim("LiMAML, 1 step", ".160 (.859) / .153 (.860)", words["1"], "", None),
        Claim(
            "LiMAML, 3 steps",
            ".066 (.940) / .065 (.939)",
            words["3"],
            "CCC at least 0.90, MSE at most 0.25 of the global model's",
            all(each.ccc >= 0.9 for each in three) and max(by_mse) <= 0.25,
        ),
        Claim("LiMAML, 10 steps", ".045 (.960) / .044 (.959)", words["10"], "", None),
        Claim(
            "LiMAML trained without second derivatives, 3 steps, seed 0",
            ".085 (.921)",
            str(first_order[0]),
            "not better than with them",
            first_order[0].mse >= three[0].mse,
        ),
        Claim(
            f"A world in time: features and a drift of deviation 0.5 are alike for about 2 s; 10 labels in one second, "
            f"CCC on the second that begins {', '.join(f'{gap:g}' for gap in GAPS_S)} s later (mean of two seeds)",
            "",
            ", ".join(f"{each:.3f}" for each in curve),
            "falls with the gap: at 0 s above that at 8 s",
            curve[0] > curve[5],
        ),
        Claim("The same without adaptation, seed 0", "", ", ".join(f"{each:.3f}" for each in unadapted_gaps), "", None),
    ]


def measure_gradient() -> list[Claim]:
    """The claims on the gradient through the inner loop."""
    slope, expected = outer_slopes(first_order=False)
    short, _ = outer_slopes(first_order=True)
    return [
        Claim(
            "Gradient through the inner loop (bigru inside, float64) against finite differences: relative difference",
            "",
            f"{abs(slope / expected - 1):.1e}",
            "1e-6",
            abs(slope / expected - 1) <= 1e-6,
        ),
        Claim(
            "Control: with first_order it differs",
            "",
            f"{abs(short / expected - 1):.1e}",
            "above 1e-3",
            abs(short / expected - 1) > 1e-3,
        ),
    ]


def measure_sinusoid() -> list[Claim]:
    """MAML's sinusoid after 10,000 iterations."""
    found = sinusoid(10_000)
    words = " / ".join(f"{each:.3f}" for each in found.values())
    holds = found[1] <= 0.6 and found[5] <= 0.25
    return [
        Claim(
            "MAML's sinusoid, all parameters, 10,000 iterations: MSE after 0 / 1 / 5 / 10 steps",
            "3.29 / .495 / .181 / .147",
            words,
            "1 step at most 0.6, 5 steps at most 0.25",
            holds,
        )
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--speakers", nargs=2, metavar=("DATA", "STORE"))
    parser.add_argument("--sinusoid", action="store_true")
    given = parser.parse_args(arguments)
    claims: list[Claim] = []
    for part in (
        measure_gradient,
        measure_world,
        *([measure_sinusoid] if given.sinusoid else []),
        *([partial(speakers.compare, *given.speakers)] if given.speakers else []),
    ):
        claims += part()  # written after each part: the next takes minutes
        write_section("limaml", Section("Adaptation to a person (limaml)", TEXT, claims), SEEDS)


if __name__ == "__main__":
    main()
