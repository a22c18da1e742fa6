"""pyqtgraph windows. Reads the result bus only and knows no consumer."""
