"""Rows of the database: one class for each table, or for a few tables that belong together.

All these classes keep one contract, on SQLite as on PostgreSQL. A class states only what differs.

Threads and processes:
    An object holds an engine and no other state. Any thread may call any method at any time; each
    call uses its own connection. Neither an engine nor these objects may cross into another
    process: each process calls `open_database` itself. Any number of processes may share a
    database. A SQLite file must not be shared between machines; a PostgreSQL server may be.

Atomicity:
    A method that writes is one transaction. Once it has returned, all its rows are stored. If it
    raises, or its process is killed, none of them is.

Consistency:
    A call sees all that any thread or process stored before it began. It sees nothing of a write
    that has not ended. Readers do not wait for writers. Writers of a SQLite file take
    turns; on PostgreSQL, only writers of the same rows wait for each other. Of two writes to the
    same row, the later one counts.

Errors:
    Writing raises DatabaseBusy if another process keeps a SQLite file locked for a minute, and
    WorkspaceError if this user may only read. A row that refers to a missing one raises
    `sqlalchemy.exc.IntegrityError`: that is the caller's bug. Other errors of SQLAlchemy pass
    through, from readers too; a server that went away is an example.
"""
