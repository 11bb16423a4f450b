"""The image sets of one video: candidates, the replayable selection, the sets, the frame ledger."""
