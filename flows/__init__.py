"""One module a flow: the flow itself and, beneath it, its body as a plain function."""
