"""One module a tool or system; each task is one retriable side effect with typed input and output."""
