"""Images from scans that visited a fraction of their pixels. Knows arrays; no streams, files or windows."""
