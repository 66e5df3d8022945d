"""What the HTTP servers of the product have in common: `server` runs an application on a socket of ours, `problems`
gives every error answer its one shape. Loaded only by processes that serve: it needs the extra `server`.
"""
