"""The site: what people read, and what makes the reference of the code."""
