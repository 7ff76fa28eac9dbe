"""Bayesian linear regression in closed form: the posterior of the weights of a linear layer (neural-linear).

LiRank (arXiv 2402.06859, section on explore and exploit) on the last layer's input z: precision = prior + Z'Z / noise,
mean = precision^-1 Z'y / noise, predictive variance = noise + z' precision^-1 z.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float

from abaw.errors import InputError


@dataclass(frozen=True, eq=False)
class LinearPosterior:
    """What is known of the weights of a linear layer: a normal distribution for each output.

    ``precision`` is the inverse of its covariance, ``moment`` the precision times its mean, ``noise`` the variance of
    a label around the output (sigma squared). All of them are float64. Adding rows one by one gives the same as adding
    them together.
    """

    precision: Float[np.ndarray, "out dim dim"]
    moment: Float[np.ndarray, "out dim"]
    noise: Float[np.ndarray, " out"]

    def with_rows(
        self, states: Float[np.ndarray, "row dim"], targets: Float[np.ndarray, "row out"]
    ) -> "LinearPosterior":
        """The posterior with more labelled rows, whose errors are independent."""
        return self.with_clip(states, targets, np.ones(len(states)), np.zeros(len(self.noise)))

    def with_clip(
        self,
        states: Float[np.ndarray, "row dim"],
        targets: Float[np.ndarray, "row out"],
        counts: Float[np.ndarray, " row"],
        correlation: Float[np.ndarray, " out"],
        sign: int = 1,
    ) -> "LinearPosterior":
        """The posterior with the labelled rows of a clip, whose errors have a part in common; ``sign`` -1: without it.

        ``correlation``: the share of the noise that is one error for all rows, integrated over (a random intercept:
        Laird and Ware 1982). The rest is each row's own; there a row counts as ``counts`` independent ones.
        """
        precision, moment = self.precision.copy(), self.moment.copy()
        for i, (noise, share) in enumerate(zip(self.noise, correlation, strict=True)):
            own, common = counts / (noise * (1 - share)), noise * share
            weighted = states * own[:, None]
            total, factor = weighted.sum(axis=0), common / (1 + common * own.sum())
            precision[i] += sign * (weighted.T @ states - factor * np.outer(total, total))
            moment[i] += sign * (weighted.T @ targets[:, i] - factor * total * (own @ targets[:, i]))
        return replace(self, precision=precision, moment=moment)

    @cached_property
    def covariance(self) -> Float[np.ndarray, "out dim dim"]:
        """The covariance of the weights of each output."""
        return np.linalg.inv(self.precision)

    @cached_property
    def mean(self) -> Float[np.ndarray, "out dim"]:
        """The expected weights of each output."""
        return np.stack([np.linalg.solve(*each) for each in zip(self.precision, self.moment, strict=True)])

    def outputs(self, states: Float[np.ndarray, "row dim"]) -> Float[np.ndarray, "row out"]:
        """The expected labels of rows."""
        return states @ self.mean.T

    def weight_variances(self, states: Float[np.ndarray, "row dim"]) -> Float[np.ndarray, "row out"]:
        """z' covariance z: the part of the variance that more labels reduce."""
        return np.stack([np.einsum("rd,rd->r", states @ each, states) for each in self.covariance], axis=1)

    def variances(self, states: Float[np.ndarray, "row dim"]) -> Float[np.ndarray, "row out"]:
        """The predictive variance of the labels of rows: the noise and that of the weights."""
        return self.noise + self.weight_variances(states)

    def draw(self, rng: np.random.Generator) -> Float[np.ndarray, "out dim"]:
        """Weights drawn from the posterior (Thompson sampling)."""
        normal = rng.standard_normal(self.mean.shape)
        factors = np.linalg.cholesky(self.precision)  # weights = mean + L^-T normal have the covariance (L L')^-1
        offsets = [np.linalg.solve(factor.T, each) for factor, each in zip(factors, normal, strict=True)]
        return self.mean + np.stack(offsets)


def prior(dim: int, precision: Float[np.ndarray, " out"], noise: Float[np.ndarray, " out"]) -> LinearPosterior:
    """Weights before any label: mean 0 and, for each output, ``precision`` times the unit matrix.

    Raises InputError where a precision or a noise variance is not a number above 0.
    """
    for name, values in (("precision", precision), ("noise variance", noise)):
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise InputError(f"the {name} of a posterior is {values.tolist()}, expected numbers above 0")
    unit = np.eye(dim)
    return LinearPosterior(
        np.stack([each * unit for each in precision.astype(np.float64)]),
        np.zeros((len(noise), dim)),
        noise.astype(np.float64),
    )
