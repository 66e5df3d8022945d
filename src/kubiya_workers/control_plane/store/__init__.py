"""All SQL of the product: one file a resource, one named function a statement.

Every function takes a connection from `Database.reading()` or `Database.writing()` and gives or takes contract types,
so that services compose several of them in one transaction. SQLite and PostgreSQL are served by the same statements
and tested by the same suite. `tables` is the schema, `migrations` how a database gets there.

A unique name that is taken is raised as `Conflict`; a database that does not answer as `Unavailable`.
"""
