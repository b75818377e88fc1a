"""What every package uses: errors, whole files, parsing, text for terminals."""
