"""A report of runs and prediction folders as one page: facts -> sections -> HTML. No file is opened but the template."""
