"""Results in a database: PostgreSQL, MySQL, MariaDB, SQLite, by SQLAlchemy."""

from umbel.results.database.results import DatabaseResults

__all__ = ["DatabaseResults"]
