"""Configuration: typed settings, their sources, and the layout of the home folder."""
