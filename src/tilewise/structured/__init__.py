"""Structured answers: a JSON Schema is asked field by field and becomes a record.

``schema`` checks a schema, ``form`` turns it into fields with questions, ``asking`` asks them,
``values`` (with ``amounts`` and ``dates``) reads the answers, ``record`` and ``formats`` hold
and write what came out.
"""
