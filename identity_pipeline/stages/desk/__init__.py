"""What the pages of the desk show, from library, ledger, tables and pictures."""
