"""The 5th ABAW challenge."""

from abaw.challenge.edition import single_tasks

SAMPLES = {task: f"CVPR_5th_ABAW_{task.upper()}_test_set_sample.txt" for task in ("va", "expr", "au")}
EDITIONS = single_tasks(5, "CVPR 2023", SAMPLES, "Classification", sample_values="none")
