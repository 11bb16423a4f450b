"""The rooms of the desk: a module of routes for each; what they show is of `stages.desk`."""
