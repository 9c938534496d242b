"""Sequence models, small enough to read and fast enough to train in front of a reader.

Depends on torch, numpy and the standard library only. Start with `seqcore.models` (the
equations), `seqcore.tasks` (data with known answers) and `seqcore.experiments` (one a page).
"""
