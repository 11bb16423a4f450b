"""A person's pictures over all rides and photographs, written as each consumer reads them."""
