"""What the figures of scores show is what they are given."""

import numpy as np
import pytest

from abaw.evaluation.reliability import Curve
from abaw.metrics import concordance
from abaw.tasks.classes import Confusion
from abaw.views.plots.curves import Robustness, RunCurves, draw_learning_curves, draw_robustness
from abaw.views.plots.scores import (
    PairedDifference,
    SystemScore,
    draw_comparison,
    draw_confusion,
    draw_reliability,
)
from abaw.views.plots.values import MAX_POINTS, draw_agreement, draw_plane

NAN = float("nan")


def texts(axes):
    return [each.get_text() for each in axes.texts]


def lines(axes):
    return [each.get_xydata().tolist() for each in axes.lines if len(each.get_xdata())]


def test_learning_curves_leave_out_epochs_without_validation_and_mark_the_epoch_of_the_weights():
    run = RunCurves("runs/a", [1, 2, 3], [3.0, 2.0, 1.0], [3.5, NAN, 2.5], {"va CCC": [0.1, NAN, 0.4]}, chosen=3)
    plot = draw_learning_curves([run])
    losses, scores = plot.figure.axes
    assert lines(losses) == [[[1, 3], [2, 2], [3, 1]], [[1, 3.5], [3, 2.5]], [[3, 2.5]]]
    assert lines(scores) == [[[1, 0.1], [3, 0.4]], [[3, 0.4]]]
    assert plot.alternative == (
        "runs/a: 3 epochs, training loss 3.000 to 1.000, validation loss lowest 2.500 in epoch 3, va CCC highest 0.400 "
        "in epoch 3, the weights are of epoch 3."
    )


def test_a_run_without_validation_has_its_training_loss():
    plot = draw_learning_curves([RunCurves("a", [1], [3.0], [NAN], {})])
    assert lines(plot.figure.axes[0]) == [[[1, 3]]]


def test_a_confusion_matrix_has_shares_of_the_labels_and_counts():
    alike = draw_confusion(Confusion(("喜", "悲"), ((3, 1), (0, 0)))).figure.axes[0]
    assert [each.get_text() for each in alike.get_xticklabels()] == ["? (1)", "? (2)"]
    plot = draw_confusion(Confusion(("a", "b"), ((3, 1), (0, 0))))
    assert texts(plot.figure.axes[0]) == ["0.75\n3", "0.25\n1", "–", "–"]
    assert plot.alternative == "a (4 rows) is predicted as a 0.75, b 0.25. b: no row has this label."


def test_a_reliability_diagram_leaves_out_empty_bins():
    curve = Curve(0.1, (None, 0.8), (None, 0.7), (0, 20))
    plot = draw_reliability({"most probable class": curve}, error=0.1)
    upper, lower = plot.figure.axes
    assert lines(upper)[1] == [[0.8, 0.7]]
    assert [bar.get_height() for bar in lower.patches] == [0, 20]
    assert "0.80 is true in 0.70 of 20" in plot.alternative


def test_a_comparison_shows_intervals_where_there_are_some():
    systems = [SystemScore("a", 0.3, (0.2, 0.4)), SystemScore("b", 0.5)]
    plot = draw_comparison(systems, [PairedDifference("a", "b", 0.2, (0.1, 0.3), 0.01)], score="CCC")
    scores, differences = plot.figure.axes
    assert [[0.3, 0.0]] in lines(scores)
    assert lines(scores).count([[0.2, 0], [0.4, 0]]) == 2
    assert not [each for each in lines(scores) if each[0][1] == 1 and len(each) == 2]
    assert texts(differences) == ["+0.200, p 0.010"]
    assert "b minus a: +0.2000 (95 % interval 0.1000 to 0.3000), p 0.010." in plot.alternative
    many = draw_comparison(systems, [PairedDifference("a", "b", 0.2, None, 0.01)] * 46, score="CCC")
    assert len(many.figure.axes) == 1
    assert "46 paired differences are too many to draw." in many.alternative


def test_a_robustness_curve_is_in_the_order_of_the_strengths():
    plot = draw_robustness(
        [Robustness("a", [40, -40, 0], [0.2, 0.1, 0.5])], score="CCC", quantity="shift (ms)", title="t"
    )
    assert [[-40, 0.1], [0, 0.5], [40, 0.2]] in lines(plot.figure.axes[0])


@pytest.mark.parametrize("num", [10, MAX_POINTS + 1])
def test_few_rows_are_points_and_many_are_counted(num):
    label = np.random.default_rng(0).uniform(-1, 1, (num, 2))
    plot = draw_agreement(label * 0.5, label, ("valence", "arousal"))
    axes = plot.figure.axes[0]
    assert [each.get_array().sum() for each in axes.collections] == ([num] if num > MAX_POINTS else [])
    assert axes.get_title("left").startswith(f"valence: CCC {concordance(label[:, 0] * 0.5, label[:, 0]):.3f}")
    plane = draw_plane(label * 0.5, label)
    assert plane.alternative.startswith(f"labels: {num} rows, valence")


def test_the_panels_of_many_runs_keep_their_height_above_a_long_legend():
    one, many = (
        draw_learning_curves([RunCurves(f"runs/{i}", [1, 2], [2.0, 1.0], [2.0, 1.5], {}) for i in range(num)])
        for num in (1, 30)
    )
    heights = [each.figure.axes[0].get_position().height * each.figure.get_figheight() for each in (one, many)]
    assert heights[1] > 0.8 * heights[0]
