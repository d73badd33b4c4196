"""The database and the artifact files: the only room that knows SQLAlchemy."""
