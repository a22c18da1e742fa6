"""What ``livem bench`` runs: ratios to memcpy and to peers within one run."""
