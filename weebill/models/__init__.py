"""The model store: names, sources, downloads, and the files of the models of this machine."""
