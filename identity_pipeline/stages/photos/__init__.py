"""From photographs of a person to faces and templates that the library reads like a ride's."""
