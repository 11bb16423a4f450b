"""Object stores: finished things copied there, and back."""
