"""Pure numerics on arrays and encoded blocks: no I/O, no state, no sockets, no windows."""
