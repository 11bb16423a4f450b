"""Small data folders that earlier versions made, and the script that makes the next one."""
