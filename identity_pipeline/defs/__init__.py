"""The Dagster shell: assets, checks, jobs, sensors, schedules. Nothing else imports Dagster.

Assets are thin: they read their inputs, call one stage, and describe the result.
"""
