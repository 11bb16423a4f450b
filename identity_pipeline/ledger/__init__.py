"""Human decisions about who is who: typed events, an append-only file of them, and their replay.

Knows `core` and the paths of `storage`; knows no embedding, no cluster and no Dagster. Subjects are
strings (`subjects`), people are UUIDs, names are attributes. `events` says what can be decided,
`working` and `replay` what it amounts to, `commands` and `effects` build a decision and tell its
effect, `anchors` finds it again when a video was processed anew, `store` keeps it.
"""
