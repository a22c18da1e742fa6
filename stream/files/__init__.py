"""Files that hold frames: each becomes an Acquisition, to be sent, replayed or looked at."""
