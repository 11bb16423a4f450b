"""What a figure of the evaluation is and how it is measured, against truth.

What belongs here: pure functions from tables and truth to figures. What does not: reading truth
files (`storage.video.truth`), reading tables (`stages.evaluation.evaluate`), drawing
(`media.evaluation_page`).
"""
