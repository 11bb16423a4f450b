"""What is measured on one face: quality, gates, pose, expression, occlusion, buckets."""
