"""Configuration: typed settings, where they come from, and the layout of the home folder."""
