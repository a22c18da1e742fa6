"""What the windows show, without Qt: testable with no display."""
