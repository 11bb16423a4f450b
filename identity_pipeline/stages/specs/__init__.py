"""What each output is made of: inputs, settings, models, code version."""
