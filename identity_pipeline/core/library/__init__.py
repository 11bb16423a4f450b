"""The library as a function of templates and human decisions: profiles, prototypes, suggestions."""
