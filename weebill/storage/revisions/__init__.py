"""How the schemas came to be: Alembic's revisions, a folder for each schema. Once released, none is ever edited."""
