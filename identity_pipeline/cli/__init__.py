"""The command line. Every command is a function of the layers below; here they only get words."""
