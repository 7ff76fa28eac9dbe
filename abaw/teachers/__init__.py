"""Teachers: prediction tables of runs, ensembles or recognisers that become targets of a training."""
