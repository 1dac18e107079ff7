"""The database's tables over time (Alembic); run by `store/migrating.py`, which hands over the transaction."""
