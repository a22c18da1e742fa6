"""What live tracking is made of: where particles come from, tables of tracks, scores beside a truth."""
