"""What is predicted: one file per task."""

from abaw.registry import Registry

TASKS = Registry("task", __name__, symbol="TASKS", group="abaw.tasks", builds="abaw.tasks.base:Task")
