"""The paths under /api/v1, one file a resource. A route translates: it asks a service and shapes the answer.

Every module has a `router`; `app.build` includes them. Who may call is said by the type of the `caller` parameter.
"""
