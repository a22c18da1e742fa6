"""What pictures of sparse scans are made of: samples, their delay, how long they count, and the outputs."""
