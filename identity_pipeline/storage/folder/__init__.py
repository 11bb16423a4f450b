"""The data folder as a whole: its format and identity, its disk use, backups of it."""
