"""How single files are written and read: whole, private, checked, under a lock."""
