"""What the API decides, one file a resource: no HTTP and no SQL here.

A service checks a request against what is stored, composes statements of `store/` in one transaction and answers with
contract types, or refuses with one of `contracts.errors`. Routes above only translate.
"""
