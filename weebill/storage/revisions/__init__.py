"""Alembic's revisions, which the schemas came to be by, in a folder for each. Once released, none is ever edited."""
