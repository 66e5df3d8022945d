"""The commands, one file a group. Each turns words into contract types, asks once, and shows the answer."""
