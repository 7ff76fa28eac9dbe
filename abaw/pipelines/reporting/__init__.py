"""Reports of runs and prediction folders: reads what a report shows and writes the page."""
