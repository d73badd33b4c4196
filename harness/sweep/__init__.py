"""A sweep file → trained trials: its points, what is missing, the search that goes on, the training."""
