"""What frames every screen: header, footer, tabs and the detail pane."""
