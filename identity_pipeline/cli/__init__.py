"""The command line. Every command is a function of the layers below; here they only get words."""

import warnings

# Dagster's own labels of its newer features are nothing a user of this command can act on.
warnings.filterwarnings("ignore", module="dagster")
warnings.filterwarnings("ignore", message=".*(preview|beta).*")
