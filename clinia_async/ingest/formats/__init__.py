"""What can be read: each format is turned into lines of JSON, and each line into a record."""
