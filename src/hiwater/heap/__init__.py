"""Where the heap went: the sampler, its files, and the profiles made of them."""
