"""The tables of each database, as SQLAlchemy knows them: what queries are written with.

They are how things are now. How they came to be is in `weebill.storage.revisions`.
"""
