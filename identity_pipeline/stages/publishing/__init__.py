"""What of finished work leaves the data folder, and how it comes back."""
