"""Golden copies of what the API answers: a fleet that never changes, what is asked of it, files.

`tests/contract/test_golden_api.py` compares them. CONTRIBUTING.md says how to accept a change.
"""
