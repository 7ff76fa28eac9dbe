"""A report of runs and prediction folders as one page: facts -> sections -> HTML."""
