"""`python -m identity_pipeline`: the command line."""

from identity_pipeline.cli.main import cli

cli()
