"""What is chosen of a person over all rides and photographs, and what each picture is worth."""
