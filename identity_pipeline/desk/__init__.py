"""The desk: a local web page on which people are named, checked and pictures chosen."""
