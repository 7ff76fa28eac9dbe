"""What commands and Python users call: extraction, training, prediction, analysis."""

from abaw.pipelines.siblings import check_siblings

check_siblings()  # everything in this room imports extract or fusion
